"""The chain of orders: what operators had the broker do, in rows that are only ever added, each bound to the one before by a digest.

A row is one JSON object; `link` is SHA-256 over the link before it, its number and its body, so that no row can be changed, taken out or
put between others without every later link saying so. Whoever may write the file can make the whole chain anew: the links in the log are
there to compare. Decides nothing, and never holds a text, a secret or a whole number: `api.control` says what is written.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from broker.store.rows import pack

START = bytes(32)
"""What the first link is made over."""
GUARDS = ("audit_no_update", "audit_no_delete")
"""The store's own triggers, which refuse what would change a row."""
_LAST = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0)"


class Link(NamedTuple):
    """The place of one record in the chain, and its link in hex."""

    n: int
    digest: str


def make_link(before: bytes, n: int, body: str) -> bytes:
    """The link of record `n`."""
    return sha256(b"%b%d\n%b" % (before, n, body.encode())).digest()


def add_record(conn: sqlite3.Connection, record: Mapping[str, Any]) -> Link:
    """Add one record in the transaction that is open. A number is never used twice, whatever is taken out."""
    row = conn.execute("SELECT link FROM audit ORDER BY n DESC LIMIT 1").fetchone()
    n = int(conn.execute(_LAST).fetchone()[0]) + 1
    body = pack(record)
    link = make_link(START if row is None else row[0], n, body)
    conn.execute("INSERT INTO audit (n, body, link) VALUES (?, ?, ?)", (n, body, link))
    return Link(n, link.hex())


def check_chain(conn: sqlite3.Connection) -> Iterator[str]:
    """Whatever is wrong with the chain, a line each."""
    before, expected = START, 1
    for n, body, link in conn.execute("SELECT n, body, link FROM audit ORDER BY n"):
        if n != expected:
            yield f"the audit has a gap: record {expected}{f' to {n - 1}' if n - 1 > expected else ''} is gone"
        elif link != make_link(before, n, body):
            yield f"the audit was changed: record {n} is not what was written, or does not follow the one before it"
        before, expected = link, n + 1
    last = int(conn.execute(_LAST).fetchone()[0])
    if last >= expected:
        yield f"the audit ends too early: record {last} was written, and {expected - 1} is the last"
    there = {name for (name,) in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")}
    for name in GUARDS:
        if name not in there:
            yield f"the audit's guard {name} was taken away"


def read_orders(conn: sqlite3.Connection, last: int) -> list[dict[str, Any]]:
    """The last orders, oldest first, each with its place in the chain and, where it has one by now, its result."""
    rows = conn.execute(f"SELECT n, body, link FROM audit WHERE {_OF} IS NULL ORDER BY n DESC LIMIT ?", (last,)).fetchall()
    if not rows:
        return []
    orders = {n: {"n": n, **msgspec.json.decode(body), "link": link.hex(), "result": None} for n, body, link in reversed(rows)}
    for (body,) in conn.execute(f"SELECT body FROM audit WHERE n > ? AND {_OF} IS NOT NULL ORDER BY n", (rows[-1][0],)):
        result = msgspec.json.decode(body)
        order = orders.get(result.pop("of"))
        if order is not None:
            order.update({{"at": "ended_at", "config": "config_after"}.get(key, key): value for key, value in result.items()})
    return list(orders.values())


def find_head(conn: sqlite3.Connection) -> Link | None:
    """The end of the chain; None where nothing was ever ordered."""
    row = conn.execute("SELECT n, link FROM audit ORDER BY n DESC LIMIT 1").fetchone()
    return None if row is None else Link(row[0], row[1].hex())


_OF = "json_extract(body, '$.of')"
