"""Says whether a text fits the GSM 7 bit default alphabet, and how many septets each character takes.

Never changes or transliterates a text, and knows no national table (see `septets`). The truth is 3GPP TS 23.038:
section 6.2.1 (default alphabet) and 6.2.1.1 (extension table).
"""

import codecs
from collections.abc import Mapping
from typing import Any, Final, Literal

Encoding = Literal["gsm7", "ucs2"]

ESCAPE: Final = 0x1B
# Septet value -> character. 0x1B is the escape to the extension table: no character has that place.
DEFAULT_ALPHABET: Final = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
# Septet value after the escape -> character. The form feed (0x0A) is the table's page break.
EXTENSION: Final = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}


def make_map(locking: str, shifted: Mapping[int, str]) -> Any:
    """What `codecs.charmap_encode` takes, for the 128 places of a locking table and those of a single shift table.

    A character of `locking` becomes its septet, one of `shifted` alone its septet with the eighth bit set; the character at
    place 0 becomes ESCAPE, because CPython encodes in one C loop only where place 0 is NUL, and the escape's place is free.
    """
    table = ["\ufffe"] * 256  # what charmap_build reads as "nothing here"
    table[: len(locking)] = locking
    table[0], table[ESCAPE] = "\0", locking[0]
    for septet, character in shifted.items():
        if character not in locking:
            table[0x80 | septet] = character
    return codecs.charmap_build("".join(table))


_OCTETS = make_map(DEFAULT_ALPHABET, EXTENSION)
_encode = codecs.charmap_encode


def widths_of(text: str) -> bytes | None:
    """One octet for each character, below 0x80 where it takes one septet and from 0x80 where it takes two.

    None if a character is in neither table; ESC itself is none.
    """
    # "ignore" and a look at the length cost a third of an exception; NUL passes the table (see _octet_table)
    octets, length = _encode(text, "ignore", _OCTETS)
    return octets if len(octets) == length and 0 not in octets else None


def encoding_of(text: str) -> Encoding:
    """`gsm7` if every character is in the default alphabet or its extension table, else `ucs2`."""
    return "ucs2" if widths_of(text) is None else "gsm7"
