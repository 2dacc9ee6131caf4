"""Message ids: UUIDv7 (RFC 9562), so that ids sort by the time of acceptance. One process never repeats one.

The random part tells nodes and restarts apart; it is no secret, so it need not come from the system's own source.
"""

import random

_bits = random.Random().getrandbits  # noqa: S311  # no secret: see above
_last = 0


def make_id(now: int) -> str:
    """A new id for `now` (milliseconds since the epoch). Ids of one process rise strictly, also within a millisecond."""
    global _last  # the only state: what keeps ids rising when the clock stands or steps back
    stamp = now << 12
    if stamp <= _last:
        stamp = _last + 1
    _last = stamp
    return f"{stamp >> 28:08x}-{stamp >> 12 & 0xFFFF:04x}-7{stamp & 0xFFF:03x}-{_bits(14) | 0x8000:04x}-{_bits(48):012x}"


def first_id(at: int) -> str:
    """The id that sorts before every id made at or after `at`."""
    return f"{at >> 16:08x}-{at & 0xFFFF:04x}-"
