"""The verdict of the crash test: what the clients were told, what the store says and what the handsets hold, compared.

Pure but for reading the store's file. Knows nothing of how the daemon was killed.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from broker.words.clock import SECOND, read_time
from broker.words.status import ATTEMPT_TRANSITIONS, COPIES, FINAL, TRANSITIONS
from tests.faults.lines import Counts

LATE = 40 * SECOND
"""A message that the broker's own clock ends has its end so long after its validity, or after the daemon is there again: far more than it
takes, and less than the minute after which a task that nobody woke might look by itself. The patience of a trial is no measure of this."""
DOUBT, AT_ONCE = 0.1, 40
"""Of messages, and at each kill besides: so many at most may end `unknown`, for so many answers are lost in these worlds."""
REPEATED, ARRIVED = 0.02, 0.02
"""Of hooks: so many at most may be handed on again, and AT_ONCE at each kill. Of messages: so many at least get to a handset."""
ENOUGH = 200
"""Shares of fewer messages than this say nothing."""


@dataclass
class Tally(Counts):
    """The report line, with a line in `findings` for each thing that is wrong. `receipts` and `inbound` were acknowledged to providers,
    `hooks` were due to endpoints, and `again` is how often one was handed on once more; what is missing of them is `lost` too."""

    delivered: int = 0
    receipts: int = 0
    inbound: int = 0
    hooks: int = 0
    again: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another one in."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def find(self, count: str, what: str) -> None:
        """One more of `count`, with what was seen."""
        setattr(self, count, getattr(self, count) + 1)
        self.findings.append(f"{count}: {what}")

    def show(self, seed: int) -> str:
        """The report line."""
        shown = " ".join(f"{each.name}={getattr(self, each.name)}" for each in fields(self) if each.name != "findings")
        return f"{shown} seed={seed}"


def read_ledger(path: Path) -> list[tuple[str, str]]:
    """(account, text) of every message that a handset took."""
    if not path.exists():
        return []
    return [(account, text) for account, _, text in (line.partition(" ") for line in path.read_text().splitlines())]


def read_ids(store: Path) -> set[str]:
    """The id of every message in a store."""
    conn = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        return {row[0] for row in conn.execute("SELECT id FROM message")}
    finally:
        conn.close()


def judge(store: Path, acked: Mapping[str, tuple[str, str]], ledger: Iterable[tuple[str, str]]) -> Tally:
    """The tally of one round; `acked` is key -> (id, text) as the clients were answered."""
    conn = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        tally = Tally(acked=len(acked))
        for (state,) in conn.execute("PRAGMA quick_check"):
            if state != "ok":
                tally.find("illegal", f"the store is damaged: {state}")
        messages = {row[0]: row[1:] for row in conn.execute("SELECT id, key, text, status FROM message")}
        attempts: dict[str, list[Try]] = {}
        for id_, *row in conn.execute("SELECT message, provider, state, receipt FROM attempt ORDER BY message, n"):
            attempts.setdefault(id_, []).append(tuple(row))
        tally.msgs = len(messages)
        _judge_acks(tally, acked, messages)
        _judge_ends(tally, messages, attempts)
        _judge_copies(tally, messages, attempts, list(ledger))
        _judge_events(tally, conn, messages)
        return tally
    finally:
        conn.close()


def judge_shares(tally: Tally, kills: int) -> None:
    """What is legal of one message, and not of all: in doubt without an end, handed on again, ended with nothing sent."""
    if tally.msgs < ENOUGH:
        return
    if tally.unknown > DOUBT * tally.msgs + AT_ONCE * kills:
        tally.find("illegal", f"{tally.unknown} of {tally.msgs} messages ended unknown")
    if tally.again > REPEATED * tally.hooks + AT_ONCE * kills:
        tally.find("illegal", f"{tally.again} of {tally.hooks} hooks were handed on again")
    if tally.delivered < ARRIVED * tally.msgs:
        tally.find("illegal", f"{tally.delivered} of {tally.msgs} messages got to a handset")


Row = tuple[str, str, str]  # key, text, status
Try = tuple[str, str, str | None]  # provider, state, receipt


def _judge_acks(tally: Tally, acked: Mapping[str, tuple[str, str]], messages: Mapping[str, Row]) -> None:
    for key, (id_, text) in acked.items():
        row = messages.get(id_)
        if row is None:
            tally.find("lost", f"{key} was acknowledged as {id_}, which is not in the store")
        elif row[:2] != (key, text):
            tally.find("illegal", f"{key} was acknowledged as {id_}, which is another message")
    for key, count in Counter(row[0] for row in messages.values()).items():
        if count > 1:
            tally.find("illegal", f"{key} stands {count} times in the store")


def _judge_ends(tally: Tally, messages: Mapping[str, Row], attempts: Mapping[str, list[Try]]) -> None:
    for id_, (key, _, status) in messages.items():
        if status not in FINAL:
            tally.find("stuck", f"{key} {id_} is {status}")
        tally.unknown += status == "unknown"
        tally.delivered += status in ("delivered", "unconfirmed")
        states = [state for _, state, _ in attempts.get(id_, ())]
        if "open" in states:
            tally.find("illegal", f"{key} {id_} has an attempt that is open")
        if sum(state in COPIES for state in states) > 1:
            tally.find("illegal", f"{key} {id_} has several copies under hold: {states}")
        if set(states) - ATTEMPT_TRANSITIONS.keys():
            tally.find("illegal", f"{key} {id_} has an attempt in no state that there is: {states}")


def _judge_copies(
    tally: Tally, messages: Mapping[str, Row], attempts: Mapping[str, list[Try]], ledger: list[tuple[str, str]]
) -> None:
    """Every copy on a handset is one attempt's, and every attempt that says so has its copy there (promises 4 to 7)."""
    by_text = {row[1]: id_ for id_, row in messages.items()}
    copies: dict[str, list[str]] = {}
    for account, text in ledger:
        copies.setdefault(text, []).append(account)
    for text, accounts in copies.items():
        id_ = by_text.get(text)
        if len(accounts) > 1:
            tally.find("duplicated", f"{text} {id_} is on the handset {len(accounts)} times: {accounts}")
        if id_ is None:
            tally.find("illegal", f"{text} is on a handset and not in the store")
            continue
        takers = [provider for provider, state, _ in attempts.get(id_, ()) if state in COPIES]
        if not set(accounts) <= set(takers):
            tally.find("illegal", f"{text} {id_} was taken by {accounts}, and the store says {attempts.get(id_)}")
        said = [receipt for _, _, receipt in attempts.get(id_, ())]
        if messages[id_][2] in ("failed", "expired", "canceled", "blocked") and messages[id_][2] not in said:
            tally.find("illegal", f"{text} {id_} is on a handset and {messages[id_][2]} in the store")
    for id_, states in attempts.items():
        if ("accepted" in [state for _, state, _ in states]) and messages[id_][1] not in copies:
            tally.find("illegal", f"{messages[id_][1]} {id_} is accepted, and on no handset")


def _judge_events(tally: Tally, conn: sqlite3.Connection, messages: Mapping[str, Row]) -> None:
    """One event for each change, each a step of the table, the last one what the message is now (promises 8 and 11)."""
    now: dict[str, str] = {}
    last = 0
    for seq, id_, body in conn.execute("SELECT seq, message, body FROM event ORDER BY rowid"):
        if seq <= last:
            tally.find("illegal", f"seq {seq} after {last}")
        last = seq
        event = json.loads(body)
        if id_ is None or event["type"] in ("message.receipt", "inbound.received"):
            continue
        status, before = event["status"], now.get(id_)
        if event["type"] != f"message.{status}":
            tally.find("illegal", f"{id_}: an event {event['type']} with the status {status}")
        if status != "queued" if before is None else status not in TRANSITIONS[before]:
            tally.find("illegal", f"{id_}: {before} -> {status}")
        now[id_] = status
    for id_, row in messages.items():
        if now.get(id_) != row[2]:
            tally.find("illegal", f"{id_} is {row[2]}, and its last event says {now.get(id_)}")


def judge_times(tally: Tally, store: Path) -> None:
    """Nothing waits long for its end once its time is over and somebody is there to end it (promise 2): where `doubt_deadline` and
    `receipt_wait` are of seconds.
    """
    conn = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        told = conn.execute("SELECT json_extract(body, '$.at') FROM event WHERE json_extract(body, '$.type') = 'node.started'")
        starts = [read_time(at) for (at,) in told]
        sql = "SELECT id, status, valid_until, final_at FROM message WHERE status IN ('expired', 'unknown', 'unconfirmed')"
        for id_, status, valid_until, final_at in conn.execute(sql):
            late = final_at - max([valid_until, *(start for start in starts if start <= final_at)])
            if late > LATE:
                tally.find("illegal", f"{id_} is {status} {late / SECOND:.0f} s after its time")
    finally:
        conn.close()
