"""What a person orders: pause, resume, drain, cancel, release, suppress; the lists, and the forms of the answers (CONTRACT §5, §10)."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, House, loopback, path_of, rule, subito

MINUTE = 60.0


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house(
        {"providers": {"a": loopback(), "b": loopback()}, "rules": [rule("a", match={"tag": "a"}, name="a"), rule("a", "b")]}
    )


async def test_paused_is_held_and_resume_lets_go(house: House, autojump_clock: MockClock) -> None:
    assert await house.order("pause", name="a") == {"ok": True, "name": "a", "state": "paused"}
    id_ = await house.take(tags=["a"])
    reply = await house.until(id_, "held", within=1)
    assert (reply["message"]["detail"], reply["message"]["rule"]) == ("paused", "a")
    other = await house.until(await house.take(), "unconfirmed", within=1)
    assert other["message"]["provider"] == "b"
    await trio.sleep(60 * MINUTE)
    assert house.find(id_) == "held"
    assert await house.order("resume", name="a") == {"ok": True, "name": "a", "state": "up"}
    reply = await house.until(id_, "unconfirmed", within=1)
    assert [event["type"] for event in house.told("provider.paused", "provider.resumed")] == ["provider.paused", "provider.resumed"]


async def test_a_pause_outlives_a_restart(house: House, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    assert (await house.order("pause", name="a"))["ok"]
    id_ = await house.take(tags=["a"])
    await house.until(id_, "held", within=1)
    await house.stop()
    await house.start(nursery)
    await trio.sleep(1)
    assert house.find(id_) == "held"
    assert (await house.order("resume", name="a"))["ok"]
    await house.until(id_, "unconfirmed", within=1)


async def test_a_drain_moves_the_queue_away(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(delay=2_000, max_in_flight=1), "b": loopback()}, "rules": [rule("a", "b")]})
    ids = [await house.take(text=f"{TEXT} {n}") for n in range(10)]
    await trio.sleep(0.5)
    assert await house.order("drain", name="a") == {"ok": True, "name": "a", "state": "draining"}
    replies = [await house.until(id_, "unconfirmed", within=3) for id_ in ids]
    assert sorted(reply["message"]["provider"] for reply in replies) == ["a"] + ["b"] * 9
    explained = await house.ask("explain", to=TO, text=TEXT)
    assert [each["provider"] for each in explained["candidates"]] == ["b"]
    assert explained["left_out"][0]["reason"].startswith("paused")
    assert [event["provider"] for event in house.told("provider.draining")] == ["a"]


async def test_cancel_takes_what_waits(house: House, autojump_clock: MockClock) -> None:
    await house.order("pause", name="a")
    id_ = await house.take(tags=["a"])
    await house.until(id_, "held", within=1)
    answer = await house.ask("cancel", id=id_)
    assert (answer["ok"], answer["id"], answer["status"]) == (True, id_, "canceled")
    reply = await house.until(id_, "canceled")
    assert path_of(reply)[-1] == ("canceled", None, None)
    again = await house.ask("cancel", id=id_)
    assert (again["error"]["code"], again["error"]["field"]) == ("not_cancelable", "id")
    await house.order("resume", name="a")
    await trio.sleep(MINUTE)
    assert house.find(id_) == "canceled"
    assert house.ex.queued == 0


async def test_cancel_comes_too_late_for_what_has_left(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(delay=1000)}})
    id_ = await house.take()
    await trio.sleep(0.5)
    assert (await house.ask("cancel", id=id_))["error"]["code"] == "not_cancelable"
    await house.until(id_, "unconfirmed", within=1)
    assert (await house.ask("cancel", id=id_))["error"]["code"] == "not_cancelable"


async def test_a_cancel_and_a_send_at_once_make_one_end(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    for n in range(20):
        async with await house.connect() as wire, await house.connect() as other:
            id_ = (await wire.ask({"to": TO, "text": f"{TEXT} {n}"}))["id"]
            answer = await other.ask({"op": "cancel", "id": id_})
            reply = await house.until(id_, "canceled", "unconfirmed", within=1)
            assert (reply["message"]["status"] == "canceled") == answer["ok"]
            assert len(reply["attempts"]) == (not answer["ok"])
    await trio.sleep(1)
    assert all(lane.in_flight == 0 for lane in house.ex.lanes.values())
    assert house.ex.queued == 0


async def test_orders_for_many(house: House, autojump_clock: MockClock) -> None:
    await house.order("pause", name="a")
    async with await house.connect() as wire:
        await wire.send(*[{"to": TO, "text": f"{TEXT} {n}", "tags": ["a", f"n{n % 2}"]} for n in range(1200)])
        ids = [(await wire.hear())["id"] for _ in range(1200)]
    await trio.sleep(2)
    assert (await house.order("held"))["total"] == 1200
    assert len((await house.order("held"))["held"]) == 1000
    answer = await house.order("cancel", tag="n1")
    assert (answer["ok"], answer["count"], len(answer["ids"])) == (True, 600, 100)
    assert {house.find(id_) for id_ in ids[1::2]} == {"canceled"}
    assert {house.find(id_) for id_ in ids[::2]} == {"held"}
    answer = await house.order("cancel", cause="paused")
    assert (answer["count"], house.ex.queued) == (600, 0)
    assert (await house.order("cancel", all=True))["count"] == 0
    assert (await house.order("cancel"))["error"]["code"] == "bad_request"


async def test_release_starts_over(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback("rejected", "accepted")}, "rules": [rule("a", on={"rejected": "hold"})]})
    id_ = await house.take()
    reply = await house.until(id_, "held", within=1)
    assert reply["message"]["detail"] == "rule"
    await house.order("reload")  # releases nothing that waits for a person
    await trio.sleep(MINUTE)
    assert house.find(id_) == "held"
    answer = await house.order("release", id=id_)
    assert (answer["ok"], answer["count"], answer["ids"]) == (True, 1, [id_])
    await house.until(id_, "unconfirmed", within=1)
    assert (await house.order("release", id=id_))["error"]["code"] == "not_held"


async def test_held_ends_with_its_validity(house: House, autojump_clock: MockClock) -> None:
    await house.order("pause", name="a")
    id_ = await house.take(tags=["a"], validity="10m")
    await trio.sleep(9 * MINUTE)
    assert house.find(id_) == "held"
    await house.until(id_, "expired", within=1.5 * MINUTE)
    assert house.ex.queued == 0


PROVIDER = {
    "name", "plugin", "channels", "state", "reason", "until", "rate", "in_flight", "max_in_flight", "waiting", "breaker", "credit",
    "accepted", "refused", "delivered_share", "unknown_codes", "rejected_rows",
}  # fmt: skip
BALANCE = {
    "provider", "bucket", "unit", "reported", "usable", "reserved", "reported_at", "dry", "low", "stop", "burn_per_hour", "runs_dry_at",
}  # fmt: skip


async def test_the_lists_come_under_their_own_names(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {"providers": {"a": loopback(delay=10_000, max_in_flight=1, rate="300/m"), "south": subito("south", credit={"low": 500})}}
    )
    for n in range(5):
        await house.take(text=f"{TEXT} {n}", priority="high" if n else "low")
    await trio.sleep(1)
    providers = (await house.order("providers"))["providers"]
    assert [(each["name"], each["state"], each["rate"], each["in_flight"]) for each in providers] == [
        ("a", "up", "300/m", 1), ("south", "up", None, 0),
    ]  # fmt: skip
    assert [set(each) for each in providers] == [PROVIDER, PROVIDER]
    balance = (await house.order("balance"))["balance"]
    assert {(each["provider"], each["bucket"], each["usable"], each["unit"], each["low"]) for each in balance} == {
        ("south", "Italy", "1000", "sms", "500"), ("south", "ItalyLow", "1000", "sms", "500"), ("south", "Foreign", "1000", "sms", "500"),
    }  # fmt: skip
    assert [set(each) for each in balance] == [BALANCE] * 3
    assert (await house.order("balance", name="a"))["balance"] == []
    queue = await house.order("queue")
    assert [(row["lane"], row["priority"], row["count"]) for row in queue["queue"]] == [("a", "high", 4)]
    assert queue["total"] == 4
    stats = await house.order("stats")
    assert stats["statuses"] == {"sending": 1, "queued": 4}
    assert stats["queued"] == 4


async def test_a_refresh_asks_at_once(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"south": subito("south"), "a": loopback()}}, {"south": {"balance": 5}})
    await trio.sleep(1)
    house.twins["south"].balance["Foreign"] = 77

    async def look(**more: Any) -> str:
        rows = (await house.order("balance", name="south", **more))["balance"]
        return str(next(row["reported"] for row in rows if row["bucket"] == "Foreign"))

    assert await look() == "5"
    assert await look(refresh=True) == "77"
    assert (await house.order("balance", refresh=True))["ok"]


async def test_who_is_never_written_to(house: House, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    (added,) = (await house.order("suppress", action="add", number="0912 345 678"))["suppress"]
    assert (added["recipient"], added["scope"]) == (TO, "all")
    for sender in ({}, {"from_": "ACME"}):
        assert (await house.submit(**sender))["error"]["code"] == "suppressed"
    await house.stop()
    await house.start(nursery)
    assert (await house.submit())["error"]["code"] == "suppressed"
    (row,) = (await house.order("suppress", action="list"))["suppress"]
    assert (row["recipient"], row["scope"]) == (TO, "all")
    assert (await house.order("suppress", action="remove", number=TO))["ok"]
    assert (await house.order("suppress", action="remove", number=TO))["error"]["code"] == "not_found"
    assert (await house.submit())["ok"]


@pytest.mark.parametrize(
    ("op", "more", "code", "field"),
    [
        ("pause", {"name": "nobody"}, "not_found", "name"),
        ("pause", {}, "bad_request", "name"),
        ("balance", {"name": "nobody"}, "not_found", "name"),
        ("balance", {"name": "nobody", "refresh": True}, "not_found", "name"),
        ("status", {"id": "nothing"}, "not_found", "id"),
        ("status", {}, "bad_request", "id"),
        ("resolve", {"outcome": "accepted"}, "bad_request", "id"),
        ("cancel", {"id": "nothing"}, "not_found", "id"),
        ("release", {"id": "nothing"}, "not_found", "id"),
        ("release", {}, "bad_request", "id"),
        ("suppress", {"action": "add"}, "bad_request", "number"),
        ("suppress", {"action": "add", "number": "12"}, "invalid_recipient", "number"),
        ("suppress", {"action": "burn", "number": TO}, "bad_request", "action"),
        ("fly", {}, "bad_request", "op"),
        ("pause", {"nam": "a"}, "bad_request", "nam"),
        ("pause", {"name": 5}, "bad_request", "name"),
    ],
)
async def test_orders_refused(house: House, autojump_clock: MockClock, op: str, more: dict[str, Any], code: str, field: str) -> None:
    answer = await house.order(op, ref="r", **more)
    assert (answer["ok"], answer["error"]["code"], answer["error"].get("field")) == (False, code, field)
    assert answer["error"]["message"]
    assert answer["ref"] == "r"


@pytest.mark.parametrize("op", ["replay"])
async def test_what_comes_later_says_so(house: House, autojump_clock: MockClock, op: str) -> None:
    error = (await house.order(op))["error"]
    assert error["code"] == "bad_request"
    assert error["message"].startswith("not in this version")
