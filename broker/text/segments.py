"""Counts what a text costs on the air: its encoding, its units and its segments.

Never cuts or changes a text: it only counts as a splitter would that keeps every character whole. The truth
is 3GPP TS 23.040, section 9.2.3.24.1: a concatenated part loses 6 octets to its header.
"""

from functools import lru_cache
from typing import Final

import msgspec

from broker.text.gsm import Encoding, widths_of

SEPTETS_ALONE: Final = 160
SEPTETS_IN_PART: Final = 153
UNITS_ALONE: Final = 70
UNITS_IN_PART: Final = 67

# An extension character becomes two septets, of which a part may not end with the first.
_ESCAPE_SEPTET: Final = b"\x01"
_OWN_SEPTET: Final = b"\x02"
_MARKS: Final = bytes(128) + _OWN_SEPTET * 128
_HIGH_SURROGATES: Final = bytes(range(0xD8, 0xDC))  # the upper octet of the first unit of a pair


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """`units` are septets (an extension character is two) under `gsm7`, UTF-16 code units under `ucs2`."""

    encoding: Encoding
    units: int
    segments: int


@lru_cache(maxsize=16)  # acceptance, ranking and the account ask for the same text one after the other
def verdict(text: str) -> Verdict:
    """The cheapest encoding that carries `text` unchanged, its units, and the segments that it takes.

    An empty text is one segment of no units.
    """
    widths = widths_of(text)
    if widths is None:
        return _verdict_ucs2(text)
    units = len(widths)
    if widths.isascii():
        return Verdict("gsm7", units, 1 if units <= SEPTETS_ALONE else -(-units // SEPTETS_IN_PART))
    septets = widths.translate(_MARKS).replace(_OWN_SEPTET, _ESCAPE_SEPTET + _OWN_SEPTET)
    units = len(septets)
    if units <= SEPTETS_ALONE:
        return Verdict("gsm7", units, 1)
    return Verdict("gsm7", units, _count_parts(septets, SEPTETS_IN_PART, _ESCAPE_SEPTET))


def count_plain(text: str, encoding: Encoding) -> int:
    """The segments of `text` in that encoding, for a splitter that keeps characters whole but not graphemes."""
    return (verdict(text) if encoding == "gsm7" else _verdict_ucs2(text)).segments


def _verdict_ucs2(text: str) -> Verdict:
    # surrogatepass: a lone surrogate is refused elsewhere (clean); here it counts as the one unit that it is
    octets = text.encode("utf-16-be", "surrogatepass")
    units = len(octets) // 2
    if units <= UNITS_ALONE:
        return Verdict("ucs2", units, 1)
    if units == len(text):
        return Verdict("ucs2", units, -(-units // UNITS_IN_PART))
    return Verdict("ucs2", units, _count_parts(octets[::2], UNITS_IN_PART, _HIGH_SURROGATES))


def _count_parts(units: bytes, room: int, leads: bytes) -> int:
    # A part that would end with a lead gives it to the next one, so that the pair travels whole.
    start, parts, total = 0, 1, len(units)
    while total - start > room:
        start += room - (units[start + room - 1] in leads)
        parts += 1
    return parts
