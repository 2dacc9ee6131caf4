"""Lets through the texts that a message can carry, and names the character for which it refuses another.

Never rewrites anything but the ends of lines (CRLF and CR become LF), and never shows the text: an error says
which character, and where. The truth is the list in this file; what fits which alphabet is gsm's matter.
"""

import re

# C0 without LF and CR, DEL and C1, the byte order mark, surrogates without their other half
_refused = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]").search


class TextError(ValueError):
    """A text that no message can carry; the message names the character and its place, never the text."""


def clean(text: str) -> str:
    """`text` with its line ends as LF, otherwise unchanged.

    Raises TextError for NUL and every other control character but the line ends (ESC and tab too), U+FEFF and
    lone surrogates. The position that it names counts characters from 1.
    """
    # half the time of the search, and never true of a refused character or of CR
    if text.isprintable() or text.replace("\n", "").isprintable():
        return text
    found = _refused(text)
    if found is not None:
        raise TextError(
            f"the text has U+{ord(found[0]):04X} at position {found.start() + 1}, a character that no message"
            " can carry: take it out"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
