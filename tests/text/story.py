"""Random stories of texts, told by a `random.Random`: one that goes out and is read again, octets from anywhere, one that is respelled.

What must hold stands in `check_plan`: the parts say the whole text, each fits its message on the air, and no cut goes through a grapheme
that would have fitted a part.
"""

from collections.abc import Sequence, Set
from itertools import accumulate
from random import Random

from broker.text import (
    LANGUAGES,
    Plan,
    Unplannable,
    best_form,
    encoding_of,
    plan,
    read_header,
    read_octets,
    transliterate,
    verdict,
)
from broker.text.graphemes import is_boundary
from broker.text.parts import DefaultAlphabet, Way

AIR = 1120  # bits of one message
ALPHABETS: tuple[DefaultAlphabet, ...] = ("gsm", "gsm", "latin1")
WAYS: tuple[Way, ...] = ("udh8", "udh16", "sar", "payload")
PIECES = (
    *("a", "bc ", "@", "€", "[", "\n", "ß", "ç", "ğİş", "ã^", "`", "“", "…", "ž", "Ω", "ώ", "您", "好", "Привет", "أهلا", "नमस्ते", "क्षि"),
    *("😀", "👩‍👩‍👧‍👦", "🇹🇼", "🇹🇼🇩🇪🇫🇷", "👍🏽", "1️⃣", "각", "\u1100\u1161\u11a8", "e\u0301", "o\u0302\u0323", "กำ", "\u200d", "\u0301" * 9),
)


def make_text(rand: Random) -> str:
    """A text of a few kinds of pieces, in runs; now and then any characters at all."""
    kinds = rand.sample(PIECES, rand.randint(1, 5))
    pieces = (rand.choice(kinds) * rand.choice((1, 1, 2, 30, 66, 150)) for _ in range(rand.randint(0, 12)))
    text = "".join(pieces)[: rand.choice((40, 161, 500, 2000))]
    if rand.random() < 0.2:
        strange = "".join(chr(rand.choice((rand.randrange(0xD800), rand.randrange(0xE000, 0x110000)))) for _ in range(20))
        at = rand.randint(0, len(text))
        text = text[:at] + strange + text[at:]
    return text


def read_parts(found: Plan, alphabet: DefaultAlphabet = "gsm") -> list[str]:
    """What the handset shows of each part."""
    shown = []
    for part in found.parts:
        header, octets = read_header(part.short_message) if part.udh else (None, part.octets)
        tables = header.tables if header is not None else (0, 0)
        shown.append(read_octets(octets, found.data_coding, alphabet=alphabet, tables=tables))
    return shown


def check_plan(
    text: str, found: Plan, way: Way = "udh8", alphabet: DefaultAlphabet = "gsm", reference: int = 0, national: Sequence[int] = ()
) -> None:
    """All that must hold of a plan of `text`."""
    shown = read_parts(found, alphabet)
    assert "".join(shown) == text
    assert found.encoding == "ucs2" or found.data_coding == 0
    assert {*found.tables} <= {0, *national}
    if way == "payload" and found.segments > 1:
        assert len(found.parts) == 1
        return
    assert len(found.parts) == found.segments
    cuts = list(accumulate(map(len, shown)))[:-1]
    assert 0 not in cuts
    for n, part in enumerate(found.parts, 1):
        header = len(part.udh) or (6 if part.sar else 0)
        units = len(part.octets) if alphabet == "gsm" or found.encoding == "ucs2" else verdict(shown[n - 1]).units
        assert header * 8 + units * (7 if found.encoding == "gsm7" else 8) <= AIR
        mark = (reference & (0xFF if way == "udh8" else 0xFFFF), found.segments, n)
        concat = read_header(part.udh)[0].concat
        assert part.sar == (mark if way == "sar" and found.segments > 1 else None)
        if way in ("udh8", "udh16") and found.segments > 1:
            assert concat is not None
            assert (concat.reference, concat.parts, concat.part) == mark
        else:
            assert concat is None
    for cut in cuts:
        if not is_boundary(text, cut):
            start = next((at for at in range(cut - 1, 0, -1) if is_boundary(text, at)), 0)
            end = next((at for at in range(cut + 1, len(text)) if is_boundary(text, at)), len(text))
            whole = verdict(text[start:end])
            assert whole.units > (66 if found.encoding == "ucs2" else 60), "a grapheme that would have fitted was cut"


def check_refusal(text: str, refused: Unplannable, most: int, encodings: Set[str], alphabet: DefaultAlphabet) -> None:
    """A plan is refused only for its length, or for a character that no allowed encoding has."""
    if refused.code == "too_long":
        assert refused.segments > most
    else:
        assert encodings == {"gsm7"}
        assert alphabet == "latin1" or encoding_of(text) == "ucs2"


def tell_of_a_message(rand: Random) -> None:
    """A text goes out, its parts arrive, and it reads the same."""
    text = make_text(rand)
    way, alphabet = rand.choice(WAYS), rand.choice(ALPHABETS)
    national = tuple(rand.sample(list(LANGUAGES.values()), rand.choice((0, 0, 1, 3))))
    encodings = rand.choice(({"gsm7", "ucs2"}, {"gsm7", "ucs2"}, {"gsm7"}, {"ucs2"}))
    reference, most = rand.randrange(1 << 17), rand.choice((1, 6, 255))
    try:
        found = plan(text, encodings=encodings, national=national, concat=way, alphabet=alphabet, reference=reference, most=most)
    except Unplannable as error:
        check_refusal(text, error, most, encodings, alphabet)
        return
    assert found.encoding in encodings
    assert 1 <= found.segments <= most
    check_plan(text, found, way, alphabet, reference, national)


def tell_of_octets(rand: Random) -> None:
    """Any octets under any data_coding are some text, and any header is some header."""
    octets = rand.choice((rand.randbytes, lambda n: bytes(rand.choices((0x1B, 0x65, 0x00, 0x41, 0xD8, 0x3D), k=n))))(rand.randint(0, 160))
    header, rest = read_header(octets)
    assert octets.endswith(rest)
    for data in (octets, rest):
        text = read_octets(data, rand.randrange(256), alphabet=rand.choice(ALPHABETS), tables=header.tables)
        assert len(text) <= len(data)
        text.encode("utf-8")


def tell_of_spelling(rand: Random) -> None:
    """A text is respelled once, and only where that saves."""
    text = make_text(rand)
    spelled = transliterate(text)
    assert transliterate(spelled) == spelled
    found = best_form(text)
    if found is not None:
        assert (found.text, found.after.encoding) == (spelled, "gsm7")
        assert verdict(spelled).segments == found.after.segments < found.before.segments == verdict(text).segments


STORIES = {"message": tell_of_a_message, "inbound": tell_of_octets, "spelling": tell_of_spelling}
