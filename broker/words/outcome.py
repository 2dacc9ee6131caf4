"""What one attempt came to: the thirteen outcome classes and the value that carries one.

An Outcome says what happened, never what to do: only `broker.policy` decides that. The classes are CONTRACT §1, "Outcome classes".
"""

from typing import Literal

import msgspec

OutcomeClass = Literal[
    "accepted",
    "unreachable",
    "unavailable",
    "throttled",
    "no_credit",
    "misconfigured",
    "unsuitable",
    "rejected",
    "blocked",
    "retry_later",
    "duplicate",
    "expired",
    "in_doubt",
]

CLASSES: tuple[OutcomeClass, ...] = OutcomeClass.__args__  # type: ignore[attr-defined]  # the values of a Literal, said once

PASSING: frozenset[str] = frozenset({"unreachable", "unavailable", "throttled", "no_credit", "misconfigured"})
"""Classes of a provider's trouble that passes: after one of them a new round may ask the same provider again."""

UNCOUNTED: frozenset[str] = frozenset({"throttled", "unreachable"})
"""Classes whose attempts `max_attempts` does not count."""


class Balance(msgspec.Struct, frozen=True):
    """One credit bucket as the provider reports it. `amount` is in micro-units of `unit` (1_000_000 = one)."""

    bucket: str
    unit: str
    amount: int


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What one attempt came to, as proven by the provider's answer or by the transport.

    `code` is the provider's own code, unchanged; `detail` is for a person and holds no text, number or secret; `refs` are the
    provider's ids of the message, where we split it one for each part in order, "" for a part that has none; `retry_after` is in
    milliseconds, as asked for by the provider; `balances` is credit that the answer carried; `evidence` names the proof where the
    class alone does not (for example `html`, `cut`, `timeout`; `partial`: class `in_doubt`, the parts that have an id were taken, of
    the others that is not known). `parts`: the segments that were really sent, where that is not what was counted before.
    """

    class_: OutcomeClass = msgspec.field(name="class")
    code: str | None = None
    detail: str | None = None
    refs: tuple[str, ...] = ()
    retry_after: int | None = None
    balances: tuple[Balance, ...] = ()
    evidence: str | None = None
    parts: int | None = None
