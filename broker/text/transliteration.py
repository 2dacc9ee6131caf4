"""Rewrites a text in characters of the GSM alphabet where a reader takes them for the same, and only where that saves segments.

Never touches a character that the alphabet has, and leaves what it does not know as it is: Cyrillic, Chinese, emoji, and the signs
whose nearest spelling says something else (½ and ² would join the digits beside them, µ is no m, ° has none). The truth is the
tables below; what counts is `segments`' matter.
"""

import re
import unicodedata
from typing import Final

import msgspec

from broker.text.gsm import DEFAULT_ALPHABET, EXTENSION
from broker.text.segments import Verdict, verdict

_GSM: Final = frozenset(DEFAULT_ALPHABET.replace("\x1b", "")).union(EXTENSION.values())

# each group of characters, and what it becomes
_SIGNS: Final = {
    "‘’‚‛′ʹʼ‹›`´": "'",
    "“”„‟″«»": '"',
    "‐‑‒–—―−": "-",
    "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000": " ",
    # invisible: soft hyphen, zero width space, word joiner, marks of direction
    "\u00ad\u200b\u2060\u200e\u200f": "",
    "\u2028\u2029": "\n",
    "•‣": "*",
    "·": ".",
    "…": "...",
    "×": "x",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "™": "(TM)",
    "©": "(c)",
    "®": "(R)",
    "№": "No.",
}
# Latin letters that have no base letter by decomposition, and ligatures
_LETTERS: Final = {
    "đð": "d",
    "ĐÐ": "D",
    "ħ": "h",
    "Ħ": "H",
    "ı": "i",
    "ł": "l",
    "Ł": "L",
    "ŧ": "t",
    "Ŧ": "T",
    "þ": "th",
    "Þ": "Th",
    "ẞ": "ß",
    "œ": "oe",
    "Œ": "OE",
    "ĳ": "ij",
    "Ĳ": "IJ",
    "ﬀ": "ff",
    "ﬁ": "fi",
    "ﬂ": "fl",
    "ﬃ": "ffi",
    "ﬄ": "ffl",
    "ﬅﬆ": "st",
}
# Greek in the capitals that the alphabet has, its own or the Latin ones of the same shape
_GREEK: Final = dict(zip("αβγδεζηθικλμνξοπρστυφχψως", "ABΓΔEZHΘIKΛMNΞOΠPΣTYΦXΨΩΣ", strict=True))

_TABLE: Final = {ord(each): to for group, to in (*_SIGNS.items(), *_LETTERS.items()) for each in group}
# A Greek letter beside a Latin one is a sign (μm, Ωm), and another letter would be another sign.
_greek_words: Final = re.compile("(?<![A-Za-zͰ-Ͽἀ-῿])[Ͱ-Ͽἀ-῿]+(?![A-Za-zͰ-Ͽἀ-῿])")
_accent: Final = re.compile("[\u0300-\u036f]").search
_accented: Final = re.compile("[A-Za-zÀ-ɏḀ-ỿͰ-Ͽἀ-῿ﬀ-ﬆ]").match
_foreign: Final = re.compile(f"[^{re.escape(''.join(sorted(_GSM)))}]")


class Transliterated(msgspec.Struct, frozen=True, gc=False):
    """`text` and what it costs (`after`), beside what it cost as it came (`before`)."""

    before: Verdict
    after: Verdict
    text: str

    def __repr__(self) -> str:
        return f"Transliterated({self.before}, {self.after})"  # the text belongs in no traceback


def transliterate(text: str) -> str:
    """`text` with every character that the GSM alphabet lacks and that has a spelling in it so spelled; the others stay."""
    composed = _drop_loose_accents(unicodedata.normalize("NFC", text)).translate(_TABLE)
    return _foreign.sub(_spell, _greek_words.sub(_spell_greek, composed))


def _drop_loose_accents(text: str) -> str:
    """The text without the accents that no composed letter has taken in, whatever other marks stand between letter and accent."""
    if _accent(text) is None:
        return text
    kept, is_on_letter = [], False
    for each in text:
        if is_on_letter and _accent(each) is not None:
            continue
        if not unicodedata.combining(each):
            is_on_letter = _accented(each) is not None
        kept.append(each)
    return "".join(kept)


def best_form(text: str) -> Transliterated | None:
    """The transliterated text where it fits the GSM alphabet and takes fewer segments, else None."""
    before = verdict(text)
    if before.encoding == "gsm7" or before.segments == 1:  # nothing to save: most texts, and soon said
        return None
    spelled = transliterate(text)
    after = verdict(spelled)
    if after.encoding != "gsm7" or after.segments >= before.segments:
        return None
    return Transliterated(before, after, spelled)


def _spell(found: re.Match[str]) -> str:
    """A letter without its accents, where that leaves a letter of the alphabet; else as it is."""
    bare = _strip(found[0])
    return bare if bare in _GSM else found[0]


def _spell_greek(found: re.Match[str]) -> str:
    return "".join(_GREEK.get(_strip(each.lower()), each) for each in found[0])


def _strip(character: str) -> str:
    """The base of an accented letter; whatever has none, or another form than letter and accents, as it is."""
    decomposed = unicodedata.normalize("NFD", character)
    return decomposed[0] if all(map(unicodedata.combining, decomposed[1:])) else character
