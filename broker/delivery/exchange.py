"""The exchange: what every part of delivery shares. Holds the applied book, the store's two sides, the lanes and the clock.

It decides nothing; it is the one value that `daemon` builds and the rooms of this floor pass to each other.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from broker.delivery.arrival import Arrival
from broker.delivery.bell import Bell
from broker.delivery.clock import Clock
from broker.delivery.events import Teller
from broker.delivery.flight import Flight
from broker.delivery.inbox import Inbox
from broker.delivery.lane import Lane
from broker.delivery.networks import Lookups
from broker.policy import Sides, find_awaited
from broker.routing import Book, Candidate, Route, Rule, Standing, find_rule, rank
from broker.store.contract import Entry, Put
from broker.store.journal import SqliteJournal
from broker.store.query import SqliteQuery
from broker.words.attempt import Attempt
from broker.words.message import Message, Progress
from broker.words.status import RANK

BY_A_PERSON = "by a person"
STOP = "STOP"


class WayBack(Protocol):
    """What providers are told to call, where there is a listener: `callbacks` knows the addresses."""

    def is_told(self, lane: Lane) -> bool:
        """True where the provider of `lane` is told a URL, and has something to say of its messages."""

    def name_call(self, lane: Lane, flights: Sequence[Flight]) -> None:
        """Give the attempts of one call to the provider its token, where the provider can call back."""

    def find_url(self, attempt: Attempt) -> str | None:
        """What the provider may call about an attempt, None where it has no token."""

    def apply(self) -> None:
        """Take over the accounts of the applied configuration."""


class Suppressions:
    """Who is never written to: recipient -> scope (`all`, or `sender:ID`) -> reason. The store has the truth; this is its copy."""

    def __init__(self) -> None:
        self.scopes: dict[str, dict[str, str]] = {}

    def add(self, recipient: str, scope: str, reason: str) -> bool:
        """Bar a recipient. A person's word replaces any other reason, a STOP a provider's. True when nothing barred so before."""
        is_new = scope not in self.scopes.setdefault(recipient, {})
        if self.is_stronger(recipient, scope, reason):
            self.scopes[recipient][scope] = reason
        return is_new

    def is_stronger(self, recipient: str, scope: str, reason: str) -> bool:
        """True where `reason` would be kept: it bars anew, or from now on lasts longer."""
        held = self.scopes.get(recipient, {}).get(scope)
        return held is None or _weigh(reason) > _weigh(held)

    def is_held(self, recipient: str, scope: str, reason: str) -> bool:
        """True while this very reason bars."""
        return self.scopes.get(recipient, {}).get(scope) == reason

    def remove(self, recipient: str, scope: str | None = None) -> bool:
        """Take a recipient off, of one scope or of all. True when there was one."""
        scopes = self.scopes.get(recipient)
        if scopes is None or (scope is not None and scopes.pop(scope, None) is None):
            return False
        if scope is None or not scopes:
            del self.scopes[recipient]
        return True

    def find_reason(self, recipient: str, sender: str | None) -> str | None:
        """Why nobody, or not this sender, may write to the recipient; None where they may. A sender is the same with + and without."""
        scopes = self.scopes.get(recipient)
        if scopes is None:
            return None
        reason = scopes.get("all")
        if reason is None:
            name = (sender or "").removeprefix("+")
            reason = scopes.get(f"sender:{name}") or scopes.get(f"sender:+{name}")
        return reason


def _weigh(reason: str) -> int:
    return 2 if reason == BY_A_PERSON else 1 if reason == STOP else 0


class Exchange:
    """Everything delivery shares. `now`: the broker's own time. `epoch` rises whenever a ranking made earlier may no longer hold, `gains`
    when it may be better.

    `arrivals`: receipts behind one of the same message that is being written; `repeated`: how many said again what was known; `heard`:
    when inbound messages without an id were last acknowledged, by what makes two of them the same.
    """

    def __init__(
        self,
        book: Book,
        journal: SqliteJournal,
        query: SqliteQuery,
        clock: Clock,
        draw: Callable[[], int],
    ) -> None:
        self.book = book
        self.journal = journal
        self.query = query
        self.clock = clock
        self.now = clock.now
        self.draw = draw
        self.teller = Teller(book.settings.broker.name, clock.show)
        self.lanes: dict[str, Lane] = {}
        self.standings: dict[str, Standing] = {}
        self.suppressions = Suppressions()
        self.epoch = 0
        self.gains = 0
        self.hurried: set[str] = set()
        self.inbox = Inbox()
        self.lookups = Lookups()
        self.arrivals: dict[str, deque[Arrival]] = {}
        self.heard: dict[bytes, int] = {}
        self.queued = 0
        self.repeated = 0
        self.is_stopping = False
        self.router_bell = Bell()
        self.sweep_bell = Bell()
        self.releases: dict[str, int] = {}
        self.ring_hook: Callable[[str], None] = lambda _stream: None
        self.callbacks: WayBack | None = None

    def is_by_ref(self, lane: Lane) -> bool:
        """True where a receipt may name an attempt by the provider's id alone: by the provider's way, or at the account's own URL."""
        return lane.traits.by_ref or (self.callbacks is not None and self.callbacks.is_told(lane))

    def rank(self, rule: Rule, message: Message, progress: Progress) -> Route:
        """The route of `message` under `rule` as things stand now."""
        return rank(rule, message, self.standings, progress.visited)

    def may_copy(self, message: Message, rule: Rule | None, chosen: Candidate | None, now: int) -> bool:
        """True while another copy of a message in doubt may go where it was chosen to: others may have taken the credit since."""
        if rule is None or chosen is None or now >= message.valid_until or message.to in self.suppressions.scopes:
            return False
        route = self.rank(rule, message, message.progress)
        is_left = any(candidate.name == chosen.name for candidate in route.candidates)
        return is_left and self.find_opening(rule, message, now) is None

    def find_rule(self, message: Message, now: int) -> Rule | None:
        """The rule that holds for `message` under the newest applied configuration."""
        return find_rule(self.book, message, self.clock.on_wall(now), message.progress)

    def find_opening(self, rule: Rule, message: Message, now: int) -> int | None:
        """When the rule's window opens for the message; None while it is open, or without one."""
        opening = rule.find_opening(message, self.clock.on_wall(now))
        return None if opening is None else self.clock.of_wall(opening)

    def look_around(self, message: Message, now: int, attempts: list[Attempt] | None = None, except_n: int = 0) -> Sides:
        """What surrounds a decision on `message`: ranking, the next rule, and the copies other than attempt `except_n`."""
        doubted, accepted = False, None
        if attempts is None and message.attempts > (1 if except_n else 0):
            attempts = self.query.find_attempts(message.id)
        others = [attempt for attempt in attempts or () if attempt.n != except_n]
        for attempt in others:
            if attempt.state in ("in_doubt", "abandoned"):
                doubted = True
            elif attempt.state == "accepted":
                accepted = _higher(accepted, attempt.receipt)
        return Sides(
            rank=lambda rule, progress: rank(rule, message, self.standings, progress.visited),
            next_rule=lambda progress: find_rule(self.book, message, self.clock.on_wall(now), progress),
            draw=self.draw(),
            doubted=doubted,
            accepted=accepted,
            awaited=find_awaited(others, message.progress),
        )

    def say(self, type_: str, **fields: Any) -> None:
        """Tell the feed something that is not a message's."""
        self.journal.put(Put(entries=(self.teller.happen(type_, self.now(), **fields),), hurry=False))

    def keep(self, kind: str, name: str, value: dict[str, Any] | None, *entries: Entry) -> None:
        """Keep a fact across restarts, with the events that tell of it, in one transaction."""
        self.journal.put(Put(facts=((kind, name, value),), entries=entries))

    def gain(self) -> None:
        """A provider became usable, or the book changed: whoever waits may find a candidate now."""
        self.epoch += 1
        self.gains += 1
        self.router_bell.ring_at(0)

    def hurry(self, name: str) -> None:
        """A provider is back before the time that its waiting rows were told."""
        self.hurried.add(name)
        self.router_bell.ring_at(0)

    def release_at(self, cause: str, at: int) -> None:
        """From `at` on, messages held for `cause` may find a candidate again."""
        self.releases[cause] = min(at, self.releases.get(cause, at))
        self.router_bell.ring_at(at)

    def wake(self, name: str | None, at: int, now: int) -> None:
        """A row of lane `name` (None: the router's) is due at `at`."""
        lane = self.lanes.get(name) if name is not None else None
        if lane is not None:
            lane.expect(at, now)  # also while it is out: it may be back before the router has looked
        if lane is None or lane.standing.out is not None:
            self.router_bell.ring_at(at)

    def rouse(self, status: str, name: str | None, at: int, now: int) -> None:
        """Whoever sees to messages of `status` has one to look at, at `at`: in the lane `name`, where it has one."""
        if status == "queued":
            self.wake(name, at, now)
        elif status in ("held", "scheduled", "in_doubt"):
            self.sweep_bell.ring_at(at)
        elif status == "sent" and name in self.lanes:
            self.lanes[name].poll_bell.ring_at(at)


def _higher(one: str | None, other: str | None) -> str:

    other = other if other in RANK and other != "progress" else ""
    if not one:
        return other or ""
    return other if other and RANK[other] > RANK[one] else one
