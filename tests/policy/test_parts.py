"""Receipts of parts: what is known of each only rises, and the whole is theirs together (CONTRACT §1, Parts and Money)."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy import add_receipt, is_proven, is_recipient, lay_out, lay_out_partial, prove_all, reckon, roll_up
from broker.words.attempt import Attempt, Piece
from broker.words.receipt import FINAL_RECEIPTS, RECEIPT_CLASSES, Receipt
from broker.words.status import RANK


def attempt(*refs: str, parts: int = 0, **more: object) -> Attempt:
    values = {"state": "accepted", "price": 1_000_000, "credit": 4, "bucket": "credit"} | more
    return Attempt("m", 1, "a", "t", 0, refs=refs, parts=parts or len(refs), **values)  # type: ignore[arg-type]  # as given


ROLLED = [
    (("accepted", "accepted"), None),
    (("progress", "accepted"), "progress"),
    (("delivered", "accepted"), "progress"),
    (("delivered", None), "progress"),
    (("delivered", "progress"), "progress"),
    (("delivered", "delivered"), "delivered"),
    (("delivered", "undelivered"), "undelivered"),
    (("blocked", "undelivered", "canceled"), "canceled"),
    (("undelivered",), "undelivered"),
    ((None,), None),
]


@pytest.mark.parametrize(("classes", "whole"), ROLLED)
def test_roll_up(classes: tuple[str | None, ...], whole: str | None) -> None:
    assert roll_up([Piece(class_) for class_ in classes]) == whole


def test_what_is_known_at_first() -> None:
    assert lay_out(attempt("1", "2")) == (Piece("accepted"),) * 2
    assert lay_out(attempt("1", receipt="progress")) == (Piece("progress"),)
    assert lay_out(attempt(state="in_doubt")) == (Piece(),)
    assert lay_out_partial(("1", "", "3"), 4) == (Piece("accepted"), Piece(), Piece("accepted"), Piece())
    assert not is_proven(lay_out_partial(("1", "", "3"), 4))
    assert is_proven(prove_all(lay_out_partial(("1", "", "3"), 4)))


def test_progress_of_no_part_proves_one() -> None:
    pieces = add_receipt(lay_out_partial(("1",), 3), None, Receipt("progress"))
    assert [piece.receipt for piece in pieces] == ["accepted", "progress", None]
    assert add_receipt(pieces, None, Receipt("delivered")) == (Piece("delivered"),) * 3


@pytest.mark.parametrize(
    ("figures", "per_segment", "expected"),
    [
        ([(0, {"cost": 700_000})], 1, (4, 1_450_000, 4)),  # three parts at the quarter that they were reckoned at
        ([(n, {"cost": 0}) for n in range(4)], 1, (4, 0, 4)),
        ([(0, {"cost": 100_000}), (0, {"cost": 300_000}), (0, {"cost": 200_000})], 1, (4, 1_050_000, 4)),  # the highest said
        ([(0, {"segments": 2})], 1, (5, 1_000_000, 5)),
        ([(0, {"cost": 700_000})], None, (4, 1_450_000, 1_450_000)),  # credit that is money is the price
    ],
)
def test_reckoning(figures: list[tuple[int, dict[str, int]]], per_segment: int | None, expected: tuple[int, int, int]) -> None:
    before = attempt("1", "2", "3", "4")
    for order in permutations(figures):
        now = before
        for part, figure in order:
            pieces = add_receipt(lay_out(now), part, Receipt("progress", **figure))  # type: ignore[arg-type]  # as given
            parts, price, credit = reckon(now, pieces, per_segment)
            now = attempt("1", "2", "3", "4", parts=parts, price=price, credit=credit, pieces=pieces)
        assert (now.parts, now.price, now.credit) == expected


def test_an_unknown_price_is_known_when_all_parts_are() -> None:
    before = attempt("1", "2", price=None)
    one = add_receipt(lay_out(before), 0, Receipt("progress", cost=5))
    assert reckon(before, one, 1)[1] is None
    assert reckon(attempt("1", "2", price=None, pieces=one), add_receipt(one, 1, Receipt("progress", cost=6)), 1)[1] == 11


ARRIVALS = st.lists(
    st.builds(
        lambda part, class_, cost, segments: (part, Receipt(class_, cost=cost, segments=segments)),
        st.integers(0, 2),
        st.sampled_from(RECEIPT_CLASSES),
        st.none() | st.integers(0, 10**7),
        st.none() | st.integers(1, 4),
    ),
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(ARRIVALS, st.booleans())
def test_any_order_ends_the_same(arrivals: list[tuple[int, Receipt]], is_partial: bool) -> None:
    ends = set()
    for order in permutations(arrivals):
        now = attempt("1", "2", "3", state="in_doubt" if is_partial else "accepted", parts=3, price=900_001)
        now.pieces = lay_out_partial(("1", "2"), 3) if is_partial else ()
        for part, receipt in (*order, *order[:2]):
            pieces = add_receipt(lay_out(now), part, receipt)
            assert all(
                RANK.get(was.receipt or "", -1) <= RANK.get(is_.receipt or "", -1) for was, is_ in zip(lay_out(now), pieces, strict=True)
            )
            now.parts, now.price, now.credit = reckon(now, pieces, 1)
            now.pieces = pieces
        ends.add((now.pieces, now.parts, now.price, now.credit, roll_up(lay_out(now))))
    assert len(ends) == 1, ends


@given(st.lists(st.sampled_from([None, "accepted", *FINAL_RECEIPTS, "progress"]), min_size=1, max_size=6), st.integers(0, 5))
def test_the_whole_rises_with_its_parts(classes: list[str | None], at: int) -> None:
    pieces = tuple(Piece(class_) for class_ in classes)
    for class_ in RANK.keys() & set(RECEIPT_CLASSES):
        after = add_receipt(pieces, at % len(pieces), Receipt(class_))  # type: ignore[arg-type]  # one of them
        assert RANK.get(roll_up(after) or "", -1) >= RANK.get(roll_up(pieces) or "", -1)


@pytest.mark.parametrize(
    ("to", "heard", "agrees"),
    [
        ("+886912345678", None, True),
        ("+886912345678", "0912-345-678", True),
        ("+886912345678", "886912345678", True),
        ("+886912345678", "00886912345678", True),
        ("+886912345678", "345678", False),
        ("+886912345678", "", False),
        ("+886912345678", "+85212345678", False),
        ("+390612345678", "0612345678", True),
        ("a@example.org", "A@Example.org", True),
        ("a@example.org", "b@example.org", False),
    ],
)
def test_recipients_agree(to: str, heard: str | None, agrees: bool) -> None:
    assert is_recipient(to, heard) is agrees
