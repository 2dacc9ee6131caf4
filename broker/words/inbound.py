"""An inbound message (MO): what a handset sent to one of our numbers. The truth lives in the store."""

from typing import Any

import msgspec

Changes = tuple[tuple[str, dict[str, Any] | None], ...]
"""What a session keeps of its account beside messages: plain values by name, None for one that goes."""


class Inbound(msgspec.Struct, frozen=True, gc=False):
    """One whole inbound message, concatenated parts already joined.

    `sender` is the handset's number in E.164 where it can be read, else as it came; `to` our own number or short code as the provider
    names it, None where it does not; `ref` the provider's id, None where it gives none (then an identical one within 60 s is the same:
    CONTRACT §10); `at` the provider's own time, milliseconds UTC; `segments` the parts that it came in; `changes` are made in the same
    transaction: what its session kept of it while it was not whole.
    """

    sender: str
    text: str
    to: str | None = None
    ref: str | None = None
    at: int | None = None
    segments: int = 1
    changes: Changes = ()

    def __repr__(self) -> str:
        return "Inbound(…)"  # its number and text belong in no traceback


class Received(msgspec.Struct, frozen=True, gc=False):
    """An inbound message as it is kept: `id` is ours (UUIDv7), `at` our own time of it, `sent_at` the provider's where it gives one.

    `text` is None once its time is over ([store].keep_text).
    """

    id: str
    provider: str
    sender: str
    to: str | None
    text: str | None
    ref: str | None
    at: int
    sent_at: int | None
    segments: int
    country: str | None

    def __repr__(self) -> str:
        return f"Received({self.id})"
