"""How a provider account stands right now, as ranking sees it. Lanes and the ledger keep it; ranking only reads it.

The truth of pauses, suspensions and credit lives in the store; breaker and spend are rebuilt from what happens.
"""

from broker.routing.account import Account
from broker.routing.quotes import Quotes

HELD_BY: dict[str, str] = {
    "paused": "paused",
    "suspended": "misconfigured",
    "dry": "no_credit",
    "credit": "no_credit",
}
"""Left-out reason -> the `held` cause of a message whose every candidate is left out for such a reason."""

SHOWN: dict[str, str] = {"draining": "paused: draining"}
"""A standing's reason -> the reason as a Route says it, where the first is no word of CONTRACT §10."""


class Standing:
    """One account's standing. `out` is a reason that holds for every message, with the time when it may end (None: unknown).

    `usable` is credit per bucket in micro-units (a bucket not in it: unknown); `dry` maps a dry bucket to when it may be tried
    again (None: at the next report). `finals` counts final receipts of late, `delivered` those that said so. `quotes` are the prices
    that the provider itself says, None where it says none.
    """

    __slots__ = ("delivered", "dry", "finals", "name", "out", "quotes", "usable")

    def __init__(self, name: str) -> None:
        self.name = name
        self.out: tuple[str, int | None] | None = None
        self.usable: dict[str, int] = {}
        self.dry: dict[str, int | None] = {}
        self.delivered = self.finals = 0
        self.quotes: Quotes | None = None

    @property
    def delivered_share(self) -> int:
        """Millionths of the messages that were delivered; one that nothing is known of stands at half, so that a few do not decide."""
        return (self.delivered + 1) * 1_000_000 // (self.finals + 2)

    def find_credit(self, account: Account, buckets: tuple[str, ...], cost: int) -> tuple[str | None, str | None, int | None]:
        """The first of `buckets` that can pay `cost` and stay at or above `stop`: (bucket, None, None).

        Where none can: (None, reason, until), the reason of the last one.
        """
        reason: str | None = None
        until: int | None = None
        for bucket in buckets:
            if bucket in self.dry:
                reason, until = "dry", self.dry[bucket]
                continue
            usable = self.usable.get(bucket)
            if usable is not None and usable - cost < account.stop:
                reason, until = "credit", None
                continue
            return bucket, None, None
        return None, reason, until
