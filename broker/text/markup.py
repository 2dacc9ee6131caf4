"""Reads small XML documents from strangers, and escapes what goes into one.

Refuses what XML can do beyond elements and text: any DTD, so any entity of its own, external or not (billion laughs, XXE); more
than 64 KiB; more than a thousand elements, or 20 inside each other. Names lose their prefix, attributes are not kept. Never fetches
anything.
"""

import codecs
from typing import NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape

import msgspec

__all__ = ["MOST_BYTES", "MOST_DEPTH", "MOST_ELEMENTS", "Element", "MarkupError", "escape_markup", "read_markup"]

MOST_BYTES = 64 * 1024
MOST_DEPTH = 20
MOST_ELEMENTS = 1000


class MarkupError(ValueError):
    """What came is no document that is read here; the text says why, and holds nothing of it."""


class Element(msgspec.Struct, gc=False):
    """One element: its name without a prefix, the characters directly inside it, the elements inside it."""

    name: str
    text: str = ""
    children: list["Element"] = msgspec.field(default_factory=list)

    def find(self, name: str) -> "Element | None":
        """The first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def __repr__(self) -> str:
        return f"Element({self.name}, {len(self.children)} inside)"  # its text belongs in no traceback


def read_markup(data: bytes, charset: str | None = None) -> Element:
    """The root element of a document. `charset`, where the transport names one, beats what the document says. Raises MarkupError."""
    if len(data) > MOST_BYTES:
        raise MarkupError(f"longer than {MOST_BYTES} bytes")
    root = Element("")
    stack = [root]
    texts: list[list[str]] = [[]]
    count = 0
    parser = expat.ParserCreate(_read_charset(charset))
    parser.buffer_text = True

    def begin(name: str, _attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(stack) > MOST_DEPTH:
            raise MarkupError(f"more than {MOST_DEPTH} elements inside each other")
        if count > MOST_ELEMENTS:
            raise MarkupError(f"more than {MOST_ELEMENTS} elements")
        element = Element(name.rpartition(":")[2])
        stack[-1].children.append(element)
        stack.append(element)
        texts.append([])

    def end(_name: str) -> None:
        stack.pop().text = "".join(texts.pop())

    def refuse(*_: object) -> NoReturn:
        raise MarkupError("has a DTD")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler = lambda text: texts[-1].append(text)
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data.lstrip(b" \t\r\n"), True)  # scripts print blank lines before it, where XML allows none
    except expat.ExpatError as error:
        raise MarkupError(f"is no XML: {expat.errors.messages.get(error.code, 'malformed')}, line {error.lineno}") from None
    except (LookupError, UnicodeError, ValueError) as error:  # of a charset that Python does not know, or that has many octets
        raise error if isinstance(error, MarkupError) else MarkupError("is in a charset that is not read here") from None
    return root.children[0]


def _read_charset(charset: str | None) -> str | None:
    if charset is None:
        return None
    try:
        return codecs.lookup(charset).name
    except (LookupError, ValueError):
        raise MarkupError("is in a charset that is not known") from None


def escape_markup(text: str) -> str:
    """`text` as character data of an element. Raises MarkupError for characters that no XML can hold."""
    if any((char < " " and char not in "\t\n\r") or "\ud800" <= char <= "\udfff" or char in "\ufffe\uffff" for char in text):
        raise MarkupError("holds a character that XML has no way to write")
    return escape(text, {"\r": "&#13;"})
