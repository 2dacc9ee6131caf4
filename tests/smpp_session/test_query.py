"""Asking what became of a message, by query_sm."""

import pytest
import trio
from trio.testing import MockClock

from broker.provider.contract import Ask
from broker.provider.smpp_twin import SmscTwin
from broker.smpp.statuses import STATES
from tests.smpp_session.rig import bound, make_valid


def make_ask(*refs: str) -> Ask:
    return Ask("m1/1", refs, "+306912345678", "k1", 0, sender="ACME")


@pytest.mark.parametrize("state", STATES)
async def test_every_state(state: int, autojump_clock: MockClock) -> None:
    word, class_ = STATES[state]
    async with bound(SmscTwin(receipts=None)) as rig:
        outcome = await rig.send()
        rig.twin.taken[1_000_001].state = word
        [receipt] = await rig.session.query([make_ask(*outcome.refs)])
        assert (receipt.class_, receipt.ref, receipt.code) == (class_, "1000001", word)


async def test_many_at_once_and_unknown_ones(autojump_clock: MockClock) -> None:
    async with bound(window=3) as rig:
        await rig.submit(*(make_valid(n=n) for n in range(20)))
        await trio.sleep(1)
        asks = [make_ask(outcome.refs[0]) for outcome in rig.outcomes.values()]
        receipts = await rig.session.query([*asks, make_ask("77"), make_ask(), make_ask("")])
        assert [receipt.class_ for receipt in receipts] == ["delivered"] * 20 + ["query_error"] * 3
        assert receipts[20].code == "0x0C"


@pytest.mark.parametrize(
    ("states", "class_"),
    [
        (["DELIVRD", "DELIVRD"], "delivered"),
        (["DELIVRD", "ENROUTE"], "progress"),
        (["UNDELIV", "DELIVRD"], "undelivered"),
        (["UNDELIV", "EXPIRED"], "expired"),
        (["UNDELIV", "UNKNOWN"], "unrecognised"),
    ],
)
async def test_parts_together(states: list[str], class_: str, autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(receipts=None)) as rig:
        outcome = await rig.send("x" * 200)
        for taken, state in zip(rig.twin.taken.values(), states, strict=True):
            taken.state = state
        [receipt] = await rig.session.query([make_ask(*outcome.refs)])
        assert receipt.class_ == class_


async def test_a_part_without_an_id_is_not_delivered_with_the_others(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(receipts=None)) as rig:
        outcome = await rig.send("x" * 200)
        for taken in rig.twin.taken.values():
            taken.state = "DELIVRD"
        [receipt] = await rig.session.query([make_ask("", outcome.refs[1])])
        assert receipt.class_ == "progress"


async def test_an_smsc_that_does_not_answer(autojump_clock: MockClock) -> None:
    async with bound() as rig:
        outcome = await rig.send()
        rig.twin.lines[0]._hear = lambda events: None  # type: ignore[method-assign]  # it listens to nobody
        with trio.fail_after(25):
            [receipt] = await rig.session.query([make_ask(*outcome.refs)])
        assert receipt.class_ == "query_error"
        rig.is_down = True
        rig.twin.cut()
        await trio.sleep(1)
        [receipt] = await rig.session.query([make_ask(*outcome.refs)])
        assert receipt.class_ == "query_error"
