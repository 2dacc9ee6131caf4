"""The clock of a simulated world: virtual, jumping to whatever is next, and cheap to ask, for it is asked two thousand times a world.

It also tells when a world goes round and round while no time passes. Never waits for anything real.
"""

from collections.abc import Callable
from typing import Any

from trio.testing import MockClock

MOST_LOOKS = 60_000
"""Looks at the clock at one moment: a turn of the scheduler takes two or three."""


def make_clock(stall: Callable[[], None]) -> MockClock:
    """A clock that stands still until nothing can run. `stall` is called once where that never comes to be.

    trio lets nobody derive from its MockClock, and jumps with no other.
    """
    clock: Any = MockClock(autojump_threshold=0)
    jump = clock.jump
    now, looks = 0.0, 0

    def look() -> float:
        nonlocal looks
        looks += 1
        if looks == MOST_LOOKS:
            stall()
        return now

    def go_on(seconds: float) -> None:
        nonlocal now, looks
        jump(seconds)
        now, looks = clock._virtual_base, 0

    clock.current_time, clock.jump = look, go_on
    found: MockClock = clock
    return found
