"""Proof that comes late: a copy that was given up turns out to be with its provider, while the next one waits, is sent, or is in doubt.

Whatever came of it, no third one follows that nobody asked for (promises 6 and 7).
"""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.provider.contract import Outcome, Receipt
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import House, path_of, rule
from tests.daemon.test_receipts import hand, session, take

HOUR = 3600.0
REFUSED = Outcome("unavailable", "8")


async def make_second(make_house: MakeHouse, **more: Any) -> tuple[House, str]:
    """A house with a message in doubt at `a` whose second copy is under way at `b`; `c` and `d` would take a third."""
    settings = {"in_doubt": "failover", "doubt_wait": "10s", "max_copies": 3, **more}
    house = await make_house({"providers": {name: hand(receipt_wait="1h") for name in "abcd"}, "rules": [rule(*"abcd", **settings)]})
    id_ = await take(house, validity="2h")
    session(house).answer(f"{id_}/1", Outcome("in_doubt"))
    await house.until(id_, "in_doubt")
    await house.until(id_, "sending", within=30)
    return house, id_


async def make_waiting(make_house: MakeHouse, **more: Any) -> tuple[House, str]:
    """The same, and `b` has refused: the message waits for its second try there."""
    house, id_ = await make_second(make_house, **more)
    session(house, "b").answer(f"{id_}/2", REFUSED)
    await house.until(id_, "queued")
    return house, id_


async def see_nobody_asked(house: House, sent: str) -> None:
    """`sent`: a letter for each request there ever was."""
    await trio.sleep(3 * HOUR)
    assert "".join(name * len(session(house, name).sent) for name in "abcd") == sent
    assert house.ex.queued == 0


def states(house: House, id_: str) -> list[str]:
    return [attempt.state for attempt in house.query.find_attempts(id_)]


@pytest.mark.parametrize("class_", ["accepted", "progress"])
async def test_a_receipt_while_the_next_copy_waits(class_: Any, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_waiting(make_house)
    await session(house).hear(Receipt(class_, "77", f"{id_}/1"))
    reply = await house.until(id_, "sent")
    assert path_of(reply)[-1][:2] == ("sent", "a")
    await see_nobody_asked(house, "ab")
    await session(house).hear(Receipt("delivered", "77"))
    await house.until(id_, "delivered")
    assert states(house, id_) == ["accepted", "refused"]


async def test_a_person_says_accepted_while_the_next_copy_waits(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_waiting(make_house)
    assert (await house.order("resolve", id=id_, outcome="accepted"))["status"] == "sent"
    await see_nobody_asked(house, "ab")
    assert states(house, id_) == ["accepted", "refused"]


async def test_a_negative_receipt_while_the_next_copy_waits_ends_it(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_waiting(make_house)
    await session(house).hear(Receipt("undelivered", "77", f"{id_}/1"))
    await house.until(id_, "undelivered")
    await see_nobody_asked(house, "ab")


async def test_where_the_rule_goes_on_after_it_the_next_copy_still_goes(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_waiting(make_house, on={"undelivered": "next"})
    await session(house).hear(Receipt("undelivered", "77", f"{id_}/1"))
    assert house.find(id_) == "queued"
    await house.until(id_, "sending", within=10)
    session(house, "b").answer(f"{id_}/3", Outcome("accepted", "0", None, ("88",)))
    await house.until(id_, "sent")
    assert states(house, id_) == ["accepted", "refused", "accepted"]


async def test_accepted_while_another_copy_is_sent_and_then_refused(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_second(make_house)
    await session(house).hear(Receipt("progress", "77", f"{id_}/1"))
    assert house.find(id_) == "sending"
    session(house, "b").answer(f"{id_}/2", REFUSED)
    reply = await house.until(id_, "sent")
    assert path_of(reply)[-1][:2] == ("sent", "a")
    await see_nobody_asked(house, "ab")
    await session(house).hear(Receipt("delivered", "77"))
    await house.until(id_, "delivered")


async def test_one_that_nobody_tells_more_of_ends_unconfirmed(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_second(make_house)
    await session(house).hear(Receipt("progress", "77", f"{id_}/1"))
    session(house, "b").answer(f"{id_}/2", REFUSED)
    await house.until(id_, "sent")
    await house.until(id_, "unconfirmed", within=2 * HOUR)


async def test_undelivered_while_another_copy_is_sent_and_then_refused(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_second(make_house)
    await session(house).hear(Receipt("undelivered", "77", f"{id_}/1"))
    session(house, "b").answer(f"{id_}/2", REFUSED)
    await house.until(id_, "undelivered")
    await see_nobody_asked(house, "ab")


@pytest.mark.parametrize("n", [1, 2])
async def test_accepted_while_another_copy_is_in_doubt(n: int, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """The other doubt is given up with it: nobody would end it any more, and no third copy follows."""
    house, id_ = await make_second(make_house)
    session(house, "b").answer(f"{id_}/2", Outcome("in_doubt"))
    await house.until(id_, "in_doubt")
    await session(house, "ab"[n - 1]).hear(Receipt("progress", "77", f"{id_}/{n}"))
    await house.until(id_, "sent")
    assert "in_doubt" not in states(house, id_)
    await see_nobody_asked(house, "ab")


async def test_a_second_copy_for_want_of_a_receipt_goes_on_past_a_refusal(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """Here the first is known to be accepted, and another is asked for all the same: `receipt_within`."""
    house = await make_house({"providers": {name: hand() for name in "abcd"}, "rules": [rule(*"abc", receipt_within="30s")]})
    id_ = await take(house)
    session(house).answer(f"{id_}/1", Outcome("accepted", "0", None, ("77",)))
    await house.until(id_, "sent")
    await house.until(id_, "sending", within=60)
    session(house, "b").answer(f"{id_}/2", Outcome("unsuitable", "8"))
    await trio.sleep(1)
    session(house, "c").answer(f"{id_}/3", Outcome("accepted", "0", None, ("99",)))
    await house.until(id_, "sent")
    assert states(house, id_) == ["accepted", "refused", "accepted"]
