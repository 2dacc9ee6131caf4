"""Long fates, sampled: seven events and more of several attempts, in any order, with repetitions, some early, some nobody's: one end.

Above six events there are too many orders to try each (`test_orders_of_arrival` and `tests/policy` do below). Here hypothesis draws
stories, and the real delivery code over the real store plays each in several orders; what became of the message must be what the
ranks of CONTRACT §1 alone say. A seed is printed by hypothesis where one fails.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seed_with
from hypothesis import strategies as st
from trio.testing import MockClock

from broker.provider.contract import Outcome, Receipt
from broker.words.receipt import FINAL_RECEIPTS
from broker.words.status import RANK
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, House, rule
from tests.daemon.test_receipts import hand, session, waiting

CLASSES = ("progress", "canceled", "expired", "undelivered", "blocked", "delivered", "unrecognised", "query_error")
ORDERS = 4


class Heard(NamedTuple):
    """One receipt: of which account (`a`'s attempt is in doubt and then abandoned, `b`'s is accepted), by what it is found."""

    account: str
    by: str
    class_: str

    def make(self, id_: str, place: int) -> Receipt:
        n, ref = ("1", f"A{place}") if self.account == "a" else ("2", f"B{place}")
        class_: Any = self.class_
        if self.by == "nobody":
            return Receipt(class_, f"X{place}")
        return Receipt(class_, ref, f"{id_}/{n}" if self.by == "token" else None)


# `a` lost its answer: it has no id, so a token finds it, and an id only once a token has brought it along
HEARD = st.one_of(
    st.builds(Heard, st.just("a"), st.just("token"), st.sampled_from(CLASSES)),
    st.builds(Heard, st.just("b"), st.sampled_from(("token", "ref", "nobody")), st.sampled_from(CLASSES)),
)


@st.composite
def stories(draw: st.DrawFn) -> list[list[Heard | str]]:
    """Some orders of one set of events: receipts, some of them twice, and the answer of `b` ("answer") anywhere among them."""
    once = draw(st.lists(HEARD, min_size=6, max_size=11))
    events: list[Heard | str] = [*once, *draw(st.lists(st.sampled_from(once), max_size=3)), "answer"]
    return [draw(st.permutations(events)) for _ in range(ORDERS)]


def highest(events: Sequence[Heard | str], account: str) -> str | None:
    """The highest-ranked class that an account said of its attempt."""
    said = [event.class_ for event in events if isinstance(event, Heard) and event.account == account and event.by != "nobody"]
    return max((class_ for class_ in said if class_ in RANK), key=RANK.__getitem__, default=None)


def expected(events: Sequence[Heard | str]) -> tuple[str, list[tuple[str, str | None]]]:
    """(status, (state, receipt) of each attempt), by ranks alone."""
    a, b = highest(events, "a"), highest(events, "b")
    attempts = [("abandoned" if a is None else "accepted", a), ("accepted", b)]
    finals = [each for each in (a, b) if each in FINAL_RECEIPTS]
    if "delivered" in finals:
        return "delivered", attempts
    is_open = b not in FINAL_RECEIPTS or (a is not None and a not in FINAL_RECEIPTS)  # an abandoned one is waited for no more
    return ("sent" if is_open else max((each for each in finals if each), key=RANK.__getitem__)), attempts


async def open_both(house: House, places: Sequence[int]) -> list[str]:
    """Messages whose first attempt is abandoned, its answer lost, and whose second waits for its answer; each to a recipient of its own,
    as `blocked` bars one.
    """
    async with await house.connect() as wire:
        ids = [(await wire.ask({"to": f"+88690{place:07d}", "text": TEXT}))["id"] for place in places]
    with trio.fail_after(600):
        for name, n in (("a", 1), ("b", 2)):
            while not all(f"{id_}/{n}" in session(house, name).waiting for id_ in ids):  # noqa: ASYNC110  # no event says so
                await trio.sleep(0.1)
            if name == "a":
                for id_ in ids:
                    session(house, "a").answer(f"{id_}/1", Outcome("in_doubt"))
    return ids


async def play(house: House, stories: list[list[Heard | str]], first: int) -> list[str]:
    """Each order happens to a message of its own, in step with the others. The ids."""
    ids = await open_both(house, range(first, first + len(stories)))
    for step in range(len(stories[0])):
        for account in ("a", "b"):
            heard = []
            for place, (id_, story) in enumerate(zip(ids, stories, strict=True), first):
                event = story[step]
                if isinstance(event, Heard) and event.account == account:
                    heard.append(event.make(id_, place))
                elif event == "answer" and account == "b":
                    session(house, "b").answer(f"{id_}/2", Outcome("accepted", refs=(f"B{place}",)))
            if heard:
                await session(house, account).hear(*heard)
        await trio.sleep(0.05)  # an answer is written down by then
    return ids


def find_end(house: House, id_: str) -> tuple[str, list[tuple[str, str | None]]]:
    message = house.query.find_message(id_)
    assert message is not None
    return message.status, [(each.state, each.receipt) for each in house.query.find_attempts(id_)]


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_of_many_ends_the_same(seed: int, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    more: Any = {"max_in_flight": 10_000, "breaker": {"failures": 10_000}, "receipt_wait": "7d"}
    doubtful = rule("a", "b", in_doubt="failover", doubt_wait="1s", doubt_deadline="12h", validity="3d")
    house = await make_house({"providers": {"a": hand(**more), "b": hand(**more)}, "rules": [doubtful]})
    for n, drawn in enumerate(draw_stories(seed)):
        ids = await play(house, drawn, (seed * 1000 + n) * ORDERS)
        assert {str(find_end(house, id_)) for id_ in ids} == {str(expected(drawn[0]))}, drawn
    assert waiting(house) == len(house.ex.inbox.strays)
    assert {str(stray.receipt.ref)[0] for stray in house.ex.inbox.strays.values()} == {"X"}  # only nobody's wait
    assert house.ex.queued == 0


def draw_stories(seed: int) -> list[list[list[Heard | str]]]:
    """Twenty stories out of hypothesis: it cannot drive a house itself, whose clock and nursery belong to one test."""
    found: list[list[list[Heard | str]]] = []

    @seed_with(seed)
    @settings(max_examples=20, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(stories())
    def collect(story: list[list[Heard | str]]) -> None:
        found.append(story)

    collect()
    return found
