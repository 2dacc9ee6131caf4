"""Channels and lookups on the command line: what is shown of them where they are not the usual, and `lookup`."""

from typing import Any

import pytest

from broker.cli import lookup
from broker.cli.tail import print_event
from broker.words.channel import CHANNELS
from tests.cli.office import Desk

TO = "+886912345678"
EXPLAINED = {
    "ok": True, "rule": "otp", "order": "listed", "country": "TW", "segments": 1, "encoding": "gsm7",
    "candidates": [
        {"provider": "smscru", "price": "0.04", "currency": "EUR", "credit": None},
        {"provider": "smscru", "channel": "voice", "price": "0.30", "currency": "EUR", "credit": None},
    ],
    "left_out": [{"provider": "smscru", "channel": "viber", "reason": "price above max_price"}],
}  # fmt: skip


def test_explain_names_candidates(desk: Desk) -> None:
    with desk.submit(explain=[EXPLAINED, {**EXPLAINED, "channel": "viber"}]):
        out = desk.run("explain", TO, "hi").out
        spoken = desk.run("explain", TO, "hi", "--channel", "viber").out
    assert out == (
        "rule otp  TW  1 segment gsm7\n"
        "order  provider         price  why\n"
        "    1  smscru        0.04 EUR  asked first\n"
        "    2  smscru:voice  0.30 EUR  asked next\n"
        "    -  smscru:viber         -  price above max_price\n"
    )
    assert spoken.startswith("rule otp  TW  viber  1 segment gsm7\n")


def test_help_names_every_channel(desk: Desk) -> None:
    told = " ".join(desk.run("send", "--help").out.split())
    assert ", ".join(CHANNELS) in told


def test_status_names_the_channel(desk: Desk, noon: str) -> None:
    at = "2026-11-21T11:59:00.100Z"
    result = {"status": "active", "country": None, "network": "46692", "operator": None, "roaming": None, "code": "0"}
    story = {
        "ok": True,
        "message": {"id": "m1", "status": "delivered", "to": TO, "segments": 1, "encoding": "gsm7", "channel": "flash", "accepted_at": at},
        "attempts": [{"n": 1, "provider": "a", "channel": "voice", "state": "accepted", "opened_at": at}],
        "events": [
            {"at": at, "type": "message.sent", "provider": "a", "attempt": 1, "channel": "voice"},
            {"at": at, "type": "lookup.done", "provider": "a", "result": result},
        ],
    }
    with desk.control(status=story):
        out = desk.run("status", "m1").out
    assert f"to {TO}, 1 segment gsm7, by flash\n" in out
    assert "sent        a:voice #1\n" in out
    assert "lookup.done a  status active  network 46692  code 0\n" in out
    assert "\n      1  a:voice   accepted" in out


def test_providers_say_their_channels(desk: Desk, noon: str) -> None:
    one, other = {"name": "a", "channels": ["sms"]}, {"name": "v", "channels": ["sms", "voice"]}
    with desk.control(providers=[{"ok": True, "providers": rows} for rows in ([one, other], [one])]):
        _, plain, more = desk.run("providers").out.splitlines()
        assert (plain.split()[:2], "sms, voice" in more) == (["a", "sms"], True)
        assert "channels" not in desk.run("providers").out


EVENT: dict[str, Any] = {"seq": 3, "at": "2026-11-21T20:00:00.000Z", "node": "n", "id": "m1", "provider": "a", "to": TO}
LINES = [
    ({**EVENT, "type": "message.sending", "attempt": 2, "channel": "voice"}, f"sending       m1  {TO}  a:voice#2"),
    ({**EVENT, "type": "message.queued", "provider": None, "channel": "hlr"}, f"queued        m1  {TO}  hlr"),
    (
        {**EVENT, "type": "lookup.done", "ref": None, "client": "unix:x", "result": {"status": "active", "network": None, "code": "0"}},
        f"lookup.done  id=m1  provider=a  to={TO}  client=unix:x  status=active  code=0",
    ),
]


@pytest.mark.parametrize(("event", "line"), LINES)
def test_tail(event: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_event(event)
    assert capsys.readouterr().out == f"3  2026-11-21 20:00:00  {line}\n"


KNOWN = {"ok": True, "number": TO, "country": "TW", "type": "mobile", "network": None}
DONE = {"type": "lookup.done", "result": {"status": "active", "network": "46692", "operator": "Chunghwa"}}


def test_lookup_asks_nobody(desk: Desk) -> None:
    with desk.control(lookup=KNOWN) as office:
        ran = desk.run("lookup", TO)
        assert desk.run("lookup", TO, "--json").json == KNOWN
    assert (ran.code, ran.out) == (0, "number         country  type\n+886912345678  TW       mobile\n")
    assert office.requests[0] == {"op": "lookup", "number": TO}


def test_lookup_waits_for_the_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "FIRST_LOOK_S", 0.0)
    waits = {"ok": True, "message": {"status": "sent"}, "events": []}
    has = {"ok": True, "message": {"status": "delivered"}, "events": [{"type": "message.sent"}, DONE]}
    with desk.control(lookup={**KNOWN, "id": "m1", "status": "queued"}, status=[waits, waits, has]) as office:
        ran = desk.run("lookup", TO, "--hlr", "smscru")
        shown = desk.run("lookup", TO, "--hlr", "smscru", "--json").json
    assert ran.code == 0
    assert ran.out.splitlines()[2:] == ["provider  status  network  operator", "smscru    active  46692    Chunghwa"]
    assert (shown["id"], shown["status"], shown["result"]) == ("m1", "delivered", DONE["result"])
    assert office.requests[0] == {"op": "lookup", "number": TO, "hlr": "smscru"}


ENDS = [
    ({"status": "failed", "detail": "a: rejected"}, [], 1, "the lookup is failed (a: rejected): no answer came; broker status m1"),
    ({"status": "unconfirmed"}, [], 1, "the lookup is unconfirmed: no answer came"),
    ({"status": "sent"}, [], 3, "no answer yet; it goes on: broker status m1"),
    ({"status": "undelivered"}, [DONE], 0, ""),
]


@pytest.mark.parametrize(("message", "events", "code", "said"), ENDS)
def test_how_a_lookup_ends(desk: Desk, message: dict[str, Any], events: list[Any], code: int, said: str) -> None:
    with desk.control(lookup={**KNOWN, "id": "m1"}, status={"ok": True, "message": message, "events": events}):
        ran = desk.run("lookup", TO, "--hlr", "a", "--wait", "0s")
    assert ran.code == code
    assert said in ran.err
