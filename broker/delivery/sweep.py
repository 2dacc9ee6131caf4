"""The sweep: ends what its time has ended, so that every message reaches one final status (promise 2), and forgets what is old.

Expiry of queued rows by a scan of the queue's index (every second while it is small, less often as it grows); held and in-doubt
rows by their `next_at`.
"""

from collections.abc import Callable

import trio

from broker.delivery.doubt import look_at_doubt
from broker.delivery.exchange import Exchange
from broker.delivery.router import expire
from broker.delivery.schedule import start
from broker.store.failpoints import failpoint
from broker.words.message import Message

PAGE = 500


WAITING: dict[str, Callable[[Exchange, Message, int], None]] = {"held": expire, "in_doubt": look_at_doubt, "scheduled": start}
"""What follows when the `next_at` of a waiting message has come."""


async def run_sweep(ex: Exchange) -> None:
    """Sweep until cancelled."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_sweep_waiting, ex)
        nursery.start_soon(_sweep_queued, ex)


async def _sweep_waiting(ex: Exchange) -> None:
    for status in WAITING:
        at = ex.query.find_next_waiting(status)
        if at is not None:
            ex.sweep_bell.ring_at(at)
    while True:
        await ex.sweep_bell.wait(ex.now)
        for status, end in WAITING.items():
            while rows := ex.query.read_waiting(status, ex.now(), PAGE):
                for message in rows:
                    end(ex, message, ex.now())
                failpoint("sweep.page")
                await ex.journal.wait_committed()
            at = ex.query.find_next_waiting(status)
            if at is not None:
                ex.sweep_bell.ring_at(max(at, ex.now() + 5))


async def _sweep_queued(ex: Exchange) -> None:
    while True:
        begun = trio.current_time()
        ids = await ex.query.find_expired(ex.now(), PAGE)
        taken = trio.current_time() - begun
        for id_ in ids:
            message = ex.query.find_message(id_)
            if message is not None and message.status == "queued":
                expire(ex, message, ex.now())
        await ex.journal.wait_committed()
        if len(ids) < PAGE:
            await trio.sleep(max(1.0, 50 * taken))
