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
from typing import Any

from broker.store.contract import Accept, Answer, Change, Entry, Move, Operation, Put, Receive, Shut, Step, StoreError
from broker.store.inbound import write_hooks, write_received
from broker.store.lookups import write_found
from broker.store.rows import INSERT_ATTEMPT, INSERT_MESSAGE, INSERT_STRAY, pack, pack_attempt, pack_message, pack_stray
from broker.store.schema import migrate

log = logging.getLogger("broker.store")

Result = tuple[Answer, Any]

_OPEN = (
    "UPDATE message SET status = ?, detail = ?, lane = ?, next_at = ?, attempts = ?, rule = coalesce(?, rule)"
    " WHERE id = ? AND status = ?"
)
_CLOSE = "UPDATE message SET status = ?, detail = ?, lane = ?, next_at = ?, final_at = ? WHERE id = ? AND status = ?"
_CHANGE = (
    "UPDATE message SET status = ?, detail = ?, lane = ?, next_at = ?, final_at = ?, attempts = coalesce(?, attempts), "
    "rule = coalesce(?, rule), progress = coalesce(?, progress) WHERE id = ? AND status = ?"
)
_SHUT = (
    "UPDATE attempt SET state = ?, closed_at = coalesce(?, closed_at), class = coalesce(?, class), code = coalesce(?, code), "
    "detail = coalesce(?, detail), refs = coalesce(?, refs), receipt = coalesce(?, receipt) WHERE message = ? AND n = ? AND state = ?"
)
_AMEND = "UPDATE attempt SET pieces = ?, parts = ?, price = ?, credit = ? WHERE message = ? AND n = ?"
_REF = "INSERT OR IGNORE INTO ref (provider, ref, message, n) VALUES (?, ?, ?, ?)"
_DROP = "DELETE FROM inbox WHERE id = ?"
_EVENT = "INSERT INTO event (seq, at, message, body) VALUES (?, ?, ?, ?)"
_MOVE = "UPDATE message SET lane = ?, next_at = ? WHERE id = ? AND status = 'queued'"
_MOVE_SENT = "UPDATE message SET next_at = ?2 WHERE id = ?3 AND status = 'sent' AND lane = ?1"
EXISTING = (
    "SELECT id, digest, segments, encoding, country, status = 'scheduled' OR coalesce(send_at > accepted_at, 0) "
    "FROM message WHERE client = ? AND key = ?"
)
"""A message is scheduled at first for its `send_at`, or for a window: of that only its status tells, while it waits."""
_STATUS = "SELECT status FROM message WHERE id = ?"
_DONE: Result = (Answer.DONE, None)
_STALE: Result = (Answer.STALE, None)
_FAILED: Result = (Answer.FAILED, None)

_UNWRITABLE = (OverflowError, UnicodeError, sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
"""What one operation's own values may raise (a lone surrogate, a number beyond 64 bits): its trouble, not the store's."""


class HalfDone(Exception):
    """An operation was refused after part of it was written: the batch is done again with a savepoint around each."""


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
        _close(conn)
        raise StoreError(f"{path} was {error}; run the broker that made it, or point [store].url at another file") from None
    except sqlite3.Error as error:
        _close(conn)
        raise StoreError(
            f"cannot open the store {path}: {error}; check that the file is a broker store and that this user may write its folder"
        ) from None


def _close(conn: sqlite3.Connection | None) -> None:
    if conn is not None:
        conn.close()


class Writer:
    """The one writing connection. `begin` and `write` run on the loop, `commit` where the runner says."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn
        self.seq = int(conn.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
        self._joined: dict[str, Change] = {}

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
        self._joined = {}
        if not careful:
            joined = self._joined = _join_openings(batch)
            plain = [
                pack_message(op.message, None, joined.get(op.message.id))
                for op in batch
                if op.__class__ is Accept and op.digest is None
            ]
            if plain:
                # New messages first: whatever else the batch holds of them comes after their insert.
                self.conn.executemany(INSERT_MESSAGE, plain)
        results: list[Result] = []
        entries: list[Entry] = []
        for op in batch:
            if careful:
                result = self._write_alone(op)
            else:
                result = self._write_one(op)
            results.append(result)
            if result[0] is Answer.DONE:
                if op.__class__ is Accept:
                    entries.append(op.entry)
                elif op.__class__ is not Move:
                    entries.extend(op.entries)  # type: ignore[union-attr]  # Step, Put and Receive have entries
        seq = self.seq
        rows = []
        for entry in entries:
            seq += 1
            entry.seq = seq
            rows.append((seq, at, entry.message, entry.body.decode()))
        if rows:
            self.conn.executemany(_EVENT, rows)
        self.seq = seq
        return results, entries

    def _write_alone(self, op: Operation) -> Result:
        execute = self.conn.execute
        execute("SAVEPOINT one")
        try:
            if op.__class__ is Accept and op.digest is None:
                execute(INSERT_MESSAGE, pack_message(op.message, None))
            result = self._write_one(op)
        except HalfDone:
            execute("ROLLBACK TO one")
            result = _STALE
        except _UNWRITABLE as error:
            log.critical("operation cannot be written operation=%s error=%s", op.__class__.__name__, type(error).__name__)
            execute("ROLLBACK TO one")
            result = _FAILED
        execute("RELEASE one")
        return result

    def _write_one(self, op: Operation) -> Result:
        if op.__class__ is Step:
            return self._write_step(op)
        if op.__class__ is Accept:
            return self._write_keyed(op) if op.digest is not None else _DONE
        if isinstance(op, Move):
            self.conn.executemany(_MOVE_SENT if op.is_sent else _MOVE, [(lane, next_at, name) for name, lane, next_at in op.rows])
            return _DONE
        if isinstance(op, Receive):
            answer = write_received(self.conn, op)
            return self._write_facts(op.put) if answer[0] is Answer.DONE else answer
        assert isinstance(op, Put)
        return self._write_facts(op)

    def _write_keyed(self, op: Accept) -> Result:
        message = op.message
        done = self.conn.execute(
            INSERT_MESSAGE + " ON CONFLICT (client, key) WHERE key IS NOT NULL DO NOTHING", pack_message(message, op.digest)
        )
        if done.rowcount:
            return _DONE
        return Answer.EXISTS, self.conn.execute(EXISTING, (message.client, message.key)).fetchone()

    def _write_step(self, op: Step) -> Result:
        execute = self.conn.execute
        if op.change is None:
            found = execute(_STATUS, (op.message,)).fetchone()
            if found is None or found[0] not in op.expect:
                return _STALE
        touched = False
        for shut in op.shut:
            refs = pack(shut.refs) if shut.refs else None
            for state in shut.expect:
                if execute(
                    _SHUT,
                    (
                        shut.state,
                        shut.closed_at,
                        shut.class_,
                        shut.code,
                        shut.detail,
                        refs,
                        shut.receipt,
                        op.message,
                        shut.n,
                        state,
                    ),
                ).rowcount:
                    break
            else:
                if touched:
                    raise HalfDone
                return _STALE
            touched = True
            if shut.provider is not None or shut.amends is not None:
                self._write_more(op.message, shut)
        is_joined = op.open is not None and op.message in self._joined
        if op.change is not None and not is_joined and not self._write_change(op.message, op.expect, op.change):
            if touched:
                raise HalfDone
            return _STALE
        if op.open is not None:
            try:
                execute(INSERT_ATTEMPT, pack_attempt(op.open))
            except sqlite3.IntegrityError:
                # Another attempt of this message is open or in doubt (promise 5): nothing of this step may stand.
                raise HalfDone from None
        if op.drop:
            self.conn.executemany(_DROP, [(id_,) for id_ in op.drop])
        if op.found is not None:
            write_found(self.conn, op.found)
        return _DONE

    def _write_more(self, id_: str, shut: Shut) -> None:
        """What few attempts have: ids to be found by receipts, parts that differ."""
        if shut.provider is not None:
            self.conn.executemany(_REF, [(shut.provider, ref, id_, shut.n) for ref in shut.refs if ref])
        if shut.amends is not None:
            pieces, parts, price, credit = shut.amends
            self.conn.execute(_AMEND, (pack(pieces) if pieces else None, parts, price, credit, id_, shut.n))

    def _write_change(self, id_: str, expect: tuple[str, ...], change: Change) -> bool:
        """Compare and set. Three statements, because each column that a statement names costs every message."""
        values: tuple[Any, ...]
        if change.attempts is not None and change.progress is None and change.final_at is None:
            sql = _OPEN
            values = (change.status, change.detail, change.lane, change.next_at, change.attempts, change.rule, id_)
        elif change.attempts is None and change.progress is None and change.rule is None:
            sql = _CLOSE
            values = (change.status, change.detail, change.lane, change.next_at, change.final_at, id_)
        else:
            sql = _CHANGE
            progress = pack(change.progress) if change.progress is not None else None
            values = (change.status, change.detail, change.lane, change.next_at, change.final_at)
            values = (*values, change.attempts, change.rule, progress, id_)
        for status in expect:  # noqa: SIM110  # any() over a generator costs more than the second try
            if self.conn.execute(sql, (*values, status)).rowcount:
                return True
        return False

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
            self.conn.executemany(_DROP, [(id_,) for id_ in op.drop])
        return _DONE


def _join_openings(batch: Sequence[Operation]) -> dict[str, Change]:
    """New messages whose first attempt opens in this same batch: inserted as already being sent, which saves their update."""
    new = {op.message.id for op in batch if op.__class__ is Accept and op.digest is None}
    if not new:
        return {}
    return {
        op.message: op.change
        for op in batch
        if op.__class__ is Step and op.open is not None and op.change is not None and op.message in new
    }
