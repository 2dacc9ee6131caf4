"""Floor 1: what to do with what happened. Only `decide` makes a Decision; a receipt's rank is judged in `receipts`.

Pure: takes values, `now` and a drawn number; performs nothing.
"""

from broker.policy.backoff import backoff
from broker.policy.decide import Decision, Sides, decide, goes_on_after, place
from broker.policy.receipts import (
    PAST_PATIENCE,
    Verdict,
    add_receipt,
    find_awaited,
    find_highest,
    find_known,
    is_awaiting,
    is_proven,
    is_recipient,
    judge_receipt,
    lay_out,
    lay_out_partial,
    prove_all,
    reckon,
    roll_up,
)

__all__ = [
    "PAST_PATIENCE",
    "Decision",
    "Sides",
    "Verdict",
    "add_receipt",
    "backoff",
    "decide",
    "find_awaited",
    "find_highest",
    "find_known",
    "goes_on_after",
    "is_awaiting",
    "is_proven",
    "is_recipient",
    "judge_receipt",
    "lay_out",
    "lay_out_partial",
    "place",
    "prove_all",
    "reckon",
    "roll_up",
]
