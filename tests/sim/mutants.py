"""Protections turned off, one at a time, from outside: the simulator has to find each (F33). Nothing in the broker knows of them.

Three of them are `tests.crash.subject`'s own.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from broker.api.feed_pages import Page, Subscription
from broker.delivery import doubt, recover, settle, sweep
from broker.delivery.callbacks import Callbacks
from broker.delivery.carrier import Carrier
from broker.delivery.carry import carry
from broker.delivery.dispatch import Dispatcher
from broker.delivery.exchange import Exchange
from broker.delivery.flight import Flight
from broker.delivery.hooks import Stream
from broker.delivery.lane import Lane
from broker.delivery.ledger import Ledger
from broker.provider.smpp import SmppSession
from broker.store import steps
from broker.store.contract import Accept, Answer, Change, Operation, Receive, Step
from broker.store.journal import SqliteJournal
from broker.words.attempt import Attempt
from broker.words.message import Message
from broker.words.outcome import Outcome
from broker.words.status import RANK
from tests.crash.subject import answer_before_commit, requeue_at_recovery, send_before_commit
from tests.sim.world import run_seed


def ignore_expectation() -> None:
    """Compare-and-set off: a change of a message is written whatever its status is by then."""
    bind = steps._bind_change

    def bind_any(change: Change, id_: str, expect: str) -> tuple[str, tuple[Any, ...]]:
        sql, values = bind(change, id_, expect)
        head, _, tail = sql.rpartition("AND status = ?")
        return f"{head}AND (status = ? OR 1){tail}", values

    steps._bind_change = bind_any


def keep_reserved() -> None:
    """Promise 13 off: what a refusal should give back stays reserved."""
    settle_ = Ledger.settle

    def settle_debit(self: Ledger, attempt: Attempt, *, debit: bool) -> None:
        if debit:
            settle_(self, attempt, debit=debit)

    Ledger.settle = settle_debit  # type: ignore[method-assign]


def ignore_rank() -> None:
    """Promise 9 off: of two receipts the last one wins, and `delivered` no more than another."""
    RANK.update({"delivered": 1, "progress": 1, "canceled": 6, "expired": 5, "undelivered": 4, "blocked": 3})


def reverse_events() -> None:
    """Promise 11 off: the events of one step are numbered the wrong way round."""
    put = SqliteJournal.put

    def put_reversed(self: SqliteJournal, operation: Operation) -> None:
        if isinstance(operation, Step) and len(operation.entries) > 1:
            operation.entries = operation.entries[::-1]
        put(self, operation)

    SqliteJournal.put = put_reversed  # type: ignore[method-assign]


def skip_events() -> None:
    """Promise 11 off: who comes back goes on one event too far."""
    start = Subscription.__init__

    def start_late(self: Subscription, pages: Any, after: int | None) -> None:
        start(self, pages, after)
        self.cursor = min(self.last, self.cursor + (after is not None and after > 0))

    Subscription.__init__ = start_late  # type: ignore[method-assign]


def repeat_page() -> None:
    """Promise 11 off: a page counts as not yet had."""

    def pass_by(self: Subscription, page: Page) -> None:
        self.cursor = page.last - 1

    Subscription.pass_by = pass_by  # type: ignore[method-assign]


def believe_silence() -> None:
    """Promise 7 off: an attempt without an answer counts as refused."""
    settle_ = settle.settle

    def settle_blindly(ex: Exchange, flight: Flight, outcome: Outcome) -> None:
        if outcome.class_ == "in_doubt":
            outcome = Outcome("unreachable", outcome.code, outcome.detail)
        settle_(ex, flight, outcome)

    _carry().settle = settle_blindly


def ignore_validity() -> None:
    """Promise 12 off: what is late is sent all the same."""
    was = carry

    async def carry_late(ex: Exchange, carrier: Carrier, flights: list[Flight]) -> None:
        for flight in flights:
            flight.message = msgspec.structs.replace(flight.message, valid_until=1 << 60)
        await was(ex, carrier, flights)

    sys.modules[Dispatcher.__module__].carry = carry_late  # type: ignore[attr-defined]
    start = Dispatcher._start

    def start_late(self: Dispatcher, waiting: Any, now: int, batch: list[Flight]) -> bool:
        late = msgspec.structs.replace(waiting[0], valid_until=1 << 60)
        return start(self, (late, *waiting[1:]), now, batch)

    Dispatcher._start = start_late  # type: ignore[method-assign]


def forget_keys() -> None:
    """Promise 3 off: a key is not looked at."""
    put = SqliteJournal.put

    def put_keyless(self: SqliteJournal, operation: Operation) -> None:
        if isinstance(operation, Accept):
            operation.digest, operation.message.key = None, None
        put(self, operation)

    SqliteJournal.put = put_keyless  # type: ignore[method-assign]


def never_end_doubt() -> None:
    """Promise 2 off: what is in doubt is looked at again for ever. Found by liveness alone."""

    def put_off(ex: Exchange, message: Message, now: int) -> None:
        ex.journal.put(Step(message.id, ("in_doubt",), Change("in_doubt", message.detail, None, now + 60_000)))

    sweep.WAITING["in_doubt"] = put_off


def write_late() -> None:
    """Promise 12 off, inside an SMPP session: what waited for a window is written late or not."""
    SmppSession._find_end = lambda self, send, ahead: 1 << 60  # type: ignore[method-assign]


def believe_late_refusals() -> None:
    """Promise 7 off: a late refusal is believed while the request is repeated."""
    place: Any = doubt
    place.may_be_repeated = lambda attempt, memory, now: False


def believe_strangers() -> None:
    """Promise 10 off: whoever calls back is believed."""

    def find_lane(self: Callbacks, name: str, secret: str) -> Lane | None:
        return self.ex.lanes.get(name)

    Callbacks.find_lane = find_lane  # type: ignore[method-assign]


def repeat_inbound() -> None:
    """Promise 9 off: an inbound message that comes again is taken again."""
    put = SqliteJournal.put

    def put_again(self: SqliteJournal, operation: Operation) -> None:
        if isinstance(operation, Receive):
            operation.since = 1 << 60
        put(self, operation)

    SqliteJournal.put = put_again  # type: ignore[method-assign]


def acknowledge_inbound() -> None:
    """Promise 9 off: an inbound message is acknowledged before it is durable."""
    put = SqliteJournal.put

    def put_told(self: SqliteJournal, operation: Operation) -> None:
        if isinstance(operation, Receive) and operation.done is not None:
            told, operation.done = operation.done, None
            told(Answer.DONE, None)
        put(self, operation)

    SqliteJournal.put = put_told  # type: ignore[method-assign]


def forget_hooks() -> None:
    """What an endpoint refuses once is never handed to it again."""
    Stream._put_off = lambda self, item, verdict: self._drop([item], None)  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "intent after wire": send_before_commit,
    "requeue in doubt": requeue_at_recovery,
    "silence is refusal": believe_silence,
    "compare-and-set off": ignore_expectation,
    "ack before commit": answer_before_commit,
    "ledger not returned": keep_reserved,
    "receipt rank ignored": ignore_rank,
    "seq reordered": reverse_events,
    "resume skips one": skip_events,
    "page told twice": repeat_page,
    "validity ignored": ignore_validity,
    "keys ignored": forget_keys,
    "doubt never ends": never_end_doubt,
    "written late": write_late,
    "late refusal believed": believe_late_refusals,
    "strangers believed": believe_strangers,
    "inbound taken twice": repeat_inbound,
    "inbound told early": acknowledge_inbound,
    "hook not repeated": forget_hooks,
}

RARE = frozenset({"written late", "late refusal believed"})
"""They need so much at once that they take hundreds of seeds; each has a test of its own beside the code that it turns off."""


def _carry() -> Any:
    return sys.modules[carry.__module__]


def find_mutant(name: str, seeds: Iterable[int]) -> tuple[int, str] | None:
    """(the first of `seeds` that finds that this protection is off, what it found), None where none does."""
    with mutated(name):
        for seed in seeds:
            findings = run_seed(seed).findings
            if findings:
                return seed, findings[0]
    return None


_PLACES: Sequence[tuple[Any, str]] = (
    (steps, "_bind_change"),
    (Ledger, "settle"),
    (SqliteJournal, "put"),
    (Subscription, "__init__"),
    (Subscription, "pass_by"),
    (_carry(), "settle"),
    (sys.modules[Dispatcher.__module__], "carry"),
    (Dispatcher, "_start"),
    (Dispatcher, "_launch"),
    (Carrier, "submit"),
    (recover, "_doubt"),
    (SmppSession, "_find_end"),
    (doubt, "may_be_repeated"),
    (Callbacks, "find_lane"),
    (Stream, "_put_off"),
)


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """While entered, that protection is off."""
    before = [(place, attr, getattr(place, attr)) for place, attr in _PLACES]
    tables: list[tuple[Any, dict[str, Any]]] = [(RANK, dict(RANK)), (sweep.WAITING, dict(sweep.WAITING))]
    try:
        MUTANTS[name]()
        yield
    finally:
        for place, attr, value in before:
            setattr(place, attr, value)
        for table, kept in tables:
            table.clear()
            table.update(kept)
