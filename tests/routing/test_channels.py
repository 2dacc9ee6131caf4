"""Candidates by channel: which entries of `use` take which message, as what, at what price (CONTRACT §3, `use`, `texts`)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.routing import Candidate, Route
from broker.words.channel import CARRIERS, CHANNELS, SMS, TEXTLESS, account_of, channel_of, name_candidate
from broker.words.message import Message
from broker.words.money import MICRO
from broker.words.settings import CreditSettings, RuleSettings
from tests.routing.desk import Traits, make_book, message, prices, provider, rank_all, reasons, standing

ALL = Traits(channels=frozenset(CHANNELS))
GSM = Traits(channels=frozenset(CHANNELS), encodings=frozenset({"gsm7"}), max_segments=2)


def route(*use: str, m: Message | None = None, traits: Traits = ALL, keys: dict[str, Any] | None = None, **rule: Any) -> Route:
    """The route over one account `a`, `use` being its entries."""
    book = make_book(provider("a", **(keys or {})), rules=(RuleSettings(name="all", use=use, **rule),), traits={"a": traits})
    return rank_all(book, m or message())


def show(found: Route) -> list[tuple[str, str | None, int]]:
    return [(each.name, each.channel, each.segments) for each in found.candidates]


TAKEN: list[tuple[str, tuple[str, ...], dict[str, Any], list[tuple[str, str | None, int]]]] = [
    ("plain", ("a",), {"segments": 3}, [("a", None, 3)]),
    ("each entry is one", ("a", "a:flash", "a:voice"), {"segments": 3}, [("a", None, 3), ("a:flash", "flash", 3), ("a:voice", "voice", 1)]),
    ("a flash by SMS", ("a:sms",), {"channel": "flash", "segments": 2}, [("a:sms", "sms", 2)]),
    ("a call stays a call", ("a", "a:viber", "a:sms"), {"channel": "voice"}, [("a", None, 1)]),
    ("a call by the entry that calls", ("a:viber", "a:voice"), {"channel": "voice"}, [("a", None, 1)]),
    ("an SMS by the entry that says so", ("a:sms", "a:voice"), {}, [("a", None, 1), ("a:voice", "voice", 1)]),
    ("once, though it stands there twice", ("a", "a:sms"), {}, [("a", None, 1)]),
    ("an SMS is no lookup", ("a:hlr", "a:ping", "a:email"), {}, []),
    ("a lookup by the entry for lookups", ("a:hlr",), {"channel": "hlr", "text": None}, [("a", None, 1)]),
]


@pytest.mark.parametrize(("use", "keys", "expected"), [row[1:] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_who_takes_it(use: tuple[str, ...], keys: dict[str, Any], expected: list[tuple[str, str | None, int]]) -> None:
    found = route(*use, m=message(**keys))
    assert show(found) == expected
    assert len(found.candidates) + len(found.left_out) == len(use)
    assert all(left.word == "channel" and not left.for_now for left in found.left_out)


@given(st.sampled_from(CHANNELS), st.lists(st.sampled_from(CHANNELS), unique=True), st.booleans())
def test_no_account_takes_a_message_twice_in_one_way(channel: str, entries: list[str], plain: bool) -> None:
    use = (*["a"] * plain, *(f"a:{each}" for each in entries))
    found = route(*use, m=message(channel=channel, text=None if channel in TEXTLESS else "x")) if use else Route("all", ())
    ways = [each.channel or channel for each in found.candidates]
    assert len(set(ways)) == len(ways)
    assert set(ways) <= ({channel} | (set(entries) & CARRIERS) if channel in SMS else {channel})
    assert (channel in ways) == (plain or channel in entries)


def test_a_channel_that_the_account_has_not() -> None:
    found = route("a", "a:voice", traits=Traits())
    assert show(found) == [("a", None, 1)]
    assert [(left.provider, left.channel, left.reason) for left in found.left_out] == [("a", "voice", "channel voice is not its")]


def test_encoding_and_length_bar_an_sms_alone() -> None:
    long = message(encoding="ucs2", segments=9, text="\u4f60" * 500)
    found = route("a", "a:flash", "a:voice", m=long, traits=GSM)
    assert show(found) == [("a:voice", "voice", 1)]
    assert reasons(found) == {"a": "encoding ucs2 is not its"}


def test_a_template_is_measured_as_it_goes_out() -> None:
    wordy = {"flash": "x" * 150 + "{text}"}
    assert show(route("a", "a:flash", texts=wordy)) == [("a", None, 1), ("a:flash", "flash", 1)]
    assert show(route("a:flash", m=message(text="y" * 20), texts=wordy)) == [("a:flash", "flash", 2)]
    assert show(route("a:flash", texts={"flash": "\u4f60{text}"}, traits=GSM)) == []
    assert show(route("a:flash", m=message(text="y" * 200, segments=2), texts={"flash": "{text}{text}"}, traits=GSM)) == []
    assert show(route("a:voice", texts={"voice": "\u4f60{text}" * 300}, traits=GSM)) == [("a:voice", "voice", 1)]


BODIES = [
    ("Hear: {text}.", "Hear: hello."),
    ("{text} {text}", "hello hello"),
    ("{{text}} {} {x} {0!r:>{text}}", "{hello} {} {x} {0!r:>hello}"),
    ("{text} %s \\1 $1", "hello %s \\1 $1"),
]


@pytest.mark.parametrize(("template", "body"), BODIES)
def test_only_the_text_is_filled_in(template: str, body: str) -> None:
    book = make_book(provider("a"), rules=(RuleSettings(name="all", use=("a:voice",), texts={"voice": template}),), traits={"a": ALL})
    assert book.rules[0].find_body("voice", message()) == body
    assert book.rules[0].find_body("viber", message()) is None


def test_a_text_with_a_hole_of_its_own_stays_as_it_is() -> None:
    book = make_book(provider("a"), rules=(RuleSettings(name="all", use=("a:voice",), texts={"voice": "<{text}>"}),), traits={"a": ALL})
    assert book.rules[0].find_body("voice", message(text="{text}")) == "<{text}>"


def price_of(found: Route) -> dict[str, int | None]:
    return {each.name: each.price for each in found.candidates}


def test_each_channel_has_its_price() -> None:
    keys = {"prices": prices(TW="0.05"), "channel_prices": {"voice": MICRO, "flash": 70_000}}
    found = route("a", "a:flash", "a:voice", "a:viber", m=message(segments=2), keys=keys)
    assert price_of(found) == {"a": 100_000, "a:flash": 140_000, "a:voice": MICRO, "a:viber": None}
    assert [each.name for each in route("a:viber", "a:voice", "a", keys=keys, order="cheapest").candidates] == ["a", "a:voice", "a:viber"]
    capped = route("a", "a:voice", "a:viber", keys=keys, max_price=500_000)
    assert [each.name for each in capped.candidates] == ["a"]
    assert [(left.name, left.reason) for left in capped.left_out] == [
        ("a:voice", "price above max_price"),
        ("a:viber", "price unknown under a max_price"),
    ]


def test_credit_is_taken_by_the_channel() -> None:
    points, money = Traits(channels=ALL.channels, unit="points"), Traits(channels=ALL.channels, unit="EUR", money=True)
    keys = {"channel_prices": {"voice": 2 * MICRO}, "prices": prices(TW="0.05")}

    def costs(traits: Traits, **more: Any) -> list[int]:
        return [each.cost for each in route("a", "a:voice", m=message(segments=3), traits=traits, keys=keys | more).candidates]

    assert costs(points) == [3 * MICRO, MICRO]
    assert costs(points, credit=CreditSettings(per_segment=2 * MICRO)) == [6 * MICRO, 2 * MICRO]
    assert costs(money) == [150_000, 2 * MICRO]


def test_credit_that_pays_an_sms_may_not_pay_a_call() -> None:
    traits = Traits(channels=ALL.channels, unit="EUR", money=True)
    account = provider("a", channel_prices={"sms": 50_000, "voice": 2 * MICRO}, credit=CreditSettings(stop=0))
    book = make_book(account, rules=(RuleSettings(name="all", use=("a:voice", "a"), min_credit=15),), traits={"a": traits})
    found = rank_all(book, message(), a=standing("a", usable={"credit": 1}))
    assert [each.name for each in found.candidates] == ["a"]
    assert [(left.name, left.word, left.for_now) for left in found.left_out] == [("a:voice", "credit", True)]


def test_weights_are_of_entries() -> None:
    def first(m: Message) -> Candidate:
        found = route("a", "a:voice", m=m, order="weighted", weights={"a": 1, "a:voice": 3}).first
        assert found is not None
        return found

    drawn = [first(message(id=f"m{n}")).name for n in range(2_000)]
    assert abs(drawn.count("a:voice") - 1_500) < 4 * (2_000 * 0.75 * 0.25) ** 0.5


def test_a_weight_holds_where_the_entry_names_the_messages_own_channel() -> None:
    book = make_book(
        provider("a"), provider("b"), traits={"a": ALL, "b": ALL},
        rules=(RuleSettings(name="all", use=("a:voice", "b"), order="weighted", weights={"a:voice": 1, "b": 1_000_000}),),
    )  # fmt: skip
    drawn = {rank_all(book, message(id=f"m{n}", channel="voice")).candidates[0].name for n in range(200)}
    assert drawn == {"b"}


def test_visits_go_by_the_candidate() -> None:
    book = make_book(provider("a"), rules=(RuleSettings(name="all", use=("a", "a:voice")),), traits={"a": ALL})
    assert show(rank_all(book, message(), {"a": "unsuitable"})) == [("a:voice", "voice", 1)]
    assert show(rank_all(book, message(), {"a:voice": "unsuitable"})) == [("a", None, 1)]
    assert show(rank_all(book, message(channel="voice"), {"a:voice": "unsuitable"})) == [("a", None, 1)]


OPTIONS = [
    ({"voice": "m2"}, "a", True),  # it is for calls: an SMS goes without it
    ({"voice": "m2"}, "a:voice", False),
    ({"subject": "x"}, "a:voice", True),
    ({"bot": "@b"}, "a:bot", False),
    ({"hue": 1}, "a", False),
]


@pytest.mark.parametrize(("options", "entry", "taken"), OPTIONS)
def test_an_option_of_one_channel_bars_nobody_by_another(options: dict[str, object], entry: str, taken: bool) -> None:
    assert bool(route(entry, m=message(options=options)).candidates) == taken


@given(st.sampled_from(["a", "b.c", "x-1"]), st.none() | st.sampled_from(CHANNELS))
def test_names(account: str, channel: str | None) -> None:
    name = name_candidate(account, channel)
    assert (account_of(name), channel_of(name)) == (account, channel)
