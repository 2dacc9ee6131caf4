"""The SQLite store: opening it, and writing one batch of operations in one transaction.

Statements run where the caller runs (the event loop), COMMIT wherever the journal's runner puts it: Python's sqlite3 gives the
interpreter lock away at every statement, and beside a busy loop each statement in another thread waits up to 5 ms to get it back
(measured: 80 µs a message became 3 ms). Only COMMIT waits for the disk, so only COMMIT leaves the loop.

Never decides anything: an operation is done as it says, or refused whole.
"""

import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from broker.store.audit import add_record
from broker.store.contract import Accept, Answer, Entry, Move, Operation, Put, Receive, Step, StoreError
from broker.store.inbound import write_hooks, write_received
from broker.store.rows import INSERT_KEYED, INSERT_MESSAGE, INSERT_STRAY, NULL, pack, pack_message, pack_stray
from broker.store.schema import migrate
from broker.store.steps import DROP, HalfDone, Result, Steps, join_openings, write_step

log = logging.getLogger("broker.store")

SQLITE = sqlite3.sqlite_version
"""The version of the library that Python is linked with."""

_EVENT = "INSERT INTO event (seq, at, message, body) VALUES (?, ?, ?, ?)"
_MOVE = "UPDATE message SET lane = ?, next_at = ? WHERE id = ? AND status = 'queued'"
_MOVE_SENT = "UPDATE message SET next_at = ?2 WHERE id = ?3 AND status = 'sent' AND lane = ?1"
EXISTING = (
    "SELECT id, digest, segments, encoding, country, status = 'scheduled' OR coalesce(send_at > accepted_at, 0) "
    "FROM message WHERE client = ? AND key = ?"
)
"""A message is scheduled at first for its `send_at`, or for a window: of that only its status tells, while it waits."""
_DONE: Result = (Answer.DONE, None)
_STALE: Result = (Answer.STALE, None)
_FAILED: Result = (Answer.FAILED, None)

_UNWRITABLE = (OverflowError, UnicodeError, sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
"""What one operation's own values may raise (a lone surrogate, a number beyond 64 bits): its trouble, not the store's."""


StoreFailure = sqlite3.DatabaseError
"""What reading raises where the file or the disk under it fails."""


def explain_failure(error: BaseException) -> str:
    """What happened to the store, and what to do. The file is left as it is, whatever it was."""
    if not isinstance(error, sqlite3.Error):
        return str(error)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return (
            f"the store is damaged ({name}); its file is left as it is: `broker verify` says how far, and the newest good copy"
            " (`broker backup`) goes in its place, without the -wal and -shm files there"
        )
    return f"the store failed ({name}); its file is left as it is: look at the disk, then start again"


def open_connection(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to the store at `path`, ready for the hot path. Raises StoreError."""
    conn: sqlite3.Connection | None = None
    try:
        if read_only:
            # As a URI it is quoted: a folder's name may have a # or a ? in it.
            conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
            conn.execute("PRAGMA query_only = ON")
            conn.execute("PRAGMA cache_size = -4096")
            return conn
        is_new = not path.exists()
        conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=0)
        if is_new:
            os.chmod(path, 0o600)
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        # This connection alone checkpoints, on the journal's schedule (reliability: the WAL-reset race needs two).
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        conn.execute("PRAGMA cache_size = -16384")
        # What an update leaves behind is overwritten in pages that are written anyway (measured: costs nothing), so that `erase` and
        # retention find no older copies; ON would also write pages that are only given back, which only they do.
        conn.execute("PRAGMA secure_delete = FAST")
        migrate(conn)
        return conn
    except ValueError as error:
        _leave(conn, path)
        raise StoreError(f"{path} was {error}; run the broker that made it, or point [store].url at another file") from None
    except sqlite3.Error as error:
        _leave(conn, path)
        raise StoreError(
            f"cannot open the store {path}: {error}; check that the file is a broker store (`broker verify`) and that this user may"
            " write its folder"
        ) from None


def _leave(conn: sqlite3.Connection | None, path: Path) -> None:
    """Close without moving the log into the file, which the last one to close does: a reader that cannot closes after it."""
    if conn is None:
        return
    holder = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        holder.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        pass  # not even that can be read: then nothing can be moved either
    conn.close()
    holder.close()


class Writer:
    """The one writing connection. `begin` and `write` run on the loop, `commit` where the runner says."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn
        self.seq = int(conn.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])

    def adopt_strays(self, lanes: Sequence[str]) -> None:
        """At start: queued rows that wait for a provider which is no more wait for the router."""
        known = ", ".join("?" * len(lanes))
        self.conn.execute(f"UPDATE message SET lane = NULL WHERE status = 'queued' AND lane NOT IN ({known})", tuple(lanes))

    def begin(self) -> None:
        """Start a transaction that will not have to be upgraded. Raises sqlite3.OperationalError when the store is busy."""
        self.conn.execute("BEGIN IMMEDIATE")

    def write(self, batch: Sequence[Operation], at: int, *, careful: bool = False) -> tuple[list[Result], list[Entry]]:
        """Write `batch`; the results in its order and the events in theirs. Call between `begin` and `commit`.

        Raises HalfDone where one operation is refused and took its neighbours along: then `undo`, `begin`, and write it `careful`.
        """
        try:
            return self._write(batch, at, careful)
        except _UNWRITABLE:
            raise HalfDone from None

    def undo(self) -> None:
        """Give the transaction up. `seq` has not moved: it does so last."""
        self.conn.execute("ROLLBACK")

    def _write(self, batch: Sequence[Operation], at: int, careful: bool) -> tuple[list[Result], list[Entry]]:
        entries: list[Entry] = []
        if careful:
            results = [self._write_alone(op) for op in batch]
            for op, result in zip(batch, results, strict=True):
                if result[0] is Answer.DONE:
                    entries += op.entries
        else:
            results = self._write_together(batch, entries)
        seq = self.seq
        rows = []
        for entry in entries:
            seq += 1
            entry.seq = seq
            rows.append((seq, at, NULL if entry.message is None else entry.message, entry.body.decode()))
        if rows:
            self.conn.executemany(_EVENT, rows)
        self.seq = seq
        return results, entries

    def _write_together(self, batch: Sequence[Operation], entries: list[Entry]) -> list[Result]:
        """Write what is plain by statement, for many at once, and anything else by itself. `entries` gets the events of what is done."""
        joined = join_openings(batch)
        # New messages first: whatever else the batch holds of them comes after their insert.
        new = [
            pack_message(op.message, None, joined.get(op.message.id)) for op in batch if op.__class__ is Accept and op.digest is None
        ]
        if new:
            self.conn.executemany(INSERT_MESSAGE, new)
        steps = Steps(self.conn, joined)
        results: list[Result] = []
        for op in batch:
            if isinstance(op, Step):
                result = _DONE
                if not steps.take(op):
                    steps.write()  # what came before it is of rows that it may touch
                    result = write_step(self.conn, op)
            elif isinstance(op, Accept):
                result = _DONE if op.digest is None else self._write_keyed(op)
            else:
                result = self._write_rest(op, steps)
            results.append(result)
            if result[0] is Answer.DONE:
                entries += op.entries
        steps.write()
        return results

    def _write_alone(self, op: Operation) -> Result:
        execute = self.conn.execute
        execute("SAVEPOINT one")
        try:
            if isinstance(op, Accept):
                result = self._write_keyed(op) if op.digest is not None else self._write_new(op)
            elif isinstance(op, Step):
                result = write_step(self.conn, op)
            else:
                result = self._write_rest(op)
        except HalfDone:
            execute("ROLLBACK TO one")
            result = _STALE
        except _UNWRITABLE as error:
            log.critical("operation cannot be written operation=%s error=%s", op.__class__.__name__, type(error).__name__)
            execute("ROLLBACK TO one")
            result = _FAILED
        execute("RELEASE one")
        return result

    def _write_rest(self, op: Move | Put | Receive, steps: Steps | None = None) -> Result:
        if isinstance(op, Move):
            if steps is not None:
                steps.write()
            return self._write_move(op)
        if isinstance(op, Receive):
            answer = write_received(self.conn, op)
            return self._write_facts(op.put) if answer[0] is Answer.DONE else answer
        return self._write_facts(op)

    def _write_new(self, op: Accept) -> Result:
        self.conn.execute(INSERT_MESSAGE, pack_message(op.message, None))
        return _DONE

    def _write_move(self, op: Move) -> Result:
        self.conn.executemany(_MOVE_SENT if op.is_sent else _MOVE, [(lane, next_at, name) for name, lane, next_at in op.rows])
        return _DONE

    def _write_keyed(self, op: Accept) -> Result:
        message = op.message
        done = self.conn.execute(INSERT_KEYED, pack_message(message, op.digest))
        if done.rowcount:
            return _DONE
        return Answer.EXISTS, self.conn.execute(EXISTING, (message.client, message.key)).fetchone()

    def _write_facts(self, op: Put) -> Result:
        execute = self.conn.execute
        for kind, name, value in op.facts:
            if value is None:
                execute("DELETE FROM fact WHERE kind = ? AND name = ?", (kind, name))
            else:
                execute("INSERT OR REPLACE INTO fact (kind, name, value) VALUES (?, ?, ?)", (kind, name, pack(value)))
        for recipient, scope in op.unsuppress:
            execute("DELETE FROM suppression WHERE recipient = ? AND scope = coalesce(?, scope)", (recipient, scope))
        for row in op.suppress:
            execute("INSERT OR IGNORE INTO suppression (recipient, scope, reason, at) VALUES (?, ?, ?, ?)", row)
        if op.hooks or op.unhook:
            write_hooks(self.conn, op.hooks, op.unhook)
        if op.strays:
            self.conn.executemany(INSERT_STRAY, [pack_stray(stray) for stray in op.strays])
        if op.drop:
            self.conn.executemany(DROP, [(id_,) for id_ in op.drop])
        return _DONE if op.audit is None else (Answer.DONE, add_record(self.conn, op.audit))
