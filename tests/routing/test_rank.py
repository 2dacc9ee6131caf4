"""Ranking: every reason for which an account is left out, and whether it is for now (CONTRACT §1 Rounds, §10 explain)."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.routing import Book, LeftOut, Route, Standing, rank
from broker.routing.standing import HELD_BY
from broker.words.message import Message
from broker.words.money import MICRO
from broker.words.outcome import CLASSES, PASSING
from broker.words.settings import CreditSettings, ProviderSettings, RuleSettings
from broker.words.status import HELD_CAUSES
from tests.routing.desk import NOW, Traits, make_book, message, names, prices, provider, rank_all, reasons, standing

WORDS = frozenset(
    {"rule", "disabled", "paused", "price", "credit", "dry", "breaker", "suspended", "channel", "sender", "encoding", "length"}
    | {"spend", "visited"}
)
"""CONTRACT §10: a reason begins with one of these."""

POINTS = Traits(unit="points")
MONEY = Traits(unit="EUR", money=True)


def rule(**keys: Any) -> tuple[RuleSettings, ...]:
    return (RuleSettings(name="all", use=("a",), **keys),)


def one(traits: Traits | None = None, rules: tuple[RuleSettings, ...] = (), **keys: Any) -> Book:
    """A book of the one account `a`."""
    return make_book(provider("a", **keys), rules=rules, traits={"a": traits} if traits else None)


def left_out(book: Book, m: Message, visited: Mapping[str, str] | None = None, **keys: Any) -> LeftOut | None:
    """Why `a` is left out; None where it may take the message."""
    route = rank_all(book, m, visited, **({"a": standing("a", **keys)} if keys else {}))
    assert len(route.candidates) + len(route.left_out) == 1
    return route.left_out[0] if route.left_out else None


CREDIT = CreditSettings(stop=50 * MICRO)
LATER = NOW + 60_000

LEFT_OUT: list[tuple[str, Book, Message, dict[str, Any], str, bool, int | None]] = [
    ("disabled", one(enabled=False), message(), {}, "disabled", False, None),
    ("channel", one(), message(channel="voice"), {}, "channel", False, None),
    ("country", one(Traits(countries=frozenset({"US"}))), message(), {}, "channel", False, None),
    ("no country", one(Traits(countries=frozenset({"US"}))), message(country=None), {}, "channel", False, None),
    ("schedule", one(), message(options={"schedule": "x"}), {}, "channel", False, None),
    ("an option", one(Traits(schedule=True)), message(options={"schedule": "x", "hue": "m"}), {}, "channel", False, None),
    ("encoding", one(Traits(encodings=frozenset({"gsm7"}))), message(encoding="ucs2"), {}, "encoding", False, None),
    ("length", one(Traits(max_segments=4)), message(segments=5), {}, "length", False, None),
    ("name", one(Traits(senders=frozenset({"numeric"}))), message(sender="ACME"), {}, "sender", False, None),
    ("number", one(Traits(senders=frozenset({"alphanumeric"}))), message(sender="+12025550123"), {}, "sender", False, None),
    ("short code", one(Traits(senders=frozenset({"alphanumeric"}))), message(sender="12345"), {}, "sender", False, None),
    ("price", one(prices=prices(TW="0.06"), rules=rule(max_price=50_000)), message(), {}, "price", False, None),
    ("own price", one(prices=prices(TW="0.06")), message(max_price=50_000), {}, "price", False, None),
    ("price of all segments", one(prices=prices(TW="0.03")), message(max_price=50_000, segments=2), {}, "price", False, None),
    ("price unknown", one(), message(max_price=50_000), {}, "price", False, None),
    ("price in a currency without a rate", one(currency="TWD", prices=prices(TW="1")), message(max_price=9), {}, "price", False, None),
    ("paused", one(), message(), {"out": ("paused", None)}, "paused", True, None),
    ("draining", one(), message(), {"out": ("draining", None)}, "paused", True, None),
    ("suspended", one(), message(), {"out": ("suspended: password", LATER)}, "suspended", True, LATER),
    ("breaker", one(), message(), {"out": ("breaker open", LATER)}, "breaker", True, LATER),
    ("spend", one(), message(), {"out": ("spend cap reached", LATER)}, "spend", True, LATER),
    ("dry", one(POINTS), message(), {"dry": {"credit": LATER}}, "dry", True, LATER),
    ("dry until a report", one(POINTS), message(), {"dry": {"credit": None}, "usable": {"credit": 99}}, "dry", True, None),
    ("below stop", one(POINTS, credit=CREDIT), message(), {"usable": {"credit": 50}}, "credit", True, None),
    ("no credit", one(POINTS), message(), {"usable": {"credit": 0}}, "credit", True, None),
    ("too little for all segments", one(POINTS), message(segments=3), {"usable": {"credit": 2}}, "credit", True, None),
    ("min_credit", one(POINTS, rules=rule(min_credit=10)), message(), {"usable": {"credit": 9}}, "credit", True, None),
]

TAKEN: list[tuple[str, Book, Message, dict[str, Any]]] = [
    ("plain", one(), message(), {}),
    ("its country", one(Traits(countries=frozenset({"TW"}))), message(), {}),
    ("its options", one(Traits(schedule=True, options=frozenset({"a"}))), message(options={"schedule": "x", "a": 1}), {}),
    ("any option", one(Traits(options=None)), message(options={"schedule": "x"}), {}),
    ("no options", one(), message(options={}), {}),
    ("as long as it takes", one(Traits(max_segments=4)), message(segments=4), {}),
    ("its own sender", one(Traits(senders=frozenset({"none"}))), message(sender="ACME"), {}),
    ("no sender asked", one(Traits(senders=frozenset({"numeric"}))), message(), {}),
    ("at the cap", one(prices=prices(TW="0.05"), rules=rule(max_price=50_000)), message(), {}),
    ("unknown price, no cap", one(), message(), {}),
    ("the rule's cap holds under a higher one", one(prices=prices(TW="0.04"), rules=rule(max_price=50_000)), message(max_price=90_000), {}),
    ("down to stop", one(POINTS, credit=CREDIT), message(), {"usable": {"credit": 51}}),
    ("unknown credit", one(POINTS, credit=CREDIT), message(), {}),
    ("unknown credit passes min_credit", one(POINTS, rules=rule(min_credit=10)), message(), {}),
    ("at min_credit", one(POINTS, rules=rule(min_credit=10)), message(), {"usable": {"credit": 10}}),
    ("another bucket is dry", one(POINTS), message(), {"dry": {"other": None}}),
]


@pytest.mark.parametrize(("book", "m", "keys", "word", "for_now", "until"), [c[1:] for c in LEFT_OUT], ids=[c[0] for c in LEFT_OUT])
def test_left_out(book: Book, m: Message, keys: dict[str, Any], word: str, for_now: bool, until: int | None) -> None:
    left = left_out(book, m, **keys)
    assert left is not None
    assert (left.word, left.for_now, left.until) == (word, for_now, until)
    assert left.reason.split()[0].rstrip(":") in WORDS


@pytest.mark.parametrize(("book", "m", "keys"), [c[1:] for c in TAKEN], ids=[c[0] for c in TAKEN])
def test_taken(book: Book, m: Message, keys: dict[str, Any]) -> None:
    assert left_out(book, m, **keys) is None


def test_what_is_not_known_of_options_is_named() -> None:
    schedule, hue = (left_out(one(), message(options={key: 1})) for key in ("schedule", "hue"))
    assert (schedule and schedule.reason, hue and hue.reason) == ("channel: cannot schedule", "channel: does not know options.hue")


def test_the_rules_cap_cannot_be_widened_by_the_message() -> None:
    book = one(prices=prices(TW="0.06"), rules=rule(max_price=50_000))
    left = left_out(book, message(max_price=90_000))
    assert left is not None
    assert left.word == "price"


@pytest.mark.parametrize("class_", CLASSES)
def test_visited(class_: str) -> None:
    left = left_out(one(), message(), {"a": class_})
    assert left is not None
    assert (left.word, left.for_now) == ("visited", class_ in PASSING)


@pytest.mark.parametrize(
    ("visited", "keys", "word", "for_now"),
    [
        ("no_credit", {"dry": {"credit": LATER}}, "dry", True),  # its state of now tells when it may be asked again
        ("misconfigured", {"out": ("suspended: password", LATER)}, "suspended", True),
        ("unavailable", {"out": ("breaker open", LATER)}, "breaker", True),
        ("unavailable", {"out": ("paused", None)}, "paused", True),
        ("unavailable", {"usable": {"credit": 0}}, "credit", True),
        ("no_credit", {"usable": {"credit": 9}}, "visited", True),  # refilled since
        ("rejected", {"out": ("breaker open", LATER)}, "visited", False),  # never again, whatever its state
        ("unsuitable", {"dry": {"credit": LATER}}, "visited", False),
    ],
)
def test_visited_and_out(visited: str, keys: dict[str, Any], word: str, for_now: bool) -> None:
    left = left_out(one(POINTS), message(), {"a": visited}, **keys)
    assert left is not None
    assert (left.word, left.for_now) == (word, for_now)


def test_what_never_passes_stands_before_what_passes() -> None:
    left = left_out(one(enabled=False), message(), {"a": "unavailable"}, out=("breaker open", LATER))
    assert left is not None
    assert (left.word, left.for_now) == ("disabled", False)


def test_without_a_lane_it_is_out_for_now() -> None:
    book = one()
    route = rank(book.rules[0], message(), {}, {})
    assert [(left.word, left.for_now) for left in route.left_out] == [("suspended", True)]


def test_no_reason_shows_the_number_the_text_or_the_sender() -> None:
    m = message(sender="CANARY", text="canary text", channel="voice", encoding="ucs2")
    for book in (one(), one(Traits(senders=frozenset(), channels=frozenset({"voice"}))), one(Traits(channels=frozenset({"voice"})))):
        left = left_out(book, m)
        assert left is None or not any(word in left.reason for word in ("CANARY", "canary", "8869"))


def test_held_causes_are_the_contracts() -> None:
    assert set(HELD_BY.values()) <= HELD_CAUSES
    assert set(HELD_BY) <= WORDS


BUCKETS = ("prepaid", "postpaid")


@pytest.mark.parametrize(
    ("keys", "bucket", "word"),
    [
        ({}, "prepaid", None),
        ({"usable": {"prepaid": 5}}, "prepaid", None),
        ({"usable": {"prepaid": 0}}, "postpaid", None),
        ({"dry": {"prepaid": None}}, "postpaid", None),
        ({"usable": {"prepaid": 0, "postpaid": 0}}, None, "credit"),
        ({"dry": {"prepaid": None, "postpaid": LATER}}, None, "dry"),
    ],
)
def test_the_first_bucket_that_can_pay(keys: dict[str, Any], bucket: str | None, word: str | None) -> None:
    book = make_book(provider("a"), traits={"a": POINTS}, buckets={"a": lambda _message, _sender: BUCKETS})
    route = rank_all(book, message(), a=standing("a", **keys))
    assert [candidate.bucket for candidate in route.candidates] == ([bucket] if bucket else [])
    assert [left.word for left in route.left_out] == ([word] if word else [])


def test_the_bucket_is_chosen_by_the_sender_that_goes_out() -> None:
    seen: list[str | None] = []

    def find(_message: Message, sender: str | None) -> tuple[str, ...]:
        seen.append(sender)
        return ("credit",)

    book = make_book(provider("a", sender="ACME", senders={"GR": "HELLAS"}), traits={"a": POINTS}, buckets={"a": find})
    for m in (message(), message(country="GR"), message(sender="OWN")):
        rank_all(book, m)
    assert seen == ["ACME", "HELLAS", "OWN"]


@pytest.mark.parametrize(
    ("traits", "credit", "keys", "cost"),
    [
        (POINTS, CreditSettings(), {}, 2 * MICRO),  # a segment takes one
        (POINTS, CreditSettings(per_segment=MICRO // 2), {}, MICRO),
        (MONEY, CreditSettings(), {"prices": prices(TW="0.04")}, 80_000),  # a segment takes its price
        (MONEY, CreditSettings(per_segment=MICRO), {"prices": prices(TW="0.04")}, 2 * MICRO),
        (MONEY, CreditSettings(), {}, 0),
        (Traits(), CreditSettings(), {}, 0),  # no credit at all
    ],
)
def test_cost(traits: Traits, credit: CreditSettings, keys: dict[str, Any], cost: int) -> None:
    (candidate,) = rank_all(one(traits, credit=credit, **keys), message(segments=2)).candidates
    assert candidate.cost == cost


def route_by(order: str, *providers: ProviderSettings, m: Message | None = None, **keys: Any) -> Route:
    given = tuple(each.name for each in providers)
    others = {name: each for name, each in keys.items() if isinstance(each, Standing)}
    extra = {name: each for name, each in keys.items() if not isinstance(each, Standing)}
    settings = RuleSettings(name="all", use=given, order=order, weights=extra.pop("weights", {}))
    traits = extra.pop("traits", None)
    return rank_all(make_book(*providers, rules=(settings,), traits=traits, **extra), m or message(), **others)


def test_listed() -> None:
    assert names(route_by("listed", provider("c"), provider("a"), provider("b"))) == ["c", "a", "b"]


def test_cheapest_first_and_unknown_last() -> None:
    route = route_by(
        "cheapest",
        provider("unknown"),
        provider("dear", prices=prices(TW="0.05")),
        provider("no_rate", currency="USD", prices=prices(TW="0.01")),
        provider("cheap", currency="TWD", prices=prices(TW="0.90")),
        provider("same", prices=prices(TW="0.05")),
        provider("free", prices=prices(TW="0")),
        currencies={"TWD": "0.029"},
    )
    assert names(route) == ["free", "cheap", "dear", "same", "unknown", "no_rate"]


def test_most_credit_in_segments_and_unknown_last() -> None:
    traits = dict.fromkeys(("many", "halves", "unknown"), POINTS) | {"money": MONEY, "no_price": MONEY}
    route = route_by(
        "most_credit",
        provider("no_price"),  # how many segments its money pays, nobody knows
        provider("unknown"),
        provider("none_kept"),
        provider("many"),
        provider("halves", credit=CreditSettings(per_segment=MICRO // 2)),
        provider("money", prices=prices(TW="0.01")),
        traits=traits,
        m=message(segments=3),
        many=standing("many", usable={"credit": 100}),
        halves=standing("halves", usable={"credit": 60}),  # 120 segments
        money=standing("money", usable={"credit": 2}),  # 200 segments
        no_price=standing("no_price", usable={"credit": 1_000}),
    )
    assert names(route) == ["money", "halves", "many", "no_price", "unknown", "none_kept"]


def test_min_credit_is_in_segments() -> None:
    settings = RuleSettings(name="all", use=("halves", "money"), min_credit=100)
    book = make_book(
        provider("halves", credit=CreditSettings(per_segment=MICRO // 2)),
        provider("money", prices=prices(TW="0.01")),
        rules=(settings,),
        traits={"halves": POINTS, "money": MONEY},
    )
    rich = {"halves": standing("halves", usable={"credit": 50}), "money": standing("money", usable={"credit": 1})}
    poor = {"halves": standing("halves", usable={"credit": 49}), "money": standing("money", usable={"credit": 0})}
    for segments in (1, 3):
        assert names(rank_all(book, message(segments=segments), **rich)) == ["halves", "money"]
        assert set(reasons(rank_all(book, message(segments=segments), **poor))) == {"halves", "money"}


def test_weights_are_shares() -> None:
    """9:3:0-and-unnamed over 4,000 messages: 9/13, 3/13 and 1/13, within four standard deviations."""
    given = (provider("nine"), provider("three"), provider("unnamed"))
    settings = RuleSettings(name="all", use=("nine", "three", "unnamed"), order="weighted", weights={"nine": 9, "three": 3})
    book = make_book(*given, rules=(settings,))
    count = {"nine": 0, "three": 0, "unnamed": 0}
    for number in range(4_000):
        count[names(rank_all(book, message(id=f"01938e0c-{number:04x}")))[0]] += 1
    for name, weight in (("nine", 9), ("three", 3), ("unnamed", 1)):
        share = weight / 13
        assert abs(count[name] - 4_000 * share) < 4 * (4_000 * share * (1 - share)) ** 0.5, count


def test_the_rest_shares_what_a_provider_left_out_leaves() -> None:
    settings = RuleSettings(name="all", use=("a", "b", "c"), order="weighted", weights={"a": 5, "b": 3, "c": 2})
    book = make_book(provider("a"), provider("b"), provider("c"), rules=(settings,))
    for number in range(200):
        m = message(id=f"id-{number}")
        whole = names(rank_all(book, m))
        rest = names(rank_all(book, m, a=standing("a", out=("paused", None))))
        assert rest == [name for name in whole if name != "a"]


@given(st.text(max_size=40), st.integers(1, 1_000_000), st.integers(1, 1_000_000))
def test_a_draw_depends_on_the_id_alone(id_: str, one_: int, other: int) -> None:
    def drawn(m: Message) -> list[str]:
        return names(route_by("weighted", provider("a"), provider("b"), m=m, weights={"a": one_, "b": other}))

    assert drawn(message(id=id_)) == drawn(message(id=id_, text="other", segments=2, to="+4915112345678", country="DE"))


def test_a_route_is_a_value() -> None:
    book = make_book(provider("a"), provider("b"))
    assert rank_all(book, message()) == rank_all(book, message())
    assert rank_all(book, message()).first == rank_all(book, message()).candidates[0]
    assert msgspec.json.encode(rank_all(book, message(), a=standing("a", out=("paused", None))))
    assert rank_all(one(enabled=False), message()).first is None
