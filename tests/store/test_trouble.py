"""Trouble: a failing disk, a store that somebody else holds, a cancellation in the middle (DESIGN, Store)."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from broker.store import journal as journal_module
from broker.store.contract import Answer, Change, Shut, Step
from broker.store.journal import StoreBroken
from tests.store.flaky import Flaky, flaky
from tests.store.rig import NOW, Sqlite, attempt, entry, message, sending

DONE, UNKNOWN = Answer.DONE, Answer.UNKNOWN
Clock = trio.testing.MockClock


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
    monkeypatch.setattr(journal_module, "CHANGES", 0)
    monkeypatch.setattr(journal_module, "PAUSE", 0)
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


@pytest.mark.parametrize("name", ["SQLITE_IOERR_WRITE", "SQLITE_CORRUPT", "SQLITE_NOTADB"])
@pytest.mark.parametrize("where", ["COMMIT", "INSERT", "BEGIN"])
async def test_a_failing_disk_stops_the_journal(
    store: Sqlite, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, where: str
) -> None:
    """Nobody knows what was written: the answer is UNKNOWN, and the daemon has to stop."""
    await store.have("m0")
    with pytest.RaisesGroup(pytest.RaisesExc(StoreBroken, match=name)):
        async with trio.open_nursery() as store.nursery:
            disk = await flaky(store, **{where: (name, False)})
            store.accept(message("m1", key="k"), b"d")
            store.put("open", Step("m0", ("queued",), sending(), open=attempt("m0")))
            await store.journal.wait_committed()
    assert [answer for _, answer in store.answers] == [UNKNOWN, UNKNOWN]
    assert name in caplog.text
    disk.script.clear()
    store._scope = None


async def test_a_failing_disk_at_a_checkpoint_stops_the_journal_after_the_answers(
    store: Sqlite, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CHANGES", 0)
    monkeypatch.setattr(journal_module, "PAUSE", 0)
    with pytest.RaisesGroup(StoreBroken):
        async with trio.open_nursery() as store.nursery:
            await flaky(store, **{"PRAGMA wal_checkpoint": ("SQLITE_IOERR_FSYNC", False)})
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


async def test_who_waits_is_told_before_a_failed_store_stops_everything(
    store: Sqlite, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`outcome_unknown` needs a moment to leave by the sockets; in it nothing new is taken, and no attempt opened."""
    told: list[float] = []
    with pytest.RaisesGroup(StoreBroken):
        async with trio.open_nursery() as store.nursery:
            await flaky(store, **{"COMMIT": ("SQLITE_IOERR_FSYNC", False)})
            store.accept(message("m1"))
            while not store.answers:
                await trio.testing.wait_all_tasks_blocked()
            store.nursery.start_soon(wait_for_end, told)
            store.accept(message("m2"))
            assert store.answers[-1] == ("m2", Answer.FAILED)
            assert store.journal.is_full
    assert store.answers == [("m1", UNKNOWN), ("m2", Answer.FAILED)]
    assert told[0] >= journal_module.LAST_WORDS
    store._scope = None


async def wait_for_end(told: list[float]) -> None:
    begun = trio.current_time()
    try:
        await trio.sleep_forever()
    finally:
        told.append(trio.current_time() - begun)


@pytest.mark.parametrize("name", ["broker.db-wal", "broker.db"])
async def test_files_that_are_taken_away_stop_the_journal(store: Sqlite, autojump_clock: Clock, name: str) -> None:
    """What is only in a log that nobody can open again is moved into the store first."""
    await store.close()
    (store.path.with_name("aside")).mkdir()
    with pytest.RaisesGroup(pytest.RaisesExc(StoreBroken, match="removed or replaced")):
        async with trio.open_nursery() as store.nursery:
            await store.open()
            store.journal._path = store.path
            await store.have("m1")
            store.nursery.start_soon(store.journal.watch_room)
            await trio.sleep(1.5)
            store.path.with_name(name).rename(store.path.with_name("aside") / "broker.db")
            await trio.sleep_forever()
    store._scope = None
    found = sqlite3.connect(store.path if name.endswith("wal") else store.path.with_name("aside") / "broker.db")
    assert found.execute("SELECT id FROM message").fetchall() == [("m1",)]
    found.close()
