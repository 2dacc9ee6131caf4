"""Message ids: UUIDv7 (RFC 9562), so that ids sort by the time of acceptance. One process never repeats one."""

import os

_last = 0


def make_id(now: int) -> str:
    """A new id for `now` (milliseconds since the epoch). Ids of one process rise strictly, also within a millisecond."""
    global _last  # the only state: what keeps ids rising when the clock stands or steps back
    stamp = (now << 12) | 0
    if stamp <= _last:
        stamp = _last + 1
    _last = stamp
    text = f"{stamp >> 12:012x}7{stamp & 0xFFF:03x}{int.from_bytes(os.urandom(8), 'big') & 0x3FFFFFFFFFFFFFFF | 0x8000000000000000:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def first_id(at: int) -> str:
    """The id that sorts before every id made at or after `at`."""
    text = f"{at:012x}"
    return f"{text[:8]}-{text[8:]}-"
