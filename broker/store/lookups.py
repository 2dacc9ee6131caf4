"""What providers found of numbers, as rows: the newest of each provider's, until it is too old to go by.

Written in the transaction of the receipt that told it, so that whoever asks again can be answered after a crash too.
"""

import sqlite3

from broker.store.contract import Found
from broker.words.receipt import Lookup

PAGE = 500

_COLUMNS = "number, provider, at, class, status, country, network, operator, roaming, code"
_WRITE = f"INSERT OR REPLACE INTO lookup ({_COLUMNS}) VALUES ({', '.join('?' * 10)})"
_FIND = f"SELECT {_COLUMNS} FROM lookup WHERE number = ? AND provider = ?"
_NEWEST = "SELECT network, at FROM lookup WHERE number = ? AND network IS NOT NULL ORDER BY at DESC LIMIT 1"
_NETWORKS = "SELECT number, network, at FROM lookup WHERE network IS NOT NULL AND at > ? ORDER BY at DESC LIMIT ?"


def write_found(conn: sqlite3.Connection, found: Found) -> None:
    """Keep what was found, in place of what the same provider found of the number before."""
    told = found.lookup
    values = (told.status, told.country, told.network, told.operator, told.roaming, told.code)
    conn.execute(_WRITE, (found.number, found.provider, found.at, found.class_, *values))


def find_found(conn: sqlite3.Connection, number: str, provider: str) -> Found | None:
    """What a provider found of a number last."""
    row = conn.execute(_FIND, (number, provider)).fetchone()
    return None if row is None else Found(row[0], row[1], row[2], row[3], Lookup(*row[4:]))


def find_network(conn: sqlite3.Connection, number: str) -> tuple[str, int] | None:
    """(network, when it was found) of a number, by whichever provider was asked last."""
    found: tuple[str, int] | None = conn.execute(_NEWEST, (number,)).fetchone()
    return found


def read_networks(conn: sqlite3.Connection, since: int, limit: int) -> list[tuple[str, str, int]]:
    """(number, network, when it was found), the newest first, found after `since`."""
    return list(conn.execute(_NETWORKS, (since, limit)))


def drop_found(conn: sqlite3.Connection, before: int) -> int:
    """Forget what was found before `before`: how many."""
    sql = "DELETE FROM lookup WHERE (number, provider) IN (SELECT number, provider FROM lookup WHERE at < ? LIMIT ?)"
    return conn.execute(sql, (before, PAGE)).rowcount
