"""The ledgers of a simulated world against its attempts (promise 13): reserved, debited, dry buckets, spend caps.

The attempts' rows are one side, the daemon's memory the other; they are compared when nothing is on its way between them.
"""

from collections.abc import Callable
from typing import Any

from broker.delivery.exchange import Exchange
from broker.delivery.ledger import Ledger, Mark
from broker.words.attempt import Attempt
from broker.words.settings import SpendSettings

_HELD = (
    "SELECT provider, bucket, sum(credit * (state IN ('open', 'in_doubt'))), sum(credit * (state IN ('accepted', 'abandoned')))"
    " FROM attempt WHERE bucket IS NOT NULL GROUP BY provider, bucket"
)
_SPENT = "SELECT coalesce(sum(price), 0) FROM attempt WHERE provider = ? AND opened_at > ? AND state <> 'refused'"

Sums = dict[tuple[str, str], tuple[int, int]]


class Money:
    """What the daemon's ledgers must say. `find` writes down what they do not."""

    def __init__(self, find: Callable[[str], None]) -> None:
        self._find = find
        self._before: Sums = {}
        self._kept: dict[tuple[str, str], int] = {}
        self._given_up: set[tuple[str, int]] = set()
        self._caps: dict[str, SpendSettings] = {}

    def begin(self, conn: Any) -> None:
        """A life begins: what was debited before it is not in its memory."""
        self._before = _sum(conn)
        self._kept.clear()
        self._given_up.clear()
        self._caps.clear()

    def note_abandoned(self, id_: str, n: int) -> None:
        """An attempt counts as debited from now on."""
        self._given_up.add((id_, n))

    def note_refuted(self, id_: str, n: int, attempt: tuple[str, str | None, int]) -> None:
        """An abandoned attempt was refused after all: its debit comes back, if it was given up in this life."""
        provider, bucket, credit = attempt
        if bucket is not None and (id_, n) not in self._given_up:
            self._kept[provider, bucket] = self._kept.get((provider, bucket), 0) + credit

    def look(self, ex: Exchange, conn: Any) -> None:
        """Compare, if nothing is on its way."""
        if ex.journal.waiting:
            return
        sums = _sum(conn)
        for name, lane in ex.lanes.items():
            for bucket in lane.ledger.buckets.values():
                key = name, bucket.name
                reserved, debited = sums.get(key, (0, 0))
                if bucket.reserved != reserved:
                    self._find(f"{key}: {bucket.reserved} reserved in memory, {reserved} by the attempts")
                debited += self._kept.get(key, 0) - self._before.get(key, (0, 0))[1]
                if bucket.total != debited:
                    self._find(f"{key}: {bucket.total} debited in memory, {debited} by the attempts")

    def look_at_spend(self, conn: Any, attempt: str, provider: str, now: int) -> None:
        """An attempt opened: what it spends stays under the cap that held then, whatever a reload says by now."""
        spend = self._caps.pop(attempt, None)
        if spend is not None:
            spent = conn.execute(_SPENT, (provider, now - spend.per)).fetchone()[0]
            if spent > spend.max:
                self._find(f"{provider}: {spent} spent in a period, and {spend.max} is the most")

    def reserve(self, ledger: Ledger, attempt: Attempt, now: int) -> Mark | None:
        """Stands in for Ledger.reserve: an attempt that opens takes nothing from a dry bucket, and leaves `stop` in it."""
        bucket = attempt.bucket
        if attempt.state == "open" and ledger.spend is not None:
            self._caps[attempt.id] = ledger.spend
        if attempt.state == "open" and bucket in ledger.standing.dry:
            until = ledger.standing.dry[bucket]
            if until is None or now < until:
                self._find(f"{attempt.id} takes from {bucket} of {attempt.provider}, which is dry")
        mark = _reserve(ledger, attempt, now)
        if attempt.state == "open" and bucket is not None and attempt.credit:
            usable = ledger.find_bucket(bucket).usable
            if usable is not None and usable < ledger.credit.stop:
                self._find(f"{attempt.id} leaves {usable} in {bucket} of {attempt.provider}, below {ledger.credit.stop}")
        return mark


_reserve = Ledger.reserve


def _sum(conn: Any) -> Sums:
    return {(provider, bucket): (held, gone) for provider, bucket, held, gone in conn.execute(_HELD)}
