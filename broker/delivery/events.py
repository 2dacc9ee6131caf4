"""Making events: the one place that turns a message's change into what the feed tells (CONTRACT §6)."""

from collections.abc import Callable
from typing import Any

from broker.store.contract import Entry
from broker.store.rows import pack_event
from broker.words.attempt import Attempt
from broker.words.clock import show_time
from broker.words.event import ChannelEvent, Happening, MessageEvent
from broker.words.message import Message
from broker.words.money import show_micro


class Teller:
    """Makes events of this node. `show` writes a moment as a date."""

    __slots__ = ("node", "show")

    def __init__(self, node: str, show: Callable[[int], str] = show_time) -> None:
        self.node = node
        self.show = show

    def tell(
        self,
        message: Message,
        status: str,
        now: int,
        attempt: Attempt | None = None,
        *,
        type_: str | None = None,
        class_: str | None = None,
        code: str | None = None,
        detail: str | None = None,
        ref: str | None = None,
        next_at: int | None = None,
        rule: str | None = None,
    ) -> Entry:
        """The entry for `message` being `status` at `now`, because of `attempt` where there is one."""
        provider = n = price = currency = channel = None
        if message.channel != "sms":
            channel = message.channel
        if attempt is not None:
            channel = attempt.channel or channel
            provider, n, currency = attempt.provider, attempt.n, attempt.currency
            price = None if attempt.price is None else show_micro(attempt.price)
        fields = (
            self.show(now),
            type_ or "message." + status,
            self.node,
            message.id,
            status,
            message.ref,
            message.client,
            message.to,
            message.country,
            message.tags,
            rule or message.progress.rule,
            provider,
            n,
            ref,
            class_,
            code,
            detail,
            None if next_at is None else self.show(next_at),
            message.segments,
            price,
            currency,
        )
        event = MessageEvent(*fields) if channel is None else ChannelEvent(*fields, channel)
        return Entry(event, message.id, pack_event(event))

    def tell_suppressed(self, type_: str, now: int, number: str, scope: str | None, reason: str) -> Entry:
        """The entry for `suppress.added` or `suppress.removed`: `to` is who, `from` the sender that it is about, None where about all.

        Both are such as the feed masks for those who may not see numbers.
        """
        kind, _, sender = (scope or "").partition(":")
        return self.happen(type_, now, **{"to": number, "from": sender or None, "scope": kind or None, "reason": reason})

    def happen(self, type_: str, now: int, **fields: Any) -> Entry:
        """The entry for something that is not a message's."""
        event = Happening(self.show(now), type_, self.node, fields)
        return Entry(event, None, pack_event(event))
