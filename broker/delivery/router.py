"""The router: places messages that wait for no lane, empties lanes that cannot serve, and lets held messages go when they may.

Works in bounded pages, so that a hundred thousand rows of a dead provider never delay a healthy one by more than a page.
"""

import trio

from broker.delivery.exchange import Exchange
from broker.policy import Decision, place
from broker.routing import Rule
from broker.store.contract import Answer, Change, Move, Step
from broker.store.failpoints import failpoint
from broker.words.message import Message
from broker.words.status import RANK

PAGE = 100


def find_place(ex: Exchange, message: Message, rule: Rule | None, now: int) -> Decision:
    """Place one queued message under `rule` (None: no rule matches) and journal where it goes."""
    decision = _decide(ex, message, rule, now)
    if decision.kind in ("next", "new_round") and not _is_progress(message, decision):
        row = (message.id, decision.lane, decision.at)

        def moved(answer: Answer, _value: object) -> None:
            if answer is Answer.DONE:
                ex.wake(decision.lane, decision.at, now)

        ex.journal.put(Move((row,), moved, decision.kind == "next"))
        return decision
    put_decision(ex, message, decision, ("queued",), now)
    return decision


def _decide(ex: Exchange, message: Message, rule: Rule | None, now: int) -> Decision:
    if rule is None:
        return Decision("hold", "held", message.valid_until, message.progress, detail="no_route")
    return place(message, rule, now, ex.look_around(message, now))


def _is_progress(message: Message, decision: Decision) -> bool:
    """True when the decision changed what must be kept of the rounds. The count of rounds alone is not worth a write."""
    before, after = message.progress, decision.progress
    return before.visited != after.visited or before.passed != after.passed or before.rule != after.rule


def expire(ex: Exchange, message: Message, now: int) -> None:
    """Validity is over by our clock: `expired`, unless an attempt may have put the SMS on the handset."""
    sides = ex.look_around(message, now)
    status, detail = "expired", "validity is over"
    if sides.doubted:
        status, detail = "unknown", "validity is over, and an attempt is in doubt"
    elif sides.accepted is not None:
        status = sides.accepted if RANK.get(sides.accepted, 0) > RANK["expired"] else "expired"
    put_decision(ex, message, Decision("end", status, 0, message.progress, detail=detail), (message.status,), now)


def put_decision(ex: Exchange, message: Message, decision: Decision, expect: tuple[str, ...], now: int) -> None:
    """Journal a decision on a message that has no open attempt, with the event if its status changes."""
    status = decision.status
    is_end = decision.kind == "end"
    change = Change(
        status,
        decision.detail,
        decision.lane,
        decision.at,
        decision.progress,
        decision.progress.rule,
        None,
        now if is_end else None,
    )
    shown = decision.at if status == "queued" else None
    entries = () if status in expect else (ex.teller.tell(message, status, now, detail=decision.detail, next_at=shown),)
    was_waiting = "sent" not in expect and "in_doubt" not in expect

    def done(answer: Answer, _value: object) -> None:
        if answer is not Answer.DONE:
            return
        if status == "queued":
            if not was_waiting:
                ex.queued += 1
            ex.wake(decision.lane, decision.at, now)
        elif is_end and was_waiting:
            ex.queued -= 1
        elif status == "held":
            ex.sweep_bell.ring_at(decision.at)

    ex.journal.put(Step(message.id, expect, change, entries, done=done, hurry=status == "queued"))


async def run_router(ex: Exchange, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled."""
    task_status.started()
    ex.router_bell.ring_at(0)
    while True:
        await ex.router_bell.wait(ex.now)
        if ex.is_stopping:
            continue
        busy = await _place_waiting(ex)
        busy = await _release_held(ex) or busy
        if busy:
            ex.router_bell.ring_at(0)
        else:
            _set_alarm(ex)


def _set_alarm(ex: Exchange) -> None:
    """Ring when the next row without a usable lane is due."""
    names: list[str | None] = [None, *(name for name, lane in ex.lanes.items() if lane.standing.out is not None)]
    for name in names:
        at = ex.query.find_next_due(name)
        if at is not None:
            ex.router_bell.ring_at(max(at, ex.now() + 5))
    for at in ex.releases.values():
        ex.router_bell.ring_at(at)


async def _place_waiting(ex: Exchange) -> bool:
    """One page of due rows of no lane and of each lane that cannot serve. True when there may be more."""
    names: list[str | None] = [None, *(name for name, lane in ex.lanes.items() if lane.standing.out is not None)]
    more = False
    for name in names:
        now = ex.now()
        for priority in (0, 1, 2):
            rows = ex.query.read_due(name, priority, now, PAGE)
            for message in rows:
                if message.valid_until <= now:
                    expire(ex, message, now)
                else:
                    find_place(ex, message, ex.find_rule(message, now), now)
            more = more or len(rows) == PAGE
            if rows:
                failpoint("router.page")
                await ex.journal.wait_committed()
    return more


async def _release_held(ex: Exchange) -> bool:
    """Let messages go whose cause of being held is over, a page at a time, as long as they find candidates."""
    now = ex.now()
    due = [cause for cause, at in ex.releases.items() if at <= now]
    for cause in due:
        del ex.releases[cause]
        after: Message | None = None
        while rows := ex.query.read_held(cause, after, PAGE):
            after = rows[-1]
            released = [message for message in rows if _release(ex, message)]
            await ex.journal.wait_committed()
            while released and _is_crowded(ex):  # a pause between pages, not a wait for an event
                await trio.sleep(0.01)
    return False


def _release(ex: Exchange, message: Message) -> bool:
    """Queue a held message again if somebody can take it now."""
    now = ex.now()
    rule = ex.find_rule(message, now)
    if rule is None or message.valid_until <= now:
        return False
    decision = place(message, rule, now, ex.look_around(message, now))
    if decision.kind == "hold" and decision.detail == message.detail:
        return False
    put_decision(ex, message, decision, ("held",), now)
    return decision.kind == "next"


def _is_crowded(ex: Exchange) -> bool:
    """True while every usable lane has its hands full: releasing more would only fill the queue ahead of the credit."""
    lanes = [lane for lane in ex.lanes.values() if lane.standing.out is None]
    return bool(lanes) and not any(lane.has_room for lane in lanes)
