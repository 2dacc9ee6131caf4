"""The ledger of one account: credit per bucket and the spend cap (CONTRACT §1, Money; promise 13).

Opening an attempt reserves, accepted debits, refused returns, in doubt stays reserved, abandoned and unknown count as debited.
Usable = last report - everything still reserved - everything debited since that report was asked for. The attempts in the store
are the truth; this is their sum in memory, rebuilt at start. All amounts are integer micro-units.
"""

from bisect import insort
from collections import deque
from collections.abc import Sequence

from broker.routing.standing import Standing
from broker.words.attempt import Attempt
from broker.words.settings import CreditSettings, SpendSettings


class BucketState:
    """One bucket: the last report and what happened since it was asked for."""

    __slots__ = ("debited", "is_low", "name", "reported", "reported_at", "reserved", "since", "total", "unit")

    def __init__(self, name: str) -> None:
        self.name = name
        self.unit = ""
        self.reported: int | None = None
        self.reported_at = 0
        self.reserved = 0
        self.debited = 0
        self.is_low = False
        self.total = 0
        self.since: int | None = None

    @property
    def usable(self) -> int | None:
        """What may still be spent, None while nothing was reported."""
        return None if self.reported is None else self.reported - self.reserved - self.debited


class Ledger:
    """The buckets and the spend of one account; writes what ranking reads into its Standing."""

    def __init__(self, standing: Standing, credit: CreditSettings, spend: SpendSettings | None, has_balance: bool) -> None:
        self.standing = standing
        self.credit = credit
        self.spend = spend
        self.has_balance = has_balance
        self.buckets: dict[str, BucketState] = {}
        self._spent: deque[tuple[int, int]] = deque()
        self._spent_sum = 0

    def find_bucket(self, name: str) -> BucketState:
        """The bucket of that name, made when it is first heard of."""
        bucket = self.buckets.get(name)
        if bucket is None:
            bucket = self.buckets[name] = BucketState(name)
        return bucket

    def reserve(self, attempt: Attempt, now: int) -> None:
        """An attempt opens."""
        if attempt.bucket is not None:
            bucket = self.find_bucket(attempt.bucket)
            bucket.reserved += attempt.credit
            self._show(bucket)
        if self.spend is not None and attempt.price:
            self._spent.append((now, attempt.price))
            self._spent_sum += attempt.price

    def settle(self, attempt: Attempt, *, debit: bool) -> None:
        """An attempt's reservation ends: debited where the provider may have charged it, returned where it refused."""
        if attempt.bucket is not None:
            bucket = self.find_bucket(attempt.bucket)
            bucket.reserved -= attempt.credit
            if debit:
                bucket.debited += attempt.credit
                bucket.total += attempt.credit
                bucket.since = bucket.since or attempt.opened_at
            self._show(bucket)
        if not debit and self.spend is not None and attempt.price:
            entry = (attempt.opened_at, attempt.price)
            if entry in self._spent:
                self._spent.remove(entry)
                self._spent_sum -= attempt.price

    def correct(self, before: Attempt, after: Attempt) -> None:
        """The provider says what an attempt of ours really took. A report since its end knows that already."""
        if after.bucket is not None and after.credit != before.credit:
            bucket, more = self.find_bucket(after.bucket), after.credit - before.credit
            if after.state == "in_doubt":
                bucket.reserved += more
            elif (after.closed_at or after.opened_at) >= bucket.reported_at:
                bucket.debited += more
                bucket.total += more
            self._show(bucket)
        entry = (before.opened_at, before.price or 0)
        if self.spend is not None and after.price != before.price:
            if entry in self._spent:
                self._spent.remove(entry)
                self._spent_sum -= entry[1]
            insort(self._spent, (after.opened_at, after.price or 0))
            self._spent_sum += after.price or 0

    def report(self, name: str, unit: str, amount: int, debited_before: int, now: int) -> BucketState:
        """A report asked for when `debited_before` of this bucket had been debited; what was debited since still counts."""
        bucket = self.find_bucket(name)
        bucket.unit = unit
        bucket.reported = amount
        bucket.reported_at = now
        bucket.debited -= debited_before
        self._show(bucket)
        return bucket

    def is_dried(self, bucket: BucketState) -> bool:
        """True when a report leaves the bucket at `stop` or under."""
        return bucket.reported is not None and bucket.reported <= self.credit.stop

    def dry(self, name: str, now: int) -> bool:
        """The provider refused for want of credit: nothing more from this bucket until a better report. True when that is news."""
        news = name not in self.standing.dry
        self.standing.dry[name] = None if self.has_balance else now + self.credit.every
        return news

    def refill(self, name: str) -> bool:
        """The bucket may be used again. True when that is news."""
        return self.standing.dry.pop(name, "wet") != "wet"

    def find_burn(self, name: str, now: int) -> int | None:
        """Micro-units an hour that went since the first debit of this run, None before a minute of it."""
        bucket = self.buckets.get(name)
        if bucket is None or bucket.since is None or now - bucket.since < 60_000:
            return None
        return bucket.total * 3_600_000 // (now - bucket.since)

    def recall(self, spent: Sequence[tuple[int, int]]) -> None:
        """The spend of the past, from the store: (when the attempt opened, its price) each."""
        self._spent = deque(sorted(spent))
        self._spent_sum = sum(price for _, price in spent)

    def find_spend_end(self, price: int, now: int) -> int | None:
        """None while `price` more stays within the spend cap, else when enough of it will be past."""
        if self.spend is None:
            return None
        while self._spent and self._spent[0][0] <= now - self.spend.per:
            self._spent_sum -= self._spent.popleft()[1]
        excess = self._spent_sum + price - self.spend.max
        if excess <= 0:
            return None
        for at, amount in self._spent:
            excess -= amount
            if excess <= 0:
                return at + self.spend.per
        return now + self.spend.per

    def _show(self, bucket: BucketState) -> None:
        usable = bucket.usable
        if usable is not None:
            self.standing.usable[bucket.name] = usable
