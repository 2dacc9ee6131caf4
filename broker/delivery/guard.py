"""The pumping guard: too many messages to one prefix, or from one client, wait for a person (CONTRACT §3, [guard]).

Refuses nothing: what is over the rate is accepted and held. Never looks at a clock.
"""

import logging
from collections import OrderedDict

from broker.delivery.allowance import Allowance
from broker.words.clock import MINUTE
from broker.words.message import Message
from broker.words.settings import GuardSettings, Rate

log = logging.getLogger("broker.delivery")

MOST_KEPT = 20_000
"""Prefixes and clients whose rate is kept: the one not seen for longest is forgotten first, and by then its bucket was full again."""


class Guard:
    """Counts what each client submits, and what is submitted to each prefix."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Allowance] = OrderedDict()
        self._told_at = -MINUTE

    def is_tripped(self, settings: GuardSettings, message: Message, now: int) -> bool:
        """True when `message` is over a rate."""
        is_over = False
        if settings.per_prefix is not None:
            is_over = not self._take("prefix", message.to[: 1 + settings.prefix], settings.per_prefix, now)
        if settings.per_client is not None:
            is_over = not self._take("client", message.client, settings.per_client, now) or is_over
        if is_over and now - self._told_at >= MINUTE:
            self._told_at = now
            log.warning("guard: messages are held; look at `broker held`, then release or cancel them country=%s", message.country)
        return is_over

    def _take(self, kind: str, name: str, rate: Rate, now: int) -> bool:
        key = (kind, name)
        allowance = self._kept.get(key)
        if allowance is None or allowance.rate != rate:
            allowance = self._kept[key] = Allowance(rate, now)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return allowance.take(now)
