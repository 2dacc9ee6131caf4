"""What has to be true of a simulated world when all has been calm for a while: nothing acknowledged is missing, everything has ended, and
each final status is what the providers really said.
"""

from itertools import pairwise
from typing import Any

from broker.delivery.inbound import SAME
from broker.words.status import COPIES, FINAL
from tests.sim.audit import ATTEMPTS, Audit
from tests.sim.front import Front
from tests.sim.network import Line, name_of
from tests.sim.outside import Outside
from tests.sim.smsc import Smsc

_RANK = ("progress", "canceled", "expired", "undelivered", "blocked", "delivered")

_HEARD = "SELECT id, status, segments, recipient FROM message WHERE ref = ?"


class Verdict:
    """Of one world, over its store at the end."""

    def __init__(self, audit: Audit, conn: Any, providers: dict[str, Any], outside: Outside) -> None:
        self._outside = outside
        self._audit = audit
        self._conn = conn
        self._providers = providers
        self._attempts: dict[str, list[tuple[int, str, str]]] = {}

    def give(self, *, has_hooks: bool) -> None:
        """Look at everything, and write down what is wrong."""
        for id_ in (row[0] for row in self._conn.execute("SELECT id FROM message").fetchall()):
            self._attempts[id_] = self._conn.execute(ATTEMPTS, (id_,)).fetchall()
        self._look_at_messages()
        self._look_at_receipts()
        self._look_at_inbound()
        if has_hooks:
            self._look_at_hooks()

    def _look_at_messages(self) -> None:
        audit = self._audit
        rows = {row[0]: row[1:] for row in self._conn.execute("SELECT id, key, text, status FROM message")}
        for key, (id_, text) in audit.acked.items():
            if rows.get(id_, ("", ""))[:2] != (key, text):
                audit.find(f"{key} was acknowledged as {id_}: {rows.get(id_)}")
        keys = [row[0] for row in rows.values() if row[0] is not None]
        if len(keys) != len(set(keys)):
            audit.find(f"a key has two messages: {keys}")
        for id_, (_, text, status) in rows.items():
            name = name_of(text)
            if status not in FINAL:
                audit.find(f"{id_} is {status} at the end: {self._attempts[id_]}")
            took = {provider for _, provider, each in audit.ledger.taken if each == name}
            said = {provider for _, provider, state in self._attempts[id_] if state in COPIES}
            if not took <= said:
                audit.find(f"{name} {id_} was taken by {sorted(took)}, and the store says {sorted(said)}")
            if took and status == "failed":
                audit.find(f"{name} {id_} is on a phone, and failed")

    def _look_at_receipts(self) -> None:
        """What providers were acknowledged to have told decides, by rank, whatever the order; nobody else's word does."""
        find, said = self._audit.find, {}
        refs = self._conn.execute("SELECT provider, ref FROM ref").fetchall()
        for line in self._providers.values():
            if isinstance(line, Line | Smsc):
                said[line.name] = line.list_told({ref for name, ref in refs if name == line.name})
        suppressed = {row[0] for row in self._conn.execute("SELECT recipient FROM suppression")}
        for name, all_told in said.items():
            for text, told in all_told.items():
                id_, status, segments, to = self._conn.execute(_HEARD, (text,)).fetchone()
                if segments > 1:
                    continue  # each part has a receipt of its own
                if status == "blocked" and to in suppressed:
                    continue  # undelivered there, it was to go elsewhere, and nobody else may have it any more
                attempts, best = self._attempts[id_], max(told, key=_RANK.index)
                if best == "delivered" and status != "delivered":
                    find(f"{id_}: {name} told {told}, and it is {status}")
                if len(attempts) == 1 and attempts[0][2] == "accepted" and best in _RANK[1:] and status != best:
                    find(f"{id_}: its one provider told {told}, and it is {status}")
        for id_, text, to in self._conn.execute("SELECT id, text, recipient FROM message WHERE status = 'delivered'").fetchall():
            if not any(self._may_deliver(provider, name_of(text), to, said) for _, provider, _ in self._attempts[id_]):
                find(f"{id_} is delivered, and no provider of its own said so")

    def _may_deliver(self, provider: str, name: str, to: str, said: dict[str, dict[str, list[str]]]) -> bool:
        front = self._providers[provider]
        if isinstance(front, Front):
            return to not in front.failing
        if isinstance(front, Smsc) and front.has_delivered(name):
            return True
        return "delivered" in said[provider].get(name, ())

    def _look_at_inbound(self) -> None:
        """What was acknowledged of inbound messages is there once; where there is no id to know it by, once in SAME."""
        find, rows = self._audit.find, self._conn.execute("SELECT provider, text, at FROM inbound ORDER BY at").fetchall()
        for name, provider in self._providers.items():
            for text in provider.heard:
                at = [at for each, said, at in rows if (each, said) == (name, text)]
                if not at:
                    find(f"an inbound message was acknowledged to {name}, and is not there: {text}")
                if any(later - earlier < SAME for earlier, later in pairwise(at)):
                    find(f"an inbound message of {name} is there {len(at)} times: {text}")
        for name, text, _ in rows:
            if not text.startswith("mo") or text.strip("y") != text.partition(" ")[0] + " ":
                find(f"an inbound message of {name} is not what was sent: {text}")

    def _look_at_hooks(self) -> None:
        """Each status and each inbound message was handed on, those of one message in their order."""
        find, came = self._audit.find, self._outside.came
        inbound = {row[0] for row in self._conn.execute("SELECT id FROM inbound")}
        missing = inbound - {name for name, _ in came}
        if missing:
            find(f"{len(missing)} inbound messages were not handed on")
        told: dict[str, dict[int, None]] = {}
        for _, body in came:
            if body["type"] != "inbound.received":
                told.setdefault(body["data"]["id"], {})[body["data"]["seq"]] = None
        for id_ in self._attempts:
            there = [row[0] for row in self._conn.execute("SELECT seq FROM event WHERE message = ? ORDER BY seq", (id_,))]
            heard = list(told.pop(id_, ()))
            if heard != there:
                find(f"{id_} was handed on as {heard}, and its events are {there}")
        if told:
            find(f"what was handed on is of no message: {list(told)}")
