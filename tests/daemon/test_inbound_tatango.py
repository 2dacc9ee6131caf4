"""An inbound message from Tatango's POST to the endpoint of [[inbound]]: the whole way, through the callback door."""

import json

from trio.testing import MockClock

from tests.api.web_rig import post
from tests.daemon.conftest import MakeHouse
from tests.daemon.hookside import Outside
from tests.daemon.house import House, tatango
from tests.daemon.site import Site, with_callbacks

HANDSET = "+12025550100"
ALIEN = '<!DOCTYPE message [<!ENTITY x "y">]><message><sender>2025550100</sender><content>&x;</content></message>'


def mo(text: str, sender: str = "2025550100") -> str:
    return f'<?xml version="1.0"?><message><sender>{sender}</sender><content><![CDATA[{text}]]></content></message>'


async def tell(site: Site, xml: str) -> int:
    said = await site.call("", post(await site.base("a"), xml.encode(), "Content-Type: text/xml"))
    return said.status


async def make_site(make_house: MakeHouse, folder: str) -> Site:
    inbound = [{"to": "https://crm.example.org/in", "secret": "s", "match": {"keyword": "info"}}]
    house: House = await make_house(with_callbacks(folder, providers={"a": tatango("a")}, inbound=inbound))
    return Site(house)


async def test_the_whole_way(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, tmp_path: object) -> None:
    site = await make_site(make_house, str(tmp_path))
    assert await tell(site, mo("Info please")) == 200
    assert await tell(site, mo("Info please")) == 200  # it was not sure of our answer
    assert await tell(site, mo("else")) == 200
    await tell(site, ALIEN)
    await tell(site, "<message>" * 10_000)
    await outside.wait(1)
    ((_, request),) = outside.came
    data = json.loads(request.body)["data"]
    assert (data["from"], data["to"], data["text"], data["country"]) == (HANDSET, None, "Info please", "US")
    assert [event["text"] for event in site.house.told("inbound.received")] == ["Info please", "else"]


async def test_stop_and_start(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, tmp_path: object) -> None:
    site = await make_site(make_house, str(tmp_path))
    assert await tell(site, mo("STOP")) == 200
    assert (await site.house.submit(HANDSET))["error"]["code"] == "suppressed"
    assert await tell(site, mo("start")) == 200
    assert (await site.house.submit(HANDSET))["ok"]
