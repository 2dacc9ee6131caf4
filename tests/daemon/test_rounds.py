"""Rounds: what happens when a candidate does not take the message, class by class, as its events tell it (CONTRACT §1)."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import Toml, loopback, path_of, rule

Path = list[tuple[Any, ...]]


def taken(by: str) -> Path:
    """The events of an attempt that a provider without receipts accepts."""
    return [("sending", by, None), ("sent", by, "accepted"), ("unconfirmed", by, None)]


def refused(by: str, class_: str) -> Path:
    """The events of an attempt after which the message is queued again."""
    return [("sending", by, None), ("queued", by, class_)]


def ended(by: str, class_: str, status: str) -> Path:
    """The events of an attempt that ends the message, or parks it."""
    return [("sending", by, None), (status, by, class_)]


@dataclass(frozen=True)
class Case:
    """`rule` is one rule's further keys, `a` and `b` the outcomes of two providers in that order."""

    path: Path
    a: tuple[str, ...] = ("accepted",)
    b: tuple[str, ...] = ("accepted",)
    rule: Toml = field(default_factory=dict)
    within: float = 3600


CASES: dict[str, Case] = {
    "accepted": Case(taken("a"), within=1),
    "unreachable: once more, then the next": Case(
        [*refused("a", "unreachable"), *refused("a", "unreachable"), *taken("b")], a=("unreachable",), within=6
    ),
    "unavailable: once more, then the next": Case(
        [*refused("a", "unavailable"), *refused("a", "unavailable"), *taken("b")], a=("unavailable",), within=6
    ),
    "unavailable: the second try is taken": Case([*refused("a", "unavailable"), *taken("a")], a=("unavailable", "accepted"), within=6),
    "throttled: the same again": Case(
        [*refused("a", "throttled"), *refused("a", "throttled"), *taken("a")], a=("throttled", "throttled", "accepted")
    ),
    "no_credit: the next at once": Case([*refused("a", "no_credit"), *taken("b")], a=("no_credit",), within=1),
    "misconfigured: the next at once": Case([*refused("a", "misconfigured"), *taken("b")], a=("misconfigured",), within=1),
    "unsuitable: the next at once": Case([*refused("a", "unsuitable"), *taken("b")], a=("unsuitable",), within=1),
    "rejected: failed, and nobody else is asked": Case(ended("a", "rejected", "failed"), a=("rejected",), within=1),
    "blocked: final, and nobody else is asked": Case(ended("a", "blocked", "blocked"), a=("blocked",), within=1),
    "expired at the provider": Case(ended("a", "expired", "expired"), a=("expired",), within=1),
    "retry_later: the same later": Case(
        [*refused("a", "retry_later"), *refused("a", "retry_later"), *taken("a")], a=("retry_later", "retry_later", "accepted")
    ),
    "duplicate without a doubt: once more": Case([*refused("a", "duplicate"), *taken("a")], a=("duplicate", "accepted"), within=6),
    "duplicate twice: the next": Case([*refused("a", "duplicate"), *refused("a", "duplicate"), *taken("b")], a=("duplicate",), within=6),
    "in doubt: unknown at its deadline": Case([*ended("a", "in_doubt", "in_doubt"), ("unknown", "a", "in_doubt")], a=("in_doubt",)),
    "in doubt: a deadline of its own": Case(
        [*ended("a", "in_doubt", "in_doubt"), ("unknown", "a", "in_doubt")], a=("in_doubt",), rule={"doubt_deadline": "5s"}, within=6
    ),
    "nobody suits: failed": Case(
        [*refused("a", "unsuitable"), *ended("b", "unsuitable", "failed")], a=("unsuitable",), b=("unsuitable",), within=1
    ),
    "nobody suits, else hold": Case(
        [*refused("a", "unsuitable"), *ended("b", "unsuitable", "held")],
        a=("unsuitable",),
        b=("unsuitable",),
        rule={"else": "hold"},
        within=1,
    ),
    "on: next at once": Case(
        [*refused("a", "unavailable"), *taken("b")], a=("unavailable",), rule={"on": {"unavailable": "next"}}, within=1
    ),
    "on: fail": Case(ended("a", "unavailable", "failed"), a=("unavailable",), rule={"on": {"unavailable": "fail"}}, within=1),
    "on: hold": Case(ended("a", "rejected", "held"), a=("rejected",), rule={"on": {"rejected": "hold"}}, within=1),
    "on: rejected goes to the next": Case(
        [*refused("a", "rejected"), *taken("b")], a=("rejected",), rule={"on": {"rejected": "next"}}, within=1
    ),
    "on: two more, then fail": Case(
        [*refused("a", "unavailable"), *refused("a", "unavailable"), *ended("a", "unavailable", "failed")],
        a=("unavailable",),
        rule={"on": {"unavailable": {"retry": 2, "then": "fail"}}},
        within=20,
    ),
    "on: throttled to the next": Case(
        [*refused("a", "throttled"), *taken("b")], a=("throttled",), rule={"on": {"throttled": "next"}}, within=1
    ),
    "max_attempts": Case(
        [*refused("a", "unsuitable"), *ended("b", "unavailable", "failed")],
        a=("unsuitable",),
        b=("unavailable",),
        rule={"max_attempts": 2},
        within=1,
    ),
    "max_attempts counts no unreachable one": Case(
        [*refused("a", "unreachable"), *refused("a", "unreachable"), *taken("b")], a=("unreachable",), rule={"max_attempts": 2}, within=6
    ),
    "a new round asks only those whose trouble passes": Case(
        [*refused("a", "unsuitable"), *refused("b", "unavailable"), *refused("b", "unavailable"), *taken("b")],
        a=("unsuitable",),
        b=("unavailable", "unavailable", "accepted"),
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_one_way(name: str, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    case = CASES[name]
    house = await make_house({"providers": {"a": loopback(*case.a), "b": loopback(*case.b)}, "rules": [rule("a", "b", **case.rule)]})
    id_ = await house.take()
    status = case.path[-1][0]
    reply = await house.until(id_, status, within=case.within)
    assert path_of(reply) == [("queued", None, None), *case.path]
    assert len(reply["attempts"]) == sum(each[0] == "sending" for each in case.path)
    assert house.ex.queued == (status == "held")
    assert all(lane.in_flight == 0 for lane in house.ex.lanes.values())
    for event in reply["events"]:
        # What leads to another try says when; nothing else does.
        assert (event["next_at"] is not None) == (event["status"] == "queued" and event["provider"] is not None)
