"""Hooks: what has to be handed on, from each endpoint's queue in the store, until it is taken (CONTRACT §3, [[inbound]] and webhooks).

Each endpoint has a queue of its own, so a dead one delays no other. What hangs together (one message's statuses, one handset's texts) goes
in order, everything else beside each other. At least once: what a crash interrupts is handed over again, under the same name. After
LIMIT without being taken it is given up, with an event. The truth is the table `hook`; in memory is a page of it (`backlog`).
"""

import logging
from collections.abc import Callable

import trio

from broker.delivery.backlog import Backlog, Item
from broker.delivery.bell import Bell
from broker.delivery.endpoints import Endpoint, Verdict
from broker.delivery.exchange import Exchange
from broker.delivery.inbound import is_inbound
from broker.policy.backoff import backoff
from broker.store.contract import Entry, Hook, Put
from broker.store.failpoints import failpoint
from broker.words.clock import DAY, SECOND

log = logging.getLogger("broker.delivery")

LIMIT = 3 * DAY
"""How long an endpoint is asked again for one thing, from when it happened."""
PAGE = 500
MOST = 10 * PAGE
"""Rows of one endpoint in memory, with those that it refuses while it takes others."""
SOUR = 3
"""After so many failures in a row the endpoint itself is out: one hand-over at a time, and pauses between them."""
SHORTEST = SECOND

Read = Callable[[Hook], tuple[str, bytes] | None]
"""The name and the body of something that waits; None where it is kept no longer."""


class Stream:
    """The queue of one endpoint. `label` names it to people: a client, or a rule by its number; `waiting` counts its rows."""

    def __init__(self, ex: Exchange, name: str, label: str, endpoint: Endpoint, read: Read, waiting: int = 0) -> None:
        self.ex = ex
        self.name = name
        self.label = label
        self.endpoint = endpoint
        self.waiting = waiting
        self._read = read
        self._bell = Bell()
        self._room = trio.lowlevel.ParkingLot()
        self._backlog = Backlog()
        self._last = self._in_flight = 0
        self._has_more = True
        self._failures = 0
        self._pause_until = 0

    async def run(self) -> None:
        """Hand over until cancelled."""
        async with trio.open_nursery() as nursery:
            self._bell.ring_at(0)
            while True:
                await self._bell.wait(self.ex.now)
                self._pump(nursery)

    def ring(self) -> None:
        """There is more in the store."""
        self._has_more = True
        self._bell.ring_at(0)

    def change(self, label: str, endpoint: Endpoint) -> None:
        """Go on with another endpoint: whatever waits may be tried at once."""
        self.label, self.endpoint = label, endpoint
        self._failures = self._pause_until = 0
        self._backlog.hurry()
        self._bell.ring_at(0)

    async def wait_room(self, most: int) -> None:
        """Return when fewer than `most` rows wait, those not counted that the endpoint refuses while it takes others."""
        while self.waiting - self._backlog.stuck >= most or self.waiting >= MOST:
            await self._room.park()

    def _pump(self, nursery: trio.Nursery) -> None:
        now = self.ex.now()
        self._load()
        while self._in_flight < (1 if self._failures >= SOUR else self.endpoint.most):
            due = self._backlog.find_due()
            if due is None:
                return
            at = max(due, self._pause_until)
            if at > now:
                self._bell.ring_at(at)
                return
            self._in_flight += 1
            nursery.start_soon(self._hand_over, self._backlog.take())

    def _load(self) -> None:
        """Fill the page up behind what it holds: rows come in order, so none is overtaken by one of its own chain.

        What is stuck does not count, up to MOST; beyond that the oldest of what a healthy endpoint refuses is given up.
        """
        backlog = self._backlog
        if not self._has_more or backlog.size - backlog.stuck > PAGE // 2:
            return
        if backlog.size > MOST - PAGE and self._failures < SOUR:
            self._drop(backlog.find_refused(PAGE), "refused while others were taken")
        limit = min(PAGE - (backlog.size - backlog.stuck), MOST - backlog.size)
        if limit <= 0:
            return
        rows = self.ex.query.read_hooks(self.name, self._last, limit)
        self._has_more = len(rows) == limit
        for hook in rows:
            self._last = hook.n
            backlog.add(hook)

    async def _hand_over(self, item: Item) -> None:
        endpoint, verdict = self.endpoint, Verdict("lost", "no longer kept")
        try:
            found = self._read(item.hook)
            if found is not None:
                failpoint("hook.sending")
                verdict = await endpoint.hand_over(*found, self.ex.clock.wall())
                failpoint("hook.answered")
        except Exception as error:  # a fault of our own: logged without its text, and no more than this one thing waits for it
            log.error("handing on failed by a fault of the broker's own hook=%s error=%s", self.label, type(error).__name__)
            verdict = Verdict("failed", "fault")
        self._in_flight -= 1
        self._judge(item, verdict, is_same=endpoint is self.endpoint)
        self._bell.ring_at(0)

    def _judge(self, item: Item, verdict: Verdict, *, is_same: bool) -> None:
        if verdict.kind == "failed":
            if is_same:
                self._note_failure(verdict)
            self._put_off(item, verdict)
            return
        if verdict.kind != "lost" and is_same:
            if self._failures >= SOUR:
                log.info("endpoint answers again hook=%s", self.label)
            self._failures = self._pause_until = 0
        self._drop([item], None if verdict.kind == "taken" else verdict.reason)

    def _note_failure(self, verdict: Verdict) -> None:
        self._failures += 1
        is_out = self._failures >= SOUR
        if self._failures in (1, SOUR):
            log.warning("not handed on hook=%s reason=%s failures=%d waiting=%d", self.label, verdict.reason, self._failures, self.waiting)
        if is_out or verdict.wait is not None:
            pause = backoff(max(self._failures - SOUR, 0), self.ex.draw() if is_out else 0, verdict.wait)
            self._pause_until = max(self._pause_until, self.ex.now() + max(pause, SHORTEST))

    def _put_off(self, item: Item, verdict: Verdict) -> None:
        """Later again; what is too old by then is given up, and where the endpoint is out whatever else is too old."""
        now = self.ex.now()
        self._backlog.put_off(item, now + max(backoff(item.tries, self.ex.draw(), verdict.wait), SHORTEST))
        oldest = now - LIMIT
        if self._failures >= SOUR:
            self._drop(self._backlog.find_older(oldest), verdict.reason)
        elif item.hook.since <= oldest:
            self._drop([item], verdict.reason)
        self._room.unpark_all()

    def _drop(self, items: list[Item], reason: str | None) -> None:
        """Take rows out of the queue: they were taken, or for a `reason` never will be."""
        if not items:
            return
        self._backlog.drop(items)
        self.waiting -= len(items)
        put = Put(unhook=tuple(item.hook.n for item in items), hurry=False)
        if reason is not None:
            log.error("given up hook=%s count=%d reason=%s", self.label, len(items), reason)
            put.entries = (tell_dropped(self.ex, self.label, items[0].hook, len(items), reason),)
        self.ex.journal.put(put)
        self._room.unpark_all()


def tell_dropped(ex: Exchange, label: str, first: Hook, count: int, reason: str) -> Entry:
    """The event of `count` things that nobody will be handed: `id` is the first one's, a message's or an inbound message's."""
    id_ = first.key if is_inbound(first.stream) else first.chain
    return ex.teller.happen("hook.dropped", ex.now(), hook=label, id=id_, count=count, reason=reason)
