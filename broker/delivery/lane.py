"""A lane: one provider account as delivery sees it. Its own queue, rate, window, health and credit: no other lane feels its trouble.

It is the account's state and decides nothing: `dispatch` opens its attempts, `settle` and `notes` write down what comes of them.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import trio

from broker.delivery.bell import Bell
from broker.delivery.carrier import Carrier
from broker.delivery.health import Health, RateBucket
from broker.delivery.ledger import Ledger
from broker.delivery.mass import BlockedRow
from broker.delivery.recent import Recent
from broker.delivery.spacing import Spacing
from broker.delivery.waiting import Waiting, WaitingRoom
from broker.routing import Candidate, Rule, Standing
from broker.words.attempt import Attempt
from broker.words.message import Message
from broker.words.settings import ProviderSettings


class Lane:
    """One account's lane. `carrier` is what hands messages over: an HTTP plugin with its account, or a session.

    `replaced`: the attempt in doubt that a waiting message, another copy, abandons as it opens; `repeated`: messages whose request is
    being sent again; `has_free_slot` is told that one is free and somebody may wait for it; `nursery` ends with the lane.
    """

    def __init__(self, settings: ProviderSettings, carrier: Carrier, standing: Standing, now: int) -> None:
        self.name = settings.name
        self.settings = settings
        self.carrier = carrier
        self.traits = carrier.traits
        self.standing = standing
        self.ledger = Ledger(standing, settings.credit, settings.spend, carrier.has_balance)
        self.health = Health(standing, settings.breaker, has_probe=carrier.has_balance)
        self.rate = RateBucket(settings.rate, now)
        self.waiting = WaitingRoom(settings.name)
        self.in_flight = 0
        self.bell = Bell()
        self.poll_bell = Bell()
        self.balance_bell, self.quote_bell = Bell(), Bell()
        self.is_gone = False
        self.accepted = self.refused = 0
        self.replaced: dict[str, Attempt] = {}
        self.repeated: set[str] = set()
        self.blocked_row, self.rejected_row = BlockedRow(), BlockedRow()
        self.recent = Recent()
        self.spacing = Spacing()
        self.has_free_slot: Callable[[], None] = lambda: None
        self.nursery: trio.Nursery | None = None

    @property
    def can_query(self) -> bool:
        """True where the provider can be asked for a message's fate."""
        return self.carrier.can_query

    @property
    def has_room(self) -> bool:
        """True while a new message may wait in memory; else it waits in the store alone."""
        return self.waiting.has_room

    @property
    def is_pressed(self) -> bool:
        """True when a message waits for a slot: then an outcome must not wait for company."""
        return self.in_flight >= self.settings.max_in_flight and (self.waiting.size > 0 or self.waiting.has_more)

    @property
    def window(self) -> int:
        """Messages that may be on their way at once."""
        return 1 if self.is_probed else self.settings.max_in_flight

    @property
    def is_probed(self) -> bool:
        """True while an open breaker or a suspension lets one message try."""
        return self.health.open_until is not None or self.health.suspended is not None

    @property
    def delivered_share(self) -> Decimal | None:
        """Delivered among final receipts since the start, None before any."""
        return None if not self.standing.finals else Decimal(self.standing.delivered) / self.standing.finals

    def expect(self, at: int, now: int) -> None:
        """A row of this lane is due at `at`: read it from the store then."""
        self.waiting.expect(at, now)
        self.bell.ring_at(at)

    def offer(self, message: Message, rule: Rule, candidate: Candidate, epoch: int) -> None:
        """A message just accepted, in the same commit: it need not be read back. Call only while `has_room`."""
        self._add((message, rule, candidate, epoch))

    def offer_again(self, message: Message, now: int) -> bool:
        """A message that waits for this lane again, its row committed. False where it waits in the store alone."""
        if message.next_at > now or not self.has_room or self.standing.out is not None:
            return False
        self._add((message, None, None, -1))
        return True

    def reopen(self, message: Message, rule: Rule, candidate: Candidate, replaced: Attempt, epoch: int) -> None:
        """Another copy of a message in doubt: its attempt opens in the transaction that abandons `replaced`, when its turn comes."""
        if not self.waiting.holds(message.id):
            self.replaced[message.id] = replaced
            self._add((message, rule, candidate, epoch))

    def _add(self, waiting: Waiting) -> None:
        if self.waiting.add(waiting) and (self.waiting.size == 1 or self.in_flight < self.settings.max_in_flight):
            self.bell.ring_at(0)

    def forget(self) -> None:
        """Let go of what waits in memory: the rows are in the store, and others may take them."""
        self.waiting.forget()
        self.replaced.clear()

    def release(self, id_: str) -> None:
        """The outcome of a message is durable, or its attempt never opened: its slot is free."""
        self.in_flight -= 1
        self.waiting.let_go(id_)
        if self.waiting.size or self.waiting.has_more:
            self.has_free_slot()

    def start_soon(self, work: Callable[..., Awaitable[object]], *args: object) -> bool:
        """Do `work` beside this lane's sending, until the lane ends. False where it has ended."""
        if self.nursery is None:
            return False
        self.nursery.start_soon(work, *args)
        return True
