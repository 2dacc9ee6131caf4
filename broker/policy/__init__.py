"""Floor 1: what to do with what happened. Only `decide` makes a Decision; a receipt's rank is judged in `receipts`.

Pure: takes values, `now` and a drawn number; performs nothing.
"""

from broker.policy.backoff import backoff
from broker.policy.decide import Decision, Sides, decide, place
from broker.policy.receipts import Verdict, judge_receipt

__all__ = ["Decision", "Sides", "Verdict", "backoff", "decide", "judge_receipt", "place"]
