"""Any order of an outcome and its receipts, any repetition, and a stop between any two of them: the message ends the same (promise 9).

Every order is a message of its own in one house, so that a thousand of them cost one start.
"""

import random
from itertools import permutations
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.provider.contract import Outcome, Receipt
from broker.words.status import RANK
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, House, rule
from tests.daemon.test_receipts import hand, session, waiting

Event = tuple[str, ...]
"""("outcome", class), ("ref", class) or ("token", class)."""

FATES: list[tuple[Event, ...]] = [
    (("ref", "delivered"),),
    (("ref", "progress"), ("ref", "delivered"), ("ref", "undelivered"), ("ref", "delivered"), ("ref", "unrecognised")),
    (("token", "progress"), ("ref", "expired"), ("ref", "canceled"), ("token", "undelivered"), ("ref", "progress")),
    (("token", "blocked"), ("ref", "undelivered"), ("token", "query_error")),
]


async def play(house: House, orders: list[tuple[Event, ...]], stops: random.Random | None = None) -> list[str]:
    """Each order happens to a message of its own, in step with the others; `stops`: between some steps the broker stops. The ids."""
    async with await house.connect() as wire:
        ids = [(await wire.ask({"to": TO, "text": TEXT}))["id"] for _ in orders]
    with trio.fail_after(60):
        while len(session(house).waiting) < len(ids):  # noqa: ASYNC110  # no event says how many there are
            await trio.sleep(0.1)
    for step in range(max(map(len, orders))):
        heard = []
        for n, (id_, order) in enumerate(zip(ids, orders, strict=True)):
            kind, class_ = order[step]
            if kind == "outcome":
                refs = (f"R{n}",) if class_ == "accepted" else ()
                if f"{id_}/1" in session(house).waiting:
                    session(house).answer(f"{id_}/1", Outcome(class_, None, None, refs))  # type: ignore[arg-type]  # one of OUTCOMES
            else:
                token = f"{id_}/1" if kind == "token" else None
                heard.append(Receipt(class_, f"R{n}", token))  # type: ignore[arg-type]  # one of FATES
        await session(house).hear(*heard)
        if stops is not None and stops.random() < 0.4:
            await house.stop()
            await house.start(house._nursery)
    await trio.sleep(0.1)
    return ids


def end(house: House, id_: str) -> tuple[Any, ...]:
    """What became of a message."""
    message = house.query.find_message(id_)
    assert message is not None
    return message.status, [(each.state, each.receipt) for each in house.query.find_attempts(id_)]


async def make(make_house: MakeHouse) -> House:
    """One account that takes everything, and is asked for nothing again."""
    a = hand(max_in_flight=10_000, breaker={"failures": 10_000})
    return await make_house({"providers": {"a": a}, "rules": [rule("a", on={"unreachable": "hold"}, doubt_deadline="12h")]})


def expected(fate: tuple[Event, ...]) -> str:
    """The highest-ranked class of all."""
    return max((class_ for _, class_ in fate if class_ in RANK), key=RANK.__getitem__)


@pytest.mark.parametrize("fate", FATES, ids=range(len(FATES)))
async def test_every_order_of_an_accepted_one(fate: tuple[Event, ...], make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    orders = sorted(set(permutations((("outcome", "accepted"), *fate))))
    ids = await play(house, random.Random(6).sample(orders, min(len(orders), 120)))  # all of five; of six a sixth
    assert {str(end(house, id_)) for id_ in ids} == {str((expected(fate), [("accepted", expected(fate))]))}
    assert waiting(house) == 0
    assert house.ex.queued == 0


async def test_every_order_of_one_in_doubt(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    fate: tuple[Event, ...] = (("token", "progress"), ("ref", "undelivered"), ("token", "expired"), ("ref", "delivered"))
    orders = sorted(set(permutations((("outcome", "in_doubt"), *fate))))
    ids = await play(house, orders)
    assert {str(end(house, id_)) for id_ in ids} == {str(("delivered", [("accepted", "delivered")]))}
    assert waiting(house) == 0


async def test_every_order_of_a_refused_one(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    fate: tuple[Event, ...] = (("token", "undelivered"), ("token", "delivered"), ("token", "progress"))
    ids = await play(house, sorted(set(permutations((("outcome", "unreachable"), *fate)))))
    assert {str(end(house, id_)) for id_ in ids} == {str(("delivered", [("refused", "delivered")]))}  # it arrived, whatever was said
    quiet = await play(house, sorted(set(permutations((("outcome", "unreachable"), *fate[::2])))))
    assert {end(house, id_)[0] for id_ in quiet} == {"held"}
    assert waiting(house) == 0


@pytest.mark.parametrize("seed", range(4))
async def test_stops_between_change_nothing(seed: int, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    draw = random.Random(seed)
    fate = FATES[seed % len(FATES)]
    orders = sorted(set(permutations((("outcome", "accepted"), *fate))))
    ids = await play(house, draw.sample(orders, min(len(orders), 60)), draw)
    ends = [end(house, id_) for id_ in ids]
    for status, [(state, receipt)] in ends:
        # Where a stop came before the answer, the answer is lost: then a token alone proves the attempt, and brings the id along.
        assert (status, state, receipt) == (expected(fate), "accepted", expected(fate)) or (status, state) == ("in_doubt", "in_doubt")
        if status == "in_doubt":
            assert all(kind == "ref" or class_ not in RANK for kind, class_ in fate)
    lost = sum(status == "in_doubt" for status, _ in ends)
    assert len(ends) > lost
    assert (waiting(house) > 0) == (lost > 0)
