"""The health of one account: breaker, suspension, pause, throttling, spend; and the token bucket of its rate.

Keeps `Standing.out`, the reason that holds for every message; decides nothing about messages. Pauses and suspensions are kept in
the store by the lane; the breaker starts closed after a restart. Times in milliseconds.
"""

from collections import deque

from broker.routing.standing import Standing
from broker.words.clock import HOUR, MINUTE
from broker.words.settings import BreakerSettings, Rate

PROBE_FIRST = 5 * MINUTE
PROBE_LONGEST = HOUR


class RateBucket:
    """At most one second's worth of segments at once; a message larger than that may go into debt."""

    __slots__ = ("_at", "_milli_tokens", "factor", "rate")

    def __init__(self, rate: Rate | None, now: int) -> None:
        self.rate = rate
        self.factor = 1
        self._at = now
        self._milli_tokens = 0 if rate is None else self._size(rate)

    @staticmethod
    def _size(rate: Rate) -> int:
        # In thousandths of a segment; never under one segment, or a slow rate could never send.
        return max(rate.amount * 1_000_000 // rate.per, 1_000)

    def take(self, segments: int, now: int) -> int:
        """0 when `segments` may go now (they are taken), else the milliseconds to wait."""
        rate = self.rate
        if rate is None:
            return 0
        size = self._size(rate)
        speed = rate.amount * 1000
        # A provider that throttles gets a fraction of the rate until it has been calm (`factor`).
        gained = (now - self._at) * speed // (rate.per * self.factor)
        if gained > 0:
            self._milli_tokens = min(size, self._milli_tokens + gained)
            self._at = now
        need = min(segments * 1000, size)
        if self._milli_tokens >= need:
            self._milli_tokens -= segments * 1000
            return 0
        return max(1, -(-(need - self._milli_tokens) * rate.per * self.factor // speed))


class Health:
    """One account's health, shown in its Standing."""

    def __init__(self, standing: Standing, breaker: BreakerSettings, *, has_probe: bool) -> None:
        self.standing = standing
        self.has_probe = has_probe
        self.breaker = breaker
        self._faults: deque[tuple[int, int]] = deque()
        self.opened_times = 0
        self.open_until: int | None = None
        self._closed_at: int | None = None
        self.is_probing = False
        self.paused: str | None = None
        self.suspended: str | None = None
        self.probe_at = 0
        self._probe_gap = PROBE_FIRST
        self.throttled_until = 0
        self._throttles = 0
        self.spend_until: int | None = None
        self.unbound: str | None = None

    def show(self, now: int) -> None:
        """Write the reason that holds now, the strongest first, into the standing."""
        standing = self.standing
        if self.paused is not None:
            standing.out = ("paused" if self.paused == "paused" else f"paused: {self.paused}", None)
        elif self.unbound is not None:
            standing.out = (self.unbound, None)
        elif self.suspended is not None and (self.has_probe or self.is_probing or now < self.probe_at):
            standing.out = (f"suspended: {self.suspended}", self.probe_at)
        elif self.open_until is not None and (now < self.open_until or self.is_probing):
            standing.out = ("breaker open", max(self.open_until, now + 1_000) if self.is_probing else self.open_until)
        elif self.spend_until is not None and now < self.spend_until:
            standing.out = ("spend cap reached", self.spend_until)
        else:
            standing.out = None

    @property
    def state(self) -> str:
        """One word for operators: up, paused, draining, suspended, breaker, spend."""
        if self.paused is not None:
            return self.paused
        if self.standing.out is None:
            return "probing" if self.open_until is not None or self.suspended is not None else "up"
        return self.standing.out[0].partition(" ")[0].rstrip(":")

    def unbind(self, why: str) -> bool:
        """The account's session cannot submit, until it says that it can; `why` as a reason is shown. True when that is news."""
        news = self.unbound != why
        self.unbound = why
        return news

    def bind(self) -> bool:
        """The session may submit, which also is what an open breaker waits for. True when that is news."""
        news = self.unbound is not None
        self.unbound = None
        if news:
            self.note_good()
        return news

    def note_throttled(self, now: int, retry_after: int | None) -> None:
        """Too fast: nothing more leaves for as long as the provider asks, else for 1 s, doubling to 30 s."""
        wait = retry_after if retry_after is not None else min(1_000 << min(self._throttles, 5), 30_000)
        self._throttles += 1
        self.throttled_until = max(self.throttled_until, now + wait)

    def note_good(self, now: int | None = None) -> bool:
        """The provider answered as a healthy one. True when that closes the breaker.

        `now`: of an answer to a message. One that left before the breaker opened does not close it, and what the breaker has learnt of a
        provider that comes and goes is forgotten only once that was well for a while. None: somebody knows that all is well.
        """
        if now is not None and self.open_until is not None and now < self.open_until and not self.is_probing:
            return False
        self._faults.clear()
        self.is_probing = False
        if now is None:
            self.opened_times = 0
        if self.open_until is None:
            return False
        self.open_until, self._closed_at = None, now
        return True

    def note_fault(self, now: int, half: bool) -> bool:
        """An unreachable or unavailable answer (or half a one: in doubt). True when that opens the breaker."""
        if self.open_until is not None:
            if now < self.open_until and not self.is_probing:
                return False  # the late answer of an attempt that left before it opened
            return self._open(now)
        self._faults.append((now, 1 if half else 2))
        while self._faults and self._faults[0][0] <= now - self.breaker.window:
            self._faults.popleft()
        if sum(weight for _, weight in self._faults) >= 2 * self.breaker.failures:
            return self._open(now)
        return False

    def extend(self, now: int) -> None:
        """A free probe found the provider still away: an open breaker stays open, for twice as long."""
        if self.open_until is not None and not self.is_probing:
            self._open(max(now, self.open_until))

    def _open(self, now: int) -> bool:
        if self._closed_at is not None and now - self._closed_at > self.breaker.window:
            self.opened_times = 0
        self._closed_at = None
        self.open_until = now + min(self.breaker.open << min(self.opened_times, 20), self.breaker.max_open)
        self.opened_times += 1
        self.is_probing = False
        self._faults.clear()
        return True

    def suspend(self, why: str, now: int) -> bool:
        """Suspended until a good probe, a reload or `resume`. True when that is news."""
        news = self.suspended is None
        if not news:
            if now < self.probe_at:
                return False  # the late answer of an attempt that left before: no probe failed
            self._probe_gap = min(self._probe_gap * 2, PROBE_LONGEST)
        self.suspended = why
        self.is_probing = False
        self.probe_at = now + self._probe_gap
        return news

    def lift(self) -> bool:
        """The suspension ends. True when there was one."""
        was = self.suspended is not None
        self.suspended = None
        self.is_probing = False
        self._probe_gap = PROBE_FIRST
        return was
