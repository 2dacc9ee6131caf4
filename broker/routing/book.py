"""The book of routes: rules and accounts of one applied configuration, compiled so that ranking only reads.

Made once per applied configuration and never changed; an open attempt ends under the book that it began with.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from broker.routing.account import Account, Buckets, Facts, Measure
from broker.routing.entry import Entry, fill
from broker.routing.window import Hours, Window
from broker.text import find_zones
from broker.words.attempt import DoubtPolicy
from broker.words.channel import account_of, channel_of
from broker.words.message import Message
from broker.words.settings import Action, Match, RuleSettings, Settings

Test = Callable[[Message, int], bool]


class Rule:
    """One rule, compiled. `on` has an Action for each class that the rule names."""

    __slots__ = ("credit_matters", "doubt", "entries", "index", "name", "order", "settings", "tests", "weights", "window")

    def __init__(self, index: int, settings: RuleSettings, entries: tuple[Entry, ...]) -> None:
        self.index = index
        self.name = settings.name
        self.settings = settings
        self.entries = entries
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

    def find_body(self, channel: str, message: Message) -> str | None:
        """The text to send by `channel` in place of the message's own, None where the rule has no template for it."""
        template = self.settings.texts.get(channel)
        return None if template is None else fill(template, message)


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
            pinned = self.by_pin[key] = Rule(rule.index, rule.settings, (Entry(provider, account),))
        return pinned


def compile_book(settings: Settings, facts: Mapping[str, Facts], buckets: Mapping[str, Buckets], measures: Mapping[str, Measure]) -> Book:
    """The book of `settings`; by provider name: `facts` the plugins' traits, `buckets` who pays, `measures` what a text becomes."""
    accounts: dict[str, Account] = {}
    for name, provider in settings.providers.items():
        rate = Decimal(1) if provider.currency == settings.broker.currency else settings.currencies.get(provider.currency)
        accounts[name] = Account(provider, facts[name], rate, buckets.get(name, _one_bucket), measures.get(name))
    rules = tuple(Rule(index, rule, _make_entries(rule, accounts)) for index, rule in enumerate(settings.rules))
    return Book(settings, accounts, rules)


def _make_entries(rule: RuleSettings, accounts: Mapping[str, Account]) -> tuple[Entry, ...]:
    entries = []
    for name in rule.use:
        own, channel = account_of(name), channel_of(name)
        text = None if channel is None else rule.texts.get(channel)
        entries.append(Entry(name, accounts[own], channel, text, channel is not None and own in rule.use))
    return tuple(entries)


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
