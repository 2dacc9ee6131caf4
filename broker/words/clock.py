"""Time as the house writes it: integer milliseconds since the epoch, UTC, and RFC 3339 text at the edges."""

import re
from datetime import UTC, datetime, timedelta

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_at = _second = -1
_text = _shown = ""
_is_rfc3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
).fullmatch


def show_time(at: int) -> str:
    """RFC 3339 with milliseconds, UTC: 2026-11-21T20:00:00.123Z."""
    global _at, _second, _text, _shown  # made once for each millisecond and each second: this runs several times for every message
    if at == _at:
        return _shown
    second, milli = divmod(at, 1000)
    if second != _second:
        _text = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
        _second = second
    _at, _shown = at, f"{_text}.{milli:03d}Z"
    return _shown


def read_time(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time with a zone. Raises ValueError for anything else."""
    if not _is_rfc3339(text):  # fromisoformat reads much more: weeks, other separators, times without a zone
        raise ValueError("not a time with a zone; write for example 2026-11-21T20:00:00Z")
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:  # the zone takes it out of the years 1 to 9999
        raise ValueError("a time that no calendar here reaches") from None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def show_span(milli: int) -> str:
    """A duration as broker.toml writes it: 90000 -> "90s", 3600000 -> "1h", 250 -> "250ms"."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND)):
        if milli and milli % size == 0:
            return f"{milli // size}{unit}"
    return f"{milli}ms"


_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


def read_span(text: str) -> int:
    """Milliseconds of a duration written "250ms" "5s" "10m" "24h" "7d". Raises ValueError for anything else."""
    digits = text.rstrip("msdh")
    unit = text[len(digits) :]
    if not (digits.isascii() and digits.isdigit()) or unit not in _UNITS or len(digits) > 12:
        raise ValueError('not a duration; write for example "250ms" "5s" "10m" "24h" "7d"')
    return int(digits) * _UNITS[unit]
