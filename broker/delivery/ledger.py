"""The ledger of one account: credit per bucket and the spend cap (CONTRACT §1, Money; promise 13).

Opening an attempt reserves, accepted debits, refused returns, in doubt stays reserved, abandoned and unknown count as debited.
Usable = last report - everything still reserved - everything debited since that report was asked for. The attempts in the store
are the truth; this is their sum in memory, rebuilt at start. All amounts are integer micro-units.
"""

from bisect import insort
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from broker.routing.standing import Standing
from broker.words.attempt import Attempt
from broker.words.clock import SECOND
from broker.words.settings import CreditSettings, SpendSettings

MOST_LOST = 10_000
"""Debits for want of an answer that one bucket remembers: past it the oldest is not returned any more."""


class Mark(NamedTuple):
    """A moment in a bucket's life, as when a report of it was asked for: what had been debited by then; how many debits and droughts."""

    gross: int = 0
    moment: int = 0


FIRST_REST = 30 * SECOND
"""For so long a report that was followed by a refusal is not believed again, then for twice as long, up to `credit.every`."""


class BucketState:
    """One bucket: the last report, and what happened since it was asked for.

    `gross` is everything that was ever debited, `returned` what of it came back, `moment` counts debits and droughts. `lost` are the
    debits of attempts that ended in doubt, by attempt: (its number, the credit); `returns` the same of those since proven refused.
    `refilled`: the gross when a report last ended a drought; `rest`: milliseconds for which such a report is not believed again, after
    the provider refused all the same.
    """

    __slots__ = (
        *("asked", "dried", "gross", "is_low", "lost", "moment", "name", "reported", "reported_at", "reserved", "returned", "returns"),
        *("refilled", "rest", "rests_until", "since", "unit"),
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.unit = ""
        self.reported: int | None = None
        self.reported_at = 0
        self.reserved = 0
        self.gross = self.returned = self.moment = self.dried = 0
        self.asked = Mark()
        self.refilled: int | None = None
        self.rest = self.rests_until = 0
        self.is_low = False
        self.since: int | None = None
        self.lost: dict[str, tuple[int, int]] = {}
        self.returns: list[tuple[int, int]] = []

    @property
    def mark(self) -> Mark:
        """Now, for a report that is asked for now."""
        return Mark(self.gross, self.moment)

    @property
    def total(self) -> int:
        """What was debited since the start."""
        return self.gross - self.returned

    @property
    def debited(self) -> int:
        """What was debited since the last report was asked for, and not returned since."""
        back = sum(credit for n, credit in self.returns if n > self.asked.moment) if self.returns else 0
        return self.gross - self.asked.gross - back

    @property
    def usable(self) -> int | None:
        """What may still be spent, None while nothing was reported."""
        return None if self.reported is None else self.reported - self.reserved - self.debited

    def debit(self, attempt: Attempt) -> None:
        """An attempt was charged, or is taken as charged for want of an answer: this one may be returned."""
        self.gross += attempt.credit
        self.moment += 1
        self.since = self.since or attempt.opened_at
        if attempt.state == "in_doubt" and attempt.credit:
            if len(self.lost) >= MOST_LOST:
                del self.lost[next(iter(self.lost))]
            self.lost[attempt.id] = self.moment, attempt.credit

    def give_back(self, attempt: Attempt) -> None:
        """An attempt that was taken as charged was refused, as is known by now; a report that was asked for since knew it."""
        n, credit = self.lost.pop(attempt.id, (0, 0))
        if credit:
            self.returned += credit
            self.returns = [*self.returns[-MOST_LOST:], (n, credit)]


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

    def reserve(self, attempt: Attempt, now: int) -> Mark | None:
        """An attempt opens. How its bucket stands: the answer may carry a report, which is asked for now."""
        if self.spend is not None and attempt.price:
            self._spent.append((now, attempt.price))
            self._spent_sum += attempt.price
        if attempt.bucket is None:
            return None
        bucket = self.find_bucket(attempt.bucket)
        bucket.reserved += attempt.credit
        self._show(bucket)
        return bucket.mark

    def settle(self, attempt: Attempt, *, debit: bool) -> None:
        """An attempt's reservation ends: debited where the provider may have charged it, returned where it refused."""
        if attempt.bucket is not None:
            bucket = self.find_bucket(attempt.bucket)
            bucket.reserved -= attempt.credit
            if debit:
                bucket.debit(attempt)
            self._show(bucket)
        if not debit:
            self._unspend(attempt)

    def give_back(self, attempt: Attempt) -> None:
        """An attempt that was abandoned, and so taken as charged, was refused after all."""
        if attempt.bucket is not None:
            bucket = self.find_bucket(attempt.bucket)
            bucket.give_back(attempt)
            self._show(bucket)
        self._unspend(attempt)

    def _unspend(self, attempt: Attempt) -> None:
        entry = (attempt.opened_at, attempt.price or 0)
        if self.spend is not None and entry[1] and entry in self._spent:
            self._spent.remove(entry)
            self._spent_sum -= entry[1]

    def correct(self, before: Attempt, after: Attempt) -> None:
        """The provider says what an attempt of ours really took. A report since its end knows that already."""
        if after.bucket is not None and after.credit != before.credit:
            bucket, more = self.find_bucket(after.bucket), after.credit - before.credit
            if after.state == "in_doubt":
                bucket.reserved += more
            elif (after.closed_at or after.opened_at) >= bucket.reported_at:
                bucket.gross += more
                if after.id in bucket.lost:
                    n, credit = bucket.lost[after.id]
                    bucket.lost[after.id] = n, credit + more
            self._show(bucket)
        entry = (before.opened_at, before.price or 0)
        if self.spend is not None and after.price != before.price:
            if entry in self._spent:
                self._spent.remove(entry)
                self._spent_sum -= entry[1]
            insort(self._spent, (after.opened_at, after.price or 0))
            self._spent_sum += after.price or 0

    def report(self, name: str, unit: str, amount: int, asked: Mark, now: int) -> BucketState:
        """A report that was asked for at `asked`; what was debited since still counts."""
        bucket = self.find_bucket(name)
        if bucket.reported is not None and amount > bucket.reported:
            bucket.rest = bucket.rests_until = 0  # somebody has paid: that is news
        bucket.unit = unit
        bucket.reported = amount
        bucket.reported_at = now
        bucket.asked = asked
        bucket.returns = [each for each in bucket.returns if each[0] > asked.moment]
        self._show(bucket)
        return bucket

    def is_dried(self, bucket: BucketState) -> bool:
        """True when a report leaves the bucket at `stop` or under, or says nothing of a refusal for want of credit: asked for before it, or
        the same again that was followed by one.
        """
        is_dry = bucket.name in self.standing.dry
        is_old = is_dry and (bucket.asked.moment < bucket.dried or bucket.reported_at < bucket.rests_until)
        return is_old or (bucket.reported is not None and bucket.reported <= self.credit.stop)

    def dry(self, name: str, now: int) -> bool:
        """The provider refused for want of credit: nothing more from this bucket until a better report, asked for from now on.

        True when that is news.
        """
        bucket = self.find_bucket(name)
        bucket.moment += 1
        bucket.dried = bucket.moment
        news = name not in self.standing.dry
        if news:
            is_false = bucket.refilled == bucket.gross  # a report ended the last drought, and not one message was taken since
            bucket.rest = min(max(2 * bucket.rest, FIRST_REST), self.credit.every) if is_false else 0
            bucket.rests_until = now + bucket.rest
        self.standing.dry[name] = None if self.has_balance else now + self.credit.every
        return news

    def refill(self, name: str) -> bool:
        """The bucket may be used again. True when that is news."""
        bucket = self.find_bucket(name)
        is_news = self.standing.dry.pop(name, "wet") != "wet"
        if is_news:
            bucket.refilled = bucket.gross
        return is_news

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
