"""When to ask for a message's fate: times since it was sent, the last gap repeating, never past `receipt_wait` (CONTRACT §10)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.policy.polls import find_gather, find_next_query
from broker.words.settings import ProviderSettings
from tests.routing.desk import NOW

MINUTE = 60_000
HOUR = 60 * MINUTE


def find(query: tuple[int, ...], age: int, wait: int = 72 * HOUR, can_query: bool = True) -> int:
    settings = ProviderSettings(name="a", plugin="loopback", query=query, receipt_wait=wait)
    return find_next_query(settings, NOW, NOW + age, can_query) - NOW


DEFAULT = (MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR)


@pytest.mark.parametrize(
    ("query", "age", "expected"),
    [
        (DEFAULT, 0, MINUTE),
        (DEFAULT, MINUTE - 1, MINUTE),
        (DEFAULT, MINUTE, 5 * MINUTE),
        (DEFAULT, 6 * MINUTE, 30 * MINUTE),
        (DEFAULT, 2 * HOUR, 2 * HOUR + 90 * MINUTE),
        (DEFAULT, 4 * HOUR, 5 * HOUR),
        (DEFAULT, 71 * HOUR + 59 * MINUTE, 72 * HOUR),
        (DEFAULT, 100 * HOUR, 72 * HOUR),
        ((1_000, 2_000, 5_000), 5_000, 8_000),
        ((1_000, 2_000, 5_000), 7_999, 8_000),
        ((5_000,), 5_000, 10_000),  # one time alone: its own gap
        ((1,), 1, 1_001),  # never more often than every second
        ((), 0, 72 * HOUR),
    ],
)
def test_next_query(query: tuple[int, ...], age: int, expected: int) -> None:
    assert find(query, age) == expected


@pytest.mark.parametrize(
    ("query", "age", "expected"),
    [
        (DEFAULT, 0, 2_000),
        (DEFAULT, 2_000, 8_000),
        (DEFAULT, 20_000, MINUTE),
        (DEFAULT, 2 * HOUR, 2 * HOUR + 90 * MINUTE),  # the last gap is the account's own
        ((1_000, 2_000), 0, 1_000),
        ((5_000,), 0, 2_000),
        ((5_000,), 5_000, 10_000),
        ((), 0, 72 * HOUR),
    ],
)
def test_a_lookup_is_asked_for_sooner_too(query: tuple[int, ...], age: int, expected: int) -> None:
    settings = ProviderSettings(name="a", plugin="loopback", query=query, receipt_wait=72 * HOUR)
    assert find_next_query(settings, NOW, NOW + age, can_query=True, is_lookup=True) - NOW == expected


def test_who_cannot_be_asked_is_waited_for() -> None:
    assert find(DEFAULT, 0, wait=HOUR, can_query=False) == HOUR


@given(st.lists(st.integers(1, 10 * HOUR), max_size=5, unique=True), st.integers(0, 80 * HOUR), st.integers(1, 72 * HOUR))
def test_always_later_and_never_past_the_wait(times: list[int], age: int, wait: int) -> None:
    at = find(tuple(sorted(times)), age, wait)
    assert at <= wait
    assert at > age or at == wait


@pytest.mark.parametrize(
    ("age", "draw", "expected"),
    [
        (0, 999_999, MINUTE + 5_999),
        (MINUTE, 500_000, 5 * MINUTE + 12_000),
        (2 * HOUR, 999_999, 3 * HOUR + 30 * MINUTE + 299_999),  # no more than five minutes
        (72 * HOUR - MINUTE, 999_999, 72 * HOUR),
    ],
)
def test_spread(age: int, draw: int, expected: int) -> None:
    settings = ProviderSettings(name="a", plugin="loopback", query=DEFAULT)
    assert find_next_query(settings, NOW, NOW + age, True, draw) - NOW == expected


@pytest.mark.parametrize(("query", "expected"), [(DEFAULT, 5_000), ((6_000,), 500), ((12,), 5), ((), 100)])
def test_gathering(query: tuple[int, ...], expected: int) -> None:
    settings = ProviderSettings(name="a", plugin="loopback", query=query)
    assert find_gather(settings, True) == expected
    assert find_gather(settings, False) == 100
