"""Plans how a text goes out: in which encoding and under which tables, and cut into which parts.

Never sends, never drops a character, and never cuts an escape pair, a surrogate pair or a grapheme. What a text costs by the
plain count of units is `segments`' matter. The truth is 3GPP TS 23.040, section 9.2.3.24, and SMPP 3.4, sections 3.2.3 and 5.2.19.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence, Set
from itertools import accumulate, pairwise, product
from typing import Final, Literal

import msgspec

from broker.text.graphemes import is_boundary
from broker.text.gsm import Encoding
from broker.text.header import MOST_PARTS, Concat, write_header
from broker.text.segments import Verdict, count_plain, verdict
from broker.text.septets import DEFAULT_TABLES, GSM, Alphabet, Tables, find_alphabet

Way = Literal["udh8", "udh16", "sar", "payload"]
DefaultAlphabet = Literal["gsm", "latin1"]

OCTETS: Final = 140  # of one message on the air, its header included
SMSC_DEFAULT: Final = 0  # data_coding: the alphabet of the bind
UCS2: Final = 8
BOTH: Final[frozenset[Encoding]] = frozenset({"gsm7", "ucs2"})

_ALONE: Final = OCTETS * 8 // 7
_HEADER_OCTETS: Final = {"udh8": 6, "udh16": 7, "sar": 6, "payload": 6}  # an SMSC that cuts for us writes the shorter one
_TABLE_OCTETS: Final = 3
_WIDTHS: Final = bytes([1]) * 128 + bytes([2]) * 128  # septets of what places_of gives
_UNITS: Final = bytes([1]) + bytes([2]) * 255  # UTF-16 units by plane


class Unplannable(ValueError):
    """A text that cannot go out as asked: it does not fit the encodings allowed, or takes too many parts. The text is not in it.

    `code` is `encoding` or `too_long`, `segments` what it would take.
    """

    def __init__(self, code: Literal["encoding", "too_long"], message: str, segments: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.segments = segments


class Part(msgspec.Struct, frozen=True, gc=False):
    """One part: its text's octets, and what says which part it is: a user data header, or (reference, parts, part) for SAR TLVs."""

    octets: bytes
    udh: bytes = b""
    sar: tuple[int, int, int] | None = None

    @property
    def short_message(self) -> bytes:
        """Header and text; with a header the esm_class needs its UDHI bit (0x40)."""
        return self.udh + self.octets

    def __repr__(self) -> str:
        return f"Part({len(self.octets)} octets)"  # the text belongs in no traceback


class Plan(msgspec.Struct, frozen=True, gc=False):
    """`encoding` is what is on the air; `units` septets under `gsm7`, UTF-16 code units under `ucs2`; `tables` the national ones.

    `segments` is what reaches the handset: the number of parts, or, where one part is left to the SMSC to cut (`payload`), the
    plain count of what that makes.
    """

    encoding: Encoding
    data_coding: int
    tables: Tables
    units: int
    segments: int
    parts: tuple[Part, ...]

    def __repr__(self) -> str:
        return f"Plan({self.encoding}, {self.segments} segments)"


class _Form(msgspec.Struct, frozen=True, gc=False):
    """One way to encode the text: units of each character, how many fit a message alone and a part of several."""

    encoding: Encoding
    alphabet: Alphabet
    coded: bytes  # places of the alphabet, one for a character; or UTF-16, two octets for a unit
    units: Sequence[int]  # up to each character
    alone: int
    room: int

    @property
    def fits_alone(self) -> bool:
        return self.units[-1] <= self.alone


def plan(
    text: str,
    *,
    encodings: Set[str] = BOTH,
    national: Sequence[int] = (),
    concat: Way = "udh8",
    alphabet: DefaultAlphabet = "gsm",
    reference: int = 0,
    most: int = MOST_PARTS,
) -> Plan:
    """How `text` goes out with the fewest segments.

    `national`: the languages (23.038, 6.2.1.2.4) whose tables the account allows; one is taken only where it saves a segment over
    the default alphabet and UCS-2, and only where the header is ours: `udh8`, `udh16`, or a text that needs no second part.
    `alphabet`: what data_coding 0 means at this SMSC. Under `latin1` the octets are ISO-8859-1 that the SMSC turns into the GSM
    alphabet, so they are counted as septets; a character that is not in both goes as UCS-2, and `national` is not looked at.
    `reference`: of this message, for all its parts. `most`: segments allowed.
    Raises Unplannable.
    """
    if alphabet == "gsm" and "gsm7" in encodings and len(text) <= _ALONE:  # most of the traffic, five times as fast
        places = GSM.places_of(text)
        if places is not None and places.isascii():
            return Plan("gsm7", SMSC_DEFAULT, DEFAULT_TABLES, len(text), 1, (Part(GSM.write(places)),))
    forms = _find_forms(text, encodings, national, concat, alphabet)
    form = next(forms, None)
    if form is None:
        wanted = " or ".join(sorted(encodings)) or "none"
        raise Unplannable("encoding", f"the text has a character that {wanted} cannot carry here")
    cuts = _cut(text, form)
    if len(cuts) > 2:
        for other in forms:
            found = _cut(text, other)
            if len(found) < len(cuts):
                form, cuts = other, found
    segments = len(cuts) - 1
    if concat == "payload" and segments > 1:
        segments = count_plain(text, form.encoding)
        cuts = [0, len(text)]
    if segments > min(most, MOST_PARTS):
        raise Unplannable("too_long", f"the text takes {segments} segments; {min(most, MOST_PARTS)} are allowed", segments)
    return Plan(
        form.encoding,
        UCS2 if form.encoding == "ucs2" else SMSC_DEFAULT,
        form.alphabet.tables,
        form.units[-1],
        segments,
        tuple(_write(text, form, cuts, concat, reference, alphabet)),
    )


def measure(
    text: str,
    *,
    encodings: Set[str] = BOTH,
    national: Sequence[int] = (),
    concat: Way = "udh8",
    alphabet: DefaultAlphabet = "gsm",
) -> Verdict:
    """What `plan` makes of the text, to price it by. Never raises: what cannot go out so is the plain verdict."""
    try:
        found = plan(text, encodings=encodings, national=national, concat=concat, alphabet=alphabet)
    except Unplannable:
        return verdict(text)
    return Verdict(found.encoding, found.units, found.segments)


def _find_forms(text: str, encodings: Set[str], national: Sequence[int], concat: Way, alphabet: DefaultAlphabet) -> Iterator[_Form]:
    """The ways to encode the text, the preferred first: a later one is better only where it takes fewer segments."""
    header = _HEADER_OCTETS[concat]
    places = GSM.places_of(text) if "gsm7" in encodings else None
    if places is not None and alphabet == "latin1" and not _is_latin1(text):
        places = None
    if places is not None:
        yield _make_septet_form(GSM, places, header)
    elif "ucs2" in encodings:  # never better than the default alphabet
        # surrogatepass: as in segments, a lone surrogate is refused elsewhere and does not fail here
        coded = text.encode("utf-16-be", "surrogatepass")
        units: Sequence[int] = range(len(text) + 1)
        if len(coded) != 2 * len(text):
            planes = text.encode("utf-32-be", "surrogatepass")[1::4]
            units = [0, *accumulate(planes.translate(_UNITS))]
        yield _Form("ucs2", GSM, coded, units, OCTETS // 2, (OCTETS - header) // 2)
    if "gsm7" in encodings and alphabet == "gsm":
        is_ours = concat in ("udh8", "udh16")
        for tables in product((0, *national), (0, *national)):
            if tables == DEFAULT_TABLES:
                continue
            other = find_alphabet(tables)
            places = other.places_of(text)
            if places is not None:
                form = _make_septet_form(other, places, header)
                if is_ours or form.fits_alone:
                    yield form


def _make_septet_form(alphabet: Alphabet, places: bytes, header: int) -> _Form:
    units: Sequence[int] = range(len(places) + 1)
    if not places.isascii():
        units = [0, *accumulate(places.translate(_WIDTHS))]
    own = _TABLE_OCTETS * sum(map(bool, alphabet.tables))
    return _Form("gsm7", alphabet, places, units, _count_septets(own + 1 if own else 0), _count_septets(header + own))


def _count_septets(header: int) -> int:
    # the text begins at the next septet after the header
    return (OCTETS - header) * 8 // 7


def _cut(text: str, form: _Form) -> list[int]:
    """Where parts begin and end: 0, the cuts, the length."""
    units, end = form.units, len(text)
    if form.fits_alone:
        return [0, end]
    cuts = [0]
    start = 0
    while units[end] - units[start] > form.room:
        limit = bisect_right(units, units[start] + form.room) - 1
        at = limit
        while at > start and not is_boundary(text, at):
            at -= 1
        start = at if at > start else limit  # a grapheme larger than a part is cut between its characters
        cuts.append(start)
    return [*cuts, end]


def _write(text: str, form: _Form, cuts: list[int], concat: Way, reference: int, alphabet: DefaultAlphabet) -> Iterator[Part]:
    total = len(cuts) - 1
    tables = form.alphabet.tables
    for n, (start, end) in enumerate(pairwise(cuts), 1):
        if form.encoding == "ucs2":
            octets = form.coded[2 * form.units[start] : 2 * form.units[end]]
        elif alphabet == "latin1":
            octets = text[start:end].encode("latin-1")
        else:
            octets = form.alphabet.write(form.coded[start:end])
        if total == 1:
            yield Part(octets, write_header(None, tables))
        elif concat == "sar":
            yield Part(octets, b"", (reference & 0xFFFF, total, n))
        else:
            yield Part(octets, write_header(Concat(reference, total, n), tables, is_wide=concat == "udh16"))


def _is_latin1(text: str) -> bool:
    return text.isascii() or max(text) <= "\xff"
