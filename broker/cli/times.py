"""Times as people read them: how long ago, how long until, and the time of day in UTC.

Reads the RFC 3339 texts that the daemon writes; a text that is no time is shown as it came.
"""

import time

from broker.cli.output import NONE, show
from broker.words.clock import DAY, HOUR, MINUTE, SECOND, read_time


def now() -> int:
    """Milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def show_age(text: object, at: int) -> str:
    """`4m ago`, `in 12h`, as seen at `at`; `-` for no time."""
    if not isinstance(text, str):
        return NONE
    try:
        distance = at - read_time(text)
    except ValueError:
        return show(text)
    if abs(distance) < SECOND:
        return "now"
    return f"{show_rough(distance)} ago" if distance > 0 else f"in {show_rough(-distance)}"


def show_rough(milli: int) -> str:
    """A span in its two largest units: 93784000 -> "1d 2h"."""
    if milli < SECOND:
        return f"{milli}ms"
    sizes = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND))
    parts = []
    for unit, size in sizes:
        count, milli = divmod(milli, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def show_moment(text: object) -> str:
    """`2026-11-21 20:00:00.123` (UTC)."""
    return show(text).replace("T", " ", 1).removesuffix("Z").removesuffix(".000")


def show_clock(text: object, day: str) -> str:
    """The time of day alone where it is the same `day` (2026-11-21), else the whole moment."""
    moment = show_moment(text)
    return moment.removeprefix(f"{day} ")


def show_took(begin: object, end: object) -> str:
    """The span between two times."""
    try:
        return show_rough(read_time(str(end)) - read_time(str(begin))) if begin and end else NONE
    except ValueError:
        return NONE
