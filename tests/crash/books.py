"""The verdict on the peers' book: receipts and inbound messages that were acknowledged, and what was handed on to endpoints.

Pure but for reading files. Knows nothing of how the daemon was killed.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from broker.words.clock import MINUTE
from broker.words.status import RANK
from tests.crash.verdict import Tally

HEX = frozenset({"west"})
"""Accounts that write an id in hex in their answer, and in decimal in a receipt."""


class Book(NamedTuple):
    """`receipts`: (account, id, class); `inbound`: (account, part, text); `hooks`: (webhook-id, id, seq). Each in order."""

    receipts: list[tuple[str, str, str]]
    inbound: list[tuple[str, str, str]]
    hooks: list[tuple[str, str, str]]


def read_book(path: Path) -> Book:
    """The lines of a book, by their kind."""
    book = Book([], [], [])
    lists = {"receipt": book.receipts, "inbound": book.inbound, "hook": book.hooks}
    for line in path.read_text().splitlines() if path.exists() else ():
        kind, first, second, third = line.split(" ", 3)
        lists[kind].append((first, second, third))
    return book


def count_waiting(store: Path) -> int:
    """How much waits for an endpoint, in a queue or before it."""
    conn = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        (waiting,) = conn.execute("SELECT count(*) FROM hook").fetchone()
        return int(waiting) + _read_behind(conn)
    finally:
        conn.close()


def _read_behind(conn: sqlite3.Connection) -> int:
    """Events of messages that the webhook's cursor has not passed: it is kept with what it finds."""
    sql = "SELECT count(*) FROM event WHERE seq > ? AND message IS NOT NULL AND json_extract(body, '$.type') LIKE 'message.%'"
    (count,) = conn.execute(sql, (_read_cursor(conn),)).fetchone()
    return int(count)


def _read_cursor(conn: sqlite3.Connection) -> int:
    """How far the one webhook's client has been told: what is due to it is in its queue up to here."""
    (cursor,) = conn.execute("SELECT coalesce(max(json_extract(value, '$.seq')), 0) FROM fact WHERE kind = 'webhook'").fetchone()
    return int(cursor)


def judge_book(store: Path, book: Book, *, has_hooks: bool) -> Tally:
    """The tally of what peers noted in one round."""
    conn = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        tally = Tally(receipts=len(book.receipts))
        _judge_receipts(tally, conn, book.receipts)
        received = _judge_inbound(tally, conn, book.inbound)
        if has_hooks:
            _judge_hooks(tally, conn, received, book.hooks)
        return tally
    finally:
        conn.close()


def _judge_receipts(tally: Tally, conn: sqlite3.Connection, receipts: Iterable[tuple[str, str, str]]) -> None:
    """Every receipt that was acknowledged stands at its attempt, by its rank, or waits for one."""
    known = _read_known(conn)
    waiting: set[tuple[str, str]] = set()
    for provider, body in conn.execute("SELECT provider, receipt FROM inbox"):
        receipt = json.loads(body)
        waiting.update((provider, ref) for ref in (receipt.get("ref"), *receipt.get("forms", ())) if ref)
    for account, ref, class_ in receipts:
        form = f"{int(ref):x}" if account in HEX else ref
        found = known.get((account, form))
        if found is None:
            if not {(account, form), (account, ref)} & waiting:
                tally.find("lost", f"the receipt {class_} of {account} {ref} was acknowledged, and is nowhere in the store")
            continue
        best, id_, status, parts = found
        if RANK.get(best or "accepted", 0) < RANK[class_]:
            tally.find("lost", f"the receipt {class_} of {account} {ref} was acknowledged, and {id_} says {best}")
        elif parts == 1 and class_ == "delivered" and status != "delivered":
            tally.find("illegal", f"{account} {ref} {id_} was acknowledged as delivered, and is {status}")


def _read_known(conn: sqlite3.Connection) -> dict[tuple[str, str], tuple[str | None, str, str, int]]:
    """(account, id) -> the highest receipt of that part, its message, the message's status, how many parts there are."""
    sql = "SELECT a.provider, a.refs, a.pieces, a.receipt, a.message, m.status FROM attempt a JOIN message m ON m.id = a.message"
    known: dict[tuple[str, str], tuple[str | None, str, str, int]] = {}
    for provider, refs, pieces, receipt, id_, status in conn.execute(f"{sql} WHERE a.refs IS NOT NULL"):
        read: list[str] = _read_refs(refs)
        parts: list[list[Any]] = json.loads(pieces) if pieces else []
        for at, ref in enumerate(read):
            best = parts[at][0] if at < len(parts) and parts[at] and len(read) > 1 else receipt
            if ref:
                known[provider, ref] = (best, id_, status, len(read))
    return known


def _read_refs(refs: str) -> list[str]:
    return list(json.loads(refs))


def _judge_inbound(tally: Tally, conn: sqlite3.Connection, inbound: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Every inbound message of which all parts were acknowledged stands in the store once. Those that stand there: id -> text.

    Those of here have no id: one that comes again after a minute, as the daemon was down so long, is another one (CONTRACT §10).
    """
    received: dict[str, str] = {}
    times: dict[str, list[int]] = {}
    for id_, text, at in conn.execute("SELECT id, text, at FROM inbound ORDER BY at"):
        received[id_] = text
        times.setdefault(text, []).append(at)
    wholes: dict[tuple[str, str], dict[str, str]] = {}
    for account, part, text in inbound:
        base = text.partition(" part ")[0]
        wholes.setdefault((account, base), {})[part] = text
    for (account, base), parts in wholes.items():
        if len(parts) < int(next(iter(parts)).partition("/")[2]):
            continue
        tally.inbound += 1
        whole = "".join(parts[part] for part in sorted(parts))
        if whole not in times:
            tally.find("lost", f"{base} of {account} was acknowledged, and is not in the store")
    for text, ats in times.items():
        if any(later - at < MINUTE for at, later in pairwise(ats)):
            tally.find("duplicated", f"the inbound {text} stands {len(ats)} times in the store")
    return received


def _judge_hooks(tally: Tally, conn: sqlite3.Connection, received: dict[str, str], hooks: Sequence[tuple[str, str, str]]) -> None:
    """Every inbound message and every change of a message was handed on, under one name however often, or still waits to be.

    What waits came after the drain; whether that ended is the trial's to say.
    """
    names: dict[tuple[str, str], set[str]] = {}
    for name, id_, seq in hooks:
        names.setdefault((id_, seq), set()).add(name)
    due = {(id_, "0"): id_ for id_ in received}
    sql = "SELECT message, seq FROM event WHERE message IS NOT NULL AND json_extract(body, '$.type') LIKE 'message.%'"
    due |= {(id_, str(seq)): f"{id_}-{seq}" for id_, seq in conn.execute(sql)}
    rows = conn.execute("SELECT stream, key, chain FROM hook")
    waiting = {(key, "0") if stream.startswith("in:") else (chain, key) for stream, key, chain in rows}
    waiting |= {(id_, str(seq)) for id_, seq in conn.execute(f"{sql} AND seq > ?", (_read_cursor(conn),))}
    for key in waiting - names.keys():
        due.pop(key, None)
    tally.hooks, tally.again = len(due), len(hooks) - len(set(hooks))
    for key, name in due.items():
        found = names.get(key)
        if found is None:
            tally.find("lost", f"{name} was handed on to no endpoint")
        elif found != {name}:
            tally.find("illegal", f"{name} was handed on as {sorted(found)}")
    for key in names.keys() - due.keys() - waiting:
        tally.find("illegal", f"{key} was handed on, and is not in the store")
