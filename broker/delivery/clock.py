"""The broker's own time, and what the clock on the wall shows beside it.

Waits, rests, limits and validities are spans: they are counted in the broker's own time, which only ever goes on, so that nobody who
sets the machine's clock makes a retry late or a doubt end early. Dates are the wall's: `send_at`, a rule's window and hours, what a
provider or a person is shown. They are translated here, and nowhere else.
"""

from collections.abc import Callable

import msgspec

from broker.words.clock import SECOND, show_time
from broker.words.message import Message

STEP = SECOND
"""Less than this the two may differ: no clock ticks exactly, and nothing is promised to the second."""


class Clock:
    """`now()`: the broker's own time in milliseconds, which began as the wall's; `drift`: how far the wall is ahead of it."""

    __slots__ = ("_wall", "drift", "now")

    def __init__(self, now: Callable[[], int], wall: Callable[[], int], drift: int = 0) -> None:
        self.now = now
        self._wall = wall
        self.drift = drift

    def look(self) -> int:
        """By how much somebody has set the wall's clock since the last look: 0 for nothing worth a word."""
        step = self._wall() - self.now() - self.drift
        if abs(step) < STEP:
            return 0
        self.drift += step
        return step

    def wall(self) -> int:
        """What the clock on the wall shows now, in milliseconds since the epoch, UTC."""
        return self.now() + self.drift

    def on_wall(self, at: int) -> int:
        """A moment of the broker's as the wall shows it."""
        return at + self.drift

    def of_wall(self, at: int) -> int:
        """A date as a moment of the broker's."""
        return at - self.drift

    def show(self, at: int) -> str:
        """A moment of the broker's for a person: RFC 3339, by the wall."""
        return show_time(at + self.drift)


def date(message: Message, clock: Clock) -> Message:
    """The message with its times as the wall shows them, for whoever writes dates."""
    if not clock.drift:
        return message
    return msgspec.structs.replace(message, accepted_at=clock.on_wall(message.accepted_at), valid_until=clock.on_wall(message.valid_until))


def resume(wall: Callable[[], int], tick: Callable[[], int], drift: int, newest: int) -> Clock:
    """The broker's time as it went on before a restart: from `wall` less the `drift` that was kept, and never before `newest`, its own
    time of the last event, so that a clock which was set back in the meantime delays nothing. `tick`: nanoseconds since anything.
    """
    ahead = max(wall() - drift, newest) - tick() // 1_000_000
    return Clock(lambda: tick() // 1_000_000 + ahead, wall, drift)
