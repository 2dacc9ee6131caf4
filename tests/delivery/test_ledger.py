"""The ledger conserves credit and money, whatever the order of attempts and reports (promise 13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.delivery.ledger import Ledger, Mark
from broker.routing import Standing
from broker.words.attempt import Attempt
from broker.words.settings import CreditSettings, SpendSettings


def make_ledger(*, has_balance: bool = True, spend: SpendSettings | None = None) -> Ledger:
    return Ledger(Standing("x"), CreditSettings(every=60_000, low=50, stop=10), spend, has_balance)


def make_attempt(n: int, credit: int, price: int | None = None, at: int = 0) -> Attempt:
    return Attempt("m", n, "x", "token", at, bucket="b", credit=credit, price=price)


def test_open_reserves_accepted_debits_refused_returns() -> None:
    ledger = make_ledger()
    ledger.report("b", "points", 100, Mark(), 1)
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
    ledger.report("b", "points", 100, Mark(), 1)
    before, after = make_attempt(1, 5), make_attempt(2, 7)
    ledger.reserve(before, 2)
    ledger.settle(before, debit=True)
    asked_at = ledger.find_bucket("b").mark
    ledger.reserve(after, 3)
    ledger.settle(after, debit=True)
    ledger.report("b", "points", 95, asked_at, 4)
    assert ledger.find_bucket("b").usable == 88


@pytest.mark.parametrize(("has_balance", "until"), [(True, None), (False, 60_005)])
def test_a_dry_bucket_waits_for_a_report_or_for_its_probe(has_balance: bool, until: int | None) -> None:
    ledger = make_ledger(has_balance=has_balance)
    assert ledger.dry("b", 5)
    assert not ledger.dry("b", 5)
    assert ledger.standing.dry == {"b": until}
    assert ledger.is_dried(ledger.report("b", "points", 10, Mark(), 6))
    assert ledger.is_dried(ledger.report("b", "points", 11, Mark(), 7))  # asked for before it was refused
    assert not ledger.is_dried(ledger.report("b", "points", 11, ledger.find_bucket("b").mark, 8))
    assert ledger.refill("b")
    assert not ledger.refill("b")


def test_a_report_that_was_followed_by_a_refusal_is_not_believed_again_at_once() -> None:
    """The provider says of its balance what it was an hour ago."""
    ledger = make_ledger(has_balance=True)
    bucket = ledger.find_bucket("b")
    at, rests = 0, []
    for _ in range(4):
        assert ledger.dry("b", at)
        rests.append(bucket.rests_until - at)
        if rests[-1]:
            assert ledger.is_dried(ledger.report("b", "points", 50, bucket.mark, bucket.rests_until - 1))
        at = bucket.rests_until
        assert not ledger.is_dried(ledger.report("b", "points", 50, bucket.mark, at))
        assert ledger.refill("b")
    assert rests == [0, 30_000, 60_000, 60_000]  # twice as long, up to `every`
    assert ledger.dry("b", at)
    assert not ledger.is_dried(ledger.report("b", "points", 51, bucket.mark, at))  # somebody has paid


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


def test_two_reports_asked_for_at_once_take_nothing_off_twice() -> None:
    ledger = make_ledger()
    ledger.report("b", "points", 100, Mark(), 1)
    one = make_attempt(1, 5)
    ledger.reserve(one, 2)
    ledger.settle(one, debit=True)
    asked = ledger.find_bucket("b").mark
    for _ in range(2):
        ledger.report("b", "points", 95, asked, 3)
    assert ledger.find_bucket("b").usable == 95


def doubt(ledger: Ledger, n: int, credit: int) -> Attempt:
    attempt = make_attempt(n, credit, 10)
    ledger.reserve(attempt, 0)
    attempt.state = "in_doubt"
    return attempt


def test_a_refusal_of_what_was_taken_as_charged_gives_it_back() -> None:
    ledger = make_ledger(spend=SpendSettings(max=100, per=1000))
    ledger.report("b", "points", 100, Mark(), 1)
    one, two = doubt(ledger, 1, 3), doubt(ledger, 2, 4)
    bucket = ledger.find_bucket("b")
    for each in (one, two):
        ledger.settle(each, debit=True)
        each.state = "abandoned"
    assert (bucket.usable, bucket.total, ledger.find_spend_end(81, 0)) == (93, 7, 1000)
    for _ in range(2):  # said twice is once
        ledger.give_back(one)
    assert (bucket.usable, bucket.total, ledger.find_spend_end(81, 0)) == (96, 4, None)
    ledger.report("b", "points", 100, bucket.mark, 2)  # it knew: neither was ever charged
    ledger.give_back(two)
    assert (bucket.usable, bucket.total) == (100, 0)


def test_what_comes_back_while_a_report_is_asked_for() -> None:
    """Whatever the order: the report counts what the provider had not charged, and nothing is given back twice."""
    ledger = make_ledger()
    ledger.report("b", "points", 100, Mark(), 1)
    before, after = doubt(ledger, 1, 3), doubt(ledger, 2, 4)
    bucket = ledger.find_bucket("b")
    ledger.settle(before, debit=True)
    asked = bucket.mark
    ledger.settle(after, debit=True)
    ledger.give_back(before)
    ledger.give_back(after)
    assert bucket.usable == 100
    ledger.report("b", "points", 100, asked, 2)
    assert (bucket.usable, bucket.debited) == (100, 0)


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["accepted", "refused", "in_doubt", "abandoned"])), max_size=30))
def test_credit_is_conserved(walk: list[tuple[int, str]]) -> None:
    ledger = make_ledger()
    ledger.report("b", "points", 1000, Mark(), 1)
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
