"""Guards: [guard] holds what is pumped, a row of `blocked` is the account's trouble, `receipt_within` sends a second copy."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, House, loopback, mitake, path_of, rule, smpp

MINUTE = 60.0


def number(n: int) -> str:
    return f"+8869123{n:05d}"


@pytest.fixture
async def guarded(make_house: MakeHouse) -> House:
    return await make_house({"providers": {"a": loopback()}, "rules": [rule("a")], "guard": {"per_prefix": "2/s", "prefix": 5}})


async def test_what_is_over_the_rate_of_a_prefix_is_held(guarded: House, autojump_clock: MockClock) -> None:
    answers = [await guarded.submit(number(n)) for n in range(4)]
    assert [answer["status"] for answer in answers] == ["queued", "queued", "held", "held"]
    elsewhere = await guarded.submit("+12025550100")
    assert elsewhere["status"] == "queued"
    reply = await guarded.ask("status", id=answers[3]["id"])
    assert (reply["message"]["status"], reply["message"]["detail"], reply["attempts"]) == ("held", "guard", [])
    assert path_of(reply) == [("held", None, None)]
    await trio.sleep(1)
    assert (await guarded.submit(number(9)))["status"] == "queued"
    assert guarded.find(answers[3]["id"]) == "held"  # waits for a person
    assert (await guarded.order("release", cause="guard"))["count"] == 2
    await guarded.until(answers[3]["id"], "unconfirmed", within=1)
    assert guarded.ex.queued == 0


async def test_a_client_has_a_rate_too(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a")], "guard": {"per_client": "3/m"}})
    answers = [await house.submit(number(n)) for n in range(3)]
    assert [answer["status"] for answer in answers] == ["queued", "held", "held"]


async def test_a_held_one_keeps_its_time(guarded: House, autojump_clock: MockClock) -> None:
    for n in range(2):
        await guarded.take(number(n))
    answer = await guarded.submit(number(3), send_at="2026-11-18T11:10:00Z")
    assert answer["status"] == "held"
    assert (await guarded.order("release", id=answer["id"]))["count"] == 1
    assert guarded.find(answer["id"]) == "scheduled"
    reply = await guarded.until(answer["id"], "unconfirmed", within=400)
    assert reply["attempts"][0]["opened_at"].startswith("2026-11-18T11:10:00")


async def test_a_row_of_blocked_is_the_accounts_trouble(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback("blocked"), "b": loopback()}, "rules": [rule("a", "b")]})
    ids = []
    for n in range(7):
        ids.append(await house.take(number(n)))
        await house.until(ids[-1], "blocked", "unconfirmed", within=2)
    assert [house.find(id_) for id_ in ids] == ["blocked"] * 4 + ["unconfirmed"] * 3  # the fifth went on to b
    assert house.ex.lanes["a"].health.suspended is not None
    assert (await house.order("suppress", action="list"))["suppress"] == []
    assert len(house.told("suppress.removed")) == 4
    again = await house.submit(number(0))
    assert again["ok"]


async def test_four_blocked_stay_barred(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback("blocked", "blocked", "blocked", "blocked", "accepted")}, "rules": [rule("a")]})
    for n in range(5):
        await house.until(await house.take(number(n)), "blocked", "unconfirmed", within=2)
    assert len((await house.order("suppress", action="list"))["suppress"]) == 4
    await house.until(await house.take(number(7)), "blocked", within=2)
    assert house.ex.lanes["a"].health.suspended is None  # another answer was between


async def make_silent(make_house: MakeHouse, **more: Any) -> tuple[House, str]:
    """`a` gives no receipt, `b` one at once."""
    providers = {"a": loopback(receipt="progress"), "b": loopback(receipt="delivered")}
    house = await make_house({"providers": providers, "rules": [rule("a", "b", receipt_within="30s", **more)]})
    return house, await house.take()


async def test_no_receipt_in_time_sends_a_second_copy(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_silent(make_house)
    await trio.sleep(29)
    assert house.find(id_) == "sent"
    reply = await house.until(id_, "delivered", within=3)
    assert [(each["provider"], each["state"]) for each in reply["attempts"]] == [("a", "accepted"), ("b", "accepted")]
    assert reply["message"]["copies"] == 2
    [queued] = [event for event in reply["events"] if event["detail"] == "no final receipt within 30s"]
    assert queued["type"] == "message.queued"
    assert house.ex.queued == 0


async def test_a_receipt_in_time_sends_none(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    providers = {"a": loopback(receipt="delivered"), "b": loopback(receipt="delivered")}
    house = await make_house({"providers": providers, "rules": [rule("a", "b", receipt_within="30s")]})
    id_ = await house.take()
    await trio.sleep(MINUTE)
    assert len((await house.until(id_, "delivered"))["attempts"]) == 1


@pytest.mark.parametrize(("more", "copies"), [({"max_copies": 1}, 1), ({"validity": "20s"}, 1), ({"max_copies": 3}, 2)])
async def test_no_more_copies_than_there_may_be(
    more: dict[str, Any], copies: int, make_house: MakeHouse, autojump_clock: MockClock
) -> None:
    providers = {name: loopback(receipt="progress") for name in "ab"}
    house = await make_house({"providers": providers, "rules": [rule("a", "b", **{"receipt_within": "30s", **more})]})
    id_ = await house.take()
    await trio.sleep(10 * MINUTE)
    reply = await house.ask("status", id=id_)
    assert (reply["message"]["status"], reply["message"]["copies"]) == ("sent", copies)


async def test_the_one_that_delivers_is_asked_first(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    providers = {"a": loopback(receipt="undelivered"), "b": loopback(receipt="delivered")}
    house = await make_house({"providers": providers, "rules": [rule("a", "b", order="best_delivery")]})
    took = [(await house.until(await house.take(number(n)), "delivered", "undelivered", within=2))["message"]["provider"] for n in range(4)]
    assert took == ["a", "b", "b", "b"]


async def test_what_was_delivered_is_known_after_a_restart(
    make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    providers = {"a": loopback(receipt="undelivered"), "b": loopback(receipt="delivered")}
    house = await make_house({"providers": providers, "rules": [rule("a", "b", order="best_delivery")]})
    await house.until(await house.take(), "undelivered", within=2)
    await house.stop()
    await house.start(nursery)
    await house.until(await house.take(), "delivered", within=2)


async def test_a_row_of_rejected_is_counted_and_changes_nothing(
    make_house: MakeHouse, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    house = await make_house({"providers": {"a": loopback(*["rejected"] * 12, "accepted")}, "rules": [rule("a")]})
    for n in range(12):
        await house.until(await house.take(number(n)), "failed", within=2)
    (row,) = (await house.order("providers"))["providers"]
    assert (row["rejected_rows"], row["state"], caplog.text.count("rejected in a row")) == (1, "up", 1)


async def test_a_code_in_no_table_is_counted_and_logged(
    make_house: MakeHouse, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """CONTRACT §1: in doubt, never accepted, counted and logged; over SMPP, where a status always refuses, unavailable (PROVIDERS.md)."""
    providers = {
        "m": mitake("m", codes={"Z": "unavailable"}),
        "s": smpp("s", breaker={"failures": 100}),
        "g": smpp("g", plugin="isms", protocol="smpp", password="demo", breaker={"failures": 100}),
    }
    rules = [rule(name, name=name, match={"tag": name}, on={"unavailable": "fail"}) for name in providers]
    twins = {"g": {"smpp": {"answers": ["0x45", "0x4FF"]}}, "m": {"answers": ["Q", "500", "v", "Z"]}, "s": {"answers": ["0x40A", "0x45"]}}
    house = await make_house({"providers": providers, "rules": rules}, twins)
    await trio.sleep(1)
    ends = [(await house.until(await house.take(text=f"{TEXT} {n}", tags=["m"]), "in_doubt", "failed"))["attempts"][0] for n in range(4)]
    assert [(each["class"], each["code"]) for each in ends] == [
        ("in_doubt", "Q"), ("in_doubt", "500"), ("rejected", "v"), ("unavailable", "Z"),
    ]  # fmt: skip
    for tag in "ssgg":
        await house.until(await house.take(tags=[tag]), "failed")
    rows = {row["name"]: row["unknown_codes"] for row in (await house.order("providers"))["providers"]}
    assert rows == {"m": {"Q": 1}, "s": {"0x40A": 1}, "g": {"0x4FF": 1}}
    assert caplog.text.count("a code in no table") == 3
