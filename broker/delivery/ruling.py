"""Ruling: what one receipt changes of its message and its attempt, as the step to write. Writes nothing itself.

The judgement is `policy.receipts`; here it becomes rows and an event. Asked again after the step, the answer is "nothing".
"""

from typing import Any, Literal

import msgspec

from broker.delivery.arrival import Match
from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.delivery.lookups import is_asked_soon
from broker.delivery.matching import find_own_ref
from broker.policy import (
    Decision,
    add_receipt,
    decide,
    find_highest,
    find_known,
    goes_on_after,
    is_awaiting,
    is_proven,
    judge_receipt,
    lay_out,
    reckon,
    roll_up,
)
from broker.policy.polls import find_next_query
from broker.store.contract import Change, Entry, LiveMessage, Shut
from broker.words.attempt import Attempt, Piece
from broker.words.message import Message
from broker.words.outcome import Outcome
from broker.words.receipt import FINAL_RECEIPTS, Receipt
from broker.words.status import RANK

DOUBTED = ("in_doubt", "abandoned")
WAITING = ("queued", "held", "scheduled", "in_doubt")
"""Statuses in which no attempt is open, and another copy may follow."""


class Hearing(msgspec.Struct, frozen=True, gc=False):
    """A receipt before its attempt. `ref`: the attempt's id that it speaks of; `part`: which of several; `since`: it waited since then."""

    message: Message
    attempt: Attempt
    others: list[Attempt]
    receipt: Receipt
    ref: str | None
    part: int | None
    since: int | None


class Ruling(msgspec.Struct, gc=False):
    """What to write. `attempt` is the receipt's as it will be; `status` the message's new one, None where it stays.

    `decision`: the receipt opens a new visit; `learned`: an id that the attempt had not.
    """

    attempt: Attempt
    entry: Entry
    shut: tuple[Shut, ...] = ()
    status: str | None = None
    change: Change | None = None
    decision: Decision | None = None
    learned: str | None = None


def hear(live: LiveMessage, attempt: Attempt, match: Match, receipt: Receipt, since: int | None, *, is_whole: bool = False) -> Hearing:
    """The receipt and what it has to do with. `is_whole`: it speaks of all parts, whichever id it names."""
    ref = find_own_ref(attempt, match, receipt)
    part = attempt.refs.index(ref) if len(attempt.refs) > 1 and ref in attempt.refs and not is_whole else None
    others = [each for each in live.attempts if each is not attempt]
    return Hearing(live.message, attempt, others, receipt, ref, part, since)


def rule_on(ex: Exchange, lane: Lane, hearing: Hearing) -> Ruling | Literal["wait", "nothing"]:
    """What the receipt changes. "wait": an attempt is under way, whose outcome comes first."""
    message, attempt, receipt = hearing.message, hearing.attempt, hearing.receipt
    if attempt.state == "open":
        return "wait"
    if receipt.class_ not in RANK:
        return "nothing"
    after, learned = _learn(hearing)
    class_: str | None = receipt.class_
    is_whole = True
    if len(after.refs) > 1 or after.pieces or receipt.cost is not None or receipt.segments is not None:
        after, is_whole, class_ = _add_piece(lane, hearing, after, learned)
    if attempt.state == "refused" and class_ != "delivered":
        return "nothing"
    state = "accepted" if is_whole and attempt.state in DOUBTED else attempt.state
    is_own_doubt = attempt.state == "in_doubt" and (message.status == "in_doubt" or message.detail == "partial")
    is_proof = state == "accepted" and attempt.state in DOUBTED
    verdict = judge_receipt(
        # Parts that are missing are this attempt's own doubt: its proof ends it. So does news of a copy that had been given up.
        "in_doubt" if is_own_doubt or (is_proof and _may_end(ex, message, class_)) else message.status,
        class_,
        attempt.receipt,
        any(map(is_awaiting, hearing.others)),
        find_highest(hearing.others) if hearing.others else None,
    )
    status = verdict.status
    if status is None and is_proof and (is_own_doubt or (message.status in WAITING and verdict.receipt not in FINAL_RECEIPTS)):
        status = "sent"  # no other copy is to follow while the fate of this one is open
    if status is not None and message.status == "sending":
        return "wait"
    if after is attempt:
        if state == attempt.state and verdict.receipt == attempt.receipt and status is None:
            return "nothing"
        after = msgspec.structs.replace(attempt)
    after.state, after.receipt = state, verdict.receipt
    decision = None
    if class_ == status == "undelivered" and message.status == "sent":
        decision = _move_on(ex, hearing)
    if decision is not None:
        status = None
    return _write_up(ex, lane, hearing, after, status, decision, learned)


def _may_end(ex: Exchange, message: Message, class_: str | None) -> bool:
    """True where a receipt may end a message that waits for its next copy: its rule sends none after such a receipt."""
    return message.status in WAITING and not goes_on_after(ex.find_rule(message, ex.now()), class_ or "")


def _learn(hearing: Hearing) -> tuple[Attempt, str | None]:
    """A receipt by token may bring the id of an attempt in doubt that has none, or of its first part that has none."""
    attempt, ref = hearing.attempt, hearing.receipt.ref
    if ref is None or hearing.ref is not None or attempt.state not in DOUBTED:
        return attempt, None
    places = max(len(attempt.pieces), 1)
    refs = [*attempt.refs, *[""] * (places - len(attempt.refs))]
    if "" not in refs:
        return attempt, None
    refs[refs.index("")] = ref
    return msgspec.structs.replace(attempt, refs=tuple(refs)), ref


def _add_piece(lane: Lane, hearing: Hearing, after: Attempt, learned: str | None) -> tuple[Attempt, bool, str | None]:
    """(the attempt with what the receipt says of its part, is every part proven, the class of the whole)"""
    part = hearing.part
    if learned is not None and len(after.refs) > 1:
        part = after.refs.index(learned)
    pieces: tuple[Piece, ...] = add_receipt(lay_out(after), part, hearing.receipt)
    if pieces != lay_out(hearing.attempt):
        parts, price, credit = reckon(hearing.attempt, pieces, lane.carrier.account.per_segment)
        after = msgspec.structs.replace(after, pieces=pieces, parts=parts, price=price, credit=credit)
    return after, is_proven(pieces), roll_up(pieces)


def _write_up(
    ex: Exchange, lane: Lane, hearing: Hearing, after: Attempt, status: str | None, decision: Decision | None, learned: str | None
) -> Ruling:
    before, message, now = hearing.attempt, hearing.message, ex.now()
    shut = Shut(after.n, (before.state,), after.state, None, receipt=after.receipt)
    if learned is not None:
        shut.refs, shut.provider = after.refs, lane.name if ex.is_by_ref(lane) else None
    if after.pieces != before.pieces:
        shut.amends = (after.pieces, after.parts, after.price, after.credit)
    shuts = [shut]
    if status is not None:  # it ends with its other doubts, which nobody would end any more
        shuts += [Shut(each.n, ("in_doubt",), "abandoned", None) for each in hearing.others if each.state == "in_doubt"]
    entry = tell_receipt(ex, hearing, after, status or message.status, status is not None)
    change = None
    if status is not None:
        is_end = status != "sent"
        can_ask, is_lookup = lane.can_query and bool(after.refs), is_asked_soon(lane, message)
        next_at = 0 if is_end else find_next_query(lane.settings, before.closed_at or now, now, can_ask, is_lookup=is_lookup)
        detail = hearing.receipt.detail
        change = Change(status, detail, None if is_end else lane.name, next_at, None, None, None, now if is_end else None)
    return Ruling(after, entry, tuple(shuts), status, change, decision, learned)


def tell_receipt(ex: Exchange, hearing: Hearing, attempt: Attempt, status: str, is_change: bool) -> Entry:
    """The event of a receipt: it says which part, what it contradicts, and since when it waited for its message."""
    receipt, details = hearing.receipt, []
    if receipt.detail:
        details.append(receipt.detail)
    if hearing.part is not None:
        details.append(f"part {hearing.part + 1}/{len(attempt.refs)}")
    known = find_known(hearing.attempt, hearing.part or 0)
    if known in FINAL_RECEIPTS and receipt.class_ in FINAL_RECEIPTS and known != receipt.class_:
        details.append(f"{'corrects' if RANK[receipt.class_] > RANK[known or ''] else 'contradicts'} {known}")
    if hearing.attempt.state == "refused":
        details.append("of an attempt that was refused")
    if hearing.since is not None:
        details.append(f"waited since {ex.clock.show(hearing.since)}")
    return ex.teller.tell(
        hearing.message,
        status,
        ex.now(),
        attempt,
        type_=None if is_change else "message.receipt",
        class_=receipt.class_,
        code=receipt.code,
        detail="; ".join(details) or None,
        ref=hearing.ref or receipt.ref,
    )


def was_told(ex: Exchange, hearing: Hearing) -> bool:
    """True where the feed has heard of this receipt before: it is repeated."""
    receipt = hearing.receipt
    said = (hearing.attempt.n, receipt.class_, receipt.code, hearing.ref or receipt.ref)
    for _, body in ex.query.read_history(hearing.message.id):
        event: dict[str, Any] = msgspec.json.decode(body)
        if (event.get("attempt"), event.get("class"), event.get("code"), event.get("provider_ref")) == said:
            return True
    return False


def _move_on(ex: Exchange, hearing: Hearing) -> Decision | None:
    """`on.undelivered` may open a new visit: a proven negative. None where the rule lets the receipt end the message."""
    message, receipt, now = hearing.message, hearing.receipt, ex.now()
    rule = ex.find_rule(message, now)
    if rule is None or rule.find_action("undelivered") is None or now >= message.valid_until:
        return None
    # The one receipt that `on` may name takes a class's place in the table.
    outcome = msgspec.structs.replace(Outcome("unsuitable", receipt.code, receipt.detail), class_="undelivered")
    sides = msgspec.structs.replace(ex.look_around(message, now), accepted="undelivered", awaited=None)
    decision = decide(message, outcome, rule, hearing.attempt.candidate, now, lambda: sides)
    return None if decision.kind == "end" else decision
