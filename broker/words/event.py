"""An event: one change, as the feed tells it (CONTRACT §6). Append-only; the feed is the table of these.

`seq` is given by the store in commit order; an Event without one is not yet committed.
"""

from typing import Any

import msgspec


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
