"""Receipts: what a provider later says of a message that it accepted, made durable and judged by rank (promises 8 to 10).

A receipt moves a status only through an attempt of the same account. Order and repetition cannot matter: `policy.judge_receipt`.
"""

import logging
from collections.abc import Sequence

import msgspec

from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.delivery.notes import suppress
from broker.delivery.router import put_decision
from broker.policy import decide, judge_receipt
from broker.store.contract import Answer, Change, LiveMessage, Shut, Step
from broker.words.attempt import Attempt
from broker.words.message import Message
from broker.words.outcome import Outcome
from broker.words.receipt import FINAL_RECEIPTS, Receipt
from broker.words.status import RANK

log = logging.getLogger("broker.delivery")

TRIES = 3


async def take_receipts(ex: Exchange, lane: Lane, receipts: Sequence[Receipt]) -> None:
    """Apply receipts that name their attempt by its id (`token`); return when they are durable."""
    for receipt in receipts:
        id_, _, n = (receipt.token or "").rpartition("/")
        if id_ and n.isdigit():
            apply_receipt(ex, lane, id_, int(n), receipt)
        else:
            log.warning("receipt without an attempt provider=%s class=%s", lane.name, receipt.class_)
    for _ in range(TRIES):  # a step that was stale is tried again from its answer
        await ex.journal.wait_committed()


def apply_receipt(ex: Exchange, lane: Lane, id_: str, n: int, receipt: Receipt, tries: int = TRIES) -> None:
    """Judge one receipt for attempt `n` of message `id_` and journal what it changes."""
    # What was just sent is still at hand; if anything has changed it since, the step is stale and the store is asked.
    recent = lane.recent.pop(id_, None)
    live = LiveMessage(recent[0], [recent[1]]) if recent is not None and tries == TRIES else ex.query.find_live(id_)
    attempt = next((each for each in live.attempts if each.n == n), None) if live is not None else None
    if live is None or attempt is None or attempt.provider != lane.name:
        log.warning("receipt for no attempt of this account provider=%s class=%s", lane.name, receipt.class_)
        return
    if receipt.class_ in ("unrecognised", "query_error"):
        log.info("receipt changes nothing provider=%s class=%s code=%s", lane.name, receipt.class_, receipt.code)
        return
    message = live.message
    others = [each for each in live.attempts if each.n != n]
    finals = [each.receipt for each in others if each.receipt in FINAL_RECEIPTS and each.receipt is not None]
    highest = max(finals, key=RANK.__getitem__, default=None)
    verdict = judge_receipt(message.status, receipt.class_, attempt.receipt, any(map(_is_awaiting, others)), highest)
    if receipt.class_ == verdict.status == "undelivered" and message.status == "sent" and _move_on(ex, lane, message, attempt, receipt):
        return
    if verdict.receipt == attempt.receipt and verdict.status is None and attempt.state == "accepted":
        return  # a repetition: nothing to write
    _write(ex, lane, message, attempt, receipt, verdict.receipt, verdict.status, tries)


def _is_awaiting(attempt: Attempt) -> bool:
    """True while the attempt may still put the SMS on the handset."""
    if attempt.state in ("open", "in_doubt"):
        return True
    return attempt.state == "accepted" and attempt.receipt not in FINAL_RECEIPTS


def _write(
    ex: Exchange,
    lane: Lane,
    message: Message,
    attempt: Attempt,
    receipt: Receipt,
    highest: str | None,
    status: str | None,
    tries: int,
) -> None:
    now = ex.now()
    expect = (attempt.state,)
    state = "accepted" if attempt.state in ("accepted", "in_doubt", "abandoned") else attempt.state
    shut = Shut(attempt.n, expect, state, None, receipt=highest)
    type_ = None if status is not None else "message.receipt"
    if status is None and attempt.state == "in_doubt" and message.status == "in_doubt":
        status, type_ = "sent", None  # proof that the provider has it ends the doubt
    shown = status or message.status
    entry = ex.teller.tell(
        message, shown, now, attempt, type_=type_, class_=receipt.class_, code=receipt.code, detail=receipt.detail, ref=receipt.ref
    )
    change = None
    if status is not None:
        is_final = status != "sent"
        next_at = 0 if is_final else now + lane.settings.receipt_wait
        change = Change(status, receipt.detail, None if is_final else lane.name, next_at, None, None, None, now if is_final else None)

    def done(answer: Answer, _value: object) -> None:
        if answer is Answer.STALE and tries > 1:
            apply_receipt(ex, lane, message.id, attempt.n, receipt, tries - 1)
        elif answer is Answer.DONE:
            if attempt.state == "in_doubt":
                lane.ledger.settle(attempt, debit=True)
            if status in FINAL_RECEIPTS and status is not None:
                lane.finals += 1
                lane.delivered += status == "delivered"
            if status == "blocked":
                suppress(lane, message, attempt.sender, ex.now())

    ex.journal.put(Step(message.id, (message.status,), change, (entry,), None, (shut,), done, False))


def _move_on(ex: Exchange, lane: Lane, message: Message, attempt: Attempt, receipt: Receipt) -> bool:
    """`on.undelivered` may open a new visit: a proven negative. False where the rule lets the receipt end the message."""
    now = ex.now()
    rule = ex.find_rule(message, now)
    if rule is None or rule.find_action("undelivered") is None or now >= message.valid_until:
        return False
    # The one receipt that `on` may name takes a class's place in the table.
    outcome = msgspec.structs.replace(Outcome("unsuitable", receipt.code, receipt.detail), class_="undelivered")
    sides = msgspec.structs.replace(ex.look_around(message, now), accepted="undelivered")
    decision = decide(message, outcome, rule, attempt.candidate, now, lambda: sides)
    if decision.kind == "end":
        return False
    shut = Shut(attempt.n, ("accepted",), "accepted", None, receipt="undelivered")
    entry = ex.teller.tell(
        message,
        "undelivered",
        now,
        attempt,
        type_="message.receipt",
        class_="undelivered",
        code=receipt.code,
        detail=receipt.detail,
    )
    ex.journal.put(Step(message.id, ("sent",), None, (entry,), None, (shut,), None, True))
    put_decision(ex, message, decision, ("sent",), now)
    lane.finals += 1
    return True

