"""Words of inbound texts: what people mean alike, written alike. Pure; knows no list of words."""

import unicodedata

LONGEST = 160
"""Characters of a text that are looked at: no keyword lies behind, and a stranger's text may be long."""


def fold(text: str) -> str:
    """`text` without case, punctuation, signs and width, its words a space apart: "Stop!" and "ＳＴＯＰ" are "stop"."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    kept = (" " if char.isspace() else char for char in plain if char.isspace() or unicodedata.category(char)[0] not in "PSC")
    return " ".join("".join(kept).split())


def fold_whole(text: str) -> str:
    """The same of a whole text; empty for one that is too long to be a word."""
    return fold(text) if len(text) <= LONGEST else ""


def first_word(text: str) -> str:
    """The text's first word, folded; empty where it has none."""
    return fold(text).partition(" ")[0]
