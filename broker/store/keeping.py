"""Keeping a store: an online copy of it, and whether it is whole. Reads only; the file is never changed.

A copy is made in one read transaction beside a running daemon, which neither waits for it nor slows it.
"""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from broker.store.audit import check_chain, find_head, read_orders
from broker.store.contract import StoreError
from broker.store.schema import VERSIONS
from broker.store.sqlite import open_connection
from broker.words.status import FINAL, LIVE, STATUSES

MOST_SHOWN = 20


def back_up(source: Path, dest: Path) -> int:
    """Copy the store at `source` to `dest`, which must not be there yet: the bytes written. Whole or not at all. Raises StoreError."""
    if not source.is_file():
        raise StoreError(f"there is no store at {source}; name the broker's file with --config FILE")
    if dest.is_dir():
        dest = dest / source.name
    if dest.exists():
        raise StoreError(f"{dest} is there already; name another file, or move it away")
    part = dest.with_name(dest.name + ".part")
    part.unlink(missing_ok=True)
    conn = open_connection(source, read_only=True)
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with sqlite3.connect(part) as copy:
            conn.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
        copy.close()
        _sync(part)
        os.link(part, dest)  # never over a file that came meanwhile
        part.unlink()
        _sync(dest.parent)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(f"cannot copy {source} to {dest}: {reason}; the store itself is untouched") from None
    finally:
        conn.close()
    return dest.stat().st_size


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def inspect(path: Path) -> Iterator[str]:
    """Whatever is wrong with the store at `path`, a line each; nothing where it is whole. Raises StoreError where it cannot be read."""
    if not path.is_file():
        raise StoreError(f"there is no store at {path}; name the broker's file with --config FILE")
    conn = open_connection(path, read_only=True)
    try:
        conn.execute("BEGIN")
        for (line,) in conn.execute(f"PRAGMA integrity_check({MOST_SHOWN})").fetchall():
            if line != "ok":
                yield f"the file is damaged: {line}"
        known = {str(name) for (name,) in conn.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'broker'")}
        if known != set(VERSIONS):
            yield f"the store is of another version: it has {', '.join(sorted(known)) or 'no migration'}"
            return
        for what, sql in _RULES:
            count = conn.execute(f"SELECT count(*) FROM ({sql})").fetchone()[0]
            if count:
                shown = ", ".join(str(row[0]) for row in conn.execute(f"{sql} LIMIT 3"))
                yield f"{what}: {count}, among them {shown}"
        yield from check_chain(conn)
    except sqlite3.DatabaseError as error:
        yield f"the file is damaged: {error}"
    finally:
        conn.close()


def count_rows(path: Path) -> dict[str, int]:
    """How many messages, attempts, events and records of the audit the store holds. Raises StoreError."""
    conn = open_connection(path, read_only=True)
    try:
        return {name: int(conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in ("message", "attempt", "event", "audit")}
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read: {error}") from None
    finally:
        conn.close()


def list_orders(path: Path, last: int) -> dict[str, Any]:
    """The last orders of the store's audit, and the end of its chain. Raises StoreError."""
    if not path.is_file():
        raise StoreError(f"there is no store at {path}; name the broker's file with --config FILE")
    conn = open_connection(path, read_only=True)
    try:
        conn.execute("BEGIN")
        head = find_head(conn)
        return {"audit": read_orders(conn, last), "head": None if head is None else {"n": head.n, "link": head.digest}}
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} has no audit that can be read ({error}): an older broker made it, or `broker verify` says more") from None
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read: {error}") from None
    finally:
        conn.close()


def _listed(names: frozenset[str] | tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def _without(state: str) -> str:
    return f"NOT EXISTS (SELECT 1 FROM attempt a WHERE a.message = message.id AND a.state = '{state}')"


_M = "SELECT id FROM message WHERE status"
_A = "SELECT message FROM attempt a WHERE"
_ITS = "SELECT 1 FROM message m WHERE m.id = a.message"
_RULES = (
    ("messages of no known status", f"{_M} NOT IN ({_listed(STATUSES)})"),
    ("live messages that nothing will wake", f"{_M} IN ({_listed(LIVE)}) AND next_at <= 0"),
    ("ended messages without the time of their end", f"{_M} IN ({_listed(FINAL)}) AND final_at IS NULL"),
    ("messages that are sending without an open attempt", f"{_M} = 'sending' AND {_without('open')}"),
    ("messages in doubt without an attempt in doubt", f"{_M} = 'in_doubt' AND {_without('in_doubt')}"),
    ("attempts open of messages that are not sending", f"{_A} state = 'open' AND NOT EXISTS ({_ITS} AND m.status = 'sending')"),
    ("attempts without their message", f"{_A} NOT EXISTS ({_ITS})"),
)
"""(what is wrong, a query for the ids of those): what every commit leaves true (DESIGN, promises 2, 5 and 8)."""
