"""Noting: what outcomes and reports say of a provider, written into its lane's health, rate and ledger, and told to the feed.

Decides nothing about messages. Each change that ranking can see raises the exchange's epoch.
"""

import logging

import msgspec

from broker.delivery.exchange import Exchange
from broker.delivery.flight import Flight
from broker.delivery.lane import Lane
from broker.delivery.ledger import BucketState, Mark
from broker.store.contract import Put
from broker.words.message import Message
from broker.words.money import show_count
from broker.words.outcome import Outcome

log = logging.getLogger("broker.delivery")

PROBE_AHEAD = 500
SLACK = 100
"""One part in so many of what was debited since the last report may be rounding."""


def note_outcome(ex: Exchange, lane: Lane, outcome: Outcome, flight: Flight, now: int) -> None:
    """What an outcome says of the provider: its breaker, suspension, rate and credit."""
    class_, health = outcome.class_, lane.health
    if class_ == "accepted":
        lane.accepted += 1
    else:
        lane.refused += 1
    if class_ in ("unreachable", "unavailable", "in_doubt"):
        if health.note_fault(now, class_ == "in_doubt"):
            _change(ex, lane, "provider.down", f"breaker: {class_}", outcome.code, health.open_until)
            # A free probe first: while not even the balance answers, no message need be risked.
            lane.balance_bell.ring_at((health.open_until or now) - PROBE_AHEAD)
    elif health.note_good(now):
        _change(ex, lane, "provider.up", "breaker closed", outcome.code, None)
        ex.gain()
        ex.hurry(lane.name)
    if class_ == "misconfigured":
        if health.suspend(outcome.detail or outcome.code or "refused our account", now):
            log.error("provider suspended provider=%s code=%s", lane.name, outcome.code)
            keep_state(ex, lane, ("provider.suspended", health.suspended or "", outcome.code, health.probe_at))
        lane.balance_bell.ring_at(health.probe_at)
        if not health.has_probe:
            ex.release_at("misconfigured", health.probe_at)  # then a message is the probe
        ex.epoch += 1
    elif class_ == "accepted" and health.lift():
        keep_state(ex, lane, ("provider.resumed", "a message was accepted", outcome.code, None))
        ex.gain()
        ex.release_at("misconfigured", now)
    elif class_ == "throttled":
        lane.rate.factor = min(lane.rate.factor * 2, 64)
        health.note_throttled(now, outcome.retry_after)
        lane.bell.ring_at(health.throttled_until)
    elif class_ == "accepted" and lane.rate.factor > 1 and lane.accepted % 50 == 0:
        lane.rate.factor //= 2
    elif class_ == "no_credit" and flight.attempt.bucket is not None:
        note_dry(ex, lane, flight.attempt.bucket, now)
    for balance in outcome.balances:
        asked = _find_asked(lane, flight, balance.bucket, is_charged=class_ == "accepted")
        note_report(ex, lane, balance.bucket, balance.unit, balance.amount, asked, now, is_asked=False)
    if lane.ledger.credit.low is not None and flight.attempt.bucket is not None:
        _note_low(ex, lane, lane.ledger.find_bucket(flight.attempt.bucket), now)
    if flight.is_probe:
        health.is_probing = False  # whatever it proved, another message may be the next one
    lane.health.show(now)
    if lane.standing.out is not None:
        lane.bell.ring_at(now)  # the lane has to see it, to look for what gathers meanwhile when it is back


def _find_asked(lane: Lane, flight: Flight, bucket: str, *, is_charged: bool) -> Mark:
    """Since when a report that came with an answer has to be gone on with: the request asked for it, and it knows of the request."""
    attempt, asked = flight.attempt, flight.asked
    if asked is None or attempt.bucket != bucket:
        return lane.ledger.find_bucket(bucket).mark
    return Mark(asked.gross + attempt.credit, asked.moment) if is_charged else asked


def note_dry(ex: Exchange, lane: Lane, bucket: str, now: int) -> None:
    """The provider refused for want of credit. The first to hear so asks for the balance: those in flight behind it hear the same."""
    if lane.ledger.dry(bucket, now):
        state = lane.ledger.find_bucket(bucket)
        lane.balance_bell.ring_at(max(now, state.rests_until))
        ex.say(
            "credit.dry",
            provider=lane.name,
            bucket=bucket,
            unit=state.unit or lane.traits.unit,
            reported=None if state.reported is None else show_count(state.reported),
            usable="0",
            reported_at=ex.clock.show(state.reported_at) if state.reported_at else None,
        )
    ex.epoch += 1
    until = lane.standing.dry[bucket]
    if until is not None:
        ex.release_at("no_credit", until)


def note_report(ex: Exchange, lane: Lane, name: str, unit: str, amount: int, asked: Mark, now: int, *, is_asked: bool) -> None:
    """A report of a bucket: told to the feed where it was asked for, where it crosses `low`, ends a drought, or is less than it can be.

    Less than usable by our books, which count all that is under way as gone: somebody else spends of the account, or it costs more than
    we think. What rounding makes of a price is no drift.
    """
    ledger = lane.ledger
    known = ledger.find_bucket(name)
    expected, slack = known.usable, known.debited // SLACK
    bucket = ledger.report(name, unit, amount, asked, now)
    if is_asked:
        _tell(ex, lane, "credit.updated", bucket, now)
        if expected is not None and amount < expected - slack:
            _tell(ex, lane, "credit.drift", bucket, now, expected=show_count(expected))
    bucket.is_low = bucket.is_low and _is_low(lane, bucket)
    _note_low(ex, lane, bucket, now)
    if ledger.is_dried(bucket):
        return
    if ledger.refill(name) or is_asked:
        ex.gain()
        ex.release_at("no_credit", now)


def _is_low(lane: Lane, bucket: BucketState) -> bool:
    low, usable = lane.ledger.credit.low, bucket.usable
    return low is not None and usable is not None and usable < low


def _note_low(ex: Exchange, lane: Lane, bucket: BucketState, now: int) -> None:
    """`low` is told once for each crossing: whatever makes the usable credit fall below it, and again after a report above it."""
    if not bucket.is_low and _is_low(lane, bucket):
        bucket.is_low = True
        _tell(ex, lane, "credit.low", bucket, now)


def _tell(ex: Exchange, lane: Lane, type_: str, bucket: BucketState, now: int, **more: str) -> None:
    fields = {
        "provider": lane.name,
        "bucket": bucket.name,
        "unit": bucket.unit,
        "reported": show_count(bucket.reported or 0),
        "usable": show_count(bucket.usable or 0),
        "reported_at": ex.clock.show(bucket.reported_at),
    }
    ex.journal.put(Put(entries=(ex.teller.happen(type_, now, **fields, **more),), hurry=False))


def keep_state(ex: Exchange, lane: Lane, event: tuple[str, str, str | None, int | None]) -> None:
    """Keep pause and suspension across restarts, with the event that tells of the change."""
    health = lane.health
    value = {"paused": health.paused, "suspended": health.suspended}
    type_, reason, code, until = event
    entry = ex.teller.happen(
        type_, ex.now(), provider=lane.name, reason=reason, code=code, until=None if until is None else ex.clock.show(until)
    )
    kept = value if health.paused or health.suspended else None
    ex.keep("provider", lane.name, kept, entry)


def _change(ex: Exchange, lane: Lane, type_: str, reason: str, code: str | None, until: int | None) -> None:
    ex.epoch += 1
    shown = None if until is None else ex.clock.show(until)
    ex.say(type_, provider=lane.name, reason=reason, code=code, until=shown)
    lane.health.show(ex.now())
    lane.bell.ring_at(until or 0)


def judge_blocked(ex: Exchange, lane: Lane, outcome: Outcome, message: Message, now: int) -> Outcome:
    """`blocked` as it is to be taken: from the fifth in a row on as the account's own trouble, what the row barred set free again."""
    if not lane.blocked_row.note(message.id, now):
        return outcome
    list_, mine = ex.suppressions, f"blocked at {lane.name}"
    entries = [entry for entry in lane.blocked_row.take_entries() if list_.is_held(*entry, mine)]  # not who has said STOP since
    if entries:
        for recipient, scope in entries:
            list_.remove(recipient, scope)
        reason = "blocked in a row: the account's trouble"
        told = tuple(ex.teller.tell_suppressed("suppress.removed", now, *entry, reason) for entry in entries)
        ex.journal.put(Put(unsuppress=tuple(entries), entries=told, hurry=False))
        log.error("blocked in a row: taken as misconfigured provider=%s code=%s freed=%d", lane.name, outcome.code, len(entries))
    return msgspec.structs.replace(outcome, class_="misconfigured", detail="blocked in a row: taken as the account's trouble")


def note_rejected(lane: Lane, outcome: Outcome, message: Message, now: int) -> None:
    """A row of `rejected` is told and counted; unlike one of `blocked` it changes nothing."""
    row = lane.rejected_row
    if outcome.class_ != "rejected":
        if outcome.code is not None:
            row.end()
        return
    before = row.rows
    row.note(message.id, now)
    if row.rows > before:
        log.error("rejected in a row: is it the account's trouble? provider=%s code=%s rows=%d", lane.name, outcome.code, row.rows)


def suppress(ex: Exchange, lane: Lane, message: Message, sender: str | None, now: int) -> None:
    """A `blocked` answer bars the recipient, for everybody or for this sender ([suppress].scope)."""
    scope = "all" if ex.book.settings.suppress.scope == "all" else f"sender:{sender or ''}"
    reason = f"blocked at {lane.name}"
    if ex.suppressions.add(message.to, scope, reason):
        lane.blocked_row.add((message.to, scope), now)
        entry = ex.teller.tell_suppressed("suppress.added", now, message.to, scope, reason)
        ex.journal.put(Put(suppress=((message.to, scope, reason, now),), entries=(entry,), hurry=False))
