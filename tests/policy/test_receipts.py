"""Receipts: rank decides, so that order and repetition cannot matter (CONTRACT §1, Receipts; promises 8 and 9)."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy import judge_receipt
from broker.words.receipt import FINAL_RECEIPTS, RECEIPT_CLASSES
from broker.words.status import FINAL, HARD, RANK, SOFT, STATUSES, TRANSITIONS

NEGATIVE = FINAL_RECEIPTS - {"delivered"}
RANKED = [class_ for class_ in RECEIPT_CLASSES if class_ in RANK]

# the message's status, the receipt, the attempt's highest before, another attempt open, the others' highest: what becomes of both
GOLDEN = [
    ("sent", "delivered", None, False, None, ("delivered", "delivered")),
    ("sent", "delivered", None, True, None, ("delivered", "delivered")),  # from any attempt it decides at once
    ("queued", "delivered", "undelivered", False, None, ("delivered", "delivered")),  # and stops what has not started
    ("held", "delivered", "undelivered", False, None, ("delivered", "delivered")),
    ("in_doubt", "delivered", None, False, None, ("delivered", "delivered")),
    ("sent", "undelivered", None, False, None, ("undelivered", "undelivered")),
    ("sent", "undelivered", None, True, None, ("undelivered", None)),  # waits for the other
    ("queued", "undelivered", None, False, None, ("undelivered", None)),  # another attempt may follow
    ("sending", "undelivered", None, False, None, ("undelivered", None)),
    ("held", "blocked", "undelivered", False, None, ("blocked", None)),
    ("in_doubt", "undelivered", None, False, None, ("undelivered", "undelivered")),  # its own doubt: this is the proof
    ("in_doubt", "undelivered", None, True, None, ("undelivered", None)),  # another's doubt
    ("sent", "progress", None, False, None, ("progress", None)),
    ("sent", "progress", "undelivered", False, None, ("undelivered", "undelivered")),  # what had to wait is applied by what comes next
    ("sent", "expired", "undelivered", False, None, ("undelivered", "undelivered")),
    ("sent", "undelivered", "undelivered", False, None, ("undelivered", "undelivered")),
    ("sent", "expired", None, False, "undelivered", ("expired", "undelivered")),  # the other's had to wait for this one, and ranks higher
    ("sent", "blocked", None, False, "undelivered", ("blocked", "blocked")),
    ("sent", "progress", None, False, "undelivered", ("progress", None)),  # this one still awaits its final
    ("sent", "unrecognised", None, False, None, (None, None)),
    ("sent", "query_error", "progress", False, None, ("progress", None)),
    ("canceled", "expired", None, False, None, ("expired", "expired")),
    ("expired", "canceled", None, False, None, ("canceled", None)),
    ("undelivered", "expired", "undelivered", False, None, ("undelivered", None)),
    ("undelivered", "delivered", "undelivered", False, None, ("delivered", "delivered")),
    ("unknown", "undelivered", None, False, None, ("undelivered", "undelivered")),
    ("unknown", "progress", None, False, None, ("progress", None)),
    ("unconfirmed", "canceled", None, False, None, ("canceled", "canceled")),
    ("failed", "delivered", None, False, None, ("delivered", None)),  # hard: never changed
    ("delivered", "blocked", "delivered", False, None, ("delivered", None)),
]


@pytest.mark.parametrize(("status", "class_", "before", "others_open", "others", "expected"), GOLDEN)
def test_golden(
    status: str, class_: str, before: str | None, others_open: bool, others: str | None, expected: tuple[str | None, str | None]
) -> None:
    verdict = judge_receipt(status, class_, before, others_open, others)
    assert (verdict.receipt, verdict.status) == expected


@pytest.mark.parametrize("status", sorted({*STATUSES} - {"scheduled"}))  # nothing of that was sent yet
@pytest.mark.parametrize("class_", RECEIPT_CLASSES)
def test_every_verdict_is_a_step_of_the_table(status: str, class_: str) -> None:
    for before in (None, *RANKED):
        for others_open in (False, True):
            for others in (None, *sorted(NEGATIVE)):
                verdict = judge_receipt(status, class_, before, others_open, others)
                if verdict.status is not None:
                    assert verdict.status in TRANSITIONS[status]
                    assert status not in HARD
                    if status in SOFT:
                        assert RANK[verdict.status] > RANK[status]
                    assert not (others_open and verdict.status in NEGATIVE)
                if before is not None:
                    assert verdict.receipt is not None
                    assert RANK[verdict.receipt] >= RANK[before]


class Model:
    """One message with attempts that providers accepted, or that are in doubt; receipts applied as delivery does."""

    def __init__(self, status: str, states: tuple[str, ...]) -> None:
        self.status = status
        self.states = list(states)
        self.receipts: list[str | None] = [None] * len(states)
        self.changes: list[str] = []

    def take(self, n: int, class_: str) -> None:
        others = [(state, receipt) for each, (state, receipt) in enumerate(zip(self.states, self.receipts, strict=True)) if each != n]
        is_open = any(state == "in_doubt" or (state == "accepted" and receipt not in FINAL_RECEIPTS) for state, receipt in others)
        finals = [receipt for _, receipt in others if receipt in FINAL_RECEIPTS]
        highest = max(finals, key=RANK.__getitem__, default=None)
        verdict = judge_receipt(self.status, class_, self.receipts[n], is_open, highest)
        status = verdict.status
        if class_ in RANK:
            if status is None and self.states[n] == "in_doubt" and self.status == "in_doubt":
                status = "sent"  # proof that the provider has it ends the doubt
            self.states[n] = "accepted"
        self.receipts[n] = verdict.receipt
        if status is not None:
            self.status = status
            self.changes.append(status)

    def end(self) -> tuple[str, list[str | None], list[str]]:
        return self.status, self.receipts, self.states


STARTS = st.sampled_from(
    [
        ("sent", ("accepted",)),
        ("sent", ("accepted", "accepted")),
        ("sent", ("accepted", "accepted", "accepted")),
        ("in_doubt", ("in_doubt",)),
        ("in_doubt", ("accepted", "in_doubt")),
        ("in_doubt", ("accepted", "in_doubt", "accepted")),
        ("unknown", ("abandoned",)),
        ("unconfirmed", ("accepted",)),
        ("canceled", ("accepted",)),
        ("expired", ("abandoned",)),
    ]
)
ARRIVALS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(RECEIPT_CLASSES)), max_size=6)


@settings(max_examples=60, deadline=None)
@given(STARTS, ARRIVALS)
def test_any_order_ends_the_same(start: tuple[str, tuple[str, ...]], arrivals: list[tuple[int, str]]) -> None:
    ends = []
    for order in set(permutations(arrivals)):
        model = Model(*start)
        for n, class_ in order:
            model.take(n % len(model.states), class_)
        if model.end() not in ends:
            ends.append(model.end())
    assert len(ends) == 1, ends


@given(STARTS, ARRIVALS, st.lists(st.integers(0, 5), max_size=6))
def test_any_repetition_ends_the_same(start: tuple[str, tuple[str, ...]], arrivals: list[tuple[int, str]], again: list[int]) -> None:
    once, often = Model(*start), Model(*start)
    for n, class_ in arrivals:
        once.take(n % len(once.states), class_)
        often.take(n % len(often.states), class_)
        often.take(n % len(often.states), class_)
    for at in again:
        if arrivals:
            n, class_ = arrivals[at % len(arrivals)]
            often.take(n % len(often.states), class_)
    assert once.end() == often.end()
    assert once.changes == often.changes  # one event for each change, none for a repetition


@given(STARTS, ARRIVALS)
def test_finals_only_rise(start: tuple[str, tuple[str, ...]], arrivals: list[tuple[int, str]]) -> None:
    model = Model(*start)
    seen = [model.status]
    for n, class_ in arrivals:
        model.take(n % len(model.states), class_)
        seen.append(model.status)
    ranks = [RANK[status] for status in seen if status in FINAL]
    assert ranks == sorted(ranks)
    first = next((at for at, status in enumerate(seen) if status in FINAL), len(seen))
    assert all(status in FINAL for status in seen[first:])


@given(ARRIVALS)
def test_delivered_decides_and_negatives_wait_for_all(arrivals: list[tuple[int, str]]) -> None:
    model = Model("sent", ("accepted",) * 3)
    for n, class_ in arrivals:
        model.take(n, class_)
    classes = {class_ for _, class_ in arrivals}
    if "delivered" in classes:
        assert model.status == "delivered"
    elif all(receipt in FINAL_RECEIPTS for receipt in model.receipts):
        assert model.status == max((r for r in model.receipts if r), key=RANK.__getitem__)  # the highest-ranked of all
    else:
        assert model.status == "sent"
