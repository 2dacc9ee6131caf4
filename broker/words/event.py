"""An event: one change, as the feed tells it (CONTRACT §6). Append-only; the feed is the table of these.

`seq` is given by the store in commit order; an Event without one is not yet committed.
"""

from typing import Any

import msgspec

from broker.words.status import STATUSES

TYPES: frozenset[str] = frozenset(
    {
        *(f"message.{status}" for status in STATUSES),
        *("message.receipt", "inbound.received", "lookup.done"),
        *(f"provider.{state}" for state in ("up", "down", "suspended", "paused", "resumed", "draining")),
        *(f"credit.{state}" for state in ("updated", "low", "dry", "drift")),
        *("config.applied", "config.refused", "node.started", "node.stopping"),
        *("suppress.added", "suppress.removed", "recipient.erased", "hook.dropped"),
    }
)
"""Every type that an event may have: a filter that names another would wait for ever."""
FAMILIES: tuple[str, ...] = tuple(sorted({kind.partition(".")[0] for kind in TYPES}))
"""The first words of them, which a filter may ask for as a whole: `message.*`."""


class MessageEvent(msgspec.Struct, gc=False, tag_field="kind", tag=False):
    """One `message.<status>` or `message.receipt` event; field names and order are CONTRACT §6's. `at` and `next_at` are RFC 3339."""

    at: str
    type: str
    node: str
    id: str
    status: str
    ref: str | None
    client: str
    to: str
    country: str | None
    tags: tuple[str, ...]
    rule: str | None
    provider: str | None
    attempt: int | None
    provider_ref: str | None
    class_: str | None = msgspec.field(name="class")
    code: str | None
    detail: str | None
    next_at: str | None
    segments: int
    price: str | None
    currency: str | None


class ChannelEvent(MessageEvent, gc=False):
    """The same of a message, or an attempt, that goes by another channel than sms: a field that most events need not carry."""

    channel: str


class Happening(msgspec.Struct):
    """An event that is not a message's: `provider.*`, `credit.*`, `config.*`, `node.*`. `fields` follow at, type and node."""

    at: str
    type: str
    node: str
    fields: dict[str, Any] = {}
