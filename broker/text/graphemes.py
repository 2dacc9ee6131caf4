"""Says where a text may be cut without breaking what a reader sees as one character.

Never cuts anything itself. The truth is Unicode's UAX #29, extended grapheme clusters (rules GB3 to GB13), with the properties
that Python's own tables have, and the few that they lack written out below. Three rules keep more together than the standard does,
and so need no table of their own: nothing is cut before a spacing mark (GB9a leaves some out), nor after a joiner (GB11 asks for
pictures on both sides), nor between a virama and a letter (GB9c names the scripts, and each Unicode adds some).
"""

import re
import unicodedata

_ZWJ = "\u200d"
_FIRST_JOINING = "\u0300"  # nothing below it ever belongs to its neighbour, but CR with LF

# Properties that no general category gives (UAX #44, 15.1): each a character class.
_is_prepend = re.compile(
    "[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd\U000111c2\U000111c3\U0001193f\U00011941\U00011a3a"
    "\U00011a84-\U00011a89\U00011d46\U00011f02]"
).match
# Extend and SpacingMark outside Mn, Me and Mc: ZWNJ and ZWJ, the Thai and Lao vowels AM, half-width voicing marks, skin tones, tags
_is_joined = re.compile("[\u200c\u200d\u0e33\u0eb3\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]").match
_is_flag = re.compile("[\U0001f1e6-\U0001f1ff]").match
_VIRAMA = 9  # the canonical combining class of the signs that join a consonant to the next one


def is_boundary(text: str, at: int) -> bool:
    """True where a cut before `text[at]` leaves every grapheme whole; `at` is neither 0 nor the text's length."""
    before, after = text[at - 1], text[at]
    if before < _FIRST_JOINING and after < _FIRST_JOINING:
        return before != "\r" or after != "\n"
    if _is_control(before) or _is_control(after):
        return True
    if _is_attached(after) or _is_prepend(before) or before == _ZWJ:
        return False
    if before >= "\u1100":
        if _is_hangul_joined(before, after):
            return False
        if _is_flag(before) and _is_flag(after):
            run = 0
            while run < at and _is_flag(text, at - 1 - run):
                run += 1
            return run % 2 == 0
    if unicodedata.category(after) == "Lo":
        return not any(unicodedata.combining(each) == _VIRAMA for each in text[_find_start(text, at) : at])
    return True


def _find_start(text: str, at: int) -> int:
    """Where the last character before `at` stands that is not attached to its predecessor."""
    start = at - 1
    while start > 0 and _is_attached(text[start]):
        start -= 1
    return start


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cf":
        return not _is_joined(character) and not _is_prepend(character)
    return category in ("Cc", "Zl", "Zp", "Cs")


def _is_attached(character: str) -> bool:
    """Extend, SpacingMark or ZWJ: it belongs to what stands before it (GB9, GB9a)."""
    return unicodedata.category(character) in ("Mn", "Me", "Mc") or _is_joined(character) is not None


def _is_hangul_joined(before: str, after: str) -> bool:
    """GB6 to GB8: leading consonant, vowel, trailing consonant, and the syllables made of them."""
    kind, following = _hangul_kind(before), _hangul_kind(after)
    if kind == "L":
        return following in ("L", "V", "LV", "LVT")
    if kind in ("LV", "V"):
        return following in ("V", "T")
    return kind in ("LVT", "T") and following == "T"


def _hangul_kind(character: str) -> str:
    if "\uac00" <= character <= "\ud7a3":
        return "LVT" if (ord(character) - 0xAC00) % 28 else "LV"
    if "\u1100" <= character <= "\u115f" or "\ua960" <= character <= "\ua97c":
        return "L"
    if "\u1160" <= character <= "\u11a7" or "\ud7b0" <= character <= "\ud7c6":
        return "V"
    if "\u11a8" <= character <= "\u11ff" or "\ud7cb" <= character <= "\ud7fb":
        return "T"
    return ""
