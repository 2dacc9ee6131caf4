"""Receipts: what a provider later says of a message that it accepted, made durable and judged by rank (promises 8 to 10).

A receipt moves a status only through an attempt of the same account. Order and repetition cannot matter: `policy.receipts`. While an
attempt is under way, only its outcome changes its message: a receipt that would wait in the inbox until then, as does one that has no
message yet. Receipts of one message are applied one after the other, each to what the last one left.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import trio

from broker.delivery.arrival import Arrival, Match
from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.delivery.lookups import add_lookup, is_bare
from broker.delivery.matching import find_match
from broker.delivery.notes import suppress
from broker.delivery.router import make_step
from broker.delivery.ruling import Hearing, Ruling, hear, rule_on, tell_receipt, was_told
from broker.provider.contract import Unstored
from broker.store.contract import Answer, Change, Done, Put, Step, Stray
from broker.words.clock import SECOND
from broker.words.receipt import FINAL_RECEIPTS, Receipt

log = logging.getLogger("broker.delivery")

PAGE = 200


class Acks:
    """Waits until each of some receipts is durable, or one of them cannot be."""

    def __init__(self) -> None:
        self._left = 1
        self._is_stored = True
        self._all = trio.Event()

    def expect(self) -> Callable[[bool], None]:
        """One more to wait for: the callback says whether it is durable."""
        self._left += 1
        return self._answer

    def _answer(self, is_stored: bool) -> None:
        self._left -= 1
        self._is_stored &= is_stored
        if not self._left or not self._is_stored:
            self._all.set()

    async def wait(self) -> None:
        """Return when all are durable. Raises Unstored as soon as one cannot be."""
        self._answer(True)
        await self._all.wait()
        if not self._is_stored:
            raise Unstored


Find = Callable[[Lane, Receipt], tuple[Receipt, Match | None]]


async def take_receipts(ex: Exchange, lane: Lane, receipts: Sequence[Receipt], find: Find | None = None) -> list[str | None]:
    """Apply receipts of `lane`'s account, or keep them for when they can be; return when they are durable.

    The id that each matched, as it was stored, None for none yet. `find` knows by other means than an id whose a receipt is, and how it
    is to be kept. Raises Unstored.
    """
    acks = Acks()
    matched = []
    for receipt in receipts:
        known, match = (receipt, None) if find is None else find(lane, receipt)
        matched.append(_take(ex, lane, known, match, acks.expect()))
    await acks.wait()
    return matched


def apply_asked(ex: Exchange, lane: Lane, id_: str, n: int, receipt: Receipt) -> None:
    """Apply the answer to a query of ours. One that cannot be applied now is let go: it will be asked for again."""
    _work(ex, Arrival(lane, Match(id_, n), receipt, is_asked=True))


def _take(ex: Exchange, lane: Lane, receipt: Receipt, match: Match | None, ack: Callable[[bool], None]) -> str | None:
    match = match or find_match(ex, lane, receipt)
    if match is None:
        _keep(ex, lane, receipt, None, ack)
        return None
    _work(ex, Arrival(lane, match, receipt, ack, live=match.live))
    return match.ref


def claim(ex: Exchange, message: str, provider: str, refs: Sequence[str]) -> None:
    """Apply what waits in the inbox for this message, or for these ids: an attempt of it just ended, durably."""
    for stray in ex.inbox.find(provider, message, refs):
        _take_stray(ex, stray)


def _take_stray(ex: Exchange, stray: Stray) -> None:
    lane = ex.lanes.get(stray.provider)
    if lane is None:
        return  # until the account is back, or retention comes
    match = find_match(ex, lane, stray.receipt)
    if match is not None:
        _work(ex, Arrival(lane, match, stray.receipt, stray=stray))


async def review_inbox(ex: Exchange) -> None:
    """At start: look at everything that waits, whatever a crash came between."""
    after = 0
    while page := ex.query.read_strays(after, PAGE):
        after = page[-1].id
        for stray in page:
            ex.inbox.adopt(stray)
        for stray in page:
            _take_stray(ex, stray)
        await ex.journal.wait_committed()


def _keep(ex: Exchange, lane: Lane, receipt: Receipt, message: str | None, ack: Callable[[bool], None] | None) -> None:
    """The receipt waits in the inbox, for an attempt of `message` or for whoever gets its id."""
    if receipt.ref is None and message is None:
        log.warning("receipt without an attempt provider=%s class=%s", lane.name, receipt.class_)
        _ack_later(ex, ack)
        return
    if ex.inbox.find_same(lane.name, receipt) is not None:
        _ack_later(ex, ack)
        return
    stray, drop = ex.inbox.add(lane.name, receipt, message, ex.now())

    def done(answer: Answer, _value: object) -> None:
        is_stored = answer is Answer.DONE
        if not is_stored:
            ex.inbox.remove(stray.id)
        if ack is not None:
            ack(is_stored)

    ex.journal.put(Put(done=done, strays=(stray,), drop=drop, from_outside=True))


def _ack_later(ex: Exchange, ack: Callable[[bool], None] | None) -> None:
    """What makes this receipt needless may itself still be on its way to the disk."""
    if ack is not None:
        tell = ack
        ex.journal.put(Put(done=lambda answer, _value: tell(answer is Answer.DONE), from_outside=True))


def _work(ex: Exchange, arrival: Arrival) -> None:
    """Apply one receipt, after those of the same message that are being written."""
    id_ = arrival.match.message
    queue = ex.arrivals.get(id_)
    if queue is not None:
        arrival.live = None  # as it is now, but not when its turn comes
        queue.append(arrival)
        return
    ex.arrivals[id_] = deque((arrival,))
    _work_on(ex, id_)


def _work_on(ex: Exchange, id_: str) -> None:
    """The next of a message's receipts, until one of them is on its way to the disk."""
    queue = ex.arrivals[id_]
    while queue:
        if _apply(ex, queue.popleft()):
            return
    del ex.arrivals[id_]


def _apply(ex: Exchange, arrival: Arrival) -> bool:
    """Judge one receipt and journal what it changes. True when its step is on its way."""
    lane, match, receipt = arrival.lane, arrival.match, arrival.receipt
    live = lane.recent.take(match.message) or arrival.live or ex.query.find_live(match.message)
    arrival.live = None
    attempt = next((each for each in live.attempts if each.n == match.n), None) if live is not None else None
    if live is None or attempt is None or attempt.provider != lane.name:
        log.warning("receipt for no attempt of this account provider=%s class=%s", lane.name, receipt.class_)
        _drop(ex, arrival)
        return False
    if not arrival.is_asked and attempt.state == "accepted" and is_bare(lane, live.message, receipt):
        receipt = arrival.receipt = msgspec.structs.replace(receipt, class_="unrecognised")  # so it is asked
    stray = arrival.stray
    hearing = hear(live, attempt, match, receipt, None if stray is None else stray.seen_at, is_whole=arrival.is_asked)
    ruling = rule_on(ex, lane, hearing)
    if ruling == "nothing":
        return _tell(ex, arrival, hearing)
    if ruling == "wait":
        _wait(ex, arrival)
        return False
    _write(ex, arrival, hearing, ruling)
    return True


def _tell(ex: Exchange, arrival: Arrival, hearing: Hearing) -> bool:
    """A receipt that changes nothing: the feed hears of it once. True when its event is on its way."""
    receipt, message = arrival.receipt, hearing.message
    if receipt.class_ == "unrecognised" and not arrival.is_asked:
        _ask_soon(ex, arrival.lane, hearing)
    is_known = arrival.is_asked and receipt.class_ == hearing.attempt.receipt
    if receipt.class_ == "query_error" or is_known or was_told(ex, hearing):
        ex.repeated += not arrival.is_asked
        _drop(ex, arrival)
        return False
    entry = tell_receipt(ex, hearing, hearing.attempt, message.status, False)
    log.info("receipt changes nothing provider=%s class=%s code=%s", arrival.lane.name, receipt.class_, receipt.code)
    step = Step(message.id, (message.status,), None, (entry,), hurry=False)
    _put(ex, arrival, add_lookup(ex, arrival.lane, message, receipt, step), hearing, None)
    return True


def _ask_soon(ex: Exchange, lane: Lane, hearing: Hearing) -> None:
    """A provider called with news that says nothing: where it can be asked, it is, once for all that it calls within a second."""
    message, at = hearing.message, ex.now() + SECOND
    if message.status == "sent" and hearing.attempt.refs and lane.can_query and message.next_at > at:
        message.next_at = at
        ex.journal.put(Step(message.id, ("sent",), Change("sent", message.detail, lane.name, at), hurry=False))
        lane.poll_bell.ring_at(at)


def _wait(ex: Exchange, arrival: Arrival) -> None:
    """An attempt is under way: its outcome comes first, and then whatever waits for this message."""
    if arrival.stray is not None:
        ex.inbox.adopt(arrival.stray, arrival.match.message)
    elif not arrival.is_asked:
        _keep(ex, arrival.lane, arrival.receipt, arrival.match.message, arrival.ack)


def _drop(ex: Exchange, arrival: Arrival) -> None:
    """Nothing is to be written of it; what it repeats is durable."""
    if arrival.stray is not None:
        ex.inbox.remove(arrival.stray.id)
        ex.journal.put(Put(drop=(arrival.stray.id,), hurry=False))
    if arrival.ack is not None:
        arrival.ack(True)


def _write(ex: Exchange, arrival: Arrival, hearing: Hearing, ruling: Ruling) -> None:
    """Journal a ruling, with what follows once it is durable."""
    message = hearing.message
    if ruling.decision is None:
        step = Step(message.id, (message.status,), ruling.change, (ruling.entry,), None, ruling.shut)
    else:
        step = make_step(ex, message, ruling.decision, ("sent",), ex.now())
        step.entries, step.shut = (ruling.entry, *step.entries), ruling.shut
    _put(ex, arrival, add_lookup(ex, arrival.lane, message, arrival.receipt, step), hearing, ruling)


def _put(ex: Exchange, arrival: Arrival, step: Step, hearing: Hearing, ruling: Ruling | None) -> None:
    """Journal a step of one receipt, which also takes it out of the inbox; then the next of its message."""
    step.done = partial(_note_put, ex, arrival, hearing, ruling, step.done)
    step.hurry = step.hurry or arrival.ack is not None
    step.drop = () if arrival.stray is None else (arrival.stray.id,)
    step.from_outside = arrival.ack is not None
    ex.journal.put(step)


def _note_put(
    ex: Exchange, arrival: Arrival, hearing: Hearing, ruling: Ruling | None, then: Done | None, answer: Answer, value: object
) -> None:
    id_, is_done = hearing.message.id, answer is Answer.DONE
    if then is not None:
        then(answer, value)
    if is_done:
        if ruling is not None:
            _follow(ex, arrival.lane, hearing, ruling)
        if arrival.stray is not None:
            ex.inbox.remove(arrival.stray.id)
    if answer is Answer.STALE and arrival.tries > 1:
        arrival.tries -= 1
        ex.arrivals[id_].appendleft(arrival)  # judged again, by what the store says now
    elif answer is Answer.STALE:
        log.error("receipt is kept: its message would not stand still id=%s provider=%s", id_, arrival.lane.name)
        _wait(ex, arrival)
    elif arrival.ack is not None:
        arrival.ack(is_done)
    _work_on(ex, id_)


def _follow(ex: Exchange, lane: Lane, hearing: Hearing, ruling: Ruling) -> None:
    """What a durable ruling means for credit, counts, suppression, and whatever waits for it."""
    message, before, after, status = hearing.message, hearing.attempt, ruling.attempt, ruling.status
    if before.state == "in_doubt" and after.state == "accepted":
        lane.ledger.settle(before, debit=True)
    if after.pieces != before.pieces:
        lane.ledger.correct(before, after)
    for shut in ruling.shut[1:]:
        other = next(each for each in hearing.others if each.n == shut.n)
        if other.provider in ex.lanes:
            ex.lanes[other.provider].ledger.settle(other, debit=True)
    if status is not None and message.status in ("queued", "held", "scheduled"):
        ex.queued -= 1
    if status in FINAL_RECEIPTS or ruling.decision is not None:
        lane.standing.finals += 1
        lane.standing.delivered += status == "delivered"
    if status == "blocked":
        suppress(ex, lane, message, before.sender, ex.now())
    elif status == "sent" and ruling.change is not None:
        lane.poll_bell.ring_at(ruling.change.next_at)
    if ruling.learned is not None:
        claim(ex, message.id, lane.name, (ruling.learned,))
