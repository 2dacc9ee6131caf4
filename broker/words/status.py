"""The statuses of a message and of an attempt, and the table of their transitions.

Everything about which status may follow which stands here and nowhere else; README's diagram is drawn from TRANSITIONS.
CONTRACT §1, "Message statuses" and "Attempts".
"""

from typing import Literal

Status = Literal[
    "scheduled",
    "queued",
    "held",
    "sending",
    "in_doubt",
    "sent",
    "delivered",
    "undelivered",
    "expired",
    "canceled",
    "blocked",
    "failed",
    "unknown",
    "unconfirmed",
]

STATUSES: tuple[Status, ...] = Status.__args__  # type: ignore[attr-defined]  # the values of a Literal, said once

LIVE: frozenset[str] = frozenset({"scheduled", "queued", "held", "sending", "in_doubt", "sent"})
HARD: frozenset[str] = frozenset({"delivered", "failed"})
SOFT: frozenset[str] = frozenset({"undelivered", "expired", "canceled", "blocked", "unknown", "unconfirmed"})
FINAL: frozenset[str] = HARD | SOFT

RANK: dict[str, int] = {
    "accepted": 0,
    "unknown": 0,
    "unconfirmed": 0,
    "progress": 1,
    "canceled": 2,
    "expired": 3,
    "undelivered": 4,
    "blocked": 5,
    "delivered": 6,
}
"""Rank of a receipt's class, per attempt: a higher one wins whatever the order of arrival (CONTRACT §1, Receipts)."""

_EVIDENCE: frozenset[str] = frozenset({"delivered", "undelivered", "expired", "canceled", "blocked"})

TRANSITIONS: dict[str, frozenset[str]] = {
    "scheduled": frozenset({"queued", "held", "sent", "unknown", *_EVIDENCE}),
    "queued": frozenset({"sending", "scheduled", "held", "sent", "failed", "unknown", "unconfirmed", *_EVIDENCE}),
    "held": frozenset({"queued", "scheduled", "sent", "failed", "unknown", "unconfirmed", *_EVIDENCE}),
    "sending": frozenset({"sent", "queued", "held", "in_doubt", "failed", "unknown", "unconfirmed", *_EVIDENCE}),
    "in_doubt": frozenset({"sending", "sent", "queued", "held", "failed", "unknown", "unconfirmed", *_EVIDENCE}),
    "sent": frozenset({"queued", "held", "unconfirmed", *_EVIDENCE}),
    "delivered": frozenset(),
    "failed": frozenset(),
    "unknown": frozenset({"sent", "unconfirmed", *_EVIDENCE}),
    "unconfirmed": frozenset(_EVIDENCE),
    "canceled": frozenset({"expired", "undelivered", "blocked", "delivered"}),
    "expired": frozenset({"undelivered", "blocked", "delivered"}),
    "undelivered": frozenset({"blocked", "delivered"}),
    "blocked": frozenset({"delivered"}),
}

AttemptState = Literal["open", "accepted", "refused", "in_doubt", "abandoned"]

ATTEMPT_TRANSITIONS: dict[str, frozenset[str]] = {
    "open": frozenset({"accepted", "refused", "in_doubt"}),
    "in_doubt": frozenset({"accepted", "refused", "abandoned"}),
    "abandoned": frozenset({"accepted", "refused"}),
    "accepted": frozenset(),
    "refused": frozenset(),
}

COPIES: frozenset[str] = frozenset({"accepted", "in_doubt", "abandoned"})
"""Attempt states that may have put an SMS on the handset."""

HELD_CAUSES: frozenset[str] = frozenset(
    {"paused", "no_credit", "misconfigured", "no_route", "rule", "guard", "budget", "poison", "partial"}
)
SELF_RELEASING: frozenset[str] = frozenset({"paused", "no_credit", "misconfigured", "no_route"})
"""Held causes that end by themselves; every other one waits for a person."""
