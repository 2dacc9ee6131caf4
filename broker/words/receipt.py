"""A receipt (DLR): what a provider later says of a message that it accepted."""

from typing import Literal

import msgspec

ReceiptClass = Literal[
    "progress", "delivered", "undelivered", "expired", "canceled", "blocked", "unrecognised", "query_error"
]

RECEIPT_CLASSES: tuple[ReceiptClass, ...] = ReceiptClass.__args__  # type: ignore[attr-defined]  # the values of a Literal, said once

FINAL_RECEIPTS: frozenset[str] = frozenset({"delivered", "undelivered", "expired", "canceled", "blocked"})


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """What an HLR request found (CONTRACT §10, `lookup.done`). Nothing in it may be the number or a text.

    `status` is the provider's word in lower case; `network` is MCCMNC, `operator` its decoded name, `roaming` the decoded name of
    the visited operator or country; no IMSI is kept anywhere.
    """

    status: str
    country: str | None = None
    network: str | None = None
    operator: str | None = None
    roaming: str | None = None
    code: str | None = None


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """One receipt, from a callback, a session or our own poll.

    `ref` is the provider's id (or `token` our own attempt's id), `recipient` E.164 where the provider names it; `at` is the
    provider's own time in milliseconds UTC where it says one; `code` is the provider's own word, `detail` for a person, without text
    or number. `forms` are other ways to write `ref` (hex, decimal, …), to be tried in order where it is not found; `cost` is what the
    provider says that it charged, in micro-units of the account's currency, and `segments` how many it counted; `lookup` is the
    result of an HLR request; `gone`: the answer to a query was that the provider knows no such message.
    """

    class_: ReceiptClass = msgspec.field(name="class")
    ref: str | None = None
    token: str | None = None
    recipient: str | None = None
    code: str | None = None
    detail: str | None = None
    at: int | None = None
    forms: tuple[str, ...] = ()
    cost: int | None = None
    segments: int | None = None
    lookup: Lookup | None = None
    gone: bool = False

    def __repr__(self) -> str:
        return f"Receipt({self.class_})"  # the recipient belongs in no traceback
