"""The invariants of a simulated world, looked at after every commit and at everything that reaches a provider.

What is seen wrong is written down; nothing here changes anything. The truth is compared from three sides: the store, the phones'
ledger, and what clients and subscribers were told.
"""

import hashlib
import json
from typing import Any

from broker.words.status import ATTEMPT_TRANSITIONS, COPIES, FINAL, LIVE, TRANSITIONS
from tests.sim.network import Ledger
from tests.sim.setups import LIMITS

BEGINS = frozenset({"queued", "scheduled", "held"})
_SEEN = "SELECT id, status, next_at, text, tags FROM message WHERE id = ?"
_ATTEMPTS = "SELECT n, provider, state FROM attempt WHERE message = ? ORDER BY n"


def _close(table: dict[str, frozenset[str]]) -> dict[str, set[str]]:
    """What may follow in one commit, which may hold several steps."""
    found = {state: {state, *after} for state, after in table.items()}
    for _ in table:
        for reached in found.values():
            reached.update(*(found[each] for each in tuple(reached)))
    return found


_REACHED = _close({**ATTEMPT_TRANSITIONS, "": frozenset(ATTEMPT_TRANSITIONS)})


class Audit:
    """One world's findings, across all lives of its daemon. `acked`: key -> (id, text), `limits`: text -> most copies."""

    def __init__(self, ledger: Ledger) -> None:
        self.findings: list[str] = []
        self.ledger = ledger
        self.acked: dict[str, tuple[str, str]] = {}
        self.limits: dict[str, int] = {}
        self.status: dict[str, str] = {}
        self.states: dict[str, dict[int, str]] = {}
        self.last_seq = 0
        self.events: dict[int, str] = {}
        self.checks = 0
        self._conn: Any = None
        self._digest = hashlib.sha256()
        ledger.on_offer, ledger.on_take = self.look_at_offer, self.look_at_take

    def open(self, conn: Any) -> None:
        """A daemon lives: what a crash left committed and untold is seen too."""
        self._conn = conn
        self.look()

    def close(self) -> None:
        """It lives no more."""
        self._conn = None

    def find(self, what: str) -> None:
        """Something is wrong."""
        self.findings.append(what)

    @property
    def digest(self) -> str:
        """The hash of every event and of everything on a phone."""
        whole = self._digest.copy()
        whole.update(repr(self.ledger.taken).encode())
        return whole.hexdigest()

    # After each commit

    def look(self) -> None:
        """Compare the store with what it was, event by event, and with itself."""
        self.checks += 1
        touched: dict[str, None] = {}
        for seq, id_, body in self._conn.execute("SELECT seq, message, body FROM event WHERE seq > ? ORDER BY seq", (self.last_seq,)):
            self.last_seq = seq
            self.events[seq] = body
            self._digest.update(f"{seq} {body}\n".encode())
            if id_ is not None:
                touched[id_] = None
                self._look_at_event(id_, json.loads(body))
        for id_ in touched:
            self._look_at_message(id_)
        self._look_at_all()

    def _look_at_event(self, id_: str, event: dict[str, Any]) -> None:
        status, before = event["status"], self.status.get(id_)
        if event["type"] == "message.receipt":
            if status != before:
                self.find(f"{id_}: an event message.receipt says {status}, and it is {before}")
            return
        if event["type"] != f"message.{status}":
            self.find(f"{id_}: an event {event['type']} with the status {status}")
        if (status not in BEGINS) if before is None else (status not in TRANSITIONS[before]):
            self.find(f"{id_}: {before} -> {status}")
        self.status[id_] = status

    def _look_at_message(self, id_: str) -> None:
        row = self._conn.execute(_SEEN, (id_,)).fetchone()
        if row is None:
            self.find(f"{id_}: an event of it, and no row")
            return
        attempts = self._conn.execute(_ATTEMPTS, (id_,)).fetchall()
        before = self.states.setdefault(id_, {})
        limit = self.limits.get(row[3], 0)
        for n, provider, state in attempts:
            if state not in _REACHED[before.get(n, "")]:
                self.find(f"{id_}/{n} at {provider}: {before.get(n)} -> {state}")
            if n not in before and limit == 1 and any(each not in ("refused",) for m, _, each in attempts if m < n):
                self.find(f"{id_}/{n} opened under hold, and before it {attempts}")
            before[n] = state
        if sum(state in COPIES for _, _, state in attempts) > limit:
            self.find(f"{id_} has more than {limit} copies: {attempts}")
        if sum(state in ("open", "in_doubt") for _, _, state in attempts) > 1:
            self.find(f"{id_} has several attempts under way: {attempts}")

    def _look_at_all(self) -> None:
        live = 0
        for id_, status, next_at in self._conn.execute("SELECT id, status, next_at FROM message"):
            if status != self.status.get(id_):
                self.find(f"{id_} is {status}, and its last event says {self.status.get(id_)}")
                self.status[id_] = status
            if status in LIVE:
                live += 1
                if next_at <= 0:
                    self.find(f"{id_} is {status} with no next_at")
        if live:
            sql = "SELECT count(*) FROM attempt WHERE state = 'open'"
            opened = self._conn.execute(sql).fetchone()[0]
            if opened != sum(status == "sending" for status in self.status.values()):
                self.find(f"{opened} attempts are open, and the statuses are {sorted(self.status.values())}")

    # What reaches a provider

    def look_at_offer(self, provider: str, text: str, at: int) -> None:
        """A request with this message came at `at`."""
        if self._conn is None:
            return  # it was on its way before the daemon died
        row = self._conn.execute("SELECT id, valid_until FROM message WHERE text = ?", (text,)).fetchone()
        if row is None:
            self.find(f"{text} reached {provider} and is in no row")
            return
        if at >= row[1]:
            self.find(f"{text} reached {provider} after its validity")
        attempts = self._conn.execute(_ATTEMPTS, (row[0],)).fetchall()
        if provider not in [each for _, each, _ in attempts]:
            self.find(f"{text} reached {provider} with no attempt there: {attempts}")

    def look_at_take(self, provider: str, text: str) -> None:
        """It is on its phone."""
        count = self.ledger.count(text)
        if count > self.limits.get(text, 0):
            self.find(f"{text} is on its phone {count} times: {[each[1] for each in self.ledger.taken if each[2] == text]}")

    # At the end

    def look_at_end(self, *, is_calm: bool) -> None:
        """What was acknowledged is there; where all was calm at the end, everything has ended."""
        rows = {row[0]: row[1:] for row in self._conn.execute("SELECT id, key, text, status FROM message")}
        for key, (id_, text) in self.acked.items():
            if rows.get(id_, ("", ""))[:2] != (key if "?" not in key else None, text):
                self.find(f"{key} was acknowledged as {id_}: {rows.get(id_)}")
        keys = [row[0] for row in rows.values() if row[0] is not None]
        if len(keys) != len(set(keys)):
            self.find(f"a key has two messages: {keys}")
        for id_, (_, text, status) in rows.items():
            if is_calm and status not in FINAL:
                self.find(f"{id_} is {status} at the end: {self._conn.execute(_ATTEMPTS, (id_,)).fetchall()}")
            took = {provider for _, provider, each in self.ledger.taken if each == text}
            said = {provider for _, provider, state in self._conn.execute(_ATTEMPTS, (id_,)) if state in COPIES}
            if is_calm and not took <= said:
                self.find(f"{text} {id_} was taken by {sorted(took)}, and the store says {sorted(said)}")
            if took and is_calm and status == "failed":
                self.find(f"{text} {id_} is on a phone, and failed")


def limit_of(tag: str) -> int:
    """The copies that a message with this tag may have."""
    return LIMITS[tag]
