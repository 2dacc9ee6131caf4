"""Retention: texts, messages and events past their time are removed in small transactions (CONTRACT §3, [store], [feed]).

The last event always stays: `seq` goes on from it. Suppression is kept until a person removes it.
"""

import sqlite3

PAGE = 500


def drop_texts(conn: sqlite3.Connection, before: int) -> int:
    """Forget the texts of messages that ended before `before` (ms): how many."""
    sql = "SELECT id FROM message WHERE final_at IS NOT NULL AND text IS NOT NULL AND final_at < ? LIMIT ?"
    ids = conn.execute(sql, (before, PAGE)).fetchall()
    conn.executemany("UPDATE message SET text = NULL WHERE id = ?", ids)
    return len(ids)


def drop_messages(conn: sqlite3.Connection, before: int, oldest: str) -> int:
    """Remove messages that ended before `before` and whose id sorts under `oldest`, with attempts and history: how many."""
    sql = "SELECT id FROM message WHERE id < ? AND final_at IS NOT NULL AND final_at < ? ORDER BY id LIMIT ?"
    ids = conn.execute(sql, (oldest, before, PAGE)).fetchall()
    conn.executemany("DELETE FROM attempt WHERE message = ?", ids)
    conn.executemany("DELETE FROM message WHERE id = ?", ids)
    return len(ids)


def drop_events(conn: sqlite3.Connection, before: int) -> int:
    """Remove events older than `before`, never the last one: how many."""
    sql = "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq < (SELECT max(seq) FROM event) ORDER BY seq LIMIT ?) AND at < ?"
    return conn.execute(sql, (PAGE, before)).rowcount
