"""The router: places messages that wait for no lane, empties lanes that cannot serve, and lets held messages go when they may.

Works in bounded pages, so that a hundred thousand rows of a dead provider never delay a healthy one by more than a page. A row that
nobody can take waits in the lane of the provider that is expected back first; it is looked at again when any provider becomes usable.
"""

from collections.abc import Callable

import trio

from broker.delivery.exchange import Exchange
from broker.delivery.partial import abandon
from broker.policy import Decision, place
from broker.routing import Rule
from broker.store.contract import Answer, Change, Move, Step
from broker.store.failpoints import failpoint
from broker.words.message import Message
from broker.words.status import RANK, SELF_RELEASING

PAGE = 100
WALK = 40
REST = 3
CROWDED = 1.0

Cursor = tuple[int, int, str]
START: Cursor = (-1, 0, "")


def find_place(ex: Exchange, message: Message, rule: Rule | None, now: int) -> Decision:
    """Place one queued message under `rule` (None: no rule matches) and journal where it goes."""
    decision = _decide(ex, message, rule, now)
    if decision.kind in ("next", "new_round") and not _is_progress(message, decision):
        if decision.kind == "new_round" and decision.lane == message.lane is not None:
            return decision  # it waits where it should: a row less to write for each of a dead provider's hundred thousand
        row = (message.id, decision.lane, decision.at)

        def moved(answer: Answer, _value: object) -> None:
            if answer is Answer.DONE:
                ex.wake(decision.lane, decision.at, now)

        ex.journal.put(Move((row,), moved, decision.kind == "next"))
        return decision
    put_decision(ex, message, decision, ("queued",), now, None if rule is None else rule.name)
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
    _end(ex, message, "expired", "validity is over", now)


def bar(ex: Exchange, message: Message, sender: str | None, now: int) -> bool:
    """`blocked` where the recipient has come onto the suppression list since the message was taken; False where not."""
    reason = ex.suppressions.find_reason(message.to, sender)
    if reason is None:
        return False
    _end(ex, message, "blocked", f"on the suppression list: {reason}", now)
    return True


def _end(ex: Exchange, message: Message, status: str, detail: str, now: int) -> None:
    """End a message as `status`, unless an attempt of it says more, or may have."""
    sides = ex.look_around(message, now)
    if sides.doubted:
        status, detail = "unknown", f"{detail}, and an attempt is in doubt"
    elif sides.accepted is not None and RANK.get(sides.accepted, 0) > RANK[status]:
        status = sides.accepted
    put_decision(ex, message, Decision("end", status, 0, message.progress, detail=detail), (message.status,), now)


def put_decision(
    ex: Exchange,
    message: Message,
    decision: Decision,
    expect: tuple[str, ...],
    now: int,
    rule: str | None = None,
    heard: Callable[[bool], None] | None = None,
) -> None:
    """Journal a decision on a message that has no open attempt, with the event if its status changes; `rule` is told, not kept.

    `heard` is told whether the decision stands once that is durable.
    """
    step = make_step(ex, message, decision, expect, now, rule)
    abandon(ex, message, step)
    if heard is not None:
        then, tell = step.done, heard

        def done(answer: Answer, value: object) -> None:
            tell(answer is Answer.DONE)
            if then is not None:
                then(answer, value)

        step.done = done
    ex.journal.put(step)


def make_step(
    ex: Exchange, message: Message, decision: Decision, expect: tuple[str, ...], now: int, rule: str | None = None
) -> Step:
    """The same as a step that is not yet journalled."""
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
    shown = decision.at if status in ("queued", "scheduled") else None
    tell = ex.teller.tell
    entries = () if status in expect else (tell(message, status, now, detail=decision.detail, next_at=shown, rule=rule),)
    was_waiting = "sent" not in expect and "in_doubt" not in expect

    def done(answer: Answer, _value: object) -> None:
        if answer is not Answer.DONE:
            return
        ex.queued += (status in ("queued", "held", "scheduled")) - was_waiting
        ex.rouse(status, decision.lane, decision.at, now)

    return Step(message.id, expect, change, entries, done=done, hurry=status == "queued")


async def run_router(ex: Exchange, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled."""
    task_status.started()
    ex.router_bell.ring_at(0)
    seen: dict[str, tuple[int, int]] = {}
    while True:
        await ex.router_bell.wait(ex.now)
        if ex.is_stopping:
            continue
        await _place_strays(ex)
        for name in _find_unusable(ex):
            await _empty_lane(ex, name, seen)
        await _hurry_lanes(ex)
        await _release_held(ex)
        _set_alarm(ex, seen)


def _find_unusable(ex: Exchange) -> list[str]:
    """Lanes that cannot serve. One that just lets a probe try is not looked at: its answer says what follows."""
    return [name for name, lane in ex.lanes.items() if lane.standing.out is not None and not lane.health.is_probing]


def _set_alarm(ex: Exchange, seen: dict[str, tuple[int, int]]) -> None:
    """Ring when the next row without a usable lane is due."""
    at = ex.query.find_next_due(None)
    if at is not None:
        ex.router_bell.ring_at(max(at, ex.now() + 5))
    for name in _find_unusable(ex):
        gains, until = seen.get(name, (-1, 0))
        if gains != ex.gains:
            ex.router_bell.ring_at(0)
            continue
        at = ex.query.find_next_due(name, until)
        if at is not None:
            ex.router_bell.ring_at(max(at, ex.now() + 5))
    for at in ex.releases.values():
        ex.router_bell.ring_at(at)


def _look_at(ex: Exchange, rows: list[Message], now: int) -> None:
    for message in rows:
        if message.valid_until <= now:
            expire(ex, message, now)
        else:
            find_place(ex, message, ex.find_rule(message, now), now)


async def _place_strays(ex: Exchange) -> None:
    """Place every due row that waits for no lane."""
    for priority in (0, 1, 2):
        while rows := ex.query.read_due(None, priority, ex.now(), PAGE):
            _look_at(ex, rows, ex.now())
            failpoint("router.page")
            await ex.journal.wait_committed()


async def _walk(ex: Exchange, read: Callable[[int, Cursor], list[Message]], work: Callable[[list[Message]], None]) -> None:
    """`work` on every page that `read(priority, after)` gives, strays first between pages."""
    for priority in (0, 1, 2):
        after, begun = START, trio.current_time()
        while rows := read(priority, after):
            after = (rows[-1].next_at, rows[-1].valid_until, rows[-1].id)
            work(rows)
            failpoint("router.page")
            await ex.journal.wait_committed()
            # A quarter of the time for the rows of a provider that cannot serve, the rest for those that can.
            await trio.sleep(REST * (trio.current_time() - begun))
            await _place_strays(ex)
            begun = trio.current_time()


async def _empty_lane(ex: Exchange, name: str, seen: dict[str, tuple[int, int]]) -> None:
    """Look at the due rows of a lane that cannot serve: once each, and all again after any provider became usable."""
    gains, now = ex.gains, ex.now()
    since = seen[name][1] if name in seen and seen[name][0] == gains else -1

    def read(priority: int, after: Cursor) -> list[Message]:
        lane = ex.lanes[name]
        if lane.standing.out is None or lane.health.is_probing:
            return []  # back, or about to be: its rows are its own again
        return ex.query.read_due_after(name, priority, max(after, (since, 1 << 62, "")), now, WALK)

    await _walk(ex, read, lambda rows: _look_at(ex, rows, now))
    if ex.lanes[name].standing.out is not None and not ex.lanes[name].health.is_probing:
        seen[name] = (gains, now)


async def _hurry_lanes(ex: Exchange) -> None:
    """Rows that wait for a time which no longer matters, because their provider is back before it, are due now."""
    while ex.hurried:
        name = ex.hurried.pop()
        now = ex.now()

        def hurry(rows: list[Message], name: str = name, now: int = now) -> None:
            waiting = [(message.id, name, now) for message in rows if message.progress.provider is None]
            if waiting:
                ex.journal.put(Move(waiting, lambda _answer, _value: ex.wake(name, now, now)))

        def read(priority: int, after: Cursor, name: str = name, now: int = now) -> list[Message]:
            return ex.query.read_due_after(name, priority, max(after, (now, 1 << 62, "")), 1 << 62, WALK)

        await _walk(ex, read, hurry)


async def _release_held(ex: Exchange) -> None:
    """Let messages go whose cause of being held is over, a page at a time, as long as they find candidates."""
    now = ex.now()
    due = [cause for cause, at in ex.releases.items() if at <= now]
    if due:
        await ex.journal.wait_committed()  # what was decided before the cause ended is to be found held
        for lane in ex.lanes.values():
            lane.health.show(ex.now())  # the lane itself may not have looked at the clock yet
    for cause in due:
        del ex.releases[cause]
    # Whatever ended: a message held for one provider's cause may have waited for another's, and bears the name of the first.
    for cause in SELF_RELEASING if due else ():
        after: Message | None = None
        while rows := ex.query.read_held(cause, after, PAGE):
            after = rows[-1]
            released = [message for message in rows if _release(ex, message)]
            await ex.journal.wait_committed()
            with trio.move_on_after(CROWDED):
                while released and _is_crowded(ex):  # noqa: ASYNC110  # a pause between pages, not a wait for an event
                    await trio.sleep(0.01)
            await _place_strays(ex)


def _release(ex: Exchange, message: Message) -> bool:
    """Queue a held message again if somebody can take it now."""
    now = ex.now()
    rule = ex.find_rule(message, now)
    if rule is None or message.valid_until <= now:
        return False
    decision = place(message, rule, now, ex.look_around(message, now))
    if decision.kind == "hold" and decision.detail == message.detail:
        return False
    put_decision(ex, message, decision, ("held",), now, rule.name)
    return decision.kind == "next"


def _is_crowded(ex: Exchange) -> bool:
    """True while every usable lane has its hands full: releasing more would only fill the queue ahead of the credit."""
    lanes = [lane for lane in ex.lanes.values() if lane.standing.out is None]
    return bool(lanes) and not any(lane.has_room for lane in lanes)
