"""The answers that programs rely on: submit, status and explain exactly as CONTRACT §4, §6 and §10 have them."""

import re
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, TEXT, TO, loopback, rule, subito, tatango

EVENT = [
    "seq", "at", "type", "node", "id", "status", "ref", "client", "to", "country", "tags", "rule", "provider", "attempt", "provider_ref",
    "class", "code", "detail", "next_at", "segments", "price", "currency",
]  # fmt: skip
ATTEMPT = [
    "n", "provider", "state", "class", "code", "detail", "provider_refs", "parts", "price", "currency", "opened_at", "closed_at", "receipt",
    "receipts",
]  # fmt: skip
AT = "2026-11-18T11:06:40.000Z"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def test_the_answer_to_a_submit(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    answer = await house.submit(text="hello")
    assert UUID7.fullmatch(answer.pop("id"))
    assert answer == {"ok": True, "status": "queued", "segments": 1, "encoding": "gsm7", "country": "TW", "duplicate": False}
    answer = await house.submit(to="+37060012345", text="ж" * 71, ref="r")
    assert {key: answer[key] for key in ("segments", "encoding", "country", "ref")} == {
        "segments": 2, "encoding": "ucs2", "country": "LT", "ref": "r",
    }  # fmt: skip
    answer = await house.submit(text="[]" * 80)  # 160 characters of two septets each
    assert (answer["segments"], answer["encoding"]) == (3, "gsm7")


async def test_status_of_a_message_delivered_by_query(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {
            "broker": {"currency": "EUR"},
            "currencies": {"TWD": "0.029"},
            "providers": {
                "a": loopback("unsuitable", prices={"*": "0.05"}),
                "south": subito("south", currency="TWD", prices={"TW": "0.90", "+8869": "0.85"}, query=["10s"]),
            },
            "rules": [rule("a", "south", name="otp", match={"tag": "otp"})],
        }
    )
    id_ = await house.take(text=f"{TEXT} " * 12, ref="r1", tags=["otp"], from_="SHOP", priority="high", validity="1h")
    reply = await house.until(id_, "delivered", within=30)
    assert list(reply) == ["ok", "message", "attempts", "events"]
    message, client = reply["message"], reply["message"]["client"]
    assert re.fullmatch(r"unix:\w+", client)
    expected: dict[str, Any] = {
        "id": id_, "status": "delivered", "ref": "r1", "client": client, "to": TO, "country": "TW", "tags": ["otp"], "rule": "otp",
        "provider": "south", "attempt": 2, "provider_ref": "12293682", "class": "delivered", "code": "1", "segments": 2, "price": "1.70",
        "currency": "TWD", "accepted_at": AT, "valid_until": "2026-11-18T12:06:40.000Z", "send_at": None, "copies": 1, "next_at": None,
        "node": "t1", "type": "message.delivered",
    }  # fmt: skip
    assert {key: message[key] for key in expected} == expected
    assert [list(event) for event in reply["events"]] == [EVENT] * len(reply["events"])
    assert [list(attempt) for attempt in reply["attempts"]] == [ATTEMPT] * 2
    first, second = reply["attempts"]
    receipts = [attempt.pop("receipts") for attempt in (first, second)]
    assert receipts == [
        [],
        [
            {
                "at": receipts[1][0]["at"], "class": "delivered", "code": "1", "detail": receipts[1][0]["detail"],
                "provider_ref": "12293682", "status": "delivered", "waits": False,
            }
        ],
    ]  # fmt: skip
    assert first | {"detail": None} == {
        "n": 1, "provider": "a", "state": "refused", "class": "unsuitable", "code": "unsuitable", "detail": None, "provider_refs": [],
        "parts": 2, "price": "0.10", "currency": "EUR", "opened_at": AT, "closed_at": AT, "receipt": None,
    }  # fmt: skip
    assert second == {
        "n": 2, "provider": "south", "state": "accepted", "class": "accepted", "code": None, "detail": None, "provider_refs": ["12293682"],
        "parts": 2, "price": "1.70", "currency": "TWD", "opened_at": AT, "closed_at": AT, "receipt": "delivered",
    }  # fmt: skip
    assert [event["type"].removeprefix("message.") for event in reply["events"]] == [
        "queued", "sending", "queued", "sending", "sent", "delivered",
    ]  # fmt: skip
    sent = reply["events"][4]
    assert (sent["class"], sent["provider"], sent["provider_ref"], sent["price"]) == ("accepted", "south", "12293682", "1.70")
    assert [event["seq"] for event in reply["events"]] == sorted({event["seq"] for event in reply["events"]})


async def test_status_outlives_the_events(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"feed": {"listen": "127.0.0.1:0", "keep": "1h"}, "providers": {"a": loopback()}})
    id_ = await house.take(tags=["x"])
    await house.until(id_, "unconfirmed", within=1)
    await house.take()  # so that the last event is another's
    await trio.sleep(2 * 3600)
    reply = await house.ask("status", id=id_)
    assert reply["events"] == []
    message = reply["message"]
    assert (message["to"], message["tags"], message["status"], message["provider"]) == (TO, ["x"], "unconfirmed", "a")


async def test_a_client_sees_only_its_own(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    id_ = await house.take()
    house.journal._writer.conn.execute("UPDATE message SET client = 'unix:other' WHERE id = ?", (id_,))
    for op in ("status", "cancel", "explain"):
        assert (await house.ask(op, id=id_))["error"]["code"] == "not_found"
    assert (await house.order("status", id=id_))["ok"]  # an operator may


WORDS = (
    "rule",
    "disabled",
    "paused",
    "price",
    "credit",
    "dry",
    "breaker",
    "suspended",
    "channel",
    "sender",
    "encoding",
    "length",
    "spend",
    "visited",
)
LEFT_OUT: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # name: the word, the provider's keys, the rule's or the submit's
    "disabled": ("disabled", loopback(enabled=False), {}),
    "price": ("price", loopback(prices={"*": "9"}), {"max_price": "1"}),
    "price unknown": ("price", loopback(), {"max_price": "1"}),
    "length": ("length", subito("south"), {"text": "x" * 700}),
}


@pytest.mark.parametrize("name", LEFT_OUT)
async def test_explain_says_why_not(name: str, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    word, provider, more = LEFT_OUT[name]
    house = await make_house(
        {"providers": {"x": provider, "ok": loopback(prices={"*": "0.01"}), "other": loopback()}, "rules": [rule("x", "ok")]}, {"x": {}}
    )
    await trio.sleep(1)
    reply = await house.ask("explain", **{"to": TO, "text": TEXT, **more})
    assert [each["provider"] for each in reply["candidates"]] == ["ok"]
    reasons = {each["provider"]: each["reason"] for each in reply["left_out"]}
    assert set(reasons) == {"x", "other"}
    assert reasons["other"].startswith("rule")
    assert re.match(rf"{word}\b", reasons["x"]), reasons
    assert house.query.count_statuses() == {}  # it sends nothing


async def test_explain_says_what_is_so_now(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    breaker = {"failures": 1, "window": "30s", "open": "10m"}
    house = await make_house(
        {
            "providers": {
                "paused": loopback(),
                "breaker": loopback("unavailable", breaker=breaker),
                "suspended": tatango("suspended"),
                "dry": subito("dry"),
                "spend": loopback(prices={"*": "1"}, spend={"max": "1", "per": "1h"}),
                "credit": subito("credit", credit={"stop": 5}),
                "ok": loopback(prices={"*": "0.50"}),
            },
            "rules": [rule("paused", "breaker", "suspended", "dry", "spend", "credit", "ok", on={"unavailable": "next"})],
        },
        {"suspended": {"fault": "401"}, "dry": {"answers": ["5", "5"]}, "credit": {"balance": 5}},
    )
    house.twins["dry"].balance["Foreign"] = 0
    await house.order("drain", name="paused")
    for _ in range(3):
        await house.take()
        await trio.sleep(1)
    reply = await house.ask("explain", to=TO, text=TEXT)
    assert list(reply)[:2] == ["ok", "rule"]
    assert (reply["rule"], reply["segments"], reply["encoding"]) == ("all", 1, "gsm7")
    assert reply["candidates"] == [{"provider": "ok", "price": "0.50", "currency": "EUR", "credit": None}]
    reasons = {each["provider"]: each["reason"] for each in reply["left_out"]}
    assert set(reasons) == {"paused", "breaker", "suspended", "dry", "spend", "credit"}
    for name, reason in reasons.items():
        assert re.match(rf"{name}\b", reason), reasons
        assert SECRET not in reason


async def test_a_dry_run_is_an_explain(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    answer = await house.submit(dry_run=True, ref="r", key="k")
    assert (answer["ok"], answer["dry_run"], answer["ref"]) == (True, True, "r")
    assert [each["provider"] for each in answer["candidates"]] == ["a"]
    assert house.query.count_statuses() == {}
    assert not (await house.submit(key="k"))["duplicate"]


async def test_weighted_is_drawn_by_the_message(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    slow = loopback(delay=3_600_000, max_in_flight=1)
    house = await make_house({"providers": {"a": slow, "b": slow}, "rules": [rule("a", "b", order="weighted", weights={"a": 3, "b": 1})]})
    lanes = []
    for n in range(80):
        id_ = await house.take(text=f"{TEXT} {n}")
        message = house.query.find_message(id_)
        assert message is not None
        if message.status == "queued":
            explained = await house.ask("explain", id=id_)
            assert explained["candidates"][0]["provider"] == message.lane
            lanes.append(message.lane)
    assert 45 <= lanes.count("a") <= 72


async def test_the_first_event_comes_first(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    await trio.sleep(1)
    (started,) = house.told("node.started")
    assert (started["seq"], started["node"]) == (1, "t1")
    await house.take()
    (queued,) = house.told("message.queued")
    assert list(queued) == EVENT
    assert queued["at"] == AT.replace("40.000Z", "41.000Z")
