"""Times as a provider's own clock on the wall shows them: its zone, its form of writing.

Reads no clock. An hour that comes twice, at the end of summer time, is the first of the two.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from broker.words.clock import read_time

__all__ = ["find_start", "read_wall", "read_zone", "show_wall"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = "%Y-%m-%d %H:%M:%S"
_is_local = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?)?", re.ASCII).fullmatch


def read_zone(name: str) -> ZoneInfo:
    """The zone of that name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError):  # none of that name; a folder of zones
        raise ValueError("no time zone of this name") from None


def show_wall(at: int, zone: tzinfo, form: str) -> str:
    """`at` (milliseconds UTC) in `zone`, in strftime's `form`; what is finer than `form` is cut off."""
    return (_EPOCH + timedelta(milliseconds=at)).astimezone(zone).strftime(form)


def read_wall(text: str, zone: tzinfo, form: str) -> int:
    """Milliseconds UTC of a time in `zone`, in strptime's `form`. Raises ValueError."""
    moment = datetime.strptime(text, form)
    if moment.strftime(form) != text:  # strptime finds a time also where digits are missing
        raise ValueError("the time does not match its form")
    return (moment.replace(tzinfo=zone) - _EPOCH) // timedelta(milliseconds=1)


def find_start(schedule: object, zone: tzinfo, accepted_at: int, valid_until: int, now: int) -> int | None:
    """The time until which the provider is to keep a message, by its `options.schedule`; None: it goes at once.

    `schedule` is RFC 3339, or without a zone the provider's own time: `2026-11-22`, `2026-11-22 14:40`, with or without seconds.
    A time that was still to come when the message was accepted and has passed since means at once. Raises ValueError, with a text
    for a person, for any other time that is past, one behind the message's validity, one that the provider's clock cannot tell from an
    earlier one (the end of summer time), and what is no time.
    """
    at = _read_schedule(schedule, zone)
    if at <= accepted_at:
        raise ValueError("options.schedule is not in the future")
    if at >= valid_until:
        raise ValueError("options.schedule is later than the message's validity allows; submit it with a longer `validity`")
    if read_wall(show_wall(at, zone, _SECONDS), zone, _SECONDS) != at // 1000 * 1000:
        raise ValueError("options.schedule is in the second of two hours that the provider's clock shows alike; choose another")
    return at if at > now else None


def _read_schedule(schedule: object, zone: tzinfo) -> int:
    text = schedule if isinstance(schedule, str) else ""
    local = _is_local(text)
    try:
        if local is None:
            return read_time(text)
        return read_wall(f"{local[1]} {local[2] or '00:00'}{local[3] or ':00'}", zone, _SECONDS)
    except ValueError:
        raise ValueError(
            "options.schedule is no time; write 2026-11-22T14:40:00+02:00, or 2026-11-22 14:40 in the provider's own time"
        ) from None
