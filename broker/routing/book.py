"""The book of routes: rules and accounts of one applied configuration, compiled so that ranking only reads.

Made once per applied configuration and never changed; an open attempt ends under the book that it began with.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from broker.routing.prices import PriceTable
from broker.routing.window import Hours, Window
from broker.text import find_zones
from broker.words.attempt import DoubtPolicy
from broker.words.message import Message
from broker.words.money import convert
from broker.words.settings import Action, Match, ProviderSettings, RuleSettings, Settings

Test = Callable[[Message, int], bool]
Buckets = Callable[[Message, str | None], tuple[str, ...]]


class Facts(Protocol):
    """What routing needs to know of a plugin's traits."""

    @property
    def channels(self) -> frozenset[str]: ...
    @property
    def countries(self) -> frozenset[str]: ...
    @property
    def encodings(self) -> frozenset[str]: ...
    @property
    def senders(self) -> frozenset[str]: ...
    @property
    def max_segments(self) -> int | None: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def money(self) -> bool: ...
    @property
    def schedule(self) -> bool: ...
    @property
    def options(self) -> frozenset[str] | None: ...


class Account:
    """One provider account as routing sees it: what it can take, what it costs, which credit pays."""

    __slots__ = (
        "buckets",
        "channel_prices",
        "channels",
        "countries",
        "currency",
        "enabled",
        "encodings",
        "max_segments",
        "name",
        "options",
        "per_segment",
        "prices",
        "rate",
        "senders",
        "senders_by_country",
        "settings",
        "stop",
        "unit",
    )

    def __init__(self, settings: ProviderSettings, facts: Facts, rate: Decimal | None, buckets: Buckets | None) -> None:
        self.name = settings.name
        self.settings = settings
        self.enabled = settings.enabled
        self.channels = facts.channels
        self.countries = facts.countries
        self.encodings = facts.encodings
        self.senders = facts.senders
        self.max_segments = facts.max_segments
        self.options = facts.options if facts.options is None or not facts.schedule else facts.options | {"schedule"}
        self.currency = settings.currency
        self.prices = PriceTable(settings.prices)
        self.channel_prices = settings.channel_prices
        self.rate = rate
        self.unit = facts.unit
        self.stop = settings.credit.stop
        per_segment = settings.credit.per_segment
        self.per_segment = per_segment if per_segment is not None or facts.money else 1_000_000
        self.buckets: Buckets | None = buckets if facts.unit is not None else None
        self.senders_by_country = settings.senders

    def find_price(self, message: Message) -> int | None:
        """Micro-units of the account's currency for the whole message, None where unknown."""
        price = self.channel_prices.get(message.channel)
        if price is None:
            price = self.prices.find(message.to, message.country, message.network)
        return None if price is None else price * message.segments

    def compare_price(self, price: int | None) -> int | None:
        """The same price in [broker].currency, rounded up; None where there is no rate."""
        if price is None or self.rate is None:
            return None
        return price if self.rate == 1 else convert(price, self.rate)

    def find_cost(self, message: Message, price: int | None) -> int:
        """Credit that the message takes, in micro-units of the bucket's unit."""
        if self.per_segment is not None:
            return self.per_segment * message.segments
        return price or 0

    def find_sender(self, message: Message) -> str | None:
        """The sender id for this message here: its own, the country's, the account's."""
        if message.sender is not None:
            return message.sender
        if self.senders_by_country and message.country in self.senders_by_country:
            return self.senders_by_country[message.country]
        return self.settings.sender


class Rule:
    """One rule, compiled. `on` has an Action for each class that the rule names."""

    __slots__ = ("accounts", "credit_matters", "doubt", "index", "name", "order", "settings", "tests", "weights", "window")

    def __init__(self, index: int, settings: RuleSettings, accounts: tuple[Account, ...]) -> None:
        self.index = index
        self.name = settings.name
        self.settings = settings
        self.accounts = accounts
        self.order = settings.order
        self.weights = settings.weights
        self.tests = compile_match(settings.match)
        self.window = None if settings.window is None else Window(settings.window)
        self.credit_matters = settings.order == "most_credit" or settings.min_credit is not None
        copies = 1 if settings.in_doubt == "hold" else settings.max_copies
        self.doubt = DoubtPolicy(settings.in_doubt, settings.doubt_wait, settings.doubt_deadline, copies)

    def is_match(self, message: Message, now: int) -> bool:
        """True when every key of `match` holds for the message at `now`."""
        for test in self.tests:  # noqa: SIM110  # all() over a generator costs three times as much on this path
            if not test(message, now):
                return False
        return True

    def find_opening(self, message: Message, now: int) -> int | None:
        """When the rule's window opens for this recipient; None while it is open, or without one."""
        return None if self.window is None else self.window.find_opening(lambda: find_zones(message.to), now)

    def find_action(self, class_: str) -> Action | None:
        """What the rule's `on` says of a class, None where it is silent."""
        return self.settings.on.get(class_)


class Book:
    """All rules and accounts of one applied configuration."""

    __slots__ = ("accounts", "by_name", "by_pin", "hash", "rules", "settings")

    def __init__(self, settings: Settings, accounts: dict[str, Account], rules: tuple[Rule, ...]) -> None:
        self.settings = settings
        self.hash = settings.hash
        self.accounts = accounts
        self.rules = rules
        self.by_name = {rule.name: rule for rule in rules}
        self.by_pin: dict[tuple[str, str], Rule] = {}

    def pin_rule(self, rule: Rule, provider: str) -> Rule:
        """The rule's settings with that provider as the only candidate (CONTRACT §3, `provider` in a submit)."""
        key = (rule.name, provider)
        pinned = self.by_pin.get(key)
        if pinned is None:
            account = self.accounts.get(provider)
            if account is None:
                return Rule(rule.index, rule.settings, ())  # not kept: clients may name what they like
            pinned = self.by_pin[key] = Rule(rule.index, rule.settings, (account,))
        return pinned


def compile_book(settings: Settings, facts: Mapping[str, Facts], buckets: Mapping[str, Buckets]) -> Book:
    """The book of `settings`; `facts` are the plugins' traits and `buckets` who pays, by provider name."""
    accounts: dict[str, Account] = {}
    for name, provider in settings.providers.items():
        rate = Decimal(1) if provider.currency == settings.broker.currency else settings.currencies.get(provider.currency)
        accounts[name] = Account(provider, facts[name], rate, buckets.get(name, _one_bucket))
    rules = tuple(Rule(index, rule, tuple(accounts[name] for name in rule.use)) for index, rule in enumerate(settings.rules))
    return Book(settings, accounts, rules)


def _one_bucket(_message: Message, _sender: str | None) -> tuple[str, ...]:
    return ("credit",)


def compile_match(match: Match) -> tuple[Test, ...]:
    """`match` as tests, the cheap ones first; a list is any-of."""
    tests: list[Test] = []
    add = tests.append
    if (countries := match.country) is not None:
        add(lambda m, _: m.country in countries)
    if (clients := match.client) is not None:
        add(lambda m, _: m.client in clients)
    if (channels := match.channel) is not None:
        add(lambda m, _: m.channel in channels)
    if (encodings := match.encoding) is not None:
        add(lambda m, _: m.encoding in encodings)
    if (prefixes := match.prefix) is not None:
        add(lambda m, _: m.to.startswith(prefixes))
    if (senders := match.sender) is not None:
        add(lambda m, _: m.sender in senders)
    if (tags := match.tag) is not None:
        add(lambda m, _: not tags.isdisjoint(m.tags))
    if (networks := match.network) is not None:
        add(lambda m, _: m.network in networks)
    if match.segments is not None:
        add(_any([_compile_segments(text) for text in match.segments]))
    if match.text is not None:
        add(_any([_compile_text(text) for text in match.text]))
    if match.time is not None:
        add(_any([_compile_time(text) for text in match.time]))
    if (types := match.type) is not None:
        add(lambda m, _: _number_type(m) in types)
    return tuple(tests)


def _any(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda m, now: any(test(m, now) for test in tests)


def _number_type(message: Message) -> str:
    from broker.text import number_type  # phonenumbers is loaded only where a rule asks for the type

    return number_type(message.to)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}


def _compile_segments(text: str) -> Test:
    found = re.fullmatch(r"\s*(>=|<=|>|<|)\s*(\d+)\s*", text)
    if found is None:
        raise ValueError(f'segments: "{text}" is not of the form "2", ">3", ">=2" or "<4"')
    compare, count = _COMPARE[found[1]], int(found[2])
    return lambda m, _: compare(m.segments, count)


def _compile_text(pattern: str) -> Test:
    search = re.compile(pattern).search
    return lambda m, _: search(m.text or "") is not None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _compile_time(text: str) -> Test:
    hours_text, _, zone_name = text.rpartition(" ")
    hours, zone = Hours(hours_text), ZoneInfo(zone_name)
    return lambda _message, now: hours.is_within((_EPOCH + timedelta(milliseconds=now)).astimezone(zone))
