"""Writes and reads text as GSM septets, one to an octet as SMPP carries them, under the default or a national table.

Never packs septets: the SMSC does that. Reading is tolerant, writing is not. The truth is 3GPP TS 23.038, sections 6.2.1 and
6.2.1.2.4 and annex A; the tables come from gsmcodecs, which has them from release 18.
"""

import codecs
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from broker.text.gsm import DEFAULT_ALPHABET, ESCAPE, EXTENSION, make_map

Tables = tuple[int, int]  # the languages of the locking and of the single shift table; 0 is the default one
DEFAULT_TABLES: Final[Tables] = (0, 0)

# National language identifier (23.038, 6.2.1.2.4) by the name that a configuration gives it.
LANGUAGES: Final[Mapping[str, int]] = {
    "turkish": 1,
    "spanish": 2,
    "portuguese": 3,
    "bengali": 4,
    "gujarati": 5,
    "hindi": 6,
    "kannada": 7,
    "malayalam": 8,
    "oriya": 9,
    "punjabi": 10,
    "tamil": 11,
    "telugu": 12,
    "urdu": 13,
}

_ESCAPE: Final = bytes([ESCAPE])
_SEPTETS: Final = bytes(range(0x80))
# An octet above 0x7F is no septet: whoever sends one means Latin-1 (see codings).
_ABOVE: Final = bytes(range(0x80, 0x100)).decode("cp1252", "replace")


class Alphabet:
    """One locking table with one single shift table."""

    __slots__ = ("_map", "_plain", "_shifted", "tables")

    def __init__(self, tables: Tables, locking: str, shifted: Mapping[int, str]) -> None:
        """`locking` is the 128 characters of the table, `shifted` the single shift table's by septet; a place of `locking`
        that has none is U+FFFE."""
        self.tables = tables
        self._map = make_map(locking, shifted)
        self._shifted = dict(shifted)
        # 23.038 has no symbol to show for an empty place of a national table: the default alphabet's is the nearest
        shown = [own if own != "\ufffe" else default for own, default in zip(locking, DEFAULT_ALPHABET, strict=True)]
        self._plain = "".join(shown) + _ABOVE

    def places_of(self, text: str) -> bytes | None:
        """One octet for each character, below 0x80 where it takes one septet and from 0x80 where it takes two.

        None if a character is in neither table; ESC itself is none.
        """
        octets, length = codecs.charmap_encode(text, "ignore", self._map)
        return octets if len(octets) == length and 0 not in octets else None

    def write(self, places: bytes) -> bytes:
        """The septets of what `places_of` gave, or of a slice of it."""
        septets = places.replace(_ESCAPE, b"\0")  # see make_map
        if not septets.isascii():
            for place in set(septets.translate(None, _SEPTETS)):
                septets = septets.replace(bytes([place]), bytes([ESCAPE, place & 0x7F]))
        return septets

    def read(self, octets: bytes) -> str:
        """The text of any octets. Never raises.

        An escape before a place that the single shift table leaves empty shows the locking table's character there (23.038, note
        under 6.2.1.1); two escapes, and one at the end, show a blank. Join the parts of a message before reading: another's splitter
        may have cut between an escape and its character.
        """
        if ESCAPE not in octets:
            return self._read_plain(octets)
        pieces = iter(octets.split(_ESCAPE))
        out = [self._read_plain(next(pieces))]
        for piece in pieces:
            if piece:
                out.append(self._shifted.get(piece[0]) or self._plain[piece[0]])
                out.append(self._read_plain(piece[1:]))
            else:  # the escape of an escape, which takes the next one with it; or the end
                out.append(" ")
                out.append(self._read_plain(next(pieces, b"")))
        return "".join(out)

    def _read_plain(self, octets: bytes) -> str:
        return codecs.charmap_decode(octets, "strict", self._plain)[0]


GSM: Final = Alphabet(DEFAULT_TABLES, DEFAULT_ALPHABET, EXTENSION)


@lru_cache(maxsize=256)
def find_alphabet(tables: Tables) -> Alphabet:
    """The alphabet of these two tables; a language that has no such table, or that nobody knows, counts as 0 (23.038, 6.2.1.2.4)."""
    if tables == DEFAULT_TABLES:
        return GSM
    from gsmcodecs.charmaps import GSMCHARMAPS  # here, not above: most brokers never need the 126 KB of tables

    locking, single = (GSMCHARMAPS.get(language, {}) for language in tables)
    base, extension = DEFAULT_ALPHABET, EXTENSION
    if tables[0] and "locking" in locking:
        places = locking["locking"]["decode"]
        base = "".join("\x1b" if n == ESCAPE else chr(places.get(n, 0xFFFE)) for n in range(0x80))
    if tables[1] and "singleShift" in single:
        extension = {n: chr(code) for n, code in single["singleShift"]["decode"].items()}
    return Alphabet(tables, base, extension)
