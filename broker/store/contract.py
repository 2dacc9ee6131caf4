"""What a store is: the operations that the journal takes, what each answers, and the two protocols above them.

Every operation is all or nothing and answers a value: a refused one never undoes its neighbours. One conformance suite
(`tests/store`) runs over every store.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Protocol

import msgspec

from broker.words.attempt import Attempt, Piece
from broker.words.event import Happening, MessageEvent
from broker.words.inbound import Received
from broker.words.message import Message, Progress
from broker.words.receipt import Lookup, Receipt


class Answer(Enum):
    """What became of an operation. FAILED: nothing of its batch was written; UNKNOWN: the commit failed and may have happened."""

    DONE = "done"
    STALE = "stale"
    EXISTS = "exists"
    FAILED = "failed"
    UNKNOWN = "unknown"


class StoreError(Exception):
    """The store cannot be opened or used; the text says what, where and what to do."""


class Entry(msgspec.Struct, gc=False):
    """One event on its way into the table: `seq` is given at commit. `body` is the event's JSON after `{"seq":N,`."""

    event: MessageEvent | Happening
    message: str | None
    body: bytes
    seq: int = 0


class Change(msgspec.Struct, gc=False):
    """New values of a message's changing part. What is None behind `next_at` stays, but for `final_at`."""

    status: str
    detail: str | None
    lane: str | None
    next_at: int
    progress: Progress | None = None
    rule: str | None = None
    attempts: int | None = None
    final_at: int | None = None
    valid_until: int | None = None


class Shut(msgspec.Struct, gc=False):
    """New values of attempt `n`, if its state is still one of `expect`; what is None or empty stays.

    `provider`: `refs` are to be found by that account's receipts. `amends`: (pieces, parts, price, credit), all of them new.
    """

    n: int
    expect: tuple[str, ...]
    state: str
    closed_at: int | None
    class_: str | None = None
    code: str | None = None
    detail: str | None = None
    refs: tuple[str, ...] = ()
    receipt: str | None = None
    provider: str | None = None
    amends: tuple[tuple[Piece, ...], int, int | None, int] | None = None


class Stray(msgspec.Struct, gc=False):
    """A receipt in the inbox: it waits for its attempt's id, or for the end of an attempt under way. `id` rises with `seen_at`."""

    id: int
    provider: str
    seen_at: int
    receipt: Receipt


class Found(msgspec.Struct, frozen=True, gc=False):
    """What a provider found of a number at `at`; `class_` is that of the receipt that told it."""

    number: str
    provider: str
    at: int
    class_: str
    lookup: Lookup


Done = Callable[[Answer, Any], None]


class Accept(msgspec.Struct, gc=False):
    """A new message. `digest`: hash of the canonical message, where it has a key. EXISTS answers (id, digest, first answer)."""

    message: Message
    entry: Entry
    done: Done
    digest: bytes | None = None
    hurry: bool = True

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The event that tells of it."""
        return (self.entry,)


class Step(msgspec.Struct, gc=False):
    """One step of one message, if its status is still one of `expect`: its change, at most one attempt opened, any shut, events.

    `drop`: the receipts of the inbox that it applies; `found`: what one of them told of the number. `from_outside`: nobody was promised
    it yet, so a full disk refuses it (FAILED).
    STALE when a status or an attempt's state is no longer as expected: then nothing of the step is written.
    """

    message: str
    expect: tuple[str, ...]
    change: Change | None
    entries: tuple[Entry, ...] = ()
    open: Attempt | None = None
    shut: tuple[Shut, ...] = ()
    done: Done | None = None
    hurry: bool = True
    drop: tuple[int, ...] = ()
    from_outside: bool = False
    found: Found | None = None


class Move(msgspec.Struct, gc=False):
    """Queued rows that wait for another lane or another time: (id, lane, next_at) each. No event.

    `is_sent`: they are `sent` rows of their lane instead, which wait for another time.
    """

    rows: Sequence[tuple[str, str | None, int]]
    done: Done | None = None
    hurry: bool = False
    is_sent: bool = False

    @property
    def entries(self) -> tuple[Entry, ...]:
        """None: no event tells of it."""
        return ()


class Hook(msgspec.Struct, frozen=True, gc=False):
    """Something that has to be handed on to an endpoint: `stream` names the endpoint's queue, `key` what it is, `chain` what it must not
    overtake. `n` is its place in the queue, given by the store; `since` when it happened.
    """

    stream: str
    key: str
    chain: str
    since: int
    n: int = 0


class Put(msgspec.Struct, gc=False):
    """Facts beside messages: kept values by (kind, name), suppression entries, what is to be handed on, and events of their own.

    A `value` of None deletes; `unsuppress` goes before `suppress`, a scope of None is any; `unhook` are places in the queue; `strays`
    enter the inbox, `drop` leave it; `from_outside` as in Step. `audit`: a record for the chain of orders; DONE then answers its Link.
    """

    facts: tuple[tuple[str, str, dict[str, Any] | None], ...] = ()
    suppress: tuple[tuple[str, str, str, int], ...] = ()
    unsuppress: tuple[tuple[str, str | None], ...] = ()
    hooks: tuple[Hook, ...] = ()
    unhook: tuple[int, ...] = ()
    entries: tuple[Entry, ...] = ()
    done: Done | None = None
    hurry: bool = True
    strays: tuple[Stray, ...] = ()
    drop: tuple[int, ...] = ()
    from_outside: bool = False
    audit: dict[str, Any] | None = None


class Receive(msgspec.Struct, gc=False):
    """A new inbound message, with what follows from it in the same transaction.

    `mark` is what makes it the same as another one: where one with this mark was received at `since` or later, EXISTS answers its id and
    nothing is written.
    """

    received: Received
    mark: bytes
    since: int
    put: Put
    done: Done | None = None
    hurry: bool = True

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The events that tell of it."""
        return self.put.entries


Operation = Accept | Step | Move | Put | Receive


class Journal(Protocol):
    """Every write goes through `put`; `done` is called after the commit, in order, on the event loop."""

    def put(self, operation: Operation) -> None:
        """Hand over one operation for the next commit."""

    async def wait_committed(self) -> None:
        """Return when everything handed over so far has its answer."""


class LiveMessage(msgspec.Struct, gc=False):
    """A message with its attempts, as recovery, receipts and operators read it."""

    message: Message
    attempts: list[Attempt]
