"""The ways in which an SMSC writes one message id: in the response as text, in the receipt as hex, decimal, with zeros or without.

Says how to look a receipt's id up among the ids that responses gave, and learns which way one account takes. Pure: it looks nothing
up. An id is matched as narrowly as is known, for in another form the same digits may be another message.
"""

from typing import Final, Literal

Form = Literal["auto", "hex", "decimal", "text"]
"""`id_form`: how receipts write the id. `text`: as the response did. `decimal`: in decimal where the response has hex. `hex`: the other
way round. `auto`: learnt."""

FORMS: Final[tuple[Form, ...]] = ("auto", "hex", "decimal", "text")

Way = Literal["same", "loose", "decimal", "hex"]
"""From a receipt's id to the response's: as it is; the same but for case and leading zeros; decimal to hex; hex to decimal."""

_WAYS: Final[dict[Form, tuple[Way, ...]]] = {
    "text": ("same",),
    "decimal": ("decimal", "loose"),
    "hex": ("hex", "loose"),
    "auto": ("loose", "decimal", "hex"),
}
_LEARNT: Final = _WAYS["auto"]

SURE: Final = 3
"""So many receipts in a row, each found in one way alone, settle on it."""
LOST: Final = 20
"""So many in a row that are found in no way unsettle it: the SMSC may write otherwise since. Fewer are others' messages, or early."""

_LONGEST: Final = 64  # a message_id has no more (4.4.2); what is longer is no number


def forms(ref: str, form: Form = "auto") -> tuple[str, ...]:
    """The ways in which a response may have written the id that a receipt writes as `ref`, in the order to try; `ref` is among them
    unless it is a number that must be converted.
    """
    return _list_forms(ref, _WAYS[form])


def _list_forms(ref: str, ways: tuple[Way, ...]) -> tuple[str, ...]:
    ref = ref.strip()
    found: dict[str, None] = {}
    for way in ways:
        found.update(dict.fromkeys(_convert(ref, way)))
    return tuple(found) or (ref,)


def _convert(ref: str, way: Way) -> tuple[str, ...]:
    if way == "same":
        return (ref,)
    if way == "loose":
        bare = ref.lstrip("0") or ref
        if bare is ref and ref.isdecimal():
            return (ref,)  # the usual id: no letters, no zeros before it
        return (ref, ref.lower(), ref.upper(), bare, bare.lower(), bare.upper())
    number = _read(ref, 10 if way == "decimal" else 16)
    if number is None:
        return ()
    if way == "hex":
        return (str(number), f"{number:010d}")
    low = f"{number:x}"
    padded = f"{number:08x}", f"{number:016x}"
    return (low, low.upper(), padded[0], padded[0].upper(), padded[1], padded[1].upper())


def _read(ref: str, radix: int) -> int | None:
    digits = ref[2:] if radix == 16 and ref[:2] in ("0x", "0X") else ref
    is_number = digits.isascii() and (digits.isdigit() if radix == 10 else digits.isalnum()) and 0 < len(digits) <= _LONGEST
    if not is_number:
        return None
    try:
        return int(digits, radix)
    except ValueError:
        return None


def find_way(ref: str, stored: str) -> Way | None:
    """The one way by which a receipt's `ref` became the response's `stored`; None where there is none, or more than one."""
    fits = [way for way in _LEARNT if stored in _convert(ref.strip(), way)]  # one digit is the same in any form
    return fits[0] if len(fits) == 1 else None


class IdForm:
    """What one account's receipts have shown. With any form but `auto` there is nothing to learn."""

    __slots__ = ("_count", "_form", "_last", "_missed", "settled")

    def __init__(self, form: Form = "auto") -> None:
        self._form: Form = form
        self._last: Way | None = None
        self._count = 0
        self._missed = 0
        self.settled: Way | None = None
        """The way that is taken for sure, None while none is."""

    def forms(self, ref: str) -> tuple[str, ...]:
        """The ways to write `ref`, in the order to try; only those of one way once it is settled."""
        if self.settled is None:
            return forms(ref, self._form)
        return _list_forms(ref, (self.settled,))

    def adopt(self, way: str) -> None:
        """Take up what was settled before a restart. A word that is no way changes nothing."""
        if self._form == "auto":
            self.settled = self._last = next((each for each in _LEARNT if each == way), None)
            self._count = SURE if self.settled else 0

    def learn(self, ref: str, stored: str | None) -> None:
        """A receipt's `ref` was found as the response's `stored`, or not found at all (None)."""
        if self._form != "auto":
            return
        if stored is None:
            self._missed += 1
            if self._missed >= LOST:
                self._last, self._count, self._missed, self.settled = None, 0, 0, None
            return
        self._missed = 0
        way = find_way(ref, stored)
        if way is None:
            return
        self._count = self._count + 1 if way == self._last else 1
        self._last = way
        if self._count >= SURE:
            self.settled = way
        elif way != self.settled:
            self.settled = None  # contrary evidence: look for all again
