"""A second copy where no final receipt comes in time: a rule's `receipt_within` (CONTRACT §3).

The first attempt stays accepted and awaited; `delivered` from either decides. Never more copies than the rule's `max_copies`.
"""

import msgspec

from broker.delivery.exchange import Exchange
from broker.delivery.router import put_decision
from broker.policy import PAST_PATIENCE, Decision
from broker.words.attempt import Attempt
from broker.words.clock import show_span
from broker.words.message import Message
from broker.words.receipt import FINAL_RECEIPTS
from broker.words.status import COPIES


def find_patience_end(ex: Exchange, message: Message, attempt: Attempt, now: int) -> int | None:
    """When the rule's patience with an accepted attempt ends; None where it has no end, or has ended already."""
    rule = ex.find_rule(message, now)
    if rule is None or rule.settings.receipt_within is None:
        return None
    end = (attempt.closed_at or attempt.opened_at) + rule.settings.receipt_within
    return end if end > now else None


def send_second(ex: Exchange, message: Message, attempt: Attempt, now: int) -> bool:
    """Route a sent message to the next candidate, if its rule's patience has ended and allows one more copy. True where that is done."""
    rule = ex.find_rule(message, now)
    within = None if rule is None else rule.settings.receipt_within
    if rule is None or within is None or now < (attempt.closed_at or attempt.opened_at) + within or now >= message.valid_until:
        return False
    attempts = ex.query.find_attempts(message.id)
    copies = [each for each in attempts if each.state in COPIES]
    if len(copies) >= rule.settings.max_copies or any(each.receipt in FINAL_RECEIPTS for each in copies):
        return False
    visited = {**message.progress.visited, **{each.candidate: PAST_PATIENCE for each in copies}}
    progress = msgspec.structs.replace(
        message.progress, rule=rule.name, visited=visited, provider=None, trouble=None, retries=0, waits=0, repeats=0
    )
    first = ex.rank(rule, message, progress).first
    if first is None:
        return False
    detail = f"no final receipt within {show_span(within)}"
    decision = Decision("next", "queued", now, progress, lane=first.provider, detail=detail)
    put_decision(ex, message, decision, ("sent",), now, rule.name)
    return True
