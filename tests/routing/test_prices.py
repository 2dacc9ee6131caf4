"""The price of a segment: network, longest prefix, country, `*`, in this order; of a message: times its segments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.routing import PriceTable
from broker.words.channel import CHANNELS
from broker.words.money import MICRO
from tests.routing.desk import make_book, message, prices, provider

FULL = {"TW": 90, "+8869": 85, "+88691": 84, "+886912345678": 1, "46601": 80, "DE": 70, "*": 350}

FOUND = [
    # to, country, network, price
    ("+886912345678", "TW", "46601", 80),
    ("+886912345678", "TW", "46692", 1),
    ("+886912345679", "TW", None, 84),
    ("+886922345678", "TW", None, 85),
    ("+886222345678", "TW", None, 90),
    ("+4915112345678", "DE", None, 70),
    ("+33612345678", "FR", None, 350),
    ("+883510012345678", None, None, 350),
    ("+8869", "TW", None, 85),
]


@pytest.mark.parametrize(("to", "country", "network", "price"), FOUND)
def test_precedence(to: str, country: str | None, network: str | None, price: int) -> None:
    assert PriceTable(FULL).find(to, country, network) == price


@pytest.mark.parametrize(
    ("table", "price"),
    [
        ({}, None),
        ({"DE": 70}, None),
        ({"+1": 5}, None),
        ({"46601": 80}, None),
        ({"46601": 80, "*": 3}, 3),
        ({"+8": 0, "*": 3}, 0),  # for nothing is a price
        ({"TW": 0, "*": 3}, 0),
    ],
)
def test_no_network_known(table: dict[str, int], price: int | None) -> None:
    assert PriceTable(table).find("+886912345678", "TW") == price


DIGITS = st.text("0123456789", min_size=1, max_size=10).map("+8{}".format)


@given(st.dictionaries(DIGITS, st.integers(0, 9), max_size=8), DIGITS)
def test_the_longest_prefix_wins(table: dict[str, int], to: str) -> None:
    matching = [prefix for prefix in table if to.startswith(prefix)]
    expected = table[max(matching, key=len)] if matching else None
    assert PriceTable(table).find(to, "TW") == expected


def test_a_message_costs_all_its_segments() -> None:
    account = make_book(provider("a", prices=prices(TW="0.90"))).accounts["a"]
    assert account.find_price(message(), "sms", 3) == 2_700_000
    assert account.find_price(message(country="DE", to="+4915112345678"), "sms", 1) is None


def test_a_channels_price_stands_before_the_table() -> None:
    account = make_book(provider("a", prices=prices(TW="0.90"), channel_prices={"voice": 19 * MICRO // 10})).accounts["a"]
    assert account.find_price(message(), "voice", 2) == 3_800_000
    assert account.find_price(message(), "sms", 1) == 900_000


def test_the_table_is_of_an_sms() -> None:
    account = make_book(provider("a", prices=prices(any="0.90"))).accounts["a"]
    found = {channel: account.find_price(message(), channel, 1) for channel in CHANNELS}
    assert {channel for channel, price in found.items() if price is not None} == {"sms", "flash"}


@pytest.mark.parametrize(
    ("currency", "price", "compared"),
    [
        ("EUR", 900_000, 900_000),
        ("TWD", 900_000, 26_100),
        ("TWD", 1, 1),  # rounded up
        ("USD", 900_000, None),  # no rate: unknown
        ("EUR", None, None),
    ],
)
def test_prices_compare_in_one_currency(currency: str, price: int | None, compared: int | None) -> None:
    account = make_book(provider("a", currency=currency), currencies={"TWD": "0.029"}).accounts["a"]
    assert account.compare_price(price) == compared
