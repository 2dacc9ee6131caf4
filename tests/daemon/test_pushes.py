"""The providers' own calls, end to end: their plugins read them, their twins make them, and what says nothing leads to a question."""

from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from trio.testing import MockClock

from broker.provider.contract import Call, Reply
from tests.api.web_rig import Said, get
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, TO, House, Toml, mitake, tatango
from tests.daemon.site import PUBLIC, Site, with_callbacks

MOBILE = "+306912345678"


def isms(host: str, **more: Any) -> Toml:
    return {"plugin": "isms", "username": "demo", "password": SECRET, "url": f"http://{host}", "sender": "ACME", **more}


async def make(make_house: MakeHouse, tmp: str, account: Toml, **script: Any) -> Site:
    return Site(await make_house(with_callbacks(tmp, providers={"a": account}), {"a": script}))


async def push(site: Site, house: House) -> list[Said]:
    """Every call that the twin would make now, and what it heard."""
    said = []
    for call in house.twins["a"].calls(house.now()):
        url = urlsplit(call.url.removeprefix(PUBLIC))
        heard = await site.call("", post_or_get(call, f"{url.path}?{url.query}" if url.query else url.path))
        house.twins["a"].hear(call, Reply(heard.status, heard.headers, heard.body))
        said.append(heard)
    return said


def post_or_get(call: Call, target: str) -> bytes:
    assert call.method == "GET"
    return get(target)


@pytest.mark.parametrize("api", ["smexpress", "mtk"])
@pytest.mark.parametrize(("fate", "status"), [("4", "delivered"), ("6", "undelivered"), ("8", "expired"), ("9", "canceled")])
async def test_mitake_calls_and_is_answered_in_its_own_words(
    make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Any, api: str, fate: str, status: str
) -> None:
    site = await make(make_house, str(tmp_path), mitake("a", api=api, query=["1h"]), fates={TO: fate})
    house = site.house
    id_ = await house.take()
    reply = await house.until(id_, "sent")
    assert await push(site, house) == []
    await trio.sleep(2)
    (said,) = await push(site, house)
    ref = reply["attempts"][0]["provider_refs"][0]
    assert (said.status, said.body) == (200, f"magicid=sms_gateway_rpack\nmsgid={ref}\n".encode())
    await house.until(id_, status, within=0)
    assert await push(site, house) == []  # it heard what it wanted


async def test_a_disagreement_of_mitake_s_leads_to_a_question(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Any) -> None:
    site = await make(make_house, str(tmp_path), mitake("a", query=["1h"]))
    house = site.house
    id_ = await house.take()
    await house.until(id_, "sent")
    await trio.sleep(2)
    (call,) = house.twins["a"].calls(house.now())
    url = urlsplit(call.url.removeprefix(PUBLIC))
    said = await site.call(f"{url.path}?{url.query.replace('StatusFlag=4', 'StatusFlag=8')}")
    assert said.status == 200
    assert house.find(id_) == "sent"
    await house.until(id_, "delivered", within=3)  # asked, long before the hour was over


@pytest.mark.parametrize("name", ["mitake", "isms"])
async def test_a_call_from_the_panel_s_address_names_the_id_alone(
    make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Any, name: str
) -> None:
    account, to = (mitake("a", query=["1h"]), TO) if name == "mitake" else (isms("a", query=["1h"]), MOBILE)
    site = await make(make_house, str(tmp_path), account)
    house, base = site.house, await site.base()
    id_ = await house.take(to=to)
    await house.until(id_, "sent")
    await trio.sleep(2)
    (call,) = house.twins["a"].calls(house.now())
    said = await site.call(f"{base}?{urlsplit(call.url).query}")
    assert said.status == 200
    await house.until(id_, "delivered", within=0)


@pytest.mark.parametrize(("style", "within"), [("words", 0), ("bare", 3)])
async def test_isms_calls_with_words_or_without(
    make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Any, style: str, within: int
) -> None:
    site = await make(make_house, str(tmp_path), isms("a", query=["1h"]), style=style, fates={MOBILE: "Failed"})
    house = site.house
    id_ = await house.take(to=MOBILE)
    await house.until(id_, "sent")
    await trio.sleep(2)
    (said,) = await push(site, house)
    assert said.status == 200
    await house.until(id_, "undelivered", within=within)


async def test_many_calls_that_say_nothing_are_one_question(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Any) -> None:
    site = await make(make_house, str(tmp_path), isms("a", query=["1h"]), settle=3_600_000)
    house = site.house
    id_ = await house.take(to=MOBILE)
    await house.until(id_, "sent")
    path = urlsplit(next(iter(house.twins["a"]._taken.values())).url.removeprefix(PUBLIC)).path
    asked = count_queries(house)
    for _ in range(20):
        await site.call(path)
    await trio.sleep(10)
    assert asked == ["query.php"]
    assert house.find(id_) == "sent"


def count_queries(house: House) -> list[str]:
    twin, asked = house.twins["a"], []
    answer = twin.answer

    def count(request: Any, now: int) -> Any:
        page = request.path.rpartition("/")[2]
        if page != "credits.php":
            asked.append(page)
        return answer(request, now)

    twin.answer = count
    return asked


async def test_tatango_s_inbound_message_is_told(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Any) -> None:
    site = await make(make_house, str(tmp_path), tatango("a"))
    base = await site.base()
    call = site.house.twins["a"].call(base, "9998887777", "hello ñ")
    head = f"POST {base} HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: {len(call.body)}\r\n\r\n"
    said = await site.call("", head.encode() + call.body)
    assert (said.status, said.body) == (200, b"")
    (event,) = site.house.told("inbound.received")
    assert (event["provider"], event["from"], event["text"]) == ("a", "+19998887777", "hello ñ")
    assert (await site.call("", head.replace("text/xml", "x/y").encode() + b"\xff" * len(call.body))).status == 200
    assert len(site.house.told("inbound.received")) == 1


async def test_a_batch_of_isms_shares_one_call_and_its_recipients_pick(
    make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Any
) -> None:
    site = await make(make_house, str(tmp_path), isms("a", query=["1h"], batch=10), fates={"+306912345671": "Failed"})
    house = site.house
    await house.order("pause", name="a")
    numbers = [f"+30691234567{n}" for n in range(3)]
    ids = [await house.take(to=to, text="one text") for to in numbers] + [await house.take(to=MOBILE, text="another")]
    await house.order("resume", name="a")
    for id_ in ids:
        await house.until(id_, "sent", within=5)
    assert len({ref for _, _, ref in house.twins["a"].sent}) == 2
    await trio.sleep(2)
    assert [each.status for each in await push(site, house)] == [200] * 4
    assert [house.find(id_) for id_ in ids] == ["delivered", "undelivered", "delivered", "delivered"]


async def test_a_lookup_is_asked_for_and_found(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Any) -> None:
    site = await make(make_house, str(tmp_path), isms("a", query=["5s"]))
    house = site.house
    id_ = (await house.ask("submit", to=MOBILE, channel="hlr"))["id"]
    await house.until(id_, "delivered", within=20)
    ((mobile, text, _),) = house.twins["a"].sent
    assert (mobile, text) == (MOBILE[1:], "")
