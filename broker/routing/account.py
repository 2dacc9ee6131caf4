"""A provider account as routing sees it: what it can take, what it costs, which credit pays.

Compiled once from an account's settings and its plugin's traits, and never changed. Where it stands now is `standing`'s.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from broker.routing.prices import PriceTable
from broker.text import Verdict
from broker.words.channel import SMS
from broker.words.message import Message
from broker.words.money import convert
from broker.words.settings import ProviderSettings

Buckets = Callable[[Message, str | None], tuple[str, ...]]
Measure = Callable[[str], Verdict]


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
    """One provider account."""

    __slots__ = (
        "buckets",
        "channel_prices",
        "channels",
        "countries",
        "currency",
        "enabled",
        "encodings",
        "max_segments",
        "measure",
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

    def __init__(
        self, settings: ProviderSettings, facts: Facts, rate: Decimal | None, buckets: Buckets | None, measure: Measure | None = None
    ) -> None:
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
        self.measure = measure
        self.buckets: Buckets | None = buckets if facts.unit is not None else None
        self.senders_by_country = settings.senders

    def find_price(self, message: Message, channel: str, segments: int) -> int | None:
        """Micro-units of the account's currency for the whole message by `channel`, None where unknown.

        `prices` are those of an SMS: what a call costs is known from `channel_prices` alone.
        """
        price = self.channel_prices.get(channel) if self.channel_prices else None
        if price is None and channel in SMS:
            price = self.prices.find(message.to, message.country, message.network)
        return None if price is None else price * segments

    def compare_price(self, price: int | None) -> int | None:
        """The same price in [broker].currency, rounded up; None where there is no rate."""
        if price is None or self.rate is None:
            return None
        return price if self.rate == 1 else convert(price, self.rate)

    def find_cost(self, price: int | None, segments: int) -> int:
        """Credit that so many segments take, in micro-units of the bucket's unit."""
        if self.per_segment is not None:
            return self.per_segment * segments
        return price or 0

    def find_sender(self, message: Message) -> str | None:
        """The sender id for this message here: its own, the country's, the account's."""
        if message.sender is not None:
            return message.sender
        if self.senders_by_country and message.country in self.senders_by_country:
            return self.senders_by_country[message.country]
        return self.settings.sender
