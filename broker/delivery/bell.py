"""The bell: how a task of delivery sleeps until something is due."""

from collections.abc import Callable

import trio

LOOK = 5.0
"""Seconds until a waiter looks at the clock again: a machine that was suspended has slept through its sleep."""


class Bell:
    """Wakes one waiting task at the earliest time that it was rung for."""

    def __init__(self) -> None:
        self._at: int | None = None
        self._rung = 0.0
        self._lot = trio.lowlevel.ParkingLot()

    def is_overdue(self, now: int, seconds: float) -> bool:
        """True when a ring has been due for longer than `seconds` and nobody came."""
        if self._at is None or now - self._at < seconds * 1000:
            return False
        return trio.current_time() - self._rung > seconds

    def ring_at(self, at: int) -> None:
        """Wake the waiter at `at` (milliseconds) or earlier."""
        if self._at is None or at < self._at:
            self._at = at
            self._rung = trio.current_time()
            self._lot.unpark_all()

    async def wait(self, now: Callable[[], int]) -> None:
        """Return when the earliest ring is due, and forget it."""
        while True:
            at = self._at
            if at is None:
                await self._lot.park()
                continue
            wait = at - now()
            if wait <= 0:
                self._at = None
                await trio.lowlevel.checkpoint()
                return
            with trio.move_on_after(min(wait / 1000, LOOK)):
                await self._lot.park()
