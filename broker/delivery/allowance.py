"""A client's own rate of messages. Never looks at a clock: `now` is milliseconds since the epoch, UTC."""

from broker.words.settings import Rate


class Allowance:
    """A token bucket that holds one second."""

    __slots__ = ("_at", "_milli", "rate")

    def __init__(self, rate: Rate, now: int) -> None:
        self.rate, self._at = rate, now
        self._milli = self._size

    @property
    def _size(self) -> int:
        return max(self.rate.amount * 1_000_000 // self.rate.per, 1_000)

    def take(self, now: int) -> bool:
        """True when one more message is allowed now."""
        gained = (now - self._at) * self.rate.amount * 1000 // self.rate.per
        if gained > 0:
            self._milli = min(self._size, self._milli + gained)
            self._at = now
        if self._milli < 1000:
            return False
        self._milli -= 1000
        return True
