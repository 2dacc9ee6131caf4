"""The count against a splitter written plainly, and against the two standards' limits by table."""

import gsmcodecs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.text.gsm import DEFAULT_ALPHABET, EXTENSION, encoding_of
from broker.text.segments import Verdict, verdict

assert gsmcodecs.__name__  # importing it registers the codecs

GSM = DEFAULT_ALPHABET.replace("\x1b", "") + "".join(EXTENSION.values())
LIMITS = {"gsm7": (160, 153), "ucs2": (70, 67)}


def units_of(character: str, encoding: str) -> int:
    if encoding == "gsm7":
        return len(character.encode("gsm23.038"))
    return len(character.encode("utf-16-be", "surrogatepass")) // 2


def split(text: str, encoding: str) -> list[str]:
    """The parts of a text, character after character: slow, and plain enough to be believed."""
    alone, room = LIMITS[encoding]
    if sum(units_of(c, encoding) for c in text) <= alone:
        return [text]
    parts, used = [""], 0
    for character in text:
        width = units_of(character, encoding)
        if used + width > room:
            parts.append("")
            used = 0
        parts[-1] += character
        used += width
    return parts


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "gsm7", 0, 1),
        ("a", "gsm7", 1, 1),
        ("€", "gsm7", 2, 1),
        ("a" * 160, "gsm7", 160, 1),
        ("a" * 161, "gsm7", 161, 2),
        ("a" * 306, "gsm7", 306, 2),
        ("a" * 307, "gsm7", 307, 3),
        ("a" * 918, "gsm7", 918, 6),
        ("a" * 919, "gsm7", 919, 7),
        ("€" * 80, "gsm7", 160, 1),
        ("€" * 81, "gsm7", 162, 2),
        ("a" * 158 + "€", "gsm7", 160, 1),
        ("a" * 159 + "€", "gsm7", 161, 2),
        ("a" * 152 + "€" + "a" * 152, "gsm7", 306, 3),  # the pair moves whole: 152, 153, 1
        ("a" * 152 + "€" + "a" * 151, "gsm7", 305, 2),
        ("a" * 151 + "€" + "a" * 153, "gsm7", 306, 2),  # the pair ends its part: nothing moves
        ("a" * 153 + "€" + "a" * 151, "gsm7", 306, 2),
        ("€" * 152, "gsm7", 304, 2),  # 76 pairs in each, one septet of each part left empty
        ("€" * 153, "gsm7", 306, 3),
        ("€" * 228, "gsm7", 456, 3),
        ("€" * 229, "gsm7", 458, 4),
        ("您" * 70, "ucs2", 70, 1),
        ("您" * 71, "ucs2", 71, 2),
        ("您" * 134, "ucs2", 134, 2),
        ("您" * 135, "ucs2", 135, 3),
        ("😀" * 35, "ucs2", 70, 1),
        ("😀" * 36, "ucs2", 72, 2),
        ("😀" * 66, "ucs2", 132, 2),  # 33 pairs in each
        ("😀" * 67, "ucs2", 134, 3),
        ("您" * 66 + "😀" + "您" * 66, "ucs2", 134, 3),
        ("您" * 66 + "😀" + "您" * 65, "ucs2", 133, 2),
        ("您" * 65 + "😀" + "您" * 67, "ucs2", 134, 2),
        ("a" * 160 + "`", "ucs2", 161, 3),  # one character outside the alphabet: 3 segments for 2
        ("\ud83d" * 70, "ucs2", 70, 1),  # lone surrogates are refused elsewhere; counting them does not fail
    ],
)
def test_verdict(text: str, encoding: str, units: int, segments: int) -> None:
    assert verdict(text) == Verdict(encoding, units, segments)  # type: ignore[arg-type]  # a table's strings


long_enough_for_three = {"max_size": 420}
gsm_texts = st.text(GSM, **long_enough_for_three)
runs = st.lists(
    st.tuples(st.sampled_from(["a", "€", "您", "😀", "\n", "ß", "["]), st.integers(1, 160)), max_size=5
).map(lambda pieces: "".join(character * times for character, times in pieces))
texts = st.one_of(gsm_texts, runs, st.text(st.characters(exclude_categories=["Cs"]), max_size=150))


@settings(deadline=None)
@given(texts)
def test_the_count_is_that_of_a_splitter(text: str) -> None:
    found = verdict(text)
    parts = split(text, found.encoding)
    assert found.segments == len(parts)
    assert found.units == sum(units_of(c, found.encoding) for c in text)
    assert found.encoding == encoding_of(text)


@settings(deadline=None)
@given(texts, st.one_of(st.sampled_from(GSM), st.characters(exclude_categories=["Cs"])))
def test_one_character_more_never_costs_less(text: str, more: str) -> None:
    before = verdict(text)
    for after in (verdict(text + more), verdict(more + text)):
        assert after.segments >= before.segments
        assert after.units > before.units or after.encoding != before.encoding


@settings(deadline=None)
@given(texts, texts)
def test_two_texts_apart_never_cost_less_than_their_units_together(one: str, other: str) -> None:
    if encoding_of(one) == encoding_of(other):
        assert verdict(one + other).units == verdict(one).units + verdict(other).units


@settings(deadline=None)
@given(texts)
def test_no_segment_is_empty_or_overfull(text: str) -> None:
    found = verdict(text)
    alone, room = LIMITS[found.encoding]
    if found.segments == 1:
        assert found.units <= alone
    else:
        # every part but the last is full but for the one unit that half a pair would have taken
        assert (found.segments - 1) * (room - 1) < found.units <= found.segments * room
        assert found.units > alone
