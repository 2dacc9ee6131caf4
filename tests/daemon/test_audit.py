"""The audit of a running broker: each order is durable before it is done, with who, under what, and what came of it (S17)."""

import logging
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.delivery.audit import SIGNAL, wait_ordered
from broker.delivery.orders import Orders
from broker.store.keeping import inspect, list_orders
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import CANARIES, SECRET, TO, House, loopback, rule

ME = (f"unix:{pwd.getpwuid(os.getuid()).pw_name}", os.getuid(), os.getpid())


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house({"providers": {"a": loopback(), "b": loopback()}, "rules": [rule("a", "b")]})


def store_of(house: House) -> Path:
    """Its file."""
    return house.folder / "data" / "broker.db"


def read(house: House) -> list[dict[str, Any]]:
    """The orders since the start."""
    orders: list[dict[str, Any]] = list_orders(store_of(house), 1000)["audit"]
    return orders[1:]


async def test_who_ordered_what_and_what_came_of_it(house: House, autojump_clock: MockClock) -> None:
    assert (await house.order("pause", name="a"))["ok"]
    id_ = await house.take(tags=["vip"])
    assert (await house.order("pause", name="nobody"))["error"]["code"] == "not_found"
    assert (await house.order("cancel", id=id_))["error"]["code"] == "not_cancelable"
    assert (await house.order("suppress", action="add", number=TO))["ok"]
    assert (await house.order("release", cause="paused"))["count"] == 0
    assert (await house.order("erase", number=TO))["messages"] == 1
    hash_ = house.daemon.settings.hash
    told = [({key: row[key] for key in row if key not in ("n", "at", "user", "uid", "pid", "link", "ended_at")}) for row in read(house)]
    mine = {"config": hash_, "config_after": hash_}
    assert told == [
        {"op": "pause", "name": "a", "result": "done", "state": "paused", **mine},
        {"op": "pause", "name": "?", "result": "not_found", **mine},
        {"op": "cancel", "id": id_, "result": "not_cancelable", **mine},
        {"op": "suppress", "action": "add", "number": "+8869•••678", "result": "done", **mine},
        {"op": "release", "cause": "paused", "result": "done", "count": 0, **mine},
        {"op": "erase", "number": "+8869•••678", "result": "done", "messages": 1, "inbound": 0, **mine},
    ]
    assert {(row["user"], row["uid"], row["pid"]) for row in read(house)} == {ME}
    assert list(inspect(store_of(house))) == []


async def test_a_start_says_by_whom_and_under_what(house: House) -> None:
    await house.journal.wait_committed()
    first = list_orders(store_of(house), 1)["audit"][0]
    assert (first["op"], first["user"], first["uid"], first["pid"], first["config"]) == ("start", *ME, house.daemon.settings.hash)
    assert [event["hash"] for event in house.told("node.started")] == [first["config"]]


QUESTIONS = ("providers", "queue", "held", "in_doubt", "stats", "balance", "callbacks", "ping", "check", "suppress", "nonsense")


async def test_a_question_is_no_order(house: House) -> None:
    for op in QUESTIONS:
        await house.order(op)
    await house.order("suppress", action="list")
    await house.order("lookup", number=TO)
    assert read(house) == []


async def test_an_order_is_durable_before_it_is_carried_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    pause = Orders.pause

    def look_first(orders: Orders, name: str | None, how: str) -> dict[str, Any]:
        seen.extend((row["op"], row["result"]) for row in read(house))
        return pause(orders, name, how)

    monkeypatch.setattr(Orders, "pause", look_first)
    assert (await house.order("pause", name="a"))["ok"]
    assert seen == [("pause", None)]
    assert [(row["op"], row["result"]) for row in read(house)] == [("pause", "done")]


async def test_what_cannot_be_written_down_is_not_done(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OverflowError

    monkeypatch.setattr("broker.store.sqlite.add_record", fail)
    answer = await house.order("pause", name="a")
    assert answer["error"]["code"] == "unavailable"
    assert house.ex.lanes["a"].health.paused is None


async def test_orders_of_one_connection_are_done_in_their_order(house: House) -> None:
    async with await house.connect("c") as wire:
        await wire.send(*({"op": op, "name": "a"} for op in ("pause", "resume", "drain", "pause")))
        answers = [await wire.hear() for _ in range(4)]
    assert [answer.get("state") for answer in answers] == ["paused", "up", "draining", "paused"]
    assert [row["state"] for row in read(house)] == ["paused", "up", "draining", "paused"]


async def test_who_goes_away_changes_nothing(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect("c") as wire:
        await wire.send({"op": "reload"})
    await trio.sleep(1)
    assert [(row["op"], row["result"]) for row in read(house)] == [("reload", "done")]


async def test_a_fault_of_ours_costs_that_order_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_(*_: object) -> None:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr(Orders, "pause", break_)
    monkeypatch.setattr("broker.api.control.erase", break_)
    assert (await house.order("pause", name="a"))["error"]["code"] == "unavailable"
    assert (await house.order("erase", number=TO))["error"]["code"] == "unavailable"
    assert [row["result"] for row in read(house)] == ["unavailable", "unavailable"]
    assert (await house.order("resume", name="a"))["ok"]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "broker.audit"):
        yield caplog


ANYTHING = (SECRET, TO, TO[1:], "0912345678", "0912-345 678", "canary text 5501", f"x {TO} y")


def misplace(text: str) -> list[dict[str, Any]]:
    """Every order, with `text` wherever there is room for it."""
    return [
        *({"op": op, "name": text} for op in ("pause", "resume", "drain")),
        *({"op": op, "id": text} for op in ("cancel", "release", "retry")),
        *({"op": "cancel", field: text} for field in ("provider", "cause")),
        {"op": "resolve", "id": text, "outcome": text},
        {"op": "log_level", "level": text},
        {"op": "suppress", "action": "add", "number": text},
        {"op": "lookup", "number": text, "hlr": text},
        {"op": "callbacks", "action": "rotate", "name": text},
        {"op": "contacts", "action": text, "mobile": text, "name": text, "surname": text, "comments": text, "provider": text},
    ]


async def test_nothing_that_was_written_in_the_wrong_place_is_kept(house: House, said: pytest.LogCaptureFixture) -> None:
    orders = [order for text in ANYTHING for order in misplace(text)]
    orders += [{"op": "release", "tag": text} for text in ANYTHING if TO[-3:] in text]  # a tag is the operator's own word, but no number
    async with await house.connect("c") as wire:
        await wire.send(*orders)
        for _ in orders:
            await wire.hear()
    assert len(read(house)) == len(orders)
    kept = f"{read(house)} {said.text}"
    for canary in (*ANYTHING, *CANARIES, "345 678"):
        assert canary not in kept
    assert "link=" in said.text


async def test_a_signal_is_an_order_of_nobody_we_know(house: House) -> None:
    assert await wait_ordered(house.ex, SIGNAL, "reload") == 2
    assert [(row["op"], row["user"], row["uid"], row["pid"]) for row in read(house)] == [("reload", "signal", None, None)]


async def test_the_chain_goes_on_after_a_restart(house: House, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    await house.order("pause", name="a")
    await house.stop()
    await house.start(nursery)
    await house.order("resume", name="a")
    assert [row["op"] for row in read(house)] == ["pause", "start", "resume"]
    assert list(inspect(store_of(house))) == []
