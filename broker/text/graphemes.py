"""Says where a text may be cut without breaking what a reader sees as one character.

Never cuts anything itself. The truth is Unicode's UAX #29, extended grapheme clusters (rules GB3 to GB13), with the
properties that Python's own tables have, and the few that they lack written out below.
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
# Mc that stand alone (Grapheme_Cluster_Break=Other)
_is_apart = re.compile(
    "[\u102b\u102c\u1038\u1062-\u1064\u1067-\u106d\u1083\u1087-\u108c\u108f\u109a-\u109c\u1a61\u1a63\u1a64\uaa7b\uaa7d"
    "\U00011720\U00011721]"
).match
_is_flag = re.compile("[\U0001f1e6-\U0001f1ff]").match
_is_picture = re.compile(  # Extended_Pictographic
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u2388\u23cf\u23e9-\u23f3\u23f8-\u23fa\u24c2"
    "\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705\u2708-\u2712\u2714\u2716\u271d\u2721"
    "\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763-\u2767\u2795-\u2797\u27a1\u27b0\u27bf\u2934\u2935"
    "\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f0ff\U0001f10d-\U0001f10f\U0001f12f"
    "\U0001f16c-\U0001f171\U0001f17e\U0001f17f\U0001f18e\U0001f191-\U0001f19a\U0001f1ad-\U0001f1e5\U0001f201-\U0001f20f\U0001f21a"
    "\U0001f22f\U0001f232-\U0001f23a\U0001f23c-\U0001f23f\U0001f249-\U0001f3fa\U0001f400-\U0001f53d\U0001f546-\U0001f64f"
    "\U0001f680-\U0001f6ff\U0001f774-\U0001f77f\U0001f7d5-\U0001f7ff\U0001f80c-\U0001f80f\U0001f848-\U0001f84f\U0001f85a-\U0001f85f"
    "\U0001f888-\U0001f88f\U0001f8ae-\U0001f8ff\U0001f90c-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001faff\U0001fc00-\U0001fffd]"
).match
_VIRAMA = 9  # the canonical combining class of the signs that join a consonant to the next one


def is_boundary(text: str, at: int) -> bool:
    """True where a cut before `text[at]` leaves every grapheme whole; `at` is neither 0 nor the text's length."""
    before, after = text[at - 1], text[at]
    if before < _FIRST_JOINING and after < _FIRST_JOINING:
        return before != "\r" or after != "\n"
    if _is_control(before) or _is_control(after):
        return True
    if _is_attached(after) or _is_prepend(before):
        return False
    if before >= "\u1100":
        if _is_hangul_joined(before, after):
            return False
        if _is_flag(before) and _is_flag(after):
            run = 0
            while run < at and _is_flag(text, at - 1 - run):
                run += 1
            return run % 2 == 0
    if before == _ZWJ and _is_picture(after):
        return not _is_picture(text, _find_start(text, at))
    # GB9c, for every script that has a virama: the rule's own list of scripts grows with each Unicode
    if unicodedata.category(after) == "Lo":
        return not any(unicodedata.combining(each) == _VIRAMA for each in text[_find_start(text, at) : at])
    return True


def _find_start(text: str, at: int) -> int:
    """Where the last character before `at` stands that is not attached to its predecessor by Extend."""
    start = at - 1
    while start > 0 and _is_extend(text[start]):
        start -= 1
    return start


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cf":
        return not _is_joined(character) and not _is_prepend(character)
    return category in ("Cc", "Zl", "Zp", "Cs")


def _is_extend(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Me") or (character not in "\u0e33\u0eb3" and _is_joined(character) is not None)


def _is_attached(character: str) -> bool:
    """Extend, SpacingMark or ZWJ: it belongs to what stands before it (GB9, GB9a)."""
    category = unicodedata.category(character)
    if category == "Mc":
        return not _is_apart(character)
    return category in ("Mn", "Me") or _is_joined(character) is not None


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
