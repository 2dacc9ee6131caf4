"""subito.txt, example by example: see `page`. It is the transcript of a PDF, whose lines break where the page does, in the middle of a
word too.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, Toml
from tests.daemon.page import Page, open_page, see, usable


def subito(**more: Any) -> Toml:
    return {"plugin": "subito", "username": "mickey", "password": SECRET, "url": "http://a", "sender": "SubitoSMS", "query": ["1m"], **more}


SUBITO_CREDIT = """{"data":
{"Italy":"4021","Foreign":"91","ItalyLow":"90","AddressBooks":"12","Polls":"6","
Credit":null}}"""
SUBITO_SENT = '{"data":{"id":"12293682"}}'
SUBITO_STATUS = """[{"id":12293682,"messages":
[{"sender":"Example1","dest":"+39335123456","text":"First
message","status":"1","code":1803322}]},{"id":12279076,"messages":
[{"sender":"Example2","dest":"+39335123456","text":"Second
message","status":"1","code":1741411},
{"sender":"Example3","dest":"+39347123456","text":"Third
message","status":"1","code":1741412}]}]"""
SUBITO_REQUEST = """{
"auth":[{
"username":"mickey",
"password":"%s"}
],
"data":[
{
"sender":"SubitoSMS",
"dest":"+393351234567",
"text":"Hello message"
},
{
"sender":"SubitoSMS",
"dest":"+393356359515",
"text":"Hello message"
}]}"""  # without the page's two trailing commas, and with a whole number in its first place


async def test_subito_credit_send_and_status(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "Checking credit", "Send SMS messages", "Check status": the examples."""
    status = SUBITO_STATUS.replace("+39335123456", "+393351234567").replace("Example3", "SubitoSMS")
    other = status.replace("12279076", "1").replace('"id":12293682', '"id":12279076').replace("+39347123456", "3356359515")
    page = Page(SUBITO_SENT, status, '{"error":{"message":"x","code":6}}', other, balance=SUBITO_CREDIT)
    site = await open_page(make_house, tmp_path, subito(auth_form="list", batch=2), page)
    assert [usable(site.house, bucket) for bucket in ("Italy", "ItalyLow", "Foreign")] == [4021_000_000, 90_000_000, 91_000_000]
    await site.house.order("pause", name="a")
    ids = [await site.house.take(to=to, text="Hello message") for to in ("+393351234567", "+393356359515")]
    await site.house.order("resume", name="a")
    for id_ in ids:
        await see(site.house, id_, "sent")
    sent = page.asked[0]
    assert (sent.method, sent.path, sent.query) == ("POST", "/json.php", "action=send")
    assert json.loads(sent.body) == json.loads(SUBITO_REQUEST % SECRET)
    reply = await see(site.house, ids[0], "delivered")
    assert (reply["attempts"][0]["provider_refs"], reply["events"][-1]["code"]) == (["12293682"], "1")
    assert json.loads(page.asked[1].body)["data"] == [{"id": 12293682}]
    assert site.house.find(ids[1]) == "sent"  # the group's answer does not name it


SUBITO_ERRORS = [*((code, "misconfigured") for code in (1, 2, 3, 4, 7)), (5, "no_credit")]


@pytest.mark.parametrize(("code", "class_"), SUBITO_ERRORS)
async def test_subito_errors(code: int, class_: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "Error messages", with the example's own text, which says 3 for what is 4 in its XML."""
    said = f'{{"error":{{"message":"Wrong username or password","code":{code}}}}}'
    site = await open_page(make_house, tmp_path, subito(), Page(said, balance=SUBITO_SENT))
    reply = await see(site.house, await site.house.take(to="+393351234567"), "held", within=1)
    assert [(each["class"], each["code"]) for each in reply["attempts"]] == [(class_, str(code))]


VALUES = [("-100", "undelivered"), ("-50", "blocked"), ("-2", "sent"), ("-1", "sent"), ("0", "sent"), ("1", "delivered"),
          ("2", "undelivered"), ("4", "sent"), ("8", "sent"), ("16", "undelivered")]  # fmt: skip


@pytest.mark.parametrize(("value", "status"), VALUES)
async def test_subito_status_values(value: str, status: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    said = f'[{{"id":12293682,"messages":[{{"sender":"S","dest":"+393351234567","text":"t","status":"{value}","code":1803322}}]}}]'
    site = await open_page(make_house, tmp_path, subito(query=["1m", "1h"]), Page(SUBITO_SENT, said, balance=SUBITO_CREDIT))
    id_ = await site.house.take(to="+393351234567")
    await see(site.house, id_, "sent")
    await trio.sleep(70)
    assert site.house.find(id_) == status
