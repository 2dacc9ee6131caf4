"""Every read of the SQLite store, on a read-only connection of its own: short transactions, bounded pages.

Small pages run on the loop (a thread would cost more than the page); scans over the whole queue run in a thread by `scan`.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import trio

from broker.store import lookups
from broker.store.contract import Found, Hook, LiveMessage, Stray
from broker.store.inbound import count_hooks, find_received, read_hooks
from broker.store.rows import ATTEMPT_COLUMNS, MESSAGE_COLUMNS, STRAY_COLUMNS, read_attempt, read_message, read_stray
from broker.store.sqlite import EXISTING, open_connection
from broker.words.attempt import Attempt
from broker.words.inbound import Received
from broker.words.message import Message

T = TypeVar("T")

_M = f"SELECT {MESSAGE_COLUMNS} FROM message "
_A = f"SELECT {ATTEMPT_COLUMNS} FROM attempt "
# SQLite uses a partial index only where the query repeats its condition.
_IS_LIVE = "(status = 'queued' OR status = 'sent' OR status = 'held' OR status = 'in_doubt' OR status = 'scheduled') "
_LIVE = "INDEXED BY message_live WHERE " + _IS_LIVE
_WAITS = _LIVE + "AND status = ? AND lane IS ? AND priority = ? "
_DUE = _M + _WAITS + "AND next_at <= ? ORDER BY next_at LIMIT ?"
_DUE_AFTER = (
    _M + _WAITS + "AND (next_at, valid_until, id) > (?, ?, ?) AND next_at <= ? ORDER BY next_at, valid_until, id LIMIT ?"
)
_NEXT = "SELECT min(next_at) FROM message " + _WAITS + "AND next_at > ?"
_OVER = f"SELECT id FROM message {_LIVE} AND status = 'queued' AND valid_until <= ? LIMIT ?"
_CALL = (
    "SELECT a.message, a.n, a.provider, m.recipient FROM attempt a INDEXED BY attempt_token JOIN message m ON m.id = a.message"
    " WHERE a.token <> '' "
)
_CALLED = (
    f"SELECT t.n, {', '.join(f'm.{name}' for name in MESSAGE_COLUMNS.split(', '))}, "
    f"{', '.join(f'a.{name}' for name in ATTEMPT_COLUMNS.split(', '))} FROM attempt t INDEXED BY attempt_token "
    "JOIN message m ON m.id = t.message JOIN attempt a ON a.message = t.message WHERE t.token <> '' AND t.token IN (?, ?)"
)
_PRIORITIES = (0, 1, 2)
_WIDTH = MESSAGE_COLUMNS.count(",") + 1
_AWAITING = (
    f"SELECT {', '.join(f'm.{name}' for name in MESSAGE_COLUMNS.split(', '))}, "
    f"{', '.join(f'a.{name}' for name in ATTEMPT_COLUMNS.split(', '))} FROM message m INDEXED BY message_live "
    "LEFT JOIN attempt a ON a.message = m.id AND a.provider = m.lane AND a.state = 'accepted' "
    f"WHERE {_IS_LIVE.replace('status', 'm.status')} AND m.status = 'sent' AND m.lane = ? AND m.priority = ? "
    "AND m.next_at <= ? ORDER BY m.next_at LIMIT ?"
)
_REF = "SELECT message, n FROM ref WHERE provider = ? AND ref = ? ORDER BY message DESC, n DESC LIMIT 100"
_STRAYS = f"SELECT {STRAY_COLUMNS} FROM inbox WHERE id > ? ORDER BY id LIMIT ?"


class SqliteQuery:
    """The reads of a store. `scan` runs one of them in a thread, on a connection of that thread's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._conn = open_connection(path, read_only=True)
        self._scanner = open_connection(path, read_only=True)
        self._one = trio.CapacityLimiter(1)

    def close(self) -> None:
        """Close both connections."""
        self._conn.close()
        self._scanner.close()

    async def scan(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """`read` on the scanning connection, in a thread: for reads that look at many rows."""
        return await trio.to_thread.run_sync(read, self._scanner, limiter=self._one)

    def read_due(self, lane: str | None, priority: int, now: int, limit: int) -> list[Message]:
        """Queued messages of `lane` and `priority` that are due, the longest due first."""
        return [read_message(row) for row in self._conn.execute(_DUE, ("queued", lane, priority, now, limit))]

    def read_due_after(self, lane: str, priority: int, after: tuple[int, int, str], now: int, limit: int) -> list[Message]:
        """The same behind `after` (next_at, valid_until, id): for walks over rows that may stay where they are."""
        values = ("queued", lane, priority, *after, now, limit)
        return [read_message(row) for row in self._conn.execute(_DUE_AFTER, values)]

    def read_scheduled(self, priority: int, after: tuple[int, int, str], limit: int) -> list[Message]:
        """Scheduled messages behind `after`, as above."""
        values = ("scheduled", None, priority, *after, 1 << 62, limit)
        return [read_message(row) for row in self._conn.execute(_DUE_AFTER, values)]

    def find_next_due(self, lane: str | None, since: int = -1) -> int | None:
        """When the next queued message of `lane` is due, of those due later than `since`; None when there is none."""
        return self._find_next("queued", lane, since)

    def _find_next(self, status: str, lane: str | None, since: int = -1) -> int | None:
        found = [self._conn.execute(_NEXT, (status, lane, priority, since)).fetchone()[0] for priority in _PRIORITIES]
        return min((at for at in found if at is not None), default=None)

    def _read_ready(self, status: str, lane: str | None, now: int, limit: int) -> list[Message]:
        rows: list[Message] = []
        for priority in _PRIORITIES:
            rows += [read_message(row) for row in self._conn.execute(_DUE, (status, lane, priority, now, limit))]
        return rows

    async def find_expired(self, now: int, limit: int) -> list[str]:
        """Ids of queued messages whose validity is over."""
        return await self.scan(lambda conn: [row[0] for row in conn.execute(_OVER, (now, limit))])

    def read_waiting(self, status: str, now: int, limit: int) -> list[Message]:
        """`held`, `in_doubt` or `scheduled` messages whose `next_at` has come, up to `limit` of each priority."""
        return self._read_ready(status, None, now, limit)

    def find_next_waiting(self, status: str) -> int | None:
        """The earliest `next_at` of a waiting status."""
        return self._find_next(status, None)

    def read_awaiting(self, lane: str, now: int, limit: int) -> list[tuple[Message, Attempt | None]]:
        """`sent` messages of a provider whose next query or deadline has come, up to `limit` of each priority.

        Each with the last attempt that this provider accepted, None where there is none.
        """
        found: dict[str, tuple[Message, Attempt | None]] = {}
        for priority in _PRIORITIES:
            for row in self._conn.execute(_AWAITING, (lane, priority, now, limit)):
                attempt = None if row[_WIDTH] is None else read_attempt(row[_WIDTH:])
                before = found.get(row[0])
                if before is None:
                    found[row[0]] = read_message(row), attempt
                elif attempt is not None and before[1] is not None and attempt.n > before[1].n:
                    found[row[0]] = before[0], attempt
        return list(found.values())

    def find_next_sent(self, lane: str) -> int | None:
        """The earliest `next_at` among a provider's `sent` messages."""
        return self._find_next("sent", lane)

    def find_sent_lanes(self) -> list[str]:
        """The providers that have messages still `sent`."""
        found: list[str] = []
        sql = f"SELECT min(lane) FROM message {_LIVE} AND status = 'sent' AND lane > ?"
        while (lane := self._conn.execute(sql, (found[-1] if found else "",)).fetchone()[0]) is not None:
            found.append(lane)  # one step of the index for each: DISTINCT walks over every row
        return found

    def read_held(self, cause: str | None, after: Message | None, limit: int) -> list[Message]:
        """Held messages, of one cause or all, in order of priority and end of validity, behind `after`."""
        sql = (
            _M + _LIVE + "AND status = 'held' AND lane IS NULL AND (priority, next_at, valid_until, id) > (?, ?, ?, ?)"
            " AND (? IS NULL OR detail = ?) ORDER BY priority, next_at, valid_until, id LIMIT ?"
        )
        start = (-1, 0, 0, "") if after is None else (after.priority, after.next_at, after.valid_until, after.id)
        return [read_message(row) for row in self._conn.execute(sql, (*start, cause, cause, limit))]

    def find_message(self, id_: str) -> Message | None:
        """One message."""
        row = self._conn.execute(_M + "WHERE id = ?", (id_,)).fetchone()
        return None if row is None else read_message(row)

    def find_attempts(self, id_: str) -> list[Attempt]:
        """A message's attempts, in order."""
        return [read_attempt(row) for row in self._conn.execute(_A + "WHERE message = ? ORDER BY n", (id_,))]

    def find_live(self, id_: str) -> LiveMessage | None:
        """A message with its attempts."""
        message = self.find_message(id_)
        return None if message is None else LiveMessage(message, self.find_attempts(id_))

    def find_ref(self, provider: str, ref: str) -> list[tuple[str, int]]:
        """(message, n) of an account's attempts that have `ref`, the newest message first."""
        rows = self._conn.execute(_REF, (provider, ref))
        return [(row[0], row[1]) for row in rows]

    def read_strays(self, after: int, limit: int) -> list[Stray]:
        """Receipts of the inbox behind `after`, in order of id."""
        return [read_stray(row) for row in self._conn.execute(_STRAYS, (after, limit))]

    def find_call(self, token: str, mark: str) -> list[tuple[LiveMessage, int]]:
        """The attempts of the call `token`, with its own token, or with that and `mark`: (message with all its attempts, n)."""
        found: dict[tuple[str, int], LiveMessage] = {}
        for row in self._conn.execute(_CALLED, (token, f"{token}.{mark}")):  # one read: callbacks come by the thousand
            live = found.get((row[1], row[0]))
            if live is None:
                live = found[row[1], row[0]] = LiveMessage(read_message(row[1 : _WIDTH + 1]), [])
            live.attempts.append(read_attempt(row[_WIDTH + 1 :]))
        for live in found.values():
            live.attempts.sort(key=lambda attempt: attempt.n)
        return [(live, n) for (_, n), live in found.items()]

    def read_call(self, token: str, limit: int) -> list[tuple[str, int, str, str]]:
        """(message, n, provider, recipient) of all attempts of the call, up to `limit`."""
        return list(self._conn.execute(_CALL + "AND a.token >= ? AND a.token < ? LIMIT ?", (token, f"{token}/", limit)))

    def has_open(self, provider: str) -> bool:
        """True while an attempt of this provider is open or in doubt, or a message of it waits for its receipt."""
        sql = (
            "SELECT 1 FROM attempt WHERE state IN ('open', 'in_doubt') AND provider = ? UNION ALL"
            f" SELECT 1 FROM message {_LIVE} AND status = 'sent' AND lane = ? LIMIT 1"
        )
        return self._conn.execute(sql, (provider, provider)).fetchone() is not None

    def find_times(self, id_: str) -> tuple[int | None, str | None]:
        """(final_at, rule) of a message."""
        row = self._conn.execute("SELECT final_at, rule FROM message WHERE id = ?", (id_,)).fetchone()
        return (None, None) if row is None else (row[0], row[1])

    def read_open_attempts(self, states: Sequence[str]) -> Iterator[list[Attempt]]:
        """Pages of attempts that are open or in doubt, for recovery and the ledger."""
        sql = _A + "WHERE state IN ('open', 'in_doubt') AND state = ? AND message > ? ORDER BY message LIMIT 500"
        for state in states:
            after = ""
            while page := [read_attempt(row) for row in self._conn.execute(sql, (state, after))]:
                yield page
                after = page[-1].message

    def count_statuses(self) -> dict[str, int]:
        """How many messages are in each status."""
        return _count_statuses(self._conn)

    async def survey_statuses(self) -> dict[str, int]:
        """The same in a thread: it looks at every message, and the loop has others to serve."""
        return await self.scan(_count_statuses)

    def count_queued(self) -> int:
        """Messages that count against max_queued: queued or held."""
        sql = f"SELECT count(*) FROM message {_LIVE} AND status IN ('queued', 'held', 'scheduled')"
        return int(self._conn.execute(sql).fetchone()[0])

    def count_scheduled(self) -> int:
        """Messages that wait for their time."""
        return int(self._conn.execute(f"SELECT count(*) FROM message {_LIVE} AND status = 'scheduled'").fetchone()[0])

    def count_lane(self, lane: str) -> int:
        """Queued messages that wait for a lane."""
        sql = f"SELECT count(*) FROM message {_LIVE} AND status = 'queued' AND lane = ?"
        return int(self._conn.execute(sql, (lane,)).fetchone()[0])

    def count_due(self) -> list[tuple[str | None, int, int, int]]:
        """(lane, priority, count, earliest next_at) of all that is queued."""
        sql = f"SELECT lane, priority, count(*), min(next_at) FROM message {_LIVE} AND status = 'queued' GROUP BY lane, priority"
        return list(self._conn.execute(sql))

    def count_held(self, cause: str | None) -> int:
        """Held messages, of one cause or all."""
        sql = f"SELECT count(*) FROM message {_LIVE} AND status = 'held' AND (? IS NULL OR detail = ?)"
        return int(self._conn.execute(sql, (cause, cause)).fetchone()[0])

    def find_key(self, client: str, key: str) -> tuple[Any, ...] | None:
        """(id, digest, segments, encoding, country, was it scheduled at first) of the message with that key."""
        found: tuple[Any, ...] | None = self._conn.execute(EXISTING, (client, key)).fetchone()
        return found

    def read_events(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """(seq, body) of events after `after`, in order."""
        rows = self._conn.execute("SELECT seq, body FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
        return [(row[0], row[1].encode()) for row in rows]

    def read_history(self, id_: str) -> list[tuple[int, bytes]]:
        """(seq, body) of one message's events."""
        rows = self._conn.execute("SELECT seq, body FROM event WHERE message = ? ORDER BY seq", (id_,))
        return [(row[0], row[1].encode()) for row in rows]

    def find_first_seq(self) -> int | None:
        """The oldest retained event's seq, None when there is none."""
        first = self._conn.execute("SELECT min(seq) FROM event").fetchone()[0]
        return None if first is None else int(first)

    def find_newest(self) -> int:
        """When the last event was written, by the broker's own time; 0 where there is none."""
        newest = self._conn.execute("SELECT at FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return 0 if newest is None else int(newest[0])

    def read_facts(self, kind: str) -> dict[str, dict[str, Any]]:
        """Kept values of one kind by name."""
        rows = self._conn.execute("SELECT name, value FROM fact WHERE kind = ?", (kind,))
        return {row[0]: msgspec.json.decode(row[1]) for row in rows}

    def find_found(self, number: str, provider: str) -> Found | None:
        """What a provider found of a number last."""
        return lookups.find_found(self._conn, number, provider)

    def find_network(self, number: str) -> tuple[str, int] | None:
        """(network, when it was found) of a number."""
        return lookups.find_network(self._conn, number)

    def read_networks(self, since: int, limit: int) -> list[tuple[str, str, int]]:
        """(number, network, when it was found), the newest first."""
        return lookups.read_networks(self._conn, since, limit)

    def read_suppressions(self) -> list[tuple[str, str, str, int]]:
        """(recipient, scope, reason, at) of every suppression entry."""
        return list(self._conn.execute("SELECT recipient, scope, reason, at FROM suppression ORDER BY at, recipient"))

    def find_received(self, id_: str) -> Received | None:
        """One inbound message."""
        return find_received(self._conn, id_)

    def read_hooks(self, stream: str, after: int, limit: int) -> list[Hook]:
        """What waits for an endpoint behind place `after`, in order."""
        return read_hooks(self._conn, stream, after, limit)

    def count_hooks(self) -> dict[str, int]:
        """How much waits for each endpoint."""
        return count_hooks(self._conn)

    async def sum_spent(self, provider: str, since: int) -> list[tuple[int, int]]:
        """(opened_at, price) of a provider's attempts since `since`, for its spend cap."""
        sql = "SELECT opened_at, price FROM attempt WHERE provider = ? AND opened_at > ? AND state != 'refused' AND price > 0"
        return await self.scan(lambda conn: list(conn.execute(sql, (provider, since))))

    async def count_receipts(self, since: int) -> dict[str, tuple[int, int]]:
        """(delivered, all final receipts) of each provider's attempts closed since then."""
        sql = (
            "SELECT provider, sum(receipt = 'delivered'), count(*) FROM attempt WHERE closed_at > ?"
            " AND receipt IN ('delivered', 'undelivered', 'expired', 'canceled', 'blocked') GROUP BY provider"
        )
        return await self.scan(lambda conn: {row[0]: (row[1], row[2]) for row in conn.execute(sql, (since,))})

    def find_messages(
        self, statuses: Sequence[str], *, provider: str | None, tag: str | None, cause: str | None, after: str, limit: int
    ) -> list[Message]:
        """Messages of `statuses` by an operator's filters, in order of id: `provider` is the lane or the last attempt's."""
        sql = _M + f"WHERE status IN ({', '.join('?' * len(statuses))}) AND {_CHOSEN} AND id > ? ORDER BY id LIMIT ?"
        values = (*statuses, *_choose(provider, tag, cause), after, limit)
        return [read_message(row) for row in self._conn.execute(sql, values)]

    async def find_scheduled_sent(
        self, *, provider: str | None, tag: str | None, cause: str | None, after: str, limit: int
    ) -> list[Message]:
        """`sent` messages by the same filters, in order of id, that a provider was asked to keep for a while."""
        sql = _M + f"WHERE status = 'sent' AND json_extract(options, '$.schedule') IS NOT NULL AND {_CHOSEN} AND id > ? ORDER BY id LIMIT ?"
        values = (*_choose(provider, tag, cause), after, limit)
        return await self.scan(lambda conn: [read_message(row) for row in conn.execute(sql, values)])

    async def count_sent(self, *, provider: str | None, tag: str | None, cause: str | None) -> int:
        """How many `sent` messages there are by the same filters."""
        sql = f"SELECT count(*) FROM message {_LIVE} AND status = 'sent' AND {_CHOSEN}"
        return await self.scan(lambda conn: int(conn.execute(sql, _choose(provider, tag, cause)).fetchone()[0]))


_CHOSEN = (
    "(? IS NULL OR lane = ? OR EXISTS (SELECT 1 FROM attempt a WHERE a.message = message.id AND a.provider = ?))"
    " AND (? IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)) AND (? IS NULL OR detail = ?)"
)


def _choose(provider: str | None, tag: str | None, cause: str | None) -> tuple[str | None, ...]:
    return provider, provider, provider, tag, tag, cause, cause


def _count_statuses(conn: sqlite3.Connection) -> dict[str, int]:
    rows = conn.execute("SELECT status, count(*) FROM message GROUP BY status")
    return {str(status): int(count) for status, count in rows}
