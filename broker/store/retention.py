"""Retention: texts, messages and events past their time are removed in small transactions (CONTRACT §3, [store], [feed]).

The last event always stays: `seq` goes on from it. Suppression is kept until a person removes it.
"""

import sqlite3

import msgspec

PAGE = 500
KEPT = "kept:"
"""What the kinds of facts begin with that sessions keep, before the account's name."""


def drop_texts(conn: sqlite3.Connection, before: int, after: str, until: str) -> tuple[int, str]:
    """Forget the texts of messages that ended before `before` (ms): how many, and the id to go on after ("" at the end).

    Walks the messages in order of id, from `after` to `until`, a page at a time: an index for this would cost every message more than
    the walk does.
    """
    # What stands in the options of a mail or a call is its text as well.
    sql = "SELECT id, final_at, text IS NULL AND options IS NULL FROM message WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
    rows = conn.execute(sql, (after, until, PAGE)).fetchall()
    ids = [(id_,) for id_, final_at, is_gone in rows if not is_gone and final_at is not None and final_at < before]
    conn.executemany("UPDATE message SET text = NULL, options = NULL WHERE id = ?", ids)
    return len(ids), rows[-1][0] if len(rows) == PAGE else ""


def drop_messages(conn: sqlite3.Connection, before: int, oldest: str) -> int:
    """Remove messages that ended before `before` and whose id sorts under `oldest`, with their attempts: how many.

    Their events go by their own age (drop_events).
    """
    sql = "SELECT id FROM message WHERE id < ? AND final_at IS NOT NULL AND final_at < ? ORDER BY id LIMIT ?"
    ids = conn.execute(sql, (oldest, before, PAGE)).fetchall()
    known = "SELECT provider, refs FROM attempt WHERE message = ? AND refs IS NOT NULL"
    for (id_,) in ids:
        for provider, refs in conn.execute(known, (id_,)).fetchall():
            rows = [(provider, ref, id_) for ref in msgspec.json.decode(refs)]
            conn.executemany("DELETE FROM ref WHERE provider = ? AND ref = ? AND message = ?", rows)
    conn.executemany("DELETE FROM attempt WHERE message = ?", ids)
    conn.executemany("DELETE FROM message WHERE id = ?", ids)
    return len(ids)


def find_recipients(conn: sqlite3.Connection, number: str) -> list[tuple[str, str]]:
    """(id, status) of every message to `number`: looks at all there are, so run it where nobody waits."""
    return [(row[0], row[1]) for row in conn.execute("SELECT id, status FROM message WHERE recipient = ?", (number,))]


def erase_messages(conn: sqlite3.Connection, ids: list[str]) -> bool:
    """Remove these messages with their attempts, ids at providers and events. False: there is nothing more to do."""
    rows = [(id_,) for id_ in ids]
    for table in ("ref", "attempt", "event"):
        conn.executemany(f"DELETE FROM {table} WHERE message = ?", rows)
    conn.executemany("DELETE FROM message WHERE id = ?", rows)
    return False


def erase_traces(conn: sqlite3.Connection, number: str) -> int:
    """Remove what came from `number`, what was found of it, the events that told of it, and receipts and parts that wait with it.

    How many inbound messages there were.
    """
    conn.execute("DELETE FROM lookup WHERE number = ?", (number,))
    conn.execute("DELETE FROM inbox WHERE instr(receipt, ?) > 0", (f'"{number}"',))
    kept = "DELETE FROM fact WHERE kind > ? AND kind < ? AND (instr(name, ?) > 0 OR instr(value, ?) > 0)"
    conn.execute(kept, (KEPT, f"{KEPT[:-1]};", number, f'"{number}"'))
    told = "DELETE FROM event WHERE message IS NULL AND seq < (SELECT max(seq) FROM event) AND instr(body, ?) > 0"
    conn.execute(told, (f'"{number}"',))
    for table, column in (("event", "message"), ("hook", "key")):  # an inbound message's event has its id, as a message's have theirs
        conn.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM inbound WHERE sender = ?)", (number,))
    return conn.execute("DELETE FROM inbound WHERE sender = ?", (number,)).rowcount


def drop_strays(conn: sqlite3.Connection, before: int) -> int:
    """Remove receipts that came before `before` and never found their attempt: how many."""
    return conn.execute("DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE seen_at < ? LIMIT ?)", (before, PAGE)).rowcount


def drop_events(conn: sqlite3.Connection, before: int) -> int:
    """Remove events older than `before`, never the last one: how many."""
    sql = "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq < (SELECT max(seq) FROM event) ORDER BY seq LIMIT ?) AND at < ?"
    return conn.execute(sql, (PAGE, before)).rowcount


def drop_kept(conn: sqlite3.Connection, before: int) -> int:
    """Forget what sessions kept before `before` (ms) of messages that never became whole, of accounts that are gone too: how many."""
    sql = "DELETE FROM fact WHERE kind > ? AND kind < ? AND json_extract(value, '$.at') < ?"
    return conn.execute(sql, (KEPT, f"{KEPT[:-1]};", before)).rowcount
