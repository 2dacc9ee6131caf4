"""isms.txt, example by example: see `page`."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, Toml, rule
from tests.daemon.page import Fields, Page, open_page, query_of, see, usable
from tests.daemon.site import path_of, with_callbacks

GREEK = "Καλημέρα"


def isms(**more: Any) -> Toml:
    return {"plugin": "isms", "username": "xxx", "password": SECRET, "url": "http://a", "sender": "myself", "query": ["1m"], **more}


def example(url: str) -> tuple[str, Fields]:
    """The path and the parameters of an example on the page."""
    parts = urlsplit(url)
    return parts.path, {**dict(parse_qsl(parts.query, strict_parsing=True)), "password": SECRET}


ISMS_SEND = "http://cp.isms.gr/api/http/send.php?username=xxx&password=xxx&from=myself&message=text+at+utf8+format&to=306912345678,306998765432"
ISMS_QUERY = "http://cp.isms.gr/api/http/query.php?username=xxx&password=xxx&mid=0008FABD&mobile=306912345678"
ISMS_HLR = "http://cp.isms.gr/api/http/hlr.php?username=xxx&password=xxx&mobiles=306949876543"
ISMS_HLR_QUERY = "http://cp.isms.gr/api/http/hlrquery.php?username=xxx&password=xxx&mid=0adgre1&mobile=306949876543"
ISMS_SAVE = "http://cp.isms.gr/api/http/savecontact.php?username=xxx&password=xxx&surname=SURNAME&name=NAME&mobile=306912345678&comments=COMMENTS"
ISMS_DELETE = "http://cp.isms.gr/api/http/deletecontact.php?username=xxx&password=xxx&mobile=306912345678"


async def test_isms_send_and_query(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "Προδιαγραφές HTTP API": `ID:I7I5R4HTAA`; "Έλεγχος διαθέσιμων credits"; "Έλεγχος κατάστασης απεσταλμένου μηνύματος"."""
    page = Page("ID:0008FABD", "Status: Pending", "Status: Delivered", "Status: Failed", balance="Credits:3948.47")
    site = await open_page(make_house, tmp_path, isms(batch=2), page)
    assert usable(site.house, "credits") == 3_948_470_000
    await site.house.order("pause", name="a")
    ids = [await site.house.take(to=to, text="text at utf8 format") for to in ("+306912345678", "+306998765432")]
    await site.house.order("resume", name="a")
    for id_ in ids:
        await see(site.house, id_, "sent")
    sent = query_of(page.asked[0])
    assert path_of(sent.pop("dlr-url")).startswith("/cb/a/")
    path, fields = example(ISMS_SEND)
    assert (page.asked[0].path, sent) == (path, {**fields, "coding": "GSM"})
    ends = [(await see(site.house, id_, "delivered", "undelivered", within=200))["message"]["status"] for id_ in ids]
    assert sorted(ends) == ["delivered", "undelivered"]
    asked = [(request.path, query_of(request)) for request in page.asked[1:]]
    path, fields = example(ISMS_QUERY)
    assert next(each for each in asked if each[1]["mobile"] == "306912345678") == (path, fields)


@pytest.mark.parametrize(("text", "coding"), [("Kalimera", "GSM"), ("ΓΔΘΛΞΠΣΦΨΩ", "GSM"), (GREEK, "UTF-8"), ("مرحبا 你好", "UTF-8")])
async def test_isms_codings(text: str, coding: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "coding … GSM, UTF-8. Προεπιλεγμένη μορφή: GSM": ten Greek capitals are letters of that alphabet, and no small one is."""
    page = Page("ID:I7I5R4HTAA", balance="Credits:9")
    site = await open_page(make_house, tmp_path, isms(), page)
    await see(site.house, await site.house.take(to="+306912345678", text=text, channel="flash"), "sent")
    sent = query_of(page.asked[0])
    assert (sent["message"], sent["coding"], sent["flash"]) == (text, coding, "1")


ERRORS = [  # "Το request αυτό μπορεί να επιστρέψει τα εξής μηνύματα λάθους"
    ("Authentication error.", "misconfigured", "held"), ("No recipients.", "misconfigured", "held"),
    ("Invalid sender identity.", "unsuitable", "failed"), ("Insufficient credits.", "no_credit", "held"),
    ("Invalid scheduling date.", "unsuitable", "failed"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "class_", "status"), ERRORS)
async def test_isms_errors(text: str, class_: str, status: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    site = await open_page(make_house, tmp_path, isms(), Page(f"Error: {text}", balance="Credits:0.5"))
    site.house.ex.lanes["a"].standing.usable.clear()  # the first attempt finds it out by itself
    reply = await see(site.house, await site.house.take(to="+306912345678"), status)
    assert [(each["class"], each["code"]) for each in reply["attempts"]] == [(class_, text)]


# "Παραδείγματα για το SCHEDULE_DATE_TIME"; Athens: +03:00 in July, +02:00 in December
SCHEDULES = [("2026-12-24 14:40", "2026-12-24 14:40:00"), ("2026-12-22 17:47:55", "2026-12-22 17:47:55"),
             ("2027-07-17", "2027-07-17 00:00:00"), ("2026-12-24T12:40:00Z", "2026-12-24 14:40:00"),
             ("2027-07-16T21:00:00Z", "2027-07-17 00:00:00"), ("2027-07-17T10:00:00+02:00", "2027-07-17 11:00:00")]  # fmt: skip


@pytest.mark.parametrize(("asked", "written"), SCHEDULES)
async def test_isms_schedule(asked: str, written: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    page = Page("ID:I7I5R4HTAA", balance="Credits:9")
    site = await open_page(make_house, tmp_path, isms(), page)
    site.house.write({**with_callbacks(str(tmp_path), providers={"a": isms()}), "rules": [rule("a", validity="365d")]})
    assert (await site.house.order("reload"))["ok"]
    site.house.twins["a"] = page
    await see(site.house, await site.house.take(to="+306912345678", options={"schedule": asked}), "sent")
    assert query_of(page.asked[0])["schedule"] == written


HLR_RESULTS = [  # "Status;Country;Operator;IMSI;ServingMSC;ErrorCode"
    ("Delivered;Greece;COSMOTE;202010000000001;306970000001;0", "delivered", ("delivered", "Greece", "COSMOTE", "0")),
    ("Undelivered;Greece;Vodafone;;;1", "undelivered", ("undelivered", "Greece", "Vodafone", "1")),
    ("Failed;;;;;", "undelivered", ("failed", None, None, None)),
    ("Unknown;;;;;", "undelivered", ("unknown", None, None, None)),
    ("Failed", "undelivered", ("failed", None, None, None)),
]


@pytest.mark.parametrize(("line", "status", "result"), HLR_RESULTS)
async def test_isms_hlr(
    line: str, status: str, result: tuple[str | None, ...], make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """ "HLR lookup API": `ID:0adgre1`; "Αν το status είναι Pending ή Queued τότε επιστρέφει μόνο το status"."""
    page = Page("ID:0adgre1", "Queued", "Pending", line, balance="Credits:9")
    site = await open_page(make_house, tmp_path, isms(), page)
    id_ = (await site.house.ask("submit", to="+306949876543", channel="hlr"))["id"]
    await see(site.house, id_, status)
    (told,) = site.house.told("lookup.done")
    assert tuple(told["result"][key] for key in ("status", "country", "operator", "code")) == result
    asked = [(request.path, query_of(request)) for request in page.asked[:2]]
    assert asked == [example(ISMS_HLR), example(ISMS_HLR_QUERY)]
    assert "202010000000001" not in json.dumps(site.house.told(*[event["type"] for event in site.house.told("lookup.done")]))


CONTACTS = [("ΟΚ", True), ("OK", True), ("FAILED", False), ("Error: Mobile number is empty.", False),
            ("Error: Invalid mobile number.", False), ("Error: Authentication error.", False)]  # fmt: skip


@pytest.mark.parametrize(("line", "is_done"), CONTACTS)
async def test_isms_contacts(line: str, is_done: bool, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "API για διαχείριση επαφών": the page's OK is two Greek capitals."""
    page = Page(line, line, balance="Credits:9")
    site = await open_page(make_house, tmp_path, isms(), page)
    fields = {"surname": "SURNAME", "name": "NAME", "comments": "COMMENTS"}
    for action, more, url in (("add", fields, ISMS_SAVE), ("delete", {}, ISMS_DELETE)):
        answer = await site.house.order("contacts", action=action, mobile="+306912345678", **more)
        assert answer["ok"] is is_done, answer
        assert (page.asked[-1].path, query_of(page.asked[-1])) == example(url)
