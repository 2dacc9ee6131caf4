"""`send`, with and without --wait, and `explain`."""

import io
import sys
from typing import Any

import pytest

from broker.cli import send
from tests.cli.office import Answer, Desk

TAKEN = {"ok": True, "id": "m1", "status": "queued", "segments": 2, "encoding": "gsm7", "country": "TW", "duplicate": False}
TO = ("+886912345678", "hi")


def test_send(desk: Desk) -> None:
    with desk.submit(submit=TAKEN) as office:
        ran = desk.run("send", *TO)
    assert (ran.code, ran.out, ran.err) == (0, "m1  queued  TW  2 segments gsm7\n", "")
    assert office.requests == [{"to": "+886912345678", "text": "hi"}]


def test_every_option_goes_through(desk: Desk) -> None:
    options = "--from ACME --key k1 --ref r1 --tag a --tag b --priority high --validity 10m --provider mitake --max-price 0.05"
    with desk.submit(submit=TAKEN, explain={"ok": True}) as office:
        words = [*TO, *options.split(), "--channel", "voice", "--send-at", "2026-11-22T08:00:00Z"]
        assert desk.run("send", *words).code == 0
        assert desk.run("explain", *words).code == 0
    sent = {
        **{"to": "+886912345678", "text": "hi", "from": "ACME", "key": "k1", "ref": "r1", "tags": ["a", "b"]},
        **{"priority": "high", "validity": "10m", "provider": "mitake", "max_price": "0.05"},
        **{"channel": "voice", "send_at": "2026-11-22T08:00:00Z"},
    }
    assert office.requests == [sent, {**sent, "op": "explain"}]


def test_json_is_the_answer(desk: Desk) -> None:
    with desk.submit(submit=TAKEN):
        assert desk.run("send", *TO, "--json").json == TAKEN


def test_a_duplicate_is_told(desk: Desk) -> None:
    with desk.submit(submit={**TAKEN, "duplicate": True}):
        assert "taken before, under the same key" in desk.run("send", *TO).out


def test_the_text_from_standard_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("zwölf\nKäuze 🦉\n".encode())))
    with desk.submit(submit=TAKEN) as office:
        assert desk.run("send", "+886912345678", "-").code == 0
    assert office.requests[0]["text"] == "zwölf\nKäuze 🦉"


def test_standard_input_that_is_no_text(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe")))
    assert desk.run("send", "+886912345678", "-") == (2, "", "broker: the text on standard input is not UTF-8\n")


def test_a_word_that_is_no_utf8(desk: Desk) -> None:
    ran = desk.run("send", "+886912345678", "caf\udce9")
    assert ran.code == 2
    assert "text is not UTF-8" in ran.err


def test_a_text_that_begins_with_a_dash(desk: Desk) -> None:
    with desk.submit(submit=TAKEN) as office:
        for words in (("--", "+886912345678", "-hello"), ("+886912345678", "-5"), ("+886912345678", "- one two")):
            assert desk.run("send", *words).code == 0
    assert [request["text"] for request in office.requests] == ["-hello", "-5", "- one two"]


def test_no_text_for_a_channel_without_one(desk: Desk) -> None:
    refusal = {"ok": False, "error": {"code": "no_route", "message": "a: channel hlr is not its"}}
    with desk.submit(submit=refusal) as office:
        ran = desk.run("send", "+886912345678", "--channel", "hlr", "--json")
    assert ran.code == 1
    assert ran.err == "broker: no_route: a: channel hlr is not its\n"
    assert ran.json == refusal
    assert office.requests == [{"to": "+886912345678", "channel": "hlr"}]


def test_options_are_a_table(desk: Desk) -> None:
    with desk.submit(submit=TAKEN) as office:
        words = ["--channel", "email", "--option", "subject=a=b c", "--option", "voice="]
        assert desk.run("send", "a@example.com", "hi", *words).code == 0
    assert office.requests[0]["options"] == {"subject": "a=b c", "voice": ""}


@pytest.mark.parametrize("options", [["subject"], ["=x"], ["a=1", "a=2"], ["a=\udce9"]])
def test_what_is_no_option(desk: Desk, options: list[str]) -> None:
    ran = desk.run("send", *TO, *(word for option in options for word in ("--option", option)))
    assert ran.code == 2
    assert "option" in ran.err


def _status(status: str, **facts: Any) -> dict[str, Any]:
    return {"ok": True, "message": {"id": "m1", "status": status, **facts}, "attempts": [{"n": 1}]}


# (statuses seen one after the other, exit code)
ENDS = [
    (["queued", "sending", "sent", "delivered"], 0),
    (["sent", "unconfirmed"], 0),
    (["failed"], 1),
    (["sent", "undelivered"], 1),
    (["held", "expired"], 1),
    (["blocked"], 1),
    (["canceled"], 1),
    (["in_doubt", "unknown"], 3),
]


@pytest.mark.parametrize(("seen", "code"), ENDS, ids=[seen[-1] for seen, _ in ENDS])
def test_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch, seen: list[str], code: int) -> None:
    monkeypatch.setattr(send, "FIRST_LOOK_S", 0.0)
    answers: list[Answer] = [_status(status, provider="mitake") for status in seen]
    with desk.submit(submit=TAKEN, status=answers) as office:
        ran = desk.run("send", *TO, "--wait")
    assert ran.code == code
    told = [line.split()[1] for line in ran.out.splitlines()]
    assert told == ["queued", *(status for status in seen if status != "queued")]
    assert ran.out.splitlines()[-1].split()[2:] == ["mitake"]
    assert ran.err == ""
    assert [request.get("op", "submit") for request in office.requests] == ["submit", *["status"] * len(seen)]


def test_wait_until_the_time_is_over(desk: Desk) -> None:
    with desk.submit(submit=TAKEN, status=_status("held", detail="no_credit")):
        ran = desk.run("send", *TO, "--wait", "--timeout", "0s")
    assert ran.code == 3
    assert ran.out.endswith("m1  held  no_credit\n")
    assert ran.err == "broker: not ended after 0 s; it goes on: broker status m1\n"


@pytest.mark.parametrize(("status", "code"), [("delivered", 0), ("sent", 3)])
def test_wait_in_json_is_one_document(desk: Desk, status: str, code: int) -> None:
    with desk.submit(submit=TAKEN, status=_status(status)):
        ran = desk.run("send", *TO, "--wait", "--timeout", "0", "--json")
    assert (ran.code, ran.json) == (
        code,
        {**TAKEN, "status": status, "message": _status(status)["message"], "attempts": [{"n": 1}]},
    )


def test_a_lost_answer_is_not_known_and_never_repeated(desk: Desk) -> None:
    with desk.submit(submit=b"") as office:
        plain, keyed = desk.run("send", *TO), desk.run("send", *TO, "--key", "k1")
    assert (plain.code, keyed.code) == (3, 3)
    assert "whether the message was taken is not known" in plain.err
    assert "send it again with the same --key" in keyed.err
    assert len(office.requests) == 2


def test_the_daemon_itself_does_not_know(desk: Desk) -> None:
    with desk.submit(submit={"ok": False, "error": {"code": "outcome_unknown", "message": "the disk failed"}}):
        ran = desk.run("send", *TO, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (3, "outcome_unknown")


def test_a_daemon_that_ends_while_we_wait(desk: Desk) -> None:
    with desk.submit(submit=TAKEN, status=b""):
        ran = desk.run("send", *TO, "--wait")
    assert ran.code == 3
    assert "the message was taken, its end was not seen: broker status m1" in ran.err


@pytest.mark.parametrize("code", ["no_route", "suppressed", "queue_full", "key_conflict", "rate_limited", "forbidden", "stopping"])
def test_a_refusal_is_exit_1(desk: Desk, code: str) -> None:
    with desk.submit(submit={"ok": False, "error": {"code": code, "message": "why and what to do"}}):
        ran = desk.run("send", *TO, "--wait")
    assert (ran.code, ran.out, ran.err) == (1, "", f"broker: {code}: why and what to do\n")


EXPLAINED = {
    **{"ok": True, "rule": "otp", "country": "TW", "segments": 1, "encoding": "ucs2"},
    "candidates": [{"provider": "mitake", "price": "0.90", "currency": "TWD", "credit": "39000"}],
    "left_out": [{"provider": "smscru", "reason": "credit: 12 segments are left, min_credit is 100"}],
}


def test_explain(desk: Desk) -> None:
    with desk.submit(explain=EXPLAINED):
        ran = desk.run("explain", *TO)
    assert ran.code == 0
    assert ran.out == (
        "rule otp  TW  1 segment ucs2\n"
        "order  provider     price  credit  why\n"
        "    1  mitake    0.90 TWD   39000  asked first\n"
        "       smscru                      credit: 12 segments are left, min_credit is 100\n"
    ).replace("       smscru                      credit", "    -  smscru           -       -  credit")


def test_explain_that_nobody_can(desk: Desk) -> None:
    with desk.submit(explain={**EXPLAINED, "candidates": []}):
        ran = desk.run("explain", *TO)
    assert ran.code == 0
    assert ran.out.endswith("nobody can take it now\n")


def test_explain_shows_what_plain_letters_save(desk: Desk) -> None:
    costs = {"before": {"encoding": "ucs2", "segments": 3}, "after": {"encoding": "gsm7", "segments": 1}}
    with desk.submit(explain={**EXPLAINED, **costs}, submit={**TAKEN, "transliterated": True}):
        assert "plain letters: 3 segments ucs2 as it came, 1 segment gsm7 as it goes out\n" in desk.run("explain", *TO).out
        assert "plain letters" in desk.run("send", *TO).out


def test_explain_in_json(desk: Desk) -> None:
    with desk.submit(explain=EXPLAINED):
        assert desk.run("explain", *TO, "--json").json == EXPLAINED
