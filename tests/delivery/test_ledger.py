"""The ledger conserves credit and money, whatever the order of attempts and reports (promise 13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.delivery.ledger import Ledger
from broker.routing import Standing
from broker.words.attempt import Attempt
from broker.words.settings import CreditSettings, SpendSettings


def make_ledger(*, has_balance: bool = True, spend: SpendSettings | None = None) -> Ledger:
    return Ledger(Standing("x"), CreditSettings(every=60_000, low=50, stop=10), spend, has_balance)


def make_attempt(n: int, credit: int, price: int | None = None, at: int = 0) -> Attempt:
    return Attempt("m", n, "x", "token", at, bucket="b", credit=credit, price=price)


def test_open_reserves_accepted_debits_refused_returns() -> None:
    ledger = make_ledger()
    ledger.report("b", "points", 100, 0, 1)
    one, two = make_attempt(1, 3), make_attempt(2, 4)
    ledger.reserve(one, 2)
    ledger.reserve(two, 2)
    bucket = ledger.find_bucket("b")
    assert (bucket.reserved, bucket.usable, ledger.standing.usable["b"]) == (7, 93, 93)
    ledger.settle(one, debit=True)
    ledger.settle(two, debit=False)
    assert (bucket.reserved, bucket.debited, bucket.usable) == (0, 3, 97)


def test_what_was_debited_after_the_question_still_counts_against_the_answer() -> None:
    ledger = make_ledger()
    ledger.report("b", "points", 100, 0, 1)
    before, after = make_attempt(1, 5), make_attempt(2, 7)
    ledger.reserve(before, 2)
    ledger.settle(before, debit=True)
    asked_with = ledger.find_bucket("b").debited
    ledger.reserve(after, 3)
    ledger.settle(after, debit=True)
    ledger.report("b", "points", 95, asked_with, 4)
    assert ledger.find_bucket("b").usable == 88


@pytest.mark.parametrize(("has_balance", "until"), [(True, None), (False, 60_005)])
def test_a_dry_bucket_waits_for_a_report_or_for_its_probe(has_balance: bool, until: int | None) -> None:
    ledger = make_ledger(has_balance=has_balance)
    assert ledger.dry("b", 5)
    assert not ledger.dry("b", 5)
    assert ledger.standing.dry == {"b": until}
    assert ledger.is_dried(ledger.report("b", "points", 10, 0, 6))
    assert not ledger.is_dried(ledger.report("b", "points", 11, 0, 7))
    assert ledger.refill("b")
    assert not ledger.refill("b")


def test_the_spend_cap_counts_the_last_while_and_says_when_there_is_room() -> None:
    ledger = make_ledger(spend=SpendSettings(max=100, per=1000))
    for n, at in ((1, 0), (2, 400)):
        ledger.reserve(make_attempt(n, 0, 50, at), at)
    assert ledger.find_spend_end(1, 500) == 1000
    assert ledger.find_spend_end(60, 500) == 1400
    assert ledger.find_spend_end(50, 1000) is None
    refused = make_attempt(3, 0, 50, 1000)
    ledger.reserve(refused, 1000)
    assert ledger.find_spend_end(1, 1000) == 1400
    ledger.settle(refused, debit=False)
    assert ledger.find_spend_end(50, 1000) is None


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["accepted", "refused", "in_doubt", "abandoned"])), max_size=30))
def test_credit_is_conserved(walk: list[tuple[int, str]]) -> None:
    ledger = make_ledger()
    ledger.report("b", "points", 1000, 0, 1)
    reserved = debited = 0
    for n, (credit, end) in enumerate(walk):
        attempt = make_attempt(n, credit)
        ledger.reserve(attempt, n)
        if end == "in_doubt":
            reserved += credit
        else:
            ledger.settle(attempt, debit=end != "refused")
            debited += credit * (end != "refused")
    bucket = ledger.find_bucket("b")
    assert (bucket.reserved, bucket.debited, bucket.usable) == (reserved, debited, 1000 - reserved - debited)


def test_the_burn_is_told_after_a_minute() -> None:
    ledger = make_ledger()
    attempt = make_attempt(1, 30, at=1_000)
    ledger.reserve(attempt, 1_000)
    ledger.settle(attempt, debit=True)
    assert ledger.find_burn("b", 60_000) is None
    assert ledger.find_burn("b", 1_000 + 3_600_000) == 30
    assert ledger.find_burn("other", 10**9) is None
