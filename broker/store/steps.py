"""Writing steps: one by one, or the plain ones of a batch gathered, so that a statement is looked up once for many rows.

A message's row is written once for all that a batch holds of it: what is accepted and opened in one batch is inserted as being sent,
what is answered and reported in one batch goes from `sending` to its end. Compare-and-set holds for each row either way.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from broker.store.contract import Accept, Answer, Change, Move, Operation, Shut, Step
from broker.store.lookups import write_found
from broker.store.rows import INSERT_ATTEMPT, NULL, pack, pack_attempt
from broker.store.spelling import Update

Result = tuple[Answer, Any]
Sheet = dict[str, list[tuple[Any, ...]]]

_CHANGE = Update(
    "message",
    "status = ?, detail = ?, lane = ?, next_at = ?, final_at = ?",
    ("attempts", "rule", "progress", "valid_until"),
    "id = ? AND status = ?",
)
_SHUT = Update(
    "attempt",
    "state = ?",
    ("closed_at", "class", "code", "detail", "refs", "receipt"),
    "message = ? AND n = ? AND state = ?",
)
_AMEND = "UPDATE attempt SET pieces = ?, parts = ?, price = ?, credit = ? WHERE message = ? AND n = ?"
_REF = "INSERT OR IGNORE INTO ref (provider, ref, message, n) VALUES (?, ?, ?, ?)"
DROP = "DELETE FROM inbox WHERE id = ?"
_STATUS = "SELECT status FROM message WHERE id = ?"
_DONE: Result = (Answer.DONE, None)
_STALE: Result = (Answer.STALE, None)


class HalfDone(Exception):
    """An operation was refused after part of it was written: the batch is done again with a savepoint around each."""


def _bind_change(change: Change, id_: str, expect: str) -> tuple[str, tuple[Any, ...]]:
    progress = None if change.progress is None else pack(change.progress)
    sql, kept = _CHANGE.bind((change.attempts, change.rule, progress, change.valid_until))
    detail, lane, final_at = change.detail, change.lane, change.final_at
    return sql, (
        change.status, NULL if detail is None else detail, NULL if lane is None else lane, change.next_at,
        NULL if final_at is None else final_at, *kept, id_, expect,
    )  # fmt: skip


def _bind_shut(shut: Shut, id_: str, expect: str) -> tuple[str, tuple[Any, ...]]:
    refs = pack(shut.refs) if shut.refs else None
    sql, kept = _SHUT.bind((shut.closed_at, shut.class_, shut.code, shut.detail, refs, shut.receipt))
    return sql, (shut.state, *kept, id_, shut.n, expect)


def join_openings(batch: Sequence[Operation]) -> dict[str, Change]:
    """New messages that open their first attempt next, in this same batch: inserted as already being sent, which saves their update."""
    new: set[str] = set()
    joined: dict[str, Change] = {}
    for op in batch:
        if op.__class__ is Accept:
            if op.digest is None:
                new.add(op.message.id)
        elif op.__class__ is Step:
            if op.message in new:
                new.remove(op.message)
                if op.open is not None and op.change is not None and _is_plain(op):
                    joined[op.message] = op.change
        elif op.__class__ is Move:
            new.difference_update(row[0] for row in op.rows)
    return joined


def _is_plain(op: Step) -> bool:
    if op.change is None or op.found is not None or len(op.expect) != 1:
        return False
    for shut in op.shut:  # noqa: SIM110  # all() over a generator costs more than the look
        if shut.amends is not None or len(shut.expect) != 1:
            return False
    return True


class Steps:
    """The plain steps of one batch. `joined`: messages of which the insert says already what their opening would change."""

    def __init__(self, conn: sqlite3.Connection, joined: dict[str, Change]) -> None:
        self._conn = conn
        self._joined = joined
        self._steps: dict[str, Step] = {}

    def take(self, op: Step) -> bool:
        """Gather a step; False where it is not plain: then it has to be written after `write`."""
        if not _is_plain(op):
            return False
        before = self._steps.get(op.message)
        if before is not None:
            joined = _join(before, op)
            if joined is None:
                self.write()
            else:
                op = joined
        self._steps[op.message] = op
        return True

    def write(self) -> None:
        """Write what was gathered. Raises HalfDone where a row was not as its step expects."""
        if not self._steps:
            return
        steps, self._steps = self._steps, {}
        changes: Sheet = {}
        shuts: Sheet = {}
        opened: list[tuple[Any, ...]] = []
        refs = []
        drops = []
        for id_, op in steps.items():
            if op.open is None or id_ not in self._joined:
                _add(changes, *_bind_change(op.change, id_, op.expect[0]))  # type: ignore[arg-type]  # a plain step has one
            for shut in op.shut:
                _add(shuts, *_bind_shut(shut, id_, shut.expect[0]))
                if shut.provider is not None:
                    refs += [(shut.provider, ref, id_, shut.n) for ref in shut.refs if ref]
            if op.open is not None:
                opened.append(pack_attempt(op.open))
            if op.drop:
                drops += [(number,) for number in op.drop]
        # Of one message's attempts the old one ends before the new one opens: only one may be open or in doubt.
        for sheet in (changes, shuts):
            for sql, rows in sheet.items():
                if self._conn.executemany(sql, rows).rowcount != len(rows):
                    raise HalfDone
        if opened:
            self._conn.executemany(INSERT_ATTEMPT, opened)
        if refs:
            self._conn.executemany(_REF, refs)
        if drops:
            self._conn.executemany(DROP, drops)


def _add(sheet: Sheet, sql: str, row: tuple[Any, ...]) -> None:
    rows = sheet.get(sql)
    if rows is None:
        sheet[sql] = [row]
    else:
        rows.append(row)


def _join(first: Step, second: Step) -> Step | None:
    """An answer and its receipt as one step, None where they are something else."""
    if first.open is not None or second.open is not None or len(first.shut) != 1 or len(second.shut) != 1:
        return None
    one, two, change, more = first.shut[0], second.shut[0], first.change, second.change
    assert change is not None  # both are plain
    assert more is not None
    if second.expect != (change.status,) or two.n != one.n or two.expect != (one.state,) or one.receipt or two.provider is not None:
        return None
    shut = Shut(
        one.n, one.expect, two.state, two.closed_at or one.closed_at, two.class_ or one.class_, two.code or one.code,
        two.detail or one.detail, two.refs or one.refs, two.receipt, one.provider,
    )  # fmt: skip
    change = Change(
        more.status, more.detail, more.lane, more.next_at, more.progress or change.progress, more.rule or change.rule,
        change.attempts if more.attempts is None else more.attempts, more.final_at,
    )  # fmt: skip
    return Step(first.message, first.expect, change, shut=(shut,), drop=first.drop + second.drop)


def write_step(conn: sqlite3.Connection, op: Step) -> Result:
    """Write one step by itself. STALE where nothing of it was written; raises HalfDone where something was."""
    if op.change is None:
        found = conn.execute(_STATUS, (op.message,)).fetchone()
        if found is None or found[0] not in op.expect:
            return _STALE
    touched = False
    for shut in op.shut:
        if not any(conn.execute(*_bind_shut(shut, op.message, state)).rowcount for state in shut.expect):
            if touched:
                raise HalfDone
            return _STALE
        touched = True
        _write_more(conn, op.message, shut)
    change = op.change
    if change is not None and not any(conn.execute(*_bind_change(change, op.message, status)).rowcount for status in op.expect):
        if touched:
            raise HalfDone
        return _STALE
    if op.open is not None:
        try:
            conn.execute(INSERT_ATTEMPT, pack_attempt(op.open))
        except sqlite3.IntegrityError:
            # Another attempt of this message is open or in doubt (promise 5): nothing of this step may stand.
            raise HalfDone from None
    if op.drop:
        conn.executemany(DROP, [(number,) for number in op.drop])
    if op.found is not None:
        write_found(conn, op.found)
    return _DONE


def _write_more(conn: sqlite3.Connection, id_: str, shut: Shut) -> None:
    """What few attempts have: ids to be found by receipts, parts that differ."""
    if shut.provider is not None:
        conn.executemany(_REF, [(shut.provider, ref, id_, shut.n) for ref in shut.refs if ref])
    if shut.amends is not None:
        pieces, parts, price, credit = shut.amends
        conn.execute(_AMEND, (pack(pieces) if pieces else None, parts, price, credit, id_, shut.n))
