"""The journal: every write, in order, gathered into one commit for many (DESIGN, Store).

While one COMMIT is on its way to the disk, whatever arrives forms the next batch; no timer for anything that somebody waits for.
Operations that nobody waits for (`hurry` False) may wait up to 20 ms for company. Callbacks run after the commit, in order, on the
loop; then the ring gets the events. Never redoes a commit blindly: one that failed is re-read by its events.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from broker.store.contract import Accept, Answer, Entry, Operation, Put, Receive, Step
from broker.store.failpoints import batch_point, failpoint
from broker.store.ring import Ring
from broker.store.sqlite import Writer, explain_failure
from broker.store.steps import HalfDone

log = logging.getLogger("broker.store")

COMPANY = 0.020
BATCH = 500
SMALL = 16
QUICK = 0.0008
"""A batch of so many operations at most is committed on the loop while COMMIT has lately taken less than so many seconds."""
CHANGES = 2_000
PAUSE = 0.25
"""A checkpoint follows a commit when so many rows have changed since the last one and so many seconds have passed."""
BALLAST = 16 << 20
FULL_RETRY = 1.0
LAST_WORDS = 0.05
"""Seconds in which answers leave by their sockets before a failed store stops the daemon."""

PASSING = ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED")
"""Errors of the moment; any other one is the disk's or the file's, and nothing is tried again on it."""

Runner = Callable[[Callable[[], None]], Awaitable[None]]


class StoreBroken(Exception):
    """The disk or the store's file failed: the daemon must stop; what was acknowledged stands in the file as it was."""


async def run_inline(work: Callable[[], None]) -> None:
    """The runner of tests on virtual time: COMMIT on the loop."""
    work()
    await trio.lowlevel.checkpoint()


class SqliteJournal:
    """The journal over a Writer."""

    def __init__(self, writer: Writer, path: Path | None, runner: Runner, now: Callable[[], int], ring: Ring) -> None:
        self._writer = writer
        self._path = path
        self._runner = runner
        self._now = now
        self.ring = ring
        self._pending: list[Operation] = []
        self._hurry = False
        self._checkpointed = 0
        self._checkpoint_at = 0.0
        self._disk = 1.0
        self._lot = trio.lowlevel.ParkingLot()
        self._idle = trio.lowlevel.ParkingLot()
        self._writing = False
        self._taken = self._answered = 0
        self._stuck = 0
        self._claims = 0
        self._trouble: sqlite3.Error | None = None
        self._behind: dict[Callable[[], None], None] | None = None  # None: no answers are being given
        self.is_full = False
        self.is_broken = False
        self.commits = 0
        self.on_full: Callable[[bool], None] = lambda _full: None

    def put(self, operation: Operation) -> None:
        """Hand over one operation for the next commit."""
        if self.is_full and _is_intake(operation):
            _answer(operation, Answer.FAILED, None)
            return
        self._pending.append(operation)
        self._taken += 1
        if operation.hurry and not self._hurry:
            self._hurry = True
            self._lot.unpark_all()
        elif len(self._pending) == 1:
            self._lot.unpark_all()

    def do_behind(self, work: Callable[[], None]) -> None:
        """Do `work` once behind all answers of the commit that are being given, however many of them want it; else at once."""
        if self._behind is None:
            work()
        else:
            self._behind[work] = None

    @property
    def waiting(self) -> int:
        """Operations that have no commit yet."""
        return len(self._pending)

    async def wait_committed(self) -> None:
        """Return when everything handed over so far has its answer; what comes meanwhile is not waited for."""
        until = self._taken
        while self._answered < until:
            await self._idle.park()

    def _is_lent(self) -> bool:
        """True while the connection is retention's, or will be next."""
        return self._writing or self._claims > 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit batches until cancelled. Raises StoreBroken when the store fails for good."""
        self._make_ballast()
        task_status.started()
        while True:
            while not self._pending or self._is_lent():
                await self._lot.park()
            if not self._hurry:
                with trio.move_on_after(COMPANY):
                    while not self._hurry:
                        await self._lot.park()
                if self._is_lent():
                    continue  # retention took the connection meanwhile
            batch = self._pending[:BATCH]
            del self._pending[:BATCH]
            self._hurry = bool(self._pending)
            self._writing = True
            # A batch once begun is seen through to its answers, whatever is cancelled around it.
            with trio.CancelScope(shield=True):
                await self._commit(batch)
            self._writing = False
            if not self._stuck:
                self._answered = self._taken - len(self._pending)
            self._idle.unpark_all()

    async def _commit(self, batch: list[Operation]) -> None:
        writer = self._writer
        entries: list[Entry] = []
        try:
            await self._begin()
            try:
                results, entries = writer.write(batch, self._now())
            except HalfDone:
                writer.undo()
                await self._begin()
                results, entries = writer.write(batch, self._now(), careful=True)
            failpoint("commit.before")
            batch_point(batch, "commit")
            if len(batch) <= SMALL and self._disk < QUICK and not self._is_checkpoint_due():
                # On a quick disk a small COMMIT takes less than the way to a thread and back.
                self._finish()
                await trio.lowlevel.checkpoint()
            else:
                await self._runner(self._finish)
            failpoint("commit.after")
            batch_point(batch, "committed")
        except sqlite3.Error as error:
            if not await self._rescue(batch, entries, error):
                return
        self.commits += 1
        self._stuck = max(0, self._stuck - len(batch))
        self._behind = {}
        for operation, (answer, value) in zip(batch, results, strict=True):
            if operation.done is not None:
                operation.done(answer, value)
        behind, self._behind = self._behind, None
        for work in behind:
            work()
        failpoint("commit.told")
        self.ring.push(entries)
        self._look_at_trouble()

    def _finish(self) -> None:
        conn = self._writer.conn
        begun = time.monotonic()
        conn.execute("COMMIT")
        self._disk += (time.monotonic() - begun - self._disk) / 8
        if not self._is_checkpoint_due():
            return
        self._checkpointed, self._checkpoint_at = conn.total_changes, time.monotonic()
        try:
            # Little and often, and never waiting for a reader: a large one held every submit for as long as the disk took.
            failpoint("checkpoint.before")
            conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            failpoint("checkpoint.after")
        except sqlite3.Error as error:
            self._trouble = error  # the batch is committed, whatever becomes of this

    def _is_checkpoint_due(self) -> bool:
        if self._path is None or self._writer.conn.total_changes - self._checkpointed < CHANGES:
            return False
        return time.monotonic() - self._checkpoint_at >= PAUSE

    def _look_at_trouble(self) -> None:
        """A checkpoint that only found no room or no turn comes again with the next commit; any other failure is the store's."""
        error, self._trouble = self._trouble, None
        if error is None:
            return
        if not _name(error).startswith(PASSING):
            raise StoreBroken(explain_failure(error))
        log.warning("checkpoint put off error=%s", _name(error))

    async def _begin(self) -> None:
        """Start a transaction. Where somebody else holds the store (a backup, a curious person), wait for it."""
        while True:
            try:
                self._writer.begin()
                return
            except sqlite3.OperationalError as error:
                if not _name(error).startswith("SQLITE_BUSY"):
                    raise
            await trio.sleep(0.05)

    async def _rescue(self, batch: list[Operation], entries: list[Entry], error: sqlite3.Error) -> bool:
        """After a failed write or commit: a full disk keeps what closes attempts, anything else stops the daemon.

        True when the batch stands in the store all the same: its last event says so.
        """
        name = _name(error)
        if not name.startswith("SQLITE_FULL"):
            log.critical("store failed error=%s", name)
            await self._say_unknown(batch)
            raise StoreBroken(explain_failure(error))
        try:
            self._writer.conn.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite rolled back by itself
        there = int(self._writer.conn.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
        self._writer.seq = there
        if entries and there >= entries[-1].seq:
            return True
        if not self.is_full:
            log.error("disk full: taking and sending stop until there is room")
            self.is_full = True
            self.on_full(True)
        self._drop_ballast()
        kept = [operation for operation in batch if not _is_intake(operation)]
        for operation in batch:
            if _is_intake(operation):
                _answer(operation, Answer.FAILED, None)
        self._pending[:0] = kept
        waiting = [operation for operation in self._pending if _is_intake(operation)]
        self._pending = [operation for operation in self._pending if not _is_intake(operation)]
        for operation in waiting:
            _answer(operation, Answer.FAILED, None)
        # Operations behind these have their answer already: until these have theirs, counting tells nothing about either.
        self._stuck = len(self._pending)
        await trio.sleep(0 if not self._pending else FULL_RETRY / 4)
        return False

    async def _say_unknown(self, batch: list[Operation]) -> None:
        """Nobody knows what became of `batch`; nothing else is written any more. Returns when those who wait can have been told."""
        self.is_broken = self.is_full = True
        behind, self._pending = self._pending, []
        for operation in batch:
            _answer(operation, Answer.UNKNOWN, None)
        for operation in behind:
            _answer(operation, Answer.FAILED if _is_intake(operation) else Answer.UNKNOWN, None)
        await trio.sleep(LAST_WORDS)

    async def forget(self, work: Callable[[sqlite3.Connection], bool]) -> bool:
        """Do a page of retention `work` in a transaction of its own, what it drops overwritten. True when there may be more.

        Overwritten are the rows, and the pages that they leave; older copies of them were overwritten as they were made.
        """
        self._claims += 1  # the next batch lets this pass: under load there is no quiet moment to wait for
        try:
            while self._writing:
                await self._idle.park()
            return await self._forget(work)
        finally:
            self._claims -= 1
            self._lot.unpark_all()

    async def _forget(self, work: Callable[[sqlite3.Connection], bool]) -> bool:
        self._writing = True  # the connection is ours until the commit
        conn = self._writer.conn
        try:
            with trio.CancelScope(shield=True):
                # Overwriting what is deleted costs every update of a live row; only retention deletes what must not be found again.
                conn.execute("PRAGMA secure_delete = ON")
                self._writer.begin()
                has_more = work(conn)
                failpoint("retention.commit")
                await self._runner(self._finish)
                failpoint("retention.committed")
        except sqlite3.OperationalError as error:
            if _name(error).startswith("SQLITE_IOERR"):
                log.critical("store failed error=%s", _name(error))
                raise StoreBroken(explain_failure(error)) from None  # as everywhere else: a sync that failed once is never tried again
            log.warning("retention put off error=%s", _name(error))
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            return False
        finally:
            conn.execute("PRAGMA secure_delete = FAST")
            self._writing = False
            self._idle.unpark_all()
        self._look_at_trouble()
        return has_more

    async def empty_log(self) -> None:
        """Move everything from the write-ahead log into the store and cut it to nothing, if no reader is in the way."""

        def empty(conn: sqlite3.Connection) -> bool:
            conn.execute("COMMIT")
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            conn.execute("BEGIN IMMEDIATE")
            return False

        await self.forget(empty)

    async def watch_room(self) -> None:
        """While the disk is full, try every second to set the ballast aside again; when that works, service returns.

        Raises StoreBroken when somebody has taken the store's files away under the broker.
        """
        files = self._identify_files()
        while True:
            await trio.sleep(FULL_RETRY)
            found = self._identify_files()
            if any(name not in found or found[name] != identity for name, identity in files.items()):
                await self._save_log()
            files = found
            if self.is_full and not self.is_broken and self._make_ballast():
                self.is_full = False
                log.warning("room on the disk again: taking and sending go on")
                self.on_full(False)

    def _identify_files(self) -> dict[str, tuple[int, int]]:
        """The store and its write-ahead log, as they stand in the folder."""
        found = {}
        for path in () if self._path is None else (self._path, self._path.with_name(f"{self._path.name}-wal")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found[path.name] = stat.st_dev, stat.st_ino
        return found

    async def _save_log(self) -> None:
        """The store or its log was removed or replaced while it is open: the next start would not find what it still takes.

        What is in the log is moved into the store as long as we hold both. Raises StoreBroken.
        """
        log.critical("the store's files were removed or replaced while the broker ran")
        await self.empty_log()
        raise StoreBroken(
            "somebody removed or replaced the store's file or its -wal file; what was taken has been moved from the log into the store:"
            " `broker verify` looks at it, then start again"
        )

    def _make_ballast(self) -> bool:
        if self._path is None:
            return True
        path = self._path.with_name("ballast")
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, BALLAST)
            finally:
                os.close(file)
        except OSError:
            self._drop_ballast()
            return False
        return True

    def _drop_ballast(self) -> None:
        if self._path is not None:
            self._path.with_name("ballast").unlink(missing_ok=True)


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)


def _is_intake(operation: Operation) -> bool:
    """True for what a full disk refuses: new messages, in and out, new attempts, receipts. What closes an attempt is kept."""
    if isinstance(operation, Step):
        return operation.open is not None or operation.from_outside
    return isinstance(operation, Accept | Receive) or (isinstance(operation, Put) and operation.from_outside)


def _answer(operation: Operation, answer: Answer, value: Any) -> None:
    if operation.done is not None:
        operation.done(answer, value)
