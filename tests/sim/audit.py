"""The invariants of a simulated world, looked at after every commit and at everything that reaches a provider.

What is seen wrong is written down; nothing here changes anything. The truth is compared from three sides: the store, the phones'
ledger, and what clients and subscribers were told.
"""

import hashlib
import json
from typing import Any

from broker.words.status import ATTEMPT_TRANSITIONS, COPIES, LIVE, TRANSITIONS
from tests.sim.life import Life
from tests.sim.money import Money
from tests.sim.network import Ledger, name_of

BEGINS = frozenset({"queued", "scheduled", "held"})
_SEEN = "SELECT id, status, next_at, text, tags FROM message WHERE id = ?"
ATTEMPTS = "SELECT n, provider, state FROM attempt WHERE message = ? ORDER BY n"
_BOOKED = "SELECT provider, bucket, credit FROM attempt WHERE message = ? AND n = ?"
BEFORE = {"hold": {"refused"}, "resend": {"refused", "abandoned"}, "failover": {"refused", "abandoned"}}
"""What the attempts before a new one may be, by the message's tag; with the other tags an accepted one may be followed too."""


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
        self.money = Money(self.find)
        self._partial: set[str] = set()
        self._released: set[str] = set()
        self._life: Life | None = None
        self._conn: Any = None
        self._digest = hashlib.sha256()
        ledger.on_offer, ledger.on_take = self.look_at_offer, self.look_at_take

    def open(self, conn: Any) -> None:
        """A daemon lives: what a crash left committed and untold is seen too."""
        self._conn = conn
        self._life = None
        self.look()
        self.money.begin(conn)

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

    def look_at(self, life: Life) -> None:
        """The same with what that life has in memory."""
        self._life = life
        self.look()
        self.money.look(life.ex, self._conn)

    def look(self) -> None:
        """Compare the store with what it was, event by event, and with itself."""
        self.checks += 1
        touched: dict[str, None] = {}
        for seq, id_, body in self._conn.execute("SELECT seq, message, body FROM event WHERE seq > ? ORDER BY seq", (self.last_seq,)):
            self.last_seq = seq
            self.events[seq] = body
            self._digest.update(f"{seq} {body}\n".encode())
            if id_ is not None and (event := json.loads(body))["type"].startswith("message."):
                touched[id_] = None
                self._look_at_event(id_, event)
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
        if status == "queued" and id_ in self._partial:
            self._released.add(id_)  # by a person, who wants the whole sent again: CONTRACT, Parts
            self.limits[event["ref"]] += 1
        self._partial.discard(id_)
        if status == "held" and event["detail"] == "partial":
            self._partial.add(id_)

    def _look_at_message(self, id_: str) -> None:
        row = self._conn.execute(_SEEN, (id_,)).fetchone()
        if row is None:
            self.find(f"{id_}: an event of it, and no row")
            return
        attempts = self._conn.execute(ATTEMPTS, (id_,)).fetchall()
        before = self.states.setdefault(id_, {})
        limit = self.limits.get(name_of(row[3]), 0)
        for n, provider, state in attempts:
            if state not in _REACHED[before.get(n, "")]:
                self.find(f"{id_}/{n} at {provider}: {before.get(n)} -> {state}")
            if n not in before:
                self._look_at_opening(id_, n, attempts, row[4])
            elif before[n] == "abandoned" and state == "refused":
                self.money.note_refuted(id_, n, self._conn.execute(_BOOKED, (id_, n)).fetchone())
            elif state == "abandoned" != before[n]:
                self.money.note_abandoned(id_, n)
            before[n] = state
        if sum(state in COPIES for _, _, state in attempts) > limit:
            self.find(f"{id_} has more than {limit} copies: {attempts}")
        if sum(state in ("open", "in_doubt") for _, _, state in attempts) > 1:
            self.find(f"{id_} has several attempts under way: {attempts}")

    def _look_at_opening(self, id_: str, n: int, attempts: list[tuple[int, str, str]], tags: str) -> None:
        tag = json.loads(tags)[0]
        allowed = BEFORE.get(tag, {"refused", "abandoned", "accepted"})
        if id_ in self._released:
            tag, allowed = "", allowed | {"abandoned"}
        for m, provider, state in attempts:
            if m < n and state not in allowed:
                self.find(f"{id_}/{n} opened under {tag}, and before it {attempts}")
            if m == n - 1 and tag == "resend" and state == "abandoned" and provider != attempts[n - 1][1]:
                self.find(f"{id_}/{n} is a copy by another account under resend: {attempts}")
        if self._life is not None:
            self.money.look_at_spend(self._conn, f"{id_}/{n}", attempts[n - 1][1], self._life.ex.now())

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

    def look_at_offer(self, provider: str, name: str, at: int) -> None:
        """A request with this message came at `at`."""
        if self._conn is None:
            return  # it was on its way before the daemon died
        row = self._conn.execute("SELECT id, valid_until FROM message WHERE ref = ?", (name,)).fetchone()
        if row is None:
            self.find(f"{name} reached {provider} and is in no row")
            return
        if at >= row[1]:
            self.find(f"{name} reached {provider} after its validity")
        attempts = self._conn.execute(ATTEMPTS, (row[0],)).fetchall()
        if provider not in [each for _, each, _ in attempts]:
            self.find(f"{name} reached {provider} with no attempt there: {attempts}")

    def look_at_take(self, provider: str, name: str) -> None:
        """It is on its phone."""
        count = self.ledger.count(name)
        if count > self.limits.get(name, 0):
            self.find(f"{name} is on its phone {count} times: {[each[1] for each in self.ledger.taken if each[2] == name]}")
