"""Which rule holds: the first that matches, the one under way, the next after those passed; and a pinned provider."""

import pytest

from broker.routing import Book, find_rule, rank
from broker.words.message import Message, Progress
from broker.words.settings import Match, RuleSettings
from tests.routing.desk import NOW, make_book, message, names, provider, standings


def rule(name: str, **match: frozenset[str] | tuple[str, ...]) -> RuleSettings:
    return RuleSettings(name=name, use=("a",), match=Match(**match))  # type: ignore[arg-type]  # keys vary


BOOK = make_book(
    provider("a"),
    provider("b"),
    rules=(
        rule("night", time=("Sat 22:00-23:00 UTC",)),
        rule("otp", tag=frozenset({"otp"})),
        rule("taiwan", country=frozenset({"TW"})),
        rule("rest"),
    ),
)
NIGHT = NOW + 10 * 3_600_000


def found(m: Message, progress: Progress | None = None, now: int = NOW, book: Book = BOOK) -> str | None:
    holding = find_rule(book, m, now, progress)
    return None if holding is None else holding.name


def test_the_first_that_matches() -> None:
    assert found(message(tags=("otp",))) == "otp"
    assert found(message()) == "taiwan"
    assert found(message(country="DE")) == "rest"
    assert found(message(), now=NIGHT) == "night"


def test_no_rule() -> None:
    book = make_book(provider("a"), rules=(rule("otp", tag=frozenset({"otp"})),))
    assert found(message(), book=book) is None


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress(), "taiwan"),
        (Progress(rule="rest"), "rest"),  # the one it is under goes on, though another would match first
        (Progress(rule="night"), "night"),  # even where it matches no more: its time is over
        (Progress(rule="gone"), "taiwan"),  # a reload took it away
        (Progress(passed=("taiwan",)), "rest"),
        (Progress(rule="taiwan", passed=("taiwan",)), "rest"),
        (Progress(passed=("otp", "taiwan")), "rest"),
        (Progress(passed=("taiwan", "rest")), None),
        (Progress(passed=("rest",)), None),
        (Progress(passed=("gone",)), "taiwan"),
    ],
)
def test_under_way(progress: Progress, expected: str | None) -> None:
    assert found(message(), progress) == expected


def test_the_next_rule_stands_behind_the_one_passed() -> None:
    """A rule before it that matches only by now does not take over."""
    assert found(message(), Progress(passed=("taiwan",)), NIGHT) == "rest"


def test_pinned() -> None:
    m = message(pin="b")
    holding = find_rule(BOOK, m, NOW)
    assert holding is not None
    assert holding.settings == BOOK.by_name["taiwan"].settings  # the matching rule's settings
    assert names(rank(holding, m, standings(BOOK), {})) == ["b"]  # with that provider as the only candidate, in `use` or not
    assert find_rule(BOOK, m, NOW) is holding


def test_pinned_to_nobody() -> None:
    for number in range(100):
        holding = find_rule(BOOK, message(pin=f"nobody-{number}"), NOW)
        assert holding is not None
        assert not rank(holding, message(), standings(BOOK), {}).candidates
    assert len(BOOK.by_pin) <= len(BOOK.rules) * len(BOOK.accounts)  # what clients make up is not kept


def test_pinned_moves_on_to_the_next_rule_with_its_pin() -> None:
    holding = find_rule(BOOK, message(pin="b"), NOW, Progress(passed=("taiwan",)))
    assert holding is not None
    assert holding.name == "rest"
    assert [entry.name for entry in holding.entries] == ["b"]


@pytest.mark.parametrize(("mode", "copies"), [("hold", 1), ("resend", 3), ("failover", 3)])
def test_the_doubt_policy_bounds_the_copies(mode: str, copies: int) -> None:
    settings = RuleSettings(name="all", use=("a",), in_doubt=mode, doubt_wait=7, doubt_deadline=9, max_copies=3)
    doubt = make_book(provider("a"), rules=(settings,)).rules[0].doubt
    assert (doubt.mode, doubt.wait, doubt.deadline, doubt.max_copies) == (mode, 7, 9, copies)
