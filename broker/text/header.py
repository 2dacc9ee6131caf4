"""Writes and reads the user data header: which part this is, and under which national tables its text stands.

Never decides where a text is cut. The truth is 3GPP TS 23.040, section 9.2.3.24 (and .1, .8, .15, .16 for the elements).
"""

from typing import Final

import msgspec

from broker.text.septets import DEFAULT_TABLES, Tables

CONCAT_8: Final = 0x00
CONCAT_16: Final = 0x08
SINGLE_SHIFT: Final = 0x24
LOCKING_SHIFT: Final = 0x25

MOST_PARTS: Final = 255


class Concat(msgspec.Struct, frozen=True, gc=False):
    """Part `part` (from 1) of `parts` of the message that its sender calls `reference`."""

    reference: int
    parts: int
    part: int


class Header(msgspec.Struct, frozen=True, gc=False):
    """What a user data header says that we can use."""

    concat: Concat | None = None
    tables: Tables = DEFAULT_TABLES


def write_header(concat: Concat | None, tables: Tables, *, is_wide: bool = False) -> bytes:
    """The header with its length octet, empty where there is nothing to say; `is_wide` for a reference of 16 bits.

    A reference too large for its field keeps its low bits.
    """
    elements = b""
    if concat is not None and is_wide:
        low = concat.reference & 0xFFFF
        elements = bytes((CONCAT_16, 4, low >> 8, low & 0xFF, concat.parts, concat.part))
    elif concat is not None:
        elements = bytes((CONCAT_8, 3, concat.reference & 0xFF, concat.parts, concat.part))
    locking, single = tables
    if locking:
        elements += bytes((LOCKING_SHIFT, 1, locking))
    if single:
        elements += bytes((SINGLE_SHIFT, 1, single))
    return bytes((len(elements),)) + elements if elements else b""


def read_header(octets: bytes) -> tuple[Header, bytes]:
    """The header that `octets` begin with, and the text's octets behind it. Only for a message whose sender says that it has one.

    Never raises: unknown elements are passed over, of a repeated one the last counts (23.040, 9.2.3.24), one cut short or a part
    number that cannot be counts as absent, and a header longer than its message takes it all.
    """
    if not octets:
        return Header(), b""
    end = 1 + octets[0]
    concat: Concat | None = None
    locking = single = 0
    at = 1
    head = octets[:end]
    while at + 2 <= len(head):
        kind, length = head[at], head[at + 1]
        value = head[at + 2 : at + 2 + length]
        at += 2 + length
        if len(value) < length:
            break
        if (kind, length) == (CONCAT_8, 3):
            concat = _read_concat(value[0], value) or concat
        elif (kind, length) == (CONCAT_16, 4):
            concat = _read_concat(value[0] << 8 | value[1], value) or concat
        elif (kind, length) == (LOCKING_SHIFT, 1):
            locking = value[0]
        elif (kind, length) == (SINGLE_SHIFT, 1):
            single = value[0]
    return Header(concat, (locking, single)), octets[end:]


def _read_concat(reference: int, value: bytes) -> Concat | None:
    parts, part = value[-2:]
    return Concat(reference, parts, part) if 1 <= part <= parts else None
