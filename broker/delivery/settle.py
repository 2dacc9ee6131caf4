"""Settling an attempt: outcome -> provider's health and credit -> decision -> one transaction (DESIGN, the way of a message, 3 to 5).

Synchronous on purpose: the book stays open from outcome to journal, so no cancellation can come between.
"""

import logging
from functools import partial

import msgspec

from broker.delivery.exchange import Exchange
from broker.delivery.flight import Flight
from broker.delivery.lookups import end_lookup, is_asked_soon
from broker.delivery.notes import judge_blocked, note_outcome, note_rejected, suppress
from broker.delivery.partial import find_ref
from broker.delivery.receipts import claim
from broker.policy import Decision, Sides, decide, find_awaited, lay_out_partial
from broker.policy.doubt import plan_doubt
from broker.policy.polls import find_next_query
from broker.store.contract import Answer, Change, Entry, Shut, Step
from broker.words.outcome import Outcome

log = logging.getLogger("broker.delivery")

STATE_OF = {"accepted": "accepted", "in_doubt": "in_doubt"}
"""Attempt state by outcome class; every other class is a proven refusal."""

POISON = 3
NO_RECEIPTS = "this provider gives no receipts"


def settle(ex: Exchange, flight: Flight, outcome: Outcome) -> None:
    """Write what `flight`'s attempt came to and what follows; the lane's slot is given back after the commit."""
    now = ex.now()
    lane, message, attempt = flight.lane, flight.message, flight.attempt
    if outcome.class_ == "blocked":
        outcome = judge_blocked(ex, lane, outcome, message, now)
    elif outcome.code is not None:
        lane.blocked_row.end()  # only the provider's own word ends a row: a failed connection says nothing of it
    note_rejected(lane, outcome, message, now)
    state = STATE_OF.get(outcome.class_, "refused")
    if state != "in_doubt":
        # Before the balance that the answer may carry: that report already knows of this attempt.
        lane.ledger.settle(attempt, debit=state == "accepted")
    shut = Shut(attempt.n, ("open",), state, now, outcome.class_, outcome.code, outcome.detail, outcome.refs)
    if state != "refused":
        _measure(flight, outcome, shut)
    note_outcome(ex, lane, outcome, flight, now)
    decision = decide(message, outcome, flight.rule, attempt.candidate, now, partial(look_around, ex, flight, now))
    if outcome.code == "plugin_error":
        decision = _guard_poison(flight, outcome, decision)
    if outcome.refs and ex.is_by_ref(lane):
        shut.provider = lane.name
    if lane.traits.duplicate_window:
        lane.spacing.settle(message.id, state == "refused", now)
    change, entries = _write_up(ex, flight, outcome, decision, now)
    if outcome.class_ == "blocked":
        suppress(ex, lane, message, attempt.sender, now)
    message.status, message.detail, message.lane = change.status, change.detail, change.lane
    message.next_at, message.progress = change.next_at, decision.progress
    if change.status in ("queued", "held"):
        ex.queued += 1
    elif change.status == "sent" and attempt.n == 1:
        attempt.state, attempt.class_, attempt.refs, attempt.closed_at = "accepted", outcome.class_, outcome.refs, now
        lane.recent.add(message, attempt, by_ref=shut.provider is not None)
    hurry = lane.is_pressed or change.status == "queued"
    done = partial(_note_settled, ex, flight, outcome, state, change, now)
    ex.journal.put(Step(message.id, ("sending",), change, entries, None, (shut,), done, hurry))


def _note_settled(
    ex: Exchange, flight: Flight, outcome: Outcome, state: str, change: Change, now: int, answer: Answer, _value: object
) -> None:
    """The outcome is durable: the slot is free, and whoever sees to the message next hears of it."""
    lane, message = flight.lane, flight.message
    lane.release(message.id)
    if answer is not Answer.DONE:
        # Nobody else may touch a message that is being sent: if somebody did, a person must hear of it.
        log.error("outcome not written id=%s provider=%s class=%s answer=%s", message.id, lane.name, outcome.class_, answer.value)
        return
    if message.channel == "hlr" and state == "refused":
        end_lookup(ex, lane.name, message)
    if ex.inbox.strays:
        claim(ex, message.id, lane.name, outcome.refs)  # before anybody sends it again: it may have arrived
    again = ex.lanes.get(change.lane or "") if change.status == "queued" else None
    if again is None or not again.offer_again(message, now):
        ex.rouse(change.status, change.lane, change.next_at, now)


def _measure(flight: Flight, outcome: Outcome, shut: Shut) -> None:
    """The attempt's parts as they were really sent, and what they cost; in doubt, which of them the provider has for sure."""
    attempt, lane = flight.attempt, flight.lane
    is_doubt = shut.state == "in_doubt" and (outcome.evidence == "partial" or len(outcome.refs) > 1)
    if not is_doubt and outcome.parts in (None, attempt.parts):
        return
    before = msgspec.structs.replace(attempt)
    parts = outcome.parts or attempt.parts
    attempt.price = None if attempt.price is None else attempt.price * parts // attempt.parts
    attempt.credit = attempt.credit * parts // attempt.parts
    attempt.parts = parts
    attempt.state, attempt.closed_at = shut.state, shut.closed_at  # type: ignore[assignment]  # STATE_OF's values are such
    if is_doubt:
        attempt.pieces = lay_out_partial(outcome.refs, parts if outcome.evidence == "partial" else len(outcome.refs))
    lane.ledger.correct(before, attempt)
    shut.amends = (attempt.pieces, parts, attempt.price, attempt.credit)


def look_around(ex: Exchange, flight: Flight, now: int) -> Sides:
    """What surrounds the decision on a flight."""
    sides = ex.look_around(flight.message, now, except_n=flight.attempt.n)
    window = flight.lane.traits.duplicate_window
    return msgspec.structs.replace(sides, duplicate_window=window) if window else sides


def _guard_poison(flight: Flight, outcome: Outcome, decision: Decision) -> Decision:
    """A message on which plugins failed three times waits for a person."""
    if outcome.class_ != "unsuitable":
        return decision
    progress = msgspec.structs.replace(decision.progress, faults=decision.progress.faults + 1)
    if progress.faults < POISON:
        return msgspec.structs.replace(decision, progress=progress)
    return Decision("hold", "held", flight.message.valid_until, progress, detail="poison")


def _write_up(ex: Exchange, flight: Flight, outcome: Outcome, decision: Decision, now: int) -> tuple[Change, tuple[Entry, ...]]:
    """The message's change and its events."""
    message, attempt, lane = flight.message, flight.attempt, flight.lane
    ref = find_ref(outcome.refs)
    status, next_at, final_at = decision.status, decision.at, None
    kind = decision.kind
    progress = None if kind in ("sent", "doubt") and message.progress.rule is None else decision.progress
    tell = ex.teller.tell
    rule = flight.rule.name
    shown_next = next_at if kind in ("retry", "next", "new_round") else None
    detail = decision.detail if kind in ("hold", "end", "await") else outcome.detail
    awaited = find_awaited(ex.query.find_attempts(message.id), message.progress) if kind == "await" else None
    entry = tell(
        message,
        status,
        now,
        awaited or attempt,
        class_=outcome.class_,
        code=outcome.code,
        detail=detail,
        ref=ref,
        next_at=shown_next,
        rule=rule,
    )
    entries: tuple[Entry, ...] = (entry,)
    lane_name: str | None = decision.lane
    if kind == "sent":
        lane_name = lane.name
        if not lane.traits.receipts:
            status, final_at = "unconfirmed", now
            detail = NO_RECEIPTS if outcome.detail is None else f"{outcome.detail}; {NO_RECEIPTS}"
            entries = (entry, tell(message, status, now, attempt, ref=ref, detail=detail, rule=rule))
        else:
            # An id beside an error code is accepted, and asked for at once (PROVIDERS.md, rules for every provider).
            is_odd = outcome.evidence == "anomaly" and lane.can_query
            is_lookup = is_asked_soon(lane, flight.message)
            next_at = now if is_odd else find_next_query(lane.settings, now, now, lane.can_query, is_lookup=is_lookup)
            within = flight.rule.settings.receipt_within
            next_at = next_at if within is None else min(next_at, now + within)
    elif kind == "doubt":
        attempt.closed_at = now
        next_at = plan_doubt(attempt, 1, lane.traits.memory, now).at
        lane_name = None
    elif kind == "end":
        final_at = now
        lane_name = None
    return Change(status, detail, lane_name, next_at, progress, None, None, final_at), entries
