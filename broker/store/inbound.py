"""Inbound messages and the queues of endpoints as rows of the SQLite store: written, read and forgotten here.

Every function works inside the transaction, or on the connection, that it is given.
"""

import sqlite3

from broker.store.contract import Answer, Hook, Receive
from broker.store.retention import PAGE
from broker.words.inbound import Received

_COLUMNS = "id, provider, sender, recipient, text, ref, at, sent_at, segments, country"
_INSERT = f"INSERT INTO inbound ({_COLUMNS}, mark) VALUES ({', '.join('?' * 11)})"
_SAME = "SELECT id FROM inbound WHERE mark = ? AND at >= ? LIMIT 1"
_INSERT_HOOK = "INSERT INTO hook (stream, key, chain, since) VALUES (?, ?, ?, ?)"
_READ_HOOKS = "SELECT stream, key, chain, since, n FROM hook WHERE stream = ? AND n > ? ORDER BY n LIMIT ?"


def write_received(conn: sqlite3.Connection, op: Receive) -> tuple[Answer, str | None]:
    """Write an inbound message, not yet what follows from it: DONE, or EXISTS with the first one's id."""
    same = conn.execute(_SAME, (op.mark, op.since)).fetchone()
    if same is not None:
        return Answer.EXISTS, same[0]
    r = op.received
    row = (r.id, r.provider, r.sender, r.to, r.text, r.ref, r.at, r.sent_at, r.segments, r.country, op.mark)
    conn.execute(_INSERT, row)
    return Answer.DONE, None


def write_hooks(conn: sqlite3.Connection, hooks: tuple[Hook, ...], unhook: tuple[int, ...]) -> None:
    """Add to the endpoints' queues and take out of them."""
    if unhook:
        conn.executemany("DELETE FROM hook WHERE n = ?", [(n,) for n in unhook])
    if hooks:
        conn.executemany(_INSERT_HOOK, [(hook.stream, hook.key, hook.chain, hook.since) for hook in hooks])


def find_received(conn: sqlite3.Connection, id_: str) -> Received | None:
    """One inbound message."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM inbound WHERE id = ?", (id_,)).fetchone()
    return None if row is None else Received(*row)


def read_hooks(conn: sqlite3.Connection, stream: str, after: int, limit: int) -> list[Hook]:
    """What waits for an endpoint behind place `after`, in order."""
    return [Hook(*row) for row in conn.execute(_READ_HOOKS, (stream, after, limit))]


def count_hooks(conn: sqlite3.Connection) -> dict[str, int]:
    """How much waits for each endpoint."""
    return dict(conn.execute("SELECT stream, count(*) FROM hook GROUP BY stream"))


def drop_inbound_texts(conn: sqlite3.Connection, before: int) -> int:
    """Forget the texts of inbound messages received before `before` (ms), in their events too, but for those that still have to be
    handed on: how many.
    """
    sql = "SELECT id FROM inbound WHERE text IS NOT NULL AND at < ? AND id NOT IN (SELECT key FROM hook) ORDER BY at LIMIT ?"
    ids = conn.execute(sql, (before, PAGE)).fetchall()
    conn.executemany("UPDATE event SET body = json_remove(body, '$.text') WHERE message = ?", ids)
    conn.executemany("UPDATE inbound SET text = NULL WHERE id = ?", ids)
    return len(ids)


def drop_inbound(conn: sqlite3.Connection, oldest: str) -> int:
    """Remove inbound messages whose id sorts under `oldest`, but for those that still have to be handed on: how many."""
    sql = "DELETE FROM inbound WHERE id IN (SELECT id FROM inbound WHERE id < ? AND id NOT IN (SELECT key FROM hook) ORDER BY id LIMIT ?)"
    return conn.execute(sql, (oldest, PAGE)).rowcount
