"""What the tests of routing and of policy rank with: small books, messages and standings."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from broker.routing import Book, Route, Rule, Standing, compile_book, rank
from broker.routing.account import Buckets, Measure
from broker.words.message import Message
from broker.words.money import MICRO, read_micro
from broker.words.settings import BrokerSettings, Match, ProviderSettings, RuleSettings, Settings

NOW = 1_795_262_400_000  # Saturday 2026-11-21, 12:00 UTC
DAY = 86_400_000


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin's traits, as far as routing asks for them."""

    channels: frozenset[str] = frozenset({"sms"})
    countries: frozenset[str] = frozenset()
    encodings: frozenset[str] = frozenset({"gsm7", "ucs2"})
    senders: frozenset[str] = frozenset({"alphanumeric", "numeric", "shortcode"})
    max_segments: int | None = None
    unit: str | None = None
    money: bool = False
    schedule: bool = False
    options: frozenset[str] | None = frozenset()


def prices(**amounts: str) -> dict[str, int]:
    """A table of prices; `any` stands for `*`."""
    return {("*" if key == "any" else key): read_micro(amount) for key, amount in amounts.items()}


def provider(name: str, **keys: Any) -> ProviderSettings:
    """An account's settings."""
    return ProviderSettings(name=name, plugin="loopback", **keys)


def make_book(
    *providers: ProviderSettings,
    rules: tuple[RuleSettings, ...] = (),
    traits: Mapping[str, Traits] | None = None,
    buckets: Mapping[str, Buckets] | None = None,
    measures: Mapping[str, Measure] | None = None,
    currency: str = "EUR",
    currencies: Mapping[str, str] | None = None,
) -> Book:
    """A book of `providers`; without `rules` one rule `all` over them."""
    given = {each.name: each for each in providers}
    settings = Settings(
        broker=BrokerSettings(currency=currency),
        providers=given,
        rules=rules or (RuleSettings(name="all", use=tuple(given)),),
        currencies={name: Decimal(rate) for name, rate in (currencies or {}).items()},
    )
    facts = {name: (traits or {}).get(name, Traits()) for name in given}
    return compile_book(settings, facts, buckets or {}, measures or {})


def make_rule(*names: str, traits: Mapping[str, Traits] | None = None, **keys: Any) -> Rule:
    """One rule over accounts of those names that have no prices and no credit."""
    settings = RuleSettings(name=keys.pop("name", "all"), use=names, **keys)
    return make_book(*(provider(name) for name in names), rules=(settings,), traits=traits).rules[0]


def make_match(**keys: Any) -> RuleSettings:
    """A rule with `match` alone."""
    return RuleSettings(name="matching", use=(), match=Match(**keys))


def message(**keys: Any) -> Message:
    """A message to Taiwan, accepted now and valid for a day."""
    given: dict[str, Any] = {
        "id": "m1",
        "client": "unix:shop",
        "to": "+886912345678",
        "country": "TW",
        "text": "hello",
        "encoding": "gsm7",
        "segments": 1,
        "accepted_at": NOW,
        "valid_until": NOW + DAY,
    }
    return Message(**(given | keys))


def standing(
    name: str,
    *,
    out: tuple[str, int | None] | None = None,
    usable: Mapping[str, int] | None = None,
    dry: Mapping[str, int | None] | None = None,
) -> Standing:
    """How an account stands; `usable` in whole units."""
    made = Standing(name)
    made.out = out
    made.usable = {bucket: amount * MICRO for bucket, amount in (usable or {}).items()}
    made.dry = dict(dry or {})
    return made


def standings(book: Book, **others: Standing) -> dict[str, Standing]:
    """Every account well, but for `others`."""
    return {name: Standing(name) for name in book.accounts} | others


def rank_all(book: Book, m: Message, visited: Mapping[str, str] | None = None, /, **others: Standing) -> Route:
    """The route under the book's first rule."""
    return rank(book.rules[0], m, standings(book, **others), visited or {})


def names(route: Route) -> list[str]:
    """The candidates' names, in order."""
    return [candidate.provider for candidate in route.candidates]


def reasons(route: Route) -> dict[str, str]:
    """Why each other provider was left out."""
    return {left.provider: left.reason for left in route.left_out}
