"""A lane: the way to one provider account. Its own queue, rate, window, health and credit, so that no other lane feels its trouble.

Reads only its own due rows, in bounded pages; ranks each again just before its attempt opens, and only rewrites `lane` if another
provider wins by then. Ranking and booking are synchronous; I/O happens in `carry`. The truth about rows is the store's.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from decimal import Decimal

import trio

from broker.delivery.carry import Carrier, carry
from broker.delivery.exchange import Bell, Exchange
from broker.delivery.flight import Flight
from broker.delivery.health import Health, RateBucket
from broker.delivery.launch import launch
from broker.delivery.ledger import Ledger
from broker.delivery.lookups import join_lookup
from broker.delivery.mass import BlockedRow
from broker.delivery.recent import Recent
from broker.delivery.router import bar, expire, find_place
from broker.delivery.schedule import put_off
from broker.delivery.spacing import Spacing, space_out
from broker.routing import Candidate, Rule, Standing
from broker.store.contract import Answer, Put
from broker.words.attempt import Attempt, remember
from broker.words.channel import account_of
from broker.words.message import Message
from broker.words.settings import ProviderSettings

SHARES = (8, 3, 1)
PAGE = 200
ROOM = 1_000  # new messages that may wait in memory: whatever is more is read back from the store and ranked again
Waiting = tuple[Message, Rule | None, Candidate | None, int]


class Lane:
    """One account's lane. `carrier` is what hands messages over: an HTTP plugin with its account, or a session."""

    def __init__(self, ex: Exchange, settings: ProviderSettings, carrier: Carrier, standing: Standing) -> None:
        self.ex = ex
        self.name = settings.name
        self.settings = settings
        self.carrier = carrier
        self.traits = carrier.traits
        self.standing = standing
        self.ledger = Ledger(standing, settings.credit, settings.spend, carrier.has_balance)
        self.health = Health(standing, settings.breaker, has_probe=carrier.has_balance)
        self.rate = RateBucket(settings.rate, ex.now())
        self.in_flight = 0
        self.bell = Bell()
        self.poll_bell = Bell()
        self.balance_bell, self.quote_bell = Bell(), Bell()
        self.is_gone = False
        self.accepted = self.refused = 0
        self._nursery: trio.Nursery | None = None
        self._queues: tuple[deque[Waiting], ...] = (deque(), deque(), deque())
        self._size = 0
        self._ids: set[str] = set()
        self._leaving: list[str] = []
        self._replaced: dict[str, Attempt] = {}
        self.repeated: set[str] = set()
        self.blocked_row, self.rejected_row = BlockedRow(), BlockedRow()
        self._credits = list(SHARES)
        self._has_more = True
        self._due_at: int | None = None
        self._is_pumping = False
        self._outgoing: list[Flight] = []
        self.recent = Recent()
        self.spacing = Spacing()

    @property
    def is_by_ref(self) -> bool:
        """True where a receipt may name an attempt by the provider's id alone: by the provider's way, or at the account's own URL."""
        return self.traits.by_ref or (self.ex.callbacks is not None and self.ex.callbacks.is_told(self))

    @property
    def can_query(self) -> bool:
        """True where the provider can be asked for a message's fate."""
        return self.carrier.can_query

    @property
    def has_room(self) -> bool:
        """True while a new message may wait in memory; else it waits in the store alone."""
        return not self._has_more and self._size < ROOM

    @property
    def is_pressed(self) -> bool:
        """True when a message waits for a slot: then an outcome must not wait for company."""
        return self.in_flight >= self.settings.max_in_flight and (self._size > 0 or self._has_more)

    @property
    def window(self) -> int:
        """Messages that may be on their way at once."""
        return 1 if self.is_probed else self.settings.max_in_flight

    @property
    def is_probed(self) -> bool:
        """True while an open breaker or a suspension lets one message try."""
        return self.health.open_until is not None or self.health.suspended is not None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled: whenever something is due, open attempts and send them."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            self.bell.ring_at(0)
            while True:
                await self.bell.wait(self.ex.now)
                self.pump()
                if self._due_at is not None and self._due_at > self.ex.now():
                    self.bell.ring_at(self._due_at)  # the bell knows its earliest ring alone

    def expect(self, at: int, now: int) -> None:
        """A row of this lane is due at `at`: read it from the store then."""
        if at <= now:
            self._has_more = True
        elif self._due_at is None or at < self._due_at:
            self._due_at = at
        self.bell.ring_at(at)

    def offer(self, message: Message, rule: Rule, candidate: Candidate) -> None:
        """A message just accepted, in the same commit: it need not be read back. Call only while `has_room`."""
        self._add((message, rule, candidate, self.ex.epoch))

    def offer_again(self, message: Message, now: int) -> None:
        """A message that waits for this lane again, its row committed."""
        if message.next_at <= now and self.has_room and self.standing.out is None:
            self._add((message, None, None, -1))
        else:
            self.ex.wake(self.name, message.next_at, now)

    def reopen(self, message: Message, rule: Rule, candidate: Candidate, replaced: Attempt) -> None:
        """Another copy of a message in doubt: its attempt opens in the transaction that abandons `replaced`, when its turn comes."""
        if message.id not in self._ids:
            self._replaced[message.id] = replaced
            self._add((message, rule, candidate, self.ex.epoch))

    def start_soon(self, work: Callable[..., Awaitable[object]], *args: object) -> None:
        """Do `work` beside this lane's sending, until the lane ends."""
        assert self._nursery is not None  # a lane that has begun
        self._nursery.start_soon(work, *args)

    def _add(self, waiting: Waiting) -> None:
        message = waiting[0]
        if message.id in self._ids:
            return
        self._ids.add(message.id)
        self._queues[message.priority].append(waiting)
        self._size += 1
        if self._size == 1 or self.in_flight < self.settings.max_in_flight:
            self.bell.ring_at(0)

    def forget(self) -> None:
        """Let go of what waits in memory: the rows are in the store, and others may take them."""
        for queue in self._queues:
            queue.clear()
        self._ids.clear()
        self._replaced.clear()
        self._size = 0
        self._has_more = True

    def pump(self) -> None:
        """Open attempts while there are messages, slots, tokens and health."""
        if self._is_pumping or self.ex.is_stopping or self._nursery is None:
            return
        self._is_pumping = True
        try:
            self._pump(self.ex.now())
        finally:
            self._is_pumping = False

    def _pump(self, now: int) -> None:
        self.health.show(now)
        if self.standing.out is not None:
            if self._size:
                self.forget()
            self._has_more = True  # whatever waits here meanwhile was never read
            self.ex.router_bell.ring_at(now)
            until = self.standing.out[1]
            if until is not None:
                self.bell.ring_at(until if until > now else now + 1_000)  # past: its probe is under way
            return
        if now < self.health.throttled_until:
            self.bell.ring_at(self.health.throttled_until)
            return
        if self._due_at is not None and self._due_at <= now:
            self._has_more, self._due_at = True, None
        batch: list[Flight] = []
        while self.in_flight < self.window and len(self._leaving) < PAGE and not self.ex.journal.is_full:
            waiting = self._take(now)
            if waiting is None:
                break
            if not self._start(waiting, now, batch):
                break
        if batch:
            self._launch(batch)
        if self._leaving:
            self._see_off()

    def _see_off(self) -> None:
        """Forget the messages that left this lane once that is durable: until then a refill would find their rows again, for ever."""
        gone, self._leaving = self._leaving, []

        def done(_answer: Answer, _value: object) -> None:
            self._ids.difference_update(gone)
            self._has_more = True
            self.bell.ring_at(0)

        self.ex.journal.put(Put(done=done, hurry=False))

    def _take(self, now: int) -> Waiting | None:
        """The next waiting message: high, normal and low in shares of 8:3:1 while all wait."""
        if not self._size and not (self._has_more and self._refill(now)):
            return None
        queues, credits_ = self._queues, self._credits
        for _ in (0, 1):
            for priority in (0, 1, 2):
                if queues[priority] and credits_[priority] > 0:
                    credits_[priority] -= 1
                    self._size -= 1
                    return queues[priority].popleft()
            self._credits = credits_ = list(SHARES)
        return None

    def _refill(self, now: int) -> bool:
        """Read the next due rows of each priority from the store; True when there were any."""
        more = False
        for priority, share in enumerate(SHARES):
            limit = PAGE * share // SHARES[0] + len(self._ids)
            rows = self.ex.query.read_due(self.name, priority, now, limit)
            more = more or len(rows) == limit
            for message in rows:
                if message.id not in self._ids:
                    self._ids.add(message.id)
                    self._queues[priority].append((message, None, None, -1))
                    self._size += 1
        self._has_more = more
        if not more:
            following = self.ex.query.find_next_due(self.name, now)  # not one that is due: it may be on its way already
            if following is not None:
                self.expect(following, now)
        return self._size > 0

    def _start(self, waiting: Waiting, now: int, batch: list[Flight]) -> bool:
        """Open an attempt for one message, or let it go elsewhere. False when the lane must wait before the next."""
        message, rule, candidate, epoch = waiting
        is_copy = message.id in self._replaced
        is_barred = message.to in self.ex.suppressions.scopes and message.channel != "hlr"  # a lookup writes to nobody
        if is_copy and (epoch != self.ex.epoch or not self.ex.may_copy(message, rule, candidate, now)):
            self._ids.discard(message.id)
            del self._replaced[message.id]
            return True  # it stays in doubt, and whoever looks at that decides again
        if now >= message.valid_until:
            self._leaving.append(message.id)
            expire(self.ex, message, now)
            return True
        if is_barred and bar(self.ex, message, self.carrier.find_sender(message), now):
            self._leaving.append(message.id)
            return True
        is_old = epoch != self.ex.epoch or rule is None or rule.credit_matters
        if not is_copy and (is_old or candidate is None or not self._can_pay(candidate)):
            rule, candidate = self._rank_again(message, now)
        if rule is None or candidate is None:
            return True
        opening = None if rule.window is None else self.ex.find_opening(rule, message, now)
        if opening is not None:
            self._leaving.append(message.id)
            put_off(self.ex, message, opening, now)
            return True
        if (message.channel == "hlr" and join_lookup(self, message, now)) or space_out(self, message, rule, candidate, now):
            self._leaving.append(message.id)
            return True
        until = self.ledger.find_spend_end(candidate.price or 0, now)
        if until is not None:
            self.health.spend_until = until
            self._put_back((message, None, None, -1))
            self.bell.ring_at(now)
            return False
        wait = self.rate.take(candidate.segments, now)
        if wait:
            self._put_back((message, rule, candidate, self.ex.epoch))
            self.bell.ring_at(now + wait)
            return False
        flight = self._open(message, rule, candidate, now)
        most = min(self.settings.batch, self.traits.batch)
        if most > 1:
            flight.shape = self._find_shape(flight)
        if batch and not flight.may_join(batch):
            self._launch(batch.copy())
            batch.clear()
        batch.append(flight)
        if flight.shape is None or len(batch) >= most:
            self._launch(batch.copy())
            batch.clear()
        return True

    def _find_shape(self, flight: Flight) -> Hashable | None:
        """What those who share a request with it must be like; None: nobody may."""
        shape = self.carrier.plugin.shape
        try:
            found: Hashable | None = "any" if shape is None else shape(self.carrier.config, flight.make_send())
        except Exception:  # a fault of the plugin's, which meets the message again, and is told, where its request is built
            return None
        return found

    def _put_back(self, waiting: Waiting) -> None:
        priority = waiting[0].priority
        self._queues[priority].appendleft(waiting)
        self._size += 1
        self._credits[priority] += 1  # its turn was not used: under a rate the low ones would lose theirs every time

    def _can_pay(self, candidate: Candidate) -> bool:
        if candidate.bucket is None:
            return True
        if candidate.bucket in self.standing.dry:
            return False
        usable = self.standing.usable.get(candidate.bucket)
        return usable is None or usable - candidate.cost >= self.settings.credit.stop

    def _rank_again(self, message: Message, now: int) -> tuple[Rule | None, Candidate | None]:
        """Rank just before the attempt opens; if it is not this lane's any more, the row moves and nothing is returned."""
        ex = self.ex
        rule = ex.find_rule(message, now)
        if rule is not None:
            route = ex.rank(rule, message, message.progress)
            staying = message.progress.provider  # a visit under way goes on where it is, whoever ranks first
            if staying is None or account_of(staying) != self.name:
                first = route.first
                if first is not None and first.provider == self.name:
                    return rule, first
            else:
                for candidate in route.candidates:
                    if candidate.name == staying:
                        return rule, candidate
        self._leaving.append(message.id)
        find_place(ex, message, rule, now)
        return None, None

    def _open(self, message: Message, rule: Rule, candidate: Candidate, now: int) -> Flight:
        n = message.attempts + 1
        key = f"{message.id.replace('-', '')}n{n}"
        attempt = Attempt(
            message.id, n, self.name, "", now, "open", key, self.carrier.find_sender(message), parts=candidate.segments,
            price=candidate.price, currency=candidate.currency, bucket=candidate.bucket, credit=candidate.cost,
            doubt=remember(rule.doubt, self.traits.memory), channel=candidate.channel,
        )  # fmt: skip
        body = None if candidate.channel is None else rule.find_body(candidate.channel, message)
        replaced = self._replaced.pop(message.id, None)
        if replaced is not None and replaced.provider == self.name:
            attempt.key = replaced.key  # they may repeat each other: a provider that knows a key sends one of them
        flight = Flight(self, message, attempt, rule, self.is_probed, body, replaced=replaced)
        if flight.is_probe:
            self.health.is_probing = True
            self.health.show(now)
        self.in_flight += 1
        flight.asked = self.ledger.reserve(attempt, now)
        return flight

    def _launch(self, batch: list[Flight]) -> None:
        """Journal the opened attempts; when they are durable, carry them in one call."""
        launch(self, batch, self._send)

    def note_failed(self, flight: Flight) -> None:
        """The attempt could not be opened: its message is somebody else's by now, or the disk is full. Nothing went out."""
        if flight.is_probe:
            self.health.is_probing = False  # another message may be the probe
        self.ledger.settle(flight.attempt, debit=False)
        self.release(flight)
        self._has_more = True

    def _send(self, ready: list[Flight]) -> None:
        """Carry durable attempts: an HTTP batch in a call of its own, a session's with whatever else this commit made ready."""
        assert self._nursery is not None
        if self.carrier.session is None or self.traits.batch == 1:
            self._nursery.start_soon(carry, self.ex, self.carrier, ready)
        elif self._outgoing:
            self._outgoing.extend(ready)
        else:
            self._outgoing = ready
            self._nursery.start_soon(self._carry_outgoing)

    async def _carry_outgoing(self) -> None:
        ready, self._outgoing = self._outgoing, []
        await carry(self.ex, self.carrier, ready)

    def release(self, flight: Flight) -> None:
        """The flight's outcome is durable: its slot is free."""
        self.in_flight -= 1
        self._ids.discard(flight.message.id)
        if self._size or self._has_more:
            self.ex.journal.do_behind(self.pump)  # once for all slots that a commit frees

    @property
    def delivered_share(self) -> Decimal | None:
        """Delivered among final receipts since the start, None before any."""
        return None if not self.standing.finals else Decimal(self.standing.delivered) / self.standing.finals
