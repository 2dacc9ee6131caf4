"""The dispatcher of one lane: opens attempts while there are messages, slots, tokens and health, and sends what is durable.

Ranks each message again just before its attempt opens where that may have changed, and only rewrites the row's `lane` if another
provider wins by then. Ranking and booking are synchronous; I/O happens in `carry`.
"""

from collections.abc import Hashable
from hashlib import blake2b

import msgspec
import trio

from broker.delivery.carry import carry, make_send
from broker.delivery.exchange import Exchange
from broker.delivery.flight import Flight
from broker.delivery.lane import Lane
from broker.delivery.launch import launch
from broker.delivery.lookups import join_lookup
from broker.delivery.router import bar, expire, find_place
from broker.delivery.schedule import put_off
from broker.delivery.settle import settle
from broker.delivery.waiting import PAGE, Waiting
from broker.provider.contract import Outcome
from broker.routing import Candidate, Rule
from broker.store.contract import Answer, Move, Put
from broker.words.attempt import Attempt, remember
from broker.words.channel import account_of
from broker.words.message import Message


class Dispatcher:
    """Works one lane."""

    def __init__(self, ex: Exchange, lane: Lane) -> None:
        self.ex = ex
        self.lane = lane
        lane.has_free_slot = lambda: ex.journal.do_behind(self.pump)  # once for all slots that a commit frees
        self._leaving: list[str] = []
        self._outgoing: list[Flight] = []
        self._is_pumping = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled: whenever something is due, open attempts and send them."""
        lane = self.lane
        try:
            async with trio.open_nursery() as nursery:
                lane.nursery = nursery
                task_status.started()
                lane.bell.ring_at(0)
                while True:
                    await lane.bell.wait(self.ex.now)
                    self.pump()
                    due_at = lane.waiting.due_at
                    if due_at is not None and due_at > self.ex.now():
                        lane.bell.ring_at(due_at)  # the bell knows its earliest ring alone
        finally:
            lane.nursery = None

    def pump(self) -> None:
        """Open attempts while there are messages, slots, tokens and health."""
        if self._is_pumping or self.ex.is_stopping or self.lane.nursery is None:
            return
        self._is_pumping = True
        try:
            self._pump(self.ex.now())
        finally:
            self._is_pumping = False

    def _pump(self, now: int) -> None:
        ex, lane = self.ex, self.lane
        lane.health.show(now)
        if lane.standing.out is not None:
            self._stand_by(lane.standing.out[1], now)
            return
        if now < lane.health.throttled_until:
            lane.bell.ring_at(lane.health.throttled_until)
            return
        lane.waiting.look_at_clock(now)
        batch: list[Flight] = []
        while lane.in_flight < lane.window and len(self._leaving) < PAGE and not ex.journal.is_full:
            waiting = lane.waiting.take(ex.query, now)
            if waiting is None or not self._start(waiting, now, batch):
                break
        if batch:
            self._launch(batch)
        if self._leaving:
            self._see_off()

    def _stand_by(self, until: int | None, now: int) -> None:
        """The account cannot serve: who waits here may go elsewhere."""
        lane = self.lane
        if lane.waiting.size:
            lane.forget()
        lane.waiting.has_more = True  # whatever waits here meanwhile was never read
        self.ex.router_bell.ring_at(now)
        if until is not None:
            lane.bell.ring_at(until if until > now else now + 1_000)  # past: its probe is under way

    def _see_off(self) -> None:
        """Forget the messages that left this lane once that is durable: until then a refill would find their rows again, for ever."""
        lane = self.lane
        gone, self._leaving = self._leaving, []

        def done(_answer: Answer, _value: object) -> None:
            for id_ in gone:
                lane.waiting.let_go(id_)
            lane.waiting.has_more = True
            lane.bell.ring_at(0)

        self.ex.journal.put(Put(done=done, hurry=False))

    def _start(self, waiting: Waiting, now: int, batch: list[Flight]) -> bool:
        """Open an attempt for one message, or let it go elsewhere. False when the lane must wait before the next."""
        message, rule, candidate, epoch = waiting
        ex, lane = self.ex, self.lane
        is_copy = message.id in lane.replaced
        if is_copy and (epoch != ex.epoch or not ex.may_copy(message, rule, candidate, now)):
            lane.waiting.let_go(message.id)
            del lane.replaced[message.id]
            return True  # it stays in doubt, and whoever looks at that decides again
        if self._is_over(message, now):
            self._leaving.append(message.id)
            return True
        is_old = epoch != ex.epoch or rule is None or rule.credit_matters
        if not is_copy and (is_old or candidate is None or not self._can_pay(candidate)):
            rule, candidate = self._rank_again(message, now)
        if rule is None or candidate is None:
            return True
        if self._has_to_wait(message, rule, candidate, now):
            self._leaving.append(message.id)
            return True
        until = lane.ledger.find_spend_end(candidate.price or 0, now)
        if until is not None:
            lane.health.spend_until = until
            lane.waiting.put_back((message, None, None, -1))
            lane.bell.ring_at(now)
            return False
        wait = lane.rate.take(candidate.segments, now)
        if wait:
            lane.waiting.put_back((message, rule, candidate, ex.epoch))
            lane.bell.ring_at(now + wait)
            return False
        self._board(self._open(message, rule, candidate, now), batch)
        return True

    def _is_over(self, message: Message, now: int) -> bool:
        """True for a message that is not to be sent any more, which ends: its validity is over, or its recipient is barred."""
        ex = self.ex
        if now >= message.valid_until:
            expire(ex, message, now)
            return True
        is_barred = message.to in ex.suppressions.scopes and message.channel != "hlr"  # a lookup writes to nobody
        return is_barred and bar(ex, message, self.lane.carrier.find_sender(message), now)

    def _has_to_wait(self, message: Message, rule: Rule, candidate: Candidate, now: int) -> bool:
        """True where it may not leave yet, for its rule's hours or another message's sake; then it is in the store, with its time."""
        ex, lane = self.ex, self.lane
        opening = None if rule.window is None else ex.find_opening(rule, message, now)
        if opening is not None:
            put_off(ex, message, opening, now)
            return True
        if message.channel == "hlr" and join_lookup(ex, lane, message, now):
            return True
        until = None
        if lane.traits.duplicate_window:
            channel = candidate.channel
            body = message.text if channel is None else rule.find_body(channel, message)
            # No provider says that another sender makes another message.
            what = (message.to, channel or message.channel, body, message.options)
            mark = blake2b(msgspec.json.encode(what), digest_size=16).digest()
            until = lane.spacing.find_wait(mark, message.id, lane.traits.duplicate_window, now)
        if until is not None:
            ex.journal.put(Move(((message.id, lane.name, min(until, message.valid_until)),)))
        return until is not None

    def _board(self, flight: Flight, batch: list[Flight]) -> None:
        """Put a flight into the batch that it may share a request with, and launch what is complete."""
        most = min(self.lane.settings.batch, self.lane.traits.batch)
        if most > 1:
            flight.shape = self._find_shape(flight)
        if batch and not flight.may_join(batch):
            self._launch(batch.copy())
            batch.clear()
        batch.append(flight)
        if flight.shape is None or len(batch) >= most:
            self._launch(batch.copy())
            batch.clear()

    def _find_shape(self, flight: Flight) -> Hashable | None:
        """What those who share a request with it must be like; None: nobody may."""
        shape = self.lane.carrier.plugin.shape
        try:
            found: Hashable | None = "any" if shape is None else shape(self.lane.carrier.config, make_send(self.ex, flight))
        except Exception:  # a fault of the plugin's, which meets the message again, and is told, where its request is built
            return None
        return found

    def _can_pay(self, candidate: Candidate) -> bool:
        standing, bucket = self.lane.standing, candidate.bucket
        if bucket is None:
            return True
        if bucket in standing.dry:
            return False
        usable = standing.usable.get(bucket)
        return usable is None or usable - candidate.cost >= self.lane.settings.credit.stop

    def _rank_again(self, message: Message, now: int) -> tuple[Rule | None, Candidate | None]:
        """Rank just before the attempt opens; if it is not this lane's any more, the row moves and nothing is returned."""
        ex = self.ex
        rule = ex.find_rule(message, now)
        if rule is not None:
            route = ex.rank(rule, message, message.progress)
            staying = message.progress.provider  # a visit under way goes on where it is, whoever ranks first
            if staying is None or account_of(staying) != self.lane.name:
                first = route.first
                if first is not None and first.provider == self.lane.name:
                    return rule, first
            else:
                for candidate in route.candidates:
                    if candidate.name == staying:
                        return rule, candidate
        self._leaving.append(message.id)
        find_place(ex, message, rule, now)
        return None, None

    def _open(self, message: Message, rule: Rule, candidate: Candidate, now: int) -> Flight:
        lane, n = self.lane, message.attempts + 1
        key = f"{message.id.replace('-', '')}n{n}"
        attempt = Attempt(
            message.id, n, lane.name, "", now, "open", key, lane.carrier.find_sender(message), parts=candidate.segments,
            price=candidate.price, currency=candidate.currency, bucket=candidate.bucket, credit=candidate.cost,
            doubt=remember(rule.doubt, lane.traits.memory), channel=candidate.channel,
        )  # fmt: skip
        body = None if candidate.channel is None else rule.find_body(candidate.channel, message)
        replaced = lane.replaced.pop(message.id, None)
        if replaced is not None and replaced.provider == lane.name:
            attempt.key = replaced.key  # they may repeat each other: a provider that knows a key sends one of them
        flight = Flight(lane, message, attempt, rule, lane.is_probed, body, replaced=replaced)
        if flight.is_probe:
            lane.health.is_probing = True
            lane.health.show(now)
        lane.in_flight += 1
        flight.asked = lane.ledger.reserve(attempt, now)
        return flight

    def _launch(self, batch: list[Flight]) -> None:
        """Journal the opened attempts; when they are durable, carry them in one call."""
        launch(self.ex, self.lane, batch, self._send, self._note_failed)

    def _note_failed(self, flight: Flight) -> None:
        """The attempt could not be opened: its message is somebody else's by now, or the disk is full. Nothing went out."""
        lane = self.lane
        if flight.is_probe:
            lane.health.is_probing = False  # another message may be the probe
        lane.ledger.settle(flight.attempt, debit=False)
        lane.release(flight.message.id)
        lane.waiting.has_more = True

    def _send(self, ready: list[Flight]) -> None:
        """Carry durable attempts: an HTTP batch in a call of its own, a session's with whatever else this commit made ready."""
        ex, lane = self.ex, self.lane
        if lane.carrier.session is not None and lane.traits.batch > 1:
            self._outgoing.extend(ready)
            if len(self._outgoing) > len(ready) or lane.start_soon(self._carry_outgoing):
                return
            ready, self._outgoing = self._outgoing, []
        elif lane.start_soon(carry, ex, lane.carrier, ready):
            return
        for flight in ready:  # the lane has ended, and the disk took so long: nothing of them went out
            settle(ex, flight, Outcome("unreachable", "stopped", "the broker stopped before it was sent", evidence="not sent"))

    async def _carry_outgoing(self) -> None:
        ready, self._outgoing = self._outgoing, []
        await carry(self.ex, self.lane.carrier, ready)
