"""A receipt (DLR): what a provider later says of a message that it accepted."""

from typing import Literal

import msgspec

ReceiptClass = Literal[
    "progress", "delivered", "undelivered", "expired", "canceled", "blocked", "unrecognised", "query_error"
]

RECEIPT_CLASSES: tuple[ReceiptClass, ...] = ReceiptClass.__args__  # type: ignore[attr-defined]  # the values of a Literal, said once

FINAL_RECEIPTS: frozenset[str] = frozenset({"delivered", "undelivered", "expired", "canceled", "blocked"})


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """One receipt, from a callback, a session or our own poll.

    `ref` is the provider's id (or `token` our own), `recipient` E.164 where the provider names it; `at` is the provider's own time
    in milliseconds UTC where it says one; `code` is the provider's own word, `detail` for a person, without text or number.
    """

    class_: ReceiptClass = msgspec.field(name="class")
    ref: str | None = None
    token: str | None = None
    recipient: str | None = None
    code: str | None = None
    detail: str | None = None
    at: int | None = None

    def __repr__(self) -> str:
        return f"Receipt({self.class_})"  # the recipient belongs in no traceback
