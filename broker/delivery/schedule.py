"""Messages that wait for a date: `send_at`, and the opening of a rule's window. The date is the wall's, and the wall may be set.

A wait is kept as a moment of the broker's own time (delivery.clock). Whoever sets the machine's clock moves the date and not the moment:
then every scheduled message gets its new one, a page at a time, and everything else goes on as it was.
"""

import logging

import trio

from broker.delivery.clock import STEP
from broker.delivery.exchange import Exchange
from broker.delivery.router import PAGE, START, Cursor, expire, put_decision
from broker.policy import Decision
from broker.store.contract import Change, Step
from broker.store.query import SqliteQuery
from broker.words.message import Message

log = logging.getLogger("broker.delivery")

LOOK = 1.0
"""Seconds between two looks at the clock on the wall."""
KEPT, DRIFT, BEHIND = "clock", "drift", "behind"


def read_drift(query: SqliteQuery) -> int:
    """How far the wall was ahead of the broker's own time before a restart, in milliseconds."""
    drift: int = query.read_facts(KEPT).get(DRIFT, {"ms": 0})["ms"]
    return drift


def find_due(ex: Exchange, message: Message) -> int:
    """The broker's moment of a message's `send_at`; 0 or less without one."""
    return ex.clock.of_wall(message.send_at or 0)


def put_off(ex: Exchange, message: Message, opening: int, now: int) -> None:
    """The rule's window is closed for this recipient: it waits as scheduled until it opens, or until its validity ends."""
    at = min(opening, message.valid_until)
    put_decision(ex, message, Decision("schedule", "scheduled", at, message.progress, detail="window"), (message.status,), now)


def start(ex: Exchange, message: Message, now: int) -> None:
    """The time of a scheduled message has come: it is routed as if it had just been accepted."""
    if message.detail == "send_at" and find_due(ex, message) - now >= STEP:
        move(ex, message, now)  # the clock was set back a moment ago
    elif now >= message.valid_until:
        expire(ex, message, now)
    else:
        put_decision(ex, message, Decision("next", "queued", now, message.progress), ("scheduled",), now)


def move(ex: Exchange, message: Message, now: int) -> None:
    """Give a scheduled message the moment that its date has now; its validity, which begins there, goes with it.

    One that waits for a window is looked at anew: if it is still closed, it waits again.
    """
    at, valid_until = min(message.next_at, now), message.valid_until
    if message.detail == "send_at":
        at = find_due(ex, message)
        valid_until += at - message.next_at
    if at != message.next_at:
        change = Change("scheduled", message.detail, None, at, valid_until=valid_until)
        ex.journal.put(Step(message.id, ("scheduled",), change, hurry=False))


async def run_clock(ex: Exchange) -> None:
    """Look at the clock on the wall until cancelled."""
    is_behind = BEHIND in ex.query.read_facts(KEPT)  # the process ended while dates were on the move
    while True:
        step = ex.clock.look()
        if step:
            log.warning("the machine's clock was set: dates go by the new time, waits go on as they were by_ms=%d", step)
            ex.keep(KEPT, BEHIND, {})
            ex.keep(KEPT, DRIFT, {"ms": ex.clock.drift})
            ex.gain()  # a rule's hours may have begun, or be over
        if step or is_behind:
            await _move_all(ex)
            ex.keep(KEPT, BEHIND, None)
            is_behind = False
        await trio.sleep(LOOK)


async def _move_all(ex: Exchange) -> None:
    for priority in (0, 1, 2):
        after: Cursor = START
        while rows := ex.query.read_scheduled(priority, after, PAGE):
            after = (rows[-1].next_at, rows[-1].valid_until, rows[-1].id)
            for message in rows:
                move(ex, message, ex.now())
            await ex.journal.wait_committed()
    at = ex.query.find_next_waiting("scheduled")
    if at is not None:
        ex.sweep_bell.ring_at(at)
