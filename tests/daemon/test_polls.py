"""Asking for a message's fate: on a schedule that thins out, many in one query, never a storm, and no error changes a message."""

from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.delivery import polls
from broker.provider.contract import Outcome, Receipt
from broker.words.clock import HOUR
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, House, rule
from tests.daemon.test_receipts import hand, session

MINUTE = 60.0


async def make(make_house: MakeHouse, **more: Any) -> House:
    """One account that is asked."""
    return await make_house({"providers": {"a": hand(poll=True, **more)}, "rules": [rule("a")]})


async def have_sent(house: House, count: int) -> list[str]:
    """So many messages that `a` accepted."""
    async with await house.connect() as wire:
        ids = [(await wire.ask({"to": TO, "text": TEXT}))["id"] for _ in range(count)]
    await trio.sleep(1)
    for n, id_ in enumerate(ids):
        session(house).answer(f"{id_}/1", Outcome("accepted", None, None, (f"R{n}",)))
    await trio.sleep(0.1)
    return ids


async def test_many_in_one_query_ever_less_often(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, query=["6s", "30s", "3m"])
    begun = trio.current_time()
    ids = await have_sent(house, 150)
    asked: list[tuple[float, int]] = []
    seen = 0
    while trio.current_time() < begun + 4 * MINUTE:
        await trio.sleep(0.1)
        for asks in session(house).asked[seen:]:
            asked.append((trio.current_time() - begun, len(asks)))
        seen = len(session(house).asked)
    assert sum(count for _, count in asked) == 3 * len(ids)
    assert len(asked) <= 9  # a hundred in a query, but for those that fall due a little earlier or later
    for at, _ in asked:
        assert any(after <= at <= after * 1.1 + 1 for after in (6, 30, 180)), at
    reply = await house.ask("status", id=ids[0])
    assert [each["class"] for each in reply["attempts"][0]["receipts"]] == ["progress"]  # told once, however often it is said


@pytest.mark.parametrize("class_", ["delivered", "undelivered", "expired"])
async def test_the_answer_ends_it(class_: Any, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    [id_] = await have_sent(house, 1)
    session(house).fates[f"{id_}/1"] = Receipt(class_, code="7")
    await house.until(id_, class_, within=2 * MINUTE)
    await trio.sleep(6 * MINUTE)
    assert len(session(house).asked) == 1


@pytest.mark.parametrize("trouble", ["raises", "says nothing", "query_error", "never ends"])
async def test_a_query_that_fails_changes_nothing(
    trouble: str, make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(polls, "LONGEST_REST", 30_000)
    house = await make(make_house, query=["6s", "30s", "60s"], receipt_wait="10m", timeout="2s")
    ids = await have_sent(house, 30)
    calls = []

    async def query(asks: Any) -> list[Receipt]:
        calls.append(trio.current_time())
        if trouble == "raises":
            raise RuntimeError("canary text")
        if trouble == "never ends":
            await trio.sleep_forever()
        return [] if trouble == "says nothing" else [Receipt("query_error", code="e") for _ in asks]

    begun = trio.current_time()
    session(house).query = query
    await trio.sleep(9.9 * MINUTE)
    assert {house.find(id_) for id_ in ids} == {"sent"}
    assert len(calls) > 5
    late = [at for at in calls if at - begun > 2 * MINUTE]
    assert all(b - a >= 29.9 for a, b in pairwise(late))  # at first soon again, then ever less often
    await trio.sleep(12)
    for id_ in ids:
        reply = await house.until(id_, "unconfirmed")
        assert reply["attempts"][0]["receipts"] == []
        assert 600_000 <= house.query.find_times(id_)[0] - house.query.find_attempts(id_)[0].closed_at < 602_000  # type: ignore[operator]  # it has ended


async def test_asked_again_when_it_answers_again(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    [id_] = await have_sent(house, 1)
    usual, session(house).query = session(house).query, None  # a call of None raises
    await trio.sleep(3 * MINUTE)
    session(house).query = usual
    session(house).fates[f"{id_}/1"] = Receipt("delivered")
    await house.until(id_, "delivered", within=3 * MINUTE)


async def test_so_many_queries_a_second_at_most(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, query=["1m"])
    ids = await have_sent(house, 200)
    lane = house.ex.lanes["a"]
    lane.traits = type(lane.traits)(**{**{name: getattr(lane.traits, name) for name in lane.traits.__struct_fields__}, "ask_batch": 1})
    times = []
    usual = session(house).query

    async def query(asks: Any) -> Any:
        times.append(trio.current_time())
        return await usual(asks)

    session(house).query = query
    await trio.sleep(1.5 * MINUTE)
    assert len(times) == len(ids)
    for n, at in enumerate(times):
        assert sum(at <= other < at + 1 for other in times) <= 41, n  # a second's worth may have been saved up


async def test_what_the_provider_does_not_know_is_asked_for_no_more(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    assert polls.GONE_SPAN == HOUR
    monkeypatch.setattr(polls, "GONE_SPAN", 60_000)
    house = await make(make_house, query=["1s", "5s", "30s", "2m"], receipt_wait="12m")
    first, second = await have_sent(house, 2)
    session(house).fates[f"{first}/1"] = Receipt("query_error", code="No such message", gone=True)
    await trio.sleep(10 * MINUTE)
    asked = [ask.attempt for asks in session(house).asked for ask in asks]
    assert asked.count(f"{first}/1") == 4  # three times soon, and once more when the span is over
    assert asked.count(f"{second}/1") > 6
    assert house.find(first) == "sent"
    await session(house).hear(Receipt("delivered", "R0"))  # a receipt still counts
    await house.until(first, "delivered")
    await house.until(second, "unconfirmed", within=3 * MINUTE)


async def test_a_final_that_has_to_wait_is_not_asked_for_at_once_again(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    settings = rule("a", "b", on={"undelivered": "next"})
    house = await make_house({"providers": {"a": hand(poll=True), "b": hand(poll=True)}, "rules": [settings]})
    [id_] = await have_sent(house, 1)
    await session(house).hear(Receipt("undelivered", "R0"))
    await house.until(id_, "sending", within=5)
    assert [event["status"] for event in house.told("message.receipt")] == ["sent"]  # what it is until the next event says otherwise
    session(house, "b").answer(f"{id_}/2", Outcome("accepted", None, None, ("B",)))
    await house.until(id_, "sent")
    # The first provider takes its word back as far as it can: the message still waits for the second.
    await session(house).hear(Receipt("expired", "R0"))
    session(house, "b").fates[f"{id_}/2"] = Receipt("unrecognised", code="?")
    await trio.sleep(10 * MINUTE)
    assert len(session(house, "b").asked) == 2
    session(house, "b").fates[f"{id_}/2"] = Receipt("expired")
    await house.until(id_, "undelivered", within=40 * MINUTE)
