"""A store on virtual time: the journal inline, what was answered, and the store opened again. Every store of the suite has this face."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import trio

from broker.store.contract import Accept, Answer, Change, Done, Entry, Operation, Step
from broker.store.journal import SqliteJournal, run_inline
from broker.store.query import SqliteQuery
from broker.store.ring import Ring
from broker.store.rows import pack_event
from broker.store.sqlite import Writer, open_connection
from broker.words.attempt import Attempt
from broker.words.event import Happening
from broker.words.message import Message

NOW = 1_795_262_400_000
DAY = 86_400_000
Runner = Callable[[Callable[[], None]], Awaitable[None]]


def now() -> int:
    """Virtual time as the store sees it."""
    return NOW + int(trio.current_time() * 1000)


def message(id_: str, **keys: Any) -> Message:
    """A queued message with that id."""
    given: dict[str, Any] = {
        "client": "unix:shop",
        "to": "+886912345678",
        "country": "TW",
        "text": "hello",
        "encoding": "gsm7",
        "segments": 1,
        "accepted_at": NOW,
        "valid_until": NOW + DAY,
        "next_at": NOW,
        "lane": "a",
    }
    return Message(id=id_, **(given | keys))


def attempt(id_: str, n: int = 1, **keys: Any) -> Attempt:
    """An open attempt at provider `a`."""
    return Attempt(id_, n, keys.pop("provider", "a"), f"token-{id_}-{n}", NOW, **keys)


def entry(name: str, id_: str | None = None) -> Entry:
    """An event that is known by its name."""
    event = Happening("2026-11-21T12:00:00.000Z", name, "test", {})
    return Entry(event, id_, pack_event(event))


def sending(n: int = 1, **keys: Any) -> Change:
    """The change with which an attempt opens."""
    return Change("sending", None, "a", NOW + 30_000, rule="all", attempts=n, **keys)


class Sqlite:
    """The SQLite store. `conn` may be wrapped to make it fail; `runner` commits."""

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.path = folder / "broker.db"
        self.wrap: Callable[[Any], Any] = lambda conn: conn
        self.runner: Runner = run_inline
        self.answers: list[tuple[str, Answer]] = []
        self.values: dict[str, Any] = {}
        self._scope: trio.CancelScope | None = None
        self._ended = trio.Event()

    async def open(self, *, ring: int = 1_000) -> None:
        """Open the store, made where there is none, and start its journal."""
        self.conn = open_connection(self.path)
        writer = Writer(self.wrap(self.conn))
        self.ring = Ring(ring, writer.seq)
        self.writer = writer
        self.journal = SqliteJournal(writer, self.path, self.runner, now, self.ring)
        self.query = SqliteQuery(self.path)
        self._ended = trio.Event()
        await self.nursery.start(self._run)

    async def _run(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            with trio.CancelScope() as self._scope:
                await self.journal.run(task_status=task_status)
        finally:
            self._ended.set()

    async def close(self) -> None:
        """Stop the journal and close every connection."""
        if self._scope is not None:
            self._scope.cancel()
            await self._ended.wait()
        self.query.close()
        self.conn.close()

    async def reopen(self, *, ring: int = 1_000) -> None:
        """As after a restart."""
        await self.close()
        await self.open(ring=ring)

    def note(self, name: str) -> Done:
        """A callback that keeps the answer under `name`."""

        def done(answer: Answer, value: Any) -> None:
            self.answers.append((name, answer))
            self.values[name] = value

        return done

    def put(self, name: str, operation: Operation) -> None:
        """Hand over an operation whose answer is kept under `name`."""
        operation.done = self.note(name)
        self.journal.put(operation)

    async def do(self, name: str, operation: Operation) -> Answer:
        """Hand over one operation and wait for its answer."""
        self.put(name, operation)
        await self.journal.wait_committed()
        return dict(self.answers)[name]

    def accept(self, m: Message, digest: bytes | None = None, name: str | None = None) -> None:
        """Hand over a new message."""
        self.put(name or m.id, Accept(m, entry(f"queued {m.id}", m.id), self.note(m.id), digest))

    async def have(self, *ids: str, **keys: Any) -> None:
        """Messages with those ids are in the store."""
        for id_ in ids:
            self.accept(message(id_, **keys))
        await self.journal.wait_committed()
        self.answers.clear()

    async def have_sending(self, id_: str, n: int = 1) -> None:
        """A message with an open attempt."""
        if self.query.find_message(id_) is None:
            await self.have(id_)
        await self.do(f"open {id_}", Step(id_, ("queued",), sending(n), open=attempt(id_, n)))
        self.answers.clear()

    def events(self) -> list[str]:
        """The names of all events, in order of seq."""
        return [msgspec.json.decode(body)["type"] for _, body in self.query.read_events(0, 10_000)]

    def seqs(self) -> list[int]:
        """Every event's seq."""
        return [seq for seq, _ in self.query.read_events(0, 10_000)]

    def status(self, id_: str) -> str | None:
        """A message's status."""
        found = self.query.find_message(id_)
        return None if found is None else found.status

    def states(self, id_: str) -> list[str]:
        """Its attempts' states."""
        return [each.state for each in self.query.find_attempts(id_)]


STORES: dict[str, Callable[[Path, trio.Nursery], Sqlite]] = {"sqlite": Sqlite}
"""PostgreSQL joins here: the suite below `test_contract` runs over each."""
