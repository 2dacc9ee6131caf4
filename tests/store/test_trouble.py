"""Trouble: a full disk, a failing one, a store that somebody else holds, a cancellation in the middle (DESIGN, Store)."""

import errno
import os
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from broker.store import journal as journal_module
from broker.store.contract import Answer, Change, Move, Put, Shut, Step
from broker.store.journal import StoreBroken
from tests.store.rig import NOW, Sqlite, attempt, entry, message, sending

DONE, FAILED, UNKNOWN = Answer.DONE, Answer.FAILED, Answer.UNKNOWN
Clock = trio.testing.MockClock


def failure(name: str) -> sqlite3.OperationalError:
    """An error as SQLite raises it."""
    error = sqlite3.OperationalError("as scripted")
    error.sqlite_errorname = name
    return error


class Flaky:
    """A connection that fails as `script` says: a word that a statement begins with, and what to raise, before or after doing it."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn
        self.script: dict[str, tuple[str, bool]] = {}
        self.seen: list[str] = []

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self.seen.append(sql)
        for word, (name, is_done) in self.script.items():
            if sql.startswith(word):
                if is_done:
                    self.conn.execute(sql, *values)
                raise failure(name)
        return self.conn.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conn, name)


class Disk:
    """A disk that can be full: the file may not grow, and no ballast is to be had."""

    def __init__(self, store: Sqlite, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.is_full = False
        allocate = os.posix_fallocate

        def maybe(file: int, offset: int, size: int) -> None:
            if self.is_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            allocate(file, offset, min(size, 4096))

        monkeypatch.setattr(os, "posix_fallocate", maybe)

    def fill(self) -> None:
        """No page more than there are; what is free inside them is used up."""
        self.is_full = True
        pages = self.store.conn.execute("PRAGMA page_count").fetchone()[0]
        self.store.conn.execute(f"PRAGMA max_page_count = {pages}")

    def clear(self) -> None:
        self.is_full = False
        self.store.conn.execute("PRAGMA max_page_count = 1000000")


LONG = "x" * 20_000


async def flaky(store: Sqlite, **script: tuple[str, bool]) -> Flaky:
    """The store opened again on a connection that fails."""
    await store.close()
    made: list[Flaky] = []

    def wrap(conn: sqlite3.Connection) -> Flaky:
        made.append(Flaky(conn))
        return made[0]

    store.wrap = wrap
    await store.open()
    made[0].script.update(script)
    return made[0]


async def test_a_full_disk_refuses_intake_and_keeps_closings(
    store: Sqlite, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(store, monkeypatch)
    await store.have_sending("m1")
    await store.have("m2")
    told: list[bool] = []
    store.journal.on_full = told.append
    disk.fill()
    store.accept(message("big", text=LONG))
    await store.journal.wait_committed()
    assert store.answers == [("big", FAILED)]
    assert (store.journal.is_full, told) == (True, [True])
    store.answers.clear()
    # New messages and new attempts are refused at once.
    store.accept(message("m3"))
    store.accept(message("m4", key="k"), b"d")
    store.put("open", Step("m2", ("queued",), sending(), open=attempt("m2")))
    assert [answer for _, answer in store.answers] == [FAILED, FAILED, FAILED]
    store.answers.clear()
    # What closes an attempt is kept until there is room for it, in order.
    close = Step("m1", ("sending",), Change("sent", LONG, "a", NOW), (entry("sent"),), None, (Shut(1, ("open",), "accepted", NOW),))
    store.put("close", close)
    store.put("fact", Put(facts=(("kind", "name", {"x": LONG}),)))
    await trio.sleep(30)
    assert store.answers == []
    assert store.states("m1") == ["open"]
    disk.clear()
    await store.journal.wait_committed()
    assert store.answers == [("close", DONE), ("fact", DONE)]
    assert (store.status("m1"), store.states("m1")) == ("sent", ["accepted"])
    assert store.events()[-1] == "sent"
    assert store.query.read_facts("kind")


async def test_service_returns_by_itself(store: Sqlite, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within ten seconds of room (CONTRACT §10), and not before the ballast is there again."""
    disk = Disk(store, monkeypatch)
    told: list[bool] = []
    store.journal.on_full = told.append
    ballast = store.path.with_name("ballast")
    assert ballast.stat().st_size
    disk.fill()
    store.accept(message("big", text=LONG))
    await store.journal.wait_committed()
    assert not ballast.exists()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.journal.watch_room)
        await trio.sleep(60)
        assert told == [True]
        disk.clear()
        await trio.sleep(10)
        assert told == [True, False]
        nursery.cancel_scope.cancel()
    assert ballast.exists()
    assert not store.journal.is_full
    store.answers.clear()
    store.accept(message("m2", text=LONG))
    await store.journal.wait_committed()
    assert store.answers == [("m2", DONE)]


async def test_the_ballast_lets_open_attempts_close(store: Sqlite, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room that it gave back is enough for them, while the disk stays full for everything new."""
    disk = Disk(store, monkeypatch)
    await store.have_sending("m1")
    disk.fill()
    drop = store.journal._drop_ballast

    def give_room() -> None:
        drop()
        store.conn.execute("PRAGMA max_page_count = 1000000")

    monkeypatch.setattr(store.journal, "_drop_ballast", give_room)
    close = Step("m1", ("sending",), Change("sent", LONG, "a", NOW), shut=(Shut(1, ("open",), "accepted", NOW),))
    store.put("close", close)
    store.accept(message("m2"))
    await store.journal.wait_committed()
    assert sorted(store.answers) == [("close", DONE), ("m2", FAILED)]
    assert store.journal.is_full
    store.accept(message("m3"))
    assert store.answers[-1] == ("m3", FAILED)


async def test_nobody_hears_of_durability_before_it_is_there(store: Sqlite, autojump_clock: Clock) -> None:
    """New messages behind a kept closing get their answer before it: who waits for the closing waits on (promise 9)."""

    async def slow(work: Callable[[], None]) -> None:
        await trio.sleep(0.5)
        work()

    store.runner = slow
    conn = await flaky(store)
    await store.have_sending("m1")
    conn.script["COMMIT"] = ("SQLITE_FULL", False)
    store.put("close", Step("m1", ("sending",), Change("sent", None, "a", NOW), shut=(Shut(1, ("open",), "accepted", NOW),)))
    durable = trio.Event()

    async def acknowledge() -> None:
        await store.journal.wait_committed()
        durable.set()

    async with trio.open_nursery() as nursery:
        await trio.sleep(0.1)  # its commit is under way
        nursery.start_soon(acknowledge)
        await trio.sleep(0.1)
        for number in range(5):
            store.accept(message(f"new{number}"))
        await trio.sleep(30)
        assert [name for name, answer in store.answers if answer is FAILED] == [f"new{number}" for number in range(5)]
        assert not durable.is_set()
        conn.script.clear()
    assert ("close", DONE) in store.answers


async def test_a_commit_that_failed_for_room_is_undone(store: Sqlite, autojump_clock: Clock) -> None:
    conn = await flaky(store)
    await store.have_sending("m1")
    conn.script["COMMIT"] = ("SQLITE_FULL", False)
    store.accept(message("m2"))
    shut = (Shut(1, ("open",), "accepted", NOW),)
    store.put("close", Step("m1", ("sending",), Change("sent", None, "a", NOW), (entry("sent"),), None, shut))
    await trio.sleep(3)
    assert store.answers == [("m2", FAILED)]
    conn.script.clear()
    await store.journal.wait_committed()
    assert store.answers == [("m2", FAILED), ("close", DONE)]
    assert (store.status("m1"), store.status("m2")) == ("sent", None)
    assert store.events()[-1] == "sent"
    seqs = store.seqs()
    assert seqs == sorted(set(seqs))


async def test_a_commit_that_failed_and_stands_all_the_same(store: Sqlite, autojump_clock: Clock) -> None:
    """It is read again by its last event, never done again blindly."""
    conn = await flaky(store)
    conn.script["COMMIT"] = ("SQLITE_FULL", True)
    store.accept(message("m1"))
    store.put("held", Step("m1", ("queued",), Change("held", "rule", None, NOW), (entry("held", "m1"),)))
    await store.journal.wait_committed()
    assert store.answers == [("m1", DONE), ("held", DONE)]
    conn.script.clear()
    assert store.events() == ["queued m1", "held"]
    entries = store.ring.read_after(0, 10)
    assert entries is not None
    assert len(entries) == 2


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED"])
async def test_a_checkpoint_that_found_no_room(
    store: Sqlite, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """The batch was committed before it: its messages are taken, and the next commit tries again."""
    monkeypatch.setattr(journal_module, "WAL_LIMIT", 0)
    conn = await flaky(store)
    conn.script["PRAGMA wal_checkpoint"] = (name, False)
    store.accept(message("m1"))
    await store.journal.wait_committed()
    assert store.answers == [("m1", DONE)]
    assert not store.journal.is_full
    assert "checkpoint put off" in caplog.text
    conn.script.clear()
    await store.have("m2")
    assert any(sql.startswith("PRAGMA wal_checkpoint") for sql in conn.seen[-2:])
    assert os.stat(f"{store.path}-wal").st_size == 0


@pytest.mark.parametrize("name", ["SQLITE_IOERR_WRITE", "SQLITE_CORRUPT", "SQLITE_NOTADB"])
@pytest.mark.parametrize("where", ["COMMIT", "INSERT", "BEGIN"])
async def test_a_failing_disk_stops_the_journal(
    store: Sqlite, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, where: str
) -> None:
    """Nobody knows what was written: the answer is UNKNOWN, and the daemon has to stop."""
    await store.have("m0")
    await store.close()
    conn: list[Flaky] = []

    def wrap(inner: sqlite3.Connection) -> Flaky:
        conn.append(Flaky(inner))
        return conn[0]

    store.wrap = wrap
    with pytest.RaisesGroup(pytest.RaisesExc(StoreBroken, match=name)):
        async with trio.open_nursery() as store.nursery:
            await store.open()
            conn[0].script[where] = (name, False)
            store.accept(message("m1", key="k"), b"d")
            store.put("open", Step("m0", ("queued",), sending(), open=attempt("m0")))
            await store.journal.wait_committed()
    assert [answer for _, answer in store.answers] == [UNKNOWN, UNKNOWN]
    assert name in caplog.text
    conn[0].script.clear()
    store._scope = None


async def test_a_failing_disk_at_a_checkpoint_stops_the_journal_after_the_answers(
    store: Sqlite, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "WAL_LIMIT", 0)
    await store.close()
    conn: list[Flaky] = []

    def wrap(inner: sqlite3.Connection) -> Flaky:
        conn.append(Flaky(inner))
        return conn[0]

    store.wrap = wrap
    with pytest.RaisesGroup(StoreBroken):
        async with trio.open_nursery() as store.nursery:
            await store.open()
            conn[0].script["PRAGMA wal_checkpoint"] = ("SQLITE_IOERR_FSYNC", False)
            store.accept(message("m1"))
            await trio.sleep_forever()
    assert store.answers == [("m1", DONE)]
    store._scope = None


async def test_somebody_else_holds_the_store(store: Sqlite, autojump_clock: Clock) -> None:
    """A person with a transaction open: what needs the store waits, reading goes on, and nothing is lost."""
    await store.have("m0")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.accept(message("m1"))
    store.put("held", Step("m0", ("queued",), Change("held", "rule", None, NOW)))
    await trio.sleep(30)
    assert store.answers == []
    assert store.status("m0") == "queued"
    other.execute("ROLLBACK")
    other.close()
    await store.journal.wait_committed()
    assert store.answers == [("m1", DONE), ("held", DONE)]


async def test_somebody_takes_the_store_between_two_tries_of_a_batch(store: Sqlite, autojump_clock: Clock) -> None:
    """A batch that is written again with care gave its turn away: it waits for it, and the daemon lives."""
    other = sqlite3.connect(store.path, isolation_level=None)
    conn = await flaky(store)
    await store.have_sending("m0")
    rollback = conn.conn.execute

    class Taken(Flaky):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            cursor = rollback(sql, *values)
            if sql == "ROLLBACK":
                other.execute("BEGIN IMMEDIATE")
            return cursor

    store.writer.conn = Taken(conn.conn)  # type: ignore[assignment]  # a connection as far as the writer uses it
    store.accept(message("m1"))
    store.put("half", Step("m0", ("sending",), sending(2), (), attempt("m0", 2), (Shut(1, ("open",), "open", None, code="x"),)))
    await trio.sleep(5)
    assert store.answers == []
    other.execute("ROLLBACK")
    other.close()
    await store.journal.wait_committed()
    assert store.answers == [("m1", DONE), ("half", Answer.STALE)]


async def test_a_commit_once_begun_is_seen_through(store: Sqlite, autojump_clock: Clock) -> None:
    """Whatever is cancelled around it: its answers come, and its events reach the ring."""
    begun = trio.Event()

    async def slow(work: Callable[[], None]) -> None:
        begun.set()
        await trio.sleep(3)
        work()

    await store.close()
    store.runner = slow
    await store.open()
    store.accept(message("m1"))
    await begun.wait()
    store.accept(message("m2"))  # too late for this batch
    await store.close()
    assert store.answers[0] == ("m1", DONE)
    assert store.ring.last == len(store.answers)
    await store.open()
    assert store.status("m1") == "queued"
    assert (store.status("m2") is not None) is (("m2", DONE) in store.answers)


async def test_what_nobody_waits_for_waits_for_company(store: Sqlite, autojump_clock: Clock) -> None:
    """At most 20 ms; and not at all behind something that somebody waits for."""
    start = trio.current_time()
    store.put("quiet", Move([("m1", None, NOW)]))
    await store.journal.wait_committed()
    assert trio.current_time() - start == pytest.approx(0.020)
    store.put("quiet", Move([("m1", None, NOW)]))
    await trio.sleep(0.005)
    commits = store.journal.commits
    store.accept(message("m1"))
    await store.journal.wait_committed()
    assert trio.current_time() - start == pytest.approx(0.025)
    assert store.journal.commits == commits + 1


async def test_many_operations_share_a_commit(store: Sqlite) -> None:
    before = store.journal.commits
    for number in range(1_200):
        store.accept(message(f"m{number}"))
    await store.journal.wait_committed()
    assert store.journal.commits == before + 3  # of 500 at most
    assert store.query.count_queued() == 1_200


async def test_waiting_for_what_was_handed_over_only(store: Sqlite) -> None:
    """Under load there is no quiet moment to wait for."""
    stop = False

    async def load() -> None:
        number = 0
        while not stop:
            store.accept(message(f"load{number}"))
            number += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(load)
        for number in range(5):
            store.accept(message(f"m{number}"))
            with trio.fail_after(5):
                await store.journal.wait_committed()
            assert (f"m{number}", DONE) in store.answers
        stop = True
