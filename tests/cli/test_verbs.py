"""The verbs that look and decide, each against canned answers: what they ask, what they print, what --json gives."""

from typing import Any

import pytest

from tests.cli.office import Desk

PROVIDERS = {
    "ok": True,
    "providers": [
        {
            **{"name": "mitake", "plugin": "mitake", "state": "up", "reason": None, "until": None, "rate": "30/s"},
            **{"in_flight": 3, "max_in_flight": 16, "waiting": 12345, "breaker": {"open_until": None}},
            "credit": [{"bucket": "points", "unit": "points", "usable": "998", "dry": False}],
            **{"accepted": 7, "refused": 1, "delivered_share": "0.987"},
        },
        {
            **{"name": "isms", "plugin": "isms", "state": "suspended", "reason": "suspended: Authentication error."},
            **{"until": "2026-11-21T12:04:00.000Z", "in_flight": 0, "max_in_flight": 16, "waiting": 0},
            "credit": [{"bucket": "a", "unit": "sms", "usable": "5", "dry": False}, {"bucket": "b", "unit": "sms", "dry": True}],
        },
        {
            "name": "subito",
            "plugin": "subito",
            "state": "breaker",
            "reason": "breaker open",
            "breaker": {"open_until": "2026-11-21T12:00:09Z"},
        },
    ],
}

PROVIDERS_SHOWN = """\
provider  plugin  state                                             rate  in flight  waiting  credit          accepted  refused  delivered
mitake    mitake  up                                                30/s       3/16   12,345  998 points             7        1      98.7%
isms      isms    suspended, again in 4m: Authentication error.     -          0/16        0  a 5 sms, b dry         -        -          -
subito    subito  breaker, again in 9s: open                        -           0/-        0  -                      -        -          -
"""

BALANCE = {
    "ok": True,
    "balance": [
        {
            **{"provider": "mitake", "bucket": "points", "unit": "points", "reported": "1000", "usable": "96", "reserved": "4"},
            **{"reported_at": "2026-11-21T11:58:00Z", "dry": False, "low": "500", "stop": "50", "burn_per_hour": "23"},
            "runs_dry_at": "2026-11-21T14:00:00Z",
        },
        {"provider": "subito", "bucket": "Italy", "unit": "sms", "usable": None, "reserved": "0", "dry": True, "stop": "0"},
    ],
}

HELD = {
    "ok": True,
    "held": [
        {
            **{"id": "m1", "cause": "no_credit", "to": "+8869•••678", "accepted_at": "2026-11-21T11:00:00Z"},
            **{"valid_until": "2026-11-22T11:00:00Z", "tags": ["otp", "x"]},
        },
    ],
    "total": 1204,
}

QUEUE = {
    "ok": True,
    "queue": [
        {"lane": "mitake", "priority": "normal", "count": 1200, "next_at": "2026-11-21T11:59:00Z"},
        {"lane": None, "priority": "low", "count": 1, "next_at": "2026-11-21T12:00:30Z"},
    ],
    "total": 1201,
}

LISTED = {
    "ok": True,
    "suppress": [
        {"recipient": "+886912345678", "scope": "all", "reason": "by a person", "at": "2026-11-20T12:00:00Z"},
        {"recipient": "+12025550123", "scope": "ACME", "reason": "403", "at": "2026-11-21T12:00:00Z"},
    ],
}


def lean(text: str) -> list[list[str]]:
    """A table's cells without the spaces between: columns are two spaces apart."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def test_providers(desk: Desk, noon: str) -> None:
    with desk.control(providers=PROVIDERS) as office:
        ran = desk.run("providers")
        assert desk.run("providers", "--json").json == PROVIDERS
    assert (ran.code, lean(ran.out)) == (0, lean(PROVIDERS_SHOWN))
    assert office.requests[0] == {"op": "providers"}


def test_balance(desk: Desk, noon: str) -> None:
    with desk.control(balance=BALANCE) as office:
        ran = desk.run("balance")
        assert desk.run("balance", "mitake", "--refresh", "--json").json == BALANCE
    head, mitake, subito = lean(ran.out)
    assert head == ["provider", "bucket", "unit", "reported", "usable", "reserved", "low", "stop", "per hour", "reported at", "runs dry"]
    assert mitake == ["mitake", "points", "points", "1000", "96", "4", "500", "50", "23", "2m ago", "in 2h"]
    assert subito == ["subito", "Italy", "sms", "-", "-", "0", "-", "0", "-", "-", "dry"]
    assert office.requests == [{"op": "balance"}, {"op": "balance", "name": "mitake", "refresh": True}]


CALLBACKS = {
    "ok": True,
    "callbacks": {"mitake": "https://sms.example.org/cb/mitake/0123", "isms": "https://sms.example.org/cb/isms/4567"},
    "former_until": {"isms": "2026-11-24T12:00:00.000Z"},
    "counts": {"answered": 12345, "refused": 2, "late": 0, "connections": 3},
}


def test_callbacks(desk: Desk, noon: str) -> None:
    with desk.control(callbacks=[CALLBACKS, CALLBACKS, CALLBACKS, {"ok": True, "callbacks": {}, "former_until": {}}]) as office:
        assert lean(desk.run("callbacks").out) == [
            ["provider", "URL", "the one before ends"],
            ["mitake", "https://sms.example.org/cb/mitake/0123", "-"],
            ["isms", "https://sms.example.org/cb/isms/4567", "in 3d"],
            ["since the start: 12,345 answered, 2 refused: no account's secret"],
        ]
        assert desk.run("callbacks", "--json").json == CALLBACKS
        shown = desk.run("callbacks", "--rotate", "isms").out
        assert lean(shown)[1] == ["isms", "https://sms.example.org/cb/isms/4567", "in 3d"]
        assert "mitake" not in shown
        assert desk.run("callbacks").out == "no provider here calls back\n"
    assert office.requests[2] == {"op": "callbacks", "action": "rotate", "name": "isms"}


def test_queue(desk: Desk, noon: str) -> None:
    with desk.control(queue=QUEUE):
        assert lean(desk.run("queue").out) == [
            ["provider", "priority", "messages", "first due"],
            ["mitake", "normal", "1,200", "1m ago"],
            ["(to be routed)", "low", "1", "in 30s"],
            ["1,201 messages in all"],
        ]
        assert desk.run("queue", "--json").json == QUEUE


def test_held(desk: Desk, noon: str) -> None:
    with desk.control(held=HELD) as office:
        assert lean(desk.run("held").out) == [
            ["id", "cause", "to", "accepted", "valid until", "tags"],
            ["m1", "no_credit", "+8869•••678", "1h ago", "in 23h", "otp, x"],
            ["1,204 messages held, the first 1 shown; `broker release` and `broker cancel` decide"],
        ]
        assert desk.run("held", "--cause", "no_credit", "--json").json == HELD
    assert office.requests == [{"op": "held"}, {"op": "held", "cause": "no_credit"}]


def test_suppress(desk: Desk, noon: str) -> None:
    with desk.control(suppress=LISTED) as office:
        assert lean(desk.run("suppress", "list").out)[1:] == [
            ["+886912345678", "all", "by a person", "1d ago"],
            ["+12025550123", "ACME", "403", "now"],
            ["2 entries"],
        ]
        assert desk.run("suppress", "list", "+12025550123").out.endswith("1 entry\n")
        assert desk.run("suppress", "list", "+1").out == "+1 is not on the list\n"
        assert desk.run("suppress", "add", "0912345678").out == "0912345678 is now on the list\n"
        assert desk.run("suppress", "remove", "0912345678").out == "0912345678 is off the list\n"
    assert office.requests[-2:] == [{"op": "suppress", "action": action, "number": "0912345678"} for action in ("add", "remove")]


def test_contacts(desk: Desk) -> None:
    done = {"ok": True, "action": "add", "provider": "isms", "mobile": "+306912345678"}
    refused = {"ok": False, "error": {"code": "invalid_recipient", "field": "mobile", "message": "isms: Invalid mobile number."}}
    with desk.control(contacts=[done, done, done, refused]) as office:
        ran = desk.run("contacts", "add", "6912345678", "--provider", "isms", "--name", "Ada", "--surname", "L", "--comments", "x y")
        assert ran.out == "+306912345678 is now in the address book of isms\n"
        assert desk.run("contacts", "delete", "+306912345678").out == "+306912345678 is no longer in the address book of isms\n"
        assert '"provider": "isms"' in desk.run("contacts", "delete", "+306912345678", "--json").out
        ran = desk.run("contacts", "add", "+30691")
        assert (ran.code, ran.out) == (1, "")
        assert "isms: Invalid mobile number." in ran.err
    assert office.requests[0] == {
        **{"op": "contacts", "action": "add", "mobile": "6912345678"},
        **{"provider": "isms", "name": "Ada", "surname": "L", "comments": "x y"},
    }
    assert office.requests[1] == {"op": "contacts", "action": "delete", "mobile": "+306912345678"}
    assert desk.run("contacts", "list", "+30691").code == 2
    assert desk.run("contacts", "add").code == 2


# (words, op, an answer with nothing in it, what is said)
EMPTY: list[tuple[str, str, dict[str, Any], str]] = [
    ("providers", "providers", {"providers": []}, "no provider is configured; write a [providers.NAME] in broker.toml"),
    ("balance", "balance", {"balance": []}, "no provider here tells its credit"),
    ("balance tatango", "balance", {"balance": []}, "tatango tells no credit"),
    ("queue", "queue", {"queue": [], "total": 0}, "nothing is queued"),
    ("held", "held", {"held": [], "total": 0}, "nothing is held"),
    ("held --cause poison", "held", {"held": [], "total": 0}, "nothing is held for poison"),
    ("suppress list", "suppress", {"suppress": []}, "nobody is on the list"),
    ("reload", "reload", {"changes": [], "restart": []}, "nothing has changed"),
]


@pytest.mark.parametrize(("words", "op", "answer", "said"), EMPTY, ids=[words for words, *_ in EMPTY])
def test_nothing_there(desk: Desk, words: str, op: str, answer: dict[str, Any], said: str) -> None:
    with desk.control(**{op: {"ok": True, **answer}}):
        assert desk.run(*words.split()) == (0, f"{said}\n", "")


# (words, the request, the answer, what is said)
DECIDED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("cancel m1", {"op": "cancel", "id": "m1"}, {"count": 1, "ids": ["m1"]}, "m1  canceled"),
    ("cancel --all", {"op": "cancel", "all": True}, {"count": 0, "ids": []}, "0 messages canceled"),
    (
        "cancel --provider a --tag b --cause c",
        {"op": "cancel", "provider": "a", "tag": "b", "cause": "c"},
        {"count": 12345, "ids": []},
        "12,345 messages canceled",
    ),
    (
        "cancel --tag c",
        {"op": "cancel", "tag": "c"},
        {"count": 3, "ids": [], "asked": 2, "not_cancelable": 1},
        "3 messages canceled\nof 2 messages the provider was asked, which keeps them for their own time\n"
        "1 message can no longer be canceled: with a provider, or on the way to one",
    ),
    ("release m1", {"op": "release", "id": "m1"}, {"count": 1, "ids": ["m1"]}, "m1  released"),
    ("release m1", {"op": "release", "id": "m1"}, {"count": 0, "ids": []}, "0 messages released"),
    ("release --cause rule", {"op": "release", "cause": "rule"}, {"count": 1, "ids": ["m7"]}, "1 message released"),
    ("resolve m1 accepted", {"op": "resolve", "id": "m1", "outcome": "accepted"}, {"id": "m1", "status": "sent"}, "m1  sent"),
    ("resolve m1 not-sent", {"op": "resolve", "id": "m1", "outcome": "not-sent"}, {"id": "m1", "status": "queued"}, "m1  queued"),
    ("pause mitake", {"op": "pause", "name": "mitake"}, {"name": "mitake", "state": "paused"}, "mitake  paused"),
    ("resume mitake", {"op": "resume", "name": "mitake"}, {"name": "mitake", "state": "up"}, "mitake  up"),
    ("drain mitake", {"op": "drain", "name": "mitake"}, {"name": "mitake", "state": "draining"}, "mitake  draining"),
]


@pytest.mark.parametrize(("words", "request_", "answer", "said"), DECIDED, ids=[words for words, *_ in DECIDED])
def test_decisions(desk: Desk, words: str, request_: dict[str, Any], answer: dict[str, Any], said: str) -> None:
    whole = {"ok": True, **answer}
    with desk.control(**{request_["op"]: whole}) as office:
        assert desk.run(*words.split()) == (0, f"{said}\n", "")
        assert desk.run(*words.split(), "--json").json == whole
    assert office.requests == [request_, request_]


REFUSED = [
    ("cancel m1", "not_cancelable"),
    ("release m1", "not_found"),
    ("resolve m1 accepted", "not_in_doubt"),
    ("pause nix", "not_found"),
    ("balance nix", "not_found"),
    ("suppress add 12", "invalid_recipient"),
    ("status m1", "not_found"),
]


@pytest.mark.parametrize(("words", "code"), REFUSED, ids=[words for words, _ in REFUSED])
def test_refusals(desk: Desk, words: str, code: str) -> None:
    refusal = {"ok": False, "error": {"code": code, "field": "id", "message": "why, and what to do"}}
    with desk.control(**{words.split()[0]: refusal}):
        assert desk.run(*words.split()) == (1, "", f"broker: {code}: why, and what to do\n")
        ran = desk.run(*words.split(), "--json")
    assert (ran.code, ran.json) == (1, refusal)


def test_reload(desk: Desk) -> None:
    answer = {"ok": True, "changes": ["providers.mitake.rate", "feed.listen"], "restart": ["feed.listen"], "hash": "abc"}
    with desk.control(reload=answer):
        ran = desk.run("reload")
        assert desk.run("reload", "--json").json == answer
    assert ran.code == 0
    assert ran.out == "providers.mitake.rate\nfeed.listen (needs a restart)\napplied: 1 change; 1 key only after a restart\n"


def test_a_reload_repeats_what_waits_for_a_restart(desk: Desk) -> None:
    with desk.control(reload={"ok": True, "changes": [], "restart": ["feed.listen"], "hash": "abc"}):
        ran = desk.run("reload")
    assert ran.out == "feed.listen (changed before, needs a restart)\nnothing has changed; 1 key only after a restart\n"


def test_a_refused_reload(desk: Desk) -> None:
    problems = [{"key": "rules[0].use", "line": 31, "message": "no provider is called mtake; did you mean mitake?"}]
    error = {"code": "bad_config", "message": "refused", "problems": problems}
    refusal = {"ok": False, "error": error}
    with desk.control(reload=refusal):
        ran, shown = desk.run("reload"), desk.run("reload", "--json")
    assert ran.code == 78
    assert ran.err == (
        "31: rules[0].use: no provider is called mtake; did you mean mitake?\n"
        "broker: 1 problem: nothing was applied, the broker goes on as before\n"
    )
    assert (shown.code, shown.json) == (78, refusal)


def test_a_refused_reload_names_the_file_that_the_broker_read(desk: Desk) -> None:
    problems = [{"key": "rules[0].use", "line": 31, "message": "no provider is called mtake; did you mean mitake?"}]
    error = {"code": "bad_config", "message": "refused", "file": "/etc/broker/broker.toml", "problems": problems}
    with desk.control(reload={"ok": False, "error": error}):
        ran = desk.run("reload")
    assert ran.err.startswith("/etc/broker/broker.toml:31: rules[0].use: no provider is called mtake")


STORY = {
    "ok": True,
    "message": {
        **{"id": "m1", "status": "delivered", "detail": None, "to": "+886912345678", "country": "TW", "from": "ACME", "ref": "r1"},
        **{"segments": 1, "encoding": "gsm7", "client": "unix:shop", "rule": "otp", "tags": ["otp"], "priority": "high"},
        **{"text": "hi\x1b[2J", "accepted_at": "2026-11-21T11:59:00.100Z", "valid_until": "2026-11-22T11:59:00.100Z"},
        **{"final_at": "2026-11-21T11:59:02.000Z", "next_at": None, "copies": 2},
    },
    "attempts": [
        {
            **{"n": 1, "provider": "isms", "state": "refused", "class": "no_credit", "code": "Insufficient credits.", "detail": None},
            **{"provider_refs": [], "price": "0.04", "currency": "EUR", "receipt": None},
            **{"opened_at": "2026-11-21T11:59:00.110Z", "closed_at": "2026-11-21T11:59:00.392Z"},
        },
        {
            **{"n": 2, "provider": "mitake", "state": "accepted", "class": "accepted", "code": "1", "provider_refs": ["0939"]},
            **{"price": "0.90", "currency": "TWD", "receipt": "delivered", "opened_at": "2026-11-21T11:59:00.400Z", "closed_at": None},
            "receipts": [
                {"at": "2026-11-22T00:00:01.000Z", "class": "delivered", "waits": False},
                {"at": "2026-11-22T00:00:02.000Z", "class": "expired", "detail": "waits in the inbox", "waits": True},
            ],
        },
    ],
    "events": [
        {"at": "2026-11-21T11:59:00.100Z", "type": "message.queued", "provider": None},
        {
            **{"at": "2026-11-21T11:59:00.392Z", "type": "message.queued", "provider": "isms", "attempt": 1, "class": "no_credit"},
            **{"code": "Insufficient credits.", "next_at": "2026-11-21T11:59:00.392Z"},
        },
        {
            **{"at": "2026-11-21T11:59:00.700Z", "type": "message.sent", "provider": "mitake", "attempt": 2, "class": "accepted"},
            **{"code": "1", "provider_ref": "0939", "price": "0.90", "currency": "TWD"},
        },
        {"at": "2026-11-22T00:00:01.000Z", "type": "message.delivered", "provider": "mitake", "attempt": 2},
    ],
}

TOLD = """\
m1  delivered
  to +886912345678 (TW), from ACME, ref r1, 1 segment gsm7
  client unix:shop, rule otp, tags otp, priority high
  text "hi\\x1b[2J"
  accepted 2026-11-21 11:59:00.100 UTC (59s ago), took 1s, 2 copies may have been sent

  11:59:00.100  queued
  11:59:00.392  queued      isms #1  no_credit  Insufficient credits.  next at 11:59:00.392
  11:59:00.700  sent        mitake #2  accepted  1  ref 0939  0.90 TWD
  2026-11-22 00:00:01  delivered   mitake #2
  2026-11-22 00:00:02  receipt     mitake #2  expired  waits in the inbox

attempt  provider  state     class      code                   ref      price  receipt    opened         took
      1  isms      refused   no_credit  Insufficient credits.  -     0.04 EUR  -          11:59:00.110  282ms
      2  mitake    accepted  accepted   1                      0939  0.90 TWD  delivered  11:59:00.400      -
"""


def test_status(desk: Desk, noon: str) -> None:
    with desk.control(status=STORY) as office:
        ran = desk.run("status", "m1")
        assert desk.run("status", "m1", "--json").json == STORY
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == TOLD
    assert office.requests[0] == {"op": "status", "id": "m1"}


def test_status_of_one_that_waits(desk: Desk, noon: str) -> None:
    message = {"id": "m1", "status": "held", "detail": "no_credit", "to": "+886912345678", "segments": 1, "encoding": "gsm7"}
    times = {"accepted_at": "2026-11-21T11:00:00Z", "valid_until": "2026-11-21T13:00:00Z", "next_at": "2026-11-21T13:00:00Z"}
    with desk.control(status={"ok": True, "message": {**message, **times}, "attempts": [], "events": []}):
        ran = desk.run("status", "m1")
    assert ran.out == (
        "m1  held (no_credit)\n  to +886912345678, 1 segment gsm7\n"
        "  accepted 2026-11-21 11:00:00 UTC (1h ago), valid until 2026-11-21 13:00:00 (in 1h), next in 1h\n"
    )


@pytest.mark.parametrize(
    "verb", ["providers", "balance", "queue", "held", "status m", "suppress list", "reload", "pause m", "cancel m", "resolve m accepted"]
)
def test_an_answer_with_nothing_in_it_is_no_fault(desk: Desk, verb: str) -> None:
    """A daemon of another version may leave fields away."""
    with desk.control(**{verb.split()[0]: {"ok": True}}):
        ran = desk.run(*verb.split())
    assert (ran.code, ran.err) == (0, "")
