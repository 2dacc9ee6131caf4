"""A full disk: nothing new is taken, what closes an attempt is kept, and service returns by itself (CONTRACT §10; DESIGN, Store)."""

import errno
import os
from collections.abc import Callable

import pytest
import trio
import trio.testing

from broker.store.contract import Answer, Change, Put, Shut, Step
from tests.store.flaky import flaky
from tests.store.rig import NOW, Sqlite, attempt, entry, message, sending

DONE, FAILED = Answer.DONE, Answer.FAILED
Clock = trio.testing.MockClock


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
