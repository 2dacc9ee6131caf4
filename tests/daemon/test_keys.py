"""Idempotent submit (promise 3): one key, one message, whatever is repeated, raced, lost or restarted."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.delivery.accept import Accepted, Intake
from broker.delivery.submission import Refused, Submit
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, House, loopback

FIRST = {"to": TO, "text": TEXT, "key": "order-42"}

OTHERS: dict[str, dict[str, Any]] = {
    "another text": {"text": TEXT + "."},
    "another number": {"to": "+886987654321"},
    "a sender": {"from": "ACME"},
    "a priority": {"priority": "high"},
    "a tag": {"tags": ["otp"]},
    "a provider": {"provider": "lo"},
    "a price": {"max_price": "1"},
    "a validity": {"validity": "1h"},
}


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house({"providers": {"lo": loopback()}})


async def test_the_same_again_is_answered_as_the_first_time(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as wire:
        first = await wire.ask(FIRST)
        assert first["duplicate"] is False
        for _ in range(3):
            assert await wire.ask(FIRST) == {**first, "duplicate": True}
            await trio.sleep(300)  # also when it has long ended
        assert await wire.ask({**FIRST, "to": "0912 345 678"}) == {**first, "duplicate": True}  # the same number, written otherwise
    assert sum(house.query.count_statuses().values()) == 1


async def test_another_message_under_the_key_is_a_conflict(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as wire:
        assert (await wire.ask(FIRST))["ok"]
        for name, change in OTHERS.items():
            answer = await wire.ask({**FIRST, **change})
            assert (name, answer["ok"], answer["error"]["code"]) == (name, False, "key_conflict")
            assert answer["error"]["field"] == "key"
    assert sum(house.query.count_statuses().values()) == 1


async def test_fifty_at_once_make_one_message(house: House, autojump_clock: MockClock) -> None:
    answers: list[dict[str, Any]] = []

    async def submit() -> None:
        async with await house.connect() as wire:
            await wire.send(FIRST, FIRST)
            answers.extend([await wire.hear(), await wire.hear()])

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(submit)
    assert len({answer["id"] for answer in answers}) == 1
    assert [answer["duplicate"] for answer in answers].count(False) == 1
    await trio.sleep(1)
    assert house.query.count_statuses() == {"unconfirmed": 1}
    assert house.ex.queued == 0


async def test_of_two_different_ones_at_once_one_conflicts(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as wire:
        await wire.send(FIRST, {**FIRST, "text": "other"})
        assert (await wire.hear())["ok"]
        assert (await wire.hear())["error"]["code"] == "key_conflict"
    assert sum(house.query.count_statuses().values()) == 1


async def test_a_restart_forgets_no_key(house: House, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    first = await house.submit(**FIRST)
    await house.stop()
    await house.start(nursery)
    assert await house.submit(**FIRST) == {**first, "duplicate": True}
    assert (await house.submit(**{**FIRST, "text": "other"}))["error"]["code"] == "key_conflict"


async def test_each_client_has_keys_of_its_own(house: House, autojump_clock: MockClock) -> None:
    first = await house.submit(**FIRST)
    answers: list[Accepted | Refused] = []
    Intake(house.ex).submit(Submit(to=TO, text=TEXT, key="order-42"), "unix:other", answers.append)
    await house.journal.wait_committed()
    assert isinstance(answers[0], Accepted)
    assert answers[0].id != first["id"]
    assert not answers[0].duplicate


async def test_a_full_queue_still_knows_its_keys(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"submit": {"max_queued": 1}, "providers": {"lo": loopback(delay=60_000, max_in_flight=1)}})
    await house.take()
    await trio.sleep(1)  # on its way: it counts no more
    first = await house.submit(**FIRST)
    assert (await house.submit())["error"]["code"] == "queue_full"
    assert await house.submit(**FIRST) == {**first, "duplicate": True}


async def test_a_stopping_broker_takes_nothing(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as wire:
        assert (await wire.ask(FIRST))["ok"]
        house.ex.is_stopping = True
        assert (await wire.ask({"to": TO, "text": TEXT}))["error"]["code"] == "stopping"
        assert (await wire.ask({"op": "ping"}))["ok"]
