"""What of a request at the control socket is an order, and what of it the audit keeps: words of ours, ids and masked numbers.

Whatever else an operator wrote may be anything, a number or a secret in the wrong place among it: it is left out.
"""

import re
from collections.abc import Collection
from typing import Any

from broker.ops.log import LEVELS
from broker.text import mask
from broker.words.status import HELD_CAUSES

ORDERS = frozenset({"pause", "resume", "drain", "cancel", "release", "retry", "resolve", "reload", "contacts", "erase", "log_level"})
UNSAID = "?"
"""In place of a word that is none of ours."""

_WORDS: dict[str, Collection[str]] = {
    "cause": HELD_CAUSES,
    "outcome": ("accepted", "not-sent"),
    "action": ("list", "add", "remove", "delete", "rotate"),
    "level": LEVELS,
}
_is_id = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_NUMBER = re.compile(r"\d(?:[ ().-]?\d){5,}")
_LONGEST_TAG = 60


def is_order(op: str, action: str | None, hlr: str | None) -> bool:
    """True for what changes something, or costs money. Questions are none, and are not written down."""
    changes = {"suppress": action in ("add", "remove"), "callbacks": action == "rotate", "lookup": hlr is not None}
    return op in ORDERS or changes.get(op, False)


def describe(order: Any, providers: Collection[str], numbers: Collection[str | None]) -> dict[str, Any]:
    """The fields of an order that are kept. `providers`: the names that there are; `numbers`: those that it is about, read, in E.164."""
    kept: dict[str, Any] = {}
    if order.id is not None:
        kept["id"] = order.id if _is_id(order.id) else UNSAID
    for field in ("name", "provider", "hlr"):
        # A contact has a name too, and that is a person's.
        if (value := getattr(order, field)) is not None and not (field == "name" and order.op == "contacts"):
            kept[field] = value if value in providers else UNSAID
    for field, words in _WORDS.items():
        if (value := getattr(order, field)) is not None:
            kept[field] = value if value in words else UNSAID
    if order.tag is not None:
        kept["tag"] = _NUMBER.sub("•••", order.tag)[:_LONGEST_TAG]
    if order.all:
        kept["all"] = True
    shown = [mask(number) for number in numbers if number is not None]
    return kept | ({"number": shown[0]} if shown else {})
