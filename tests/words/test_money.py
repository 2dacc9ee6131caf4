"""Money: read exactly or refused, shown as people write it, converted never downwards."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.words.money import MICRO, MoneyError, convert, read_micro, show_count, show_micro

READ = [
    ("0", 0),
    ("0.045", 45_000),
    ("0.000001", 1),
    ("1.0000000000", MICRO),
    ("3", 3 * MICRO),
    (3, 3 * MICRO),
    (Decimal("0.90"), 900_000),
    ("-0", 0),
    ("1e3", 1_000 * MICRO),
    ("999999999999.999999", 10**18 - 1),
    ("1000000000000", 10**18),
]

REFUSED = [
    ("", "not a decimal"),
    ("free", "not a decimal"),
    ("0,045", "not a decimal"),
    ("1e", "not a decimal"),
    ("-0.01", "zero or more"),
    ("NaN", "finite"),
    ("sNaN", "finite"),
    ("Infinity", "finite"),
    ("0.0000001", "millionth"),
    ("1e-999999", "millionth"),
    ("1.0000000000000000000000000000000000001", "millionth"),  # more digits than a decimal context keeps
    ("1000000000000.000001", "larger"),
    ("1e999999", "larger"),  # times a million it would overflow, which is no ValueError
    (10**40, "larger"),
]


@pytest.mark.parametrize(("written", "micro"), READ)
def test_read(written: str | int | Decimal, micro: int) -> None:
    assert read_micro(written) == micro


@pytest.mark.parametrize(("written", "why"), REFUSED)
def test_refused(written: str | int, why: str) -> None:
    with pytest.raises(MoneyError, match=why):
        read_micro(written)


@pytest.mark.parametrize(
    ("micro", "money", "count"),
    [
        (0, "0.00", "0"),
        (900_000, "0.90", "0.9"),
        (45_000, "0.045", "0.045"),
        (96_000_000, "96.00", "96"),
        (3_948_470_000, "3948.47", "3948.47"),
        (-1_500_000, "-1.50", "-1.5"),
        (-1, "-0.000001", "-0.000001"),
        (1, "0.000001", "0.000001"),
    ],
)
def test_shown(micro: int, money: str, count: str) -> None:
    assert (show_micro(micro), show_count(micro)) == (money, count)


@given(st.integers(0, 10**18))
def test_shown_and_read_again(micro: int) -> None:
    assert read_micro(show_micro(micro)) == micro == read_micro(show_count(micro))


@pytest.mark.parametrize(
    ("micro", "rate", "expected"),
    [
        (900_000, "0.029", 26_100),
        (1, "0.029", 1),  # up, never down to nothing
        (100, "0.01", 1),
        (101, "0.01", 2),
        (0, "123.4", 0),
        (3, "0.3333333333333333333333333333333334", 2),  # the product in 28 digits is 1
    ],
)
def test_converted(micro: int, rate: str, expected: int) -> None:
    assert convert(micro, Decimal(rate)) == expected


@given(st.integers(0, 10**18), st.decimals("0.000000001", "1000000000", allow_nan=False, allow_infinity=False))
def test_conversion_rounds_up_by_less_than_one(micro: int, rate: Decimal) -> None:
    above, below = rate.as_integer_ratio()
    whole = convert(micro, rate)
    assert isinstance(whole, int)
    assert (whole - 1) * below < micro * above <= whole * below
