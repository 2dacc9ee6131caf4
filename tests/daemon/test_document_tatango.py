"""tatango.txt, example by example: see `page`."""

import hashlib
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import trio
from trio.testing import MockClock

from tests.api.web_rig import post
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import Toml
from tests.daemon.page import Page, open_page, see

TATANGO: Toml = {"plugin": "tatango", "key": "your key", "password": "your password", "url": "http://a"}
PHONE = "+19998887777"


async def test_tatango_ruby_and_php(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "Post to /messages with the following parameters"; both samples send `here is a message` to 9998887777."""
    page = Page("")
    site = await open_page(make_house, tmp_path, TATANGO, page)
    id_ = await site.house.take(to=PHONE, text="here is a message")
    await see(site.house, id_, "unconfirmed")
    digest = hashlib.md5(b"your password" + b"here is a message", usedforsecurity=False).hexdigest()
    form = dict(parse_qsl(page.asked[0].body.decode(), strict_parsing=True))
    assert form == {"key": "your key", "recipient": "9998887777", "message": "here is a message", "hash": digest}
    assert (page.asked[0].method, page.asked[0].path) == ("POST", "/messages")
    assert page.asked[0].headers["content-type"] == "application/x-www-form-urlencoded"


STATUSES = [  # "Tatango Gateway returns the following HTTP status codes"
    (200, "accepted", "unconfirmed"), (202, "accepted", "unconfirmed"), (400, "rejected", "failed"), (401, "misconfigured", "held"),
    (403, "blocked", "blocked"), (409, "retry_later", "queued"), (500, "in_doubt", "in_doubt"), (501, "misconfigured", "held"),
    (503, "unavailable", "queued"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "class_", "status"), STATUSES)
async def test_tatango_statuses(
    code: int, class_: str, status: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path
) -> None:
    site = await open_page(make_house, tmp_path, TATANGO, Page(code))
    id_ = await site.house.take(to=PHONE)
    await trio.sleep(0.1)
    reply = await see(site.house, id_, status)
    assert [(each["class"], each["code"]) for each in reply["attempts"]] == [(class_, str(code))]
    assert (code == 202) == (reply["attempts"][0]["detail"] == "opt-in pending")
    assert (code == 202) == ("opt-in pending" in (reply["message"]["detail"] or ""))  # "Message will be sent if they opt in"


MO = """<?xml version="1.0"?>
<message>
<sender>9998887777</sender>
<content><![CDATA[MESSAGE_BODY]]></content>
</message>"""


@pytest.mark.parametrize("before", ["", "\n"])
async def test_tatango_mobile_originated(before: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "MO’s": "POSTed in the following simple XML format"."""
    site = await open_page(make_house, tmp_path, TATANGO, Page())
    said = await site.call("", post(await site.base(), (before + MO).encode(), "Content-Type: text/xml"))
    (event,) = site.house.told("inbound.received")
    assert (said.status, event["from"], event["to"], event["text"], event["country"]) == (200, PHONE, None, "MESSAGE_BODY", "US")
