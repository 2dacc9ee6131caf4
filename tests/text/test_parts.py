"""The plan against tables of the two standards, and against what a reader of the parts gets back."""

from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.text import Plan, Unplannable, plan, verdict
from broker.text.graphemes import is_boundary
from broker.text.header import read_header
from broker.text.septets import find_alphabet

WAYS = ("udh8", "udh16", "sar", "payload")


def read_part(octets: bytes, found: Plan) -> str:
    if found.encoding == "ucs2":
        return octets.decode("utf-16-be")
    return find_alphabet(found.tables).read(octets)


def read_parts(found: Plan) -> list[str]:
    """What the handset shows of each part."""
    return [read_part(part.octets, found) for part in found.parts]


@pytest.mark.parametrize(
    ("text", "way", "sizes"),
    [
        ("", "udh8", [0]),
        ("a" * 160, "udh8", [160]),
        ("a" * 161, "udh8", [153, 8]),
        ("a" * 161, "udh16", [152, 9]),
        ("a" * 161, "sar", [153, 8]),
        ("a" * 161, "payload", [161]),
        ("a" * 152 + "€" + "b" * 20, "udh8", [152, 22]),
        ("a" * 151 + "€" + "b" * 20, "udh8", [153, 20]),
        ("a" * 151 + "€" + "b" * 20, "udh16", [151, 22]),
        ("您" * 70, "udh8", [140]),
        ("您" * 71, "udh8", [134, 8]),
        ("您" * 71, "udh16", [132, 10]),
        ("您" * 66 + "😀" + "您" * 5, "udh8", [132, 14]),
    ],
)
def test_the_sizes_of_the_parts(text: str, way: str, sizes: list[int]) -> None:
    found = plan(text, concat=way)  # type: ignore[arg-type]  # a table's string
    assert [len(part.octets) for part in found.parts] == sizes
    assert "".join(read_parts(found)) == text


pieces = st.sampled_from(["a", "€", "您", "😀", "e\u0301", "👩‍👩‍👧‍👦", "🇹🇼", "각", "क्षि", "☎️", "\n", "ß"])
texts = st.one_of(
    st.lists(st.tuples(pieces, st.integers(1, 90)), max_size=6).map(lambda runs: "".join(piece * times for piece, times in runs)),
    st.lists(pieces, max_size=200).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
)


@settings(deadline=None)
@given(texts, st.sampled_from(WAYS), st.sampled_from([(), (1,), (3, 6), (1, 2, 3, 13)]))
def test_nothing_is_lost_or_cut(text: str, way: str, national: Sequence[int]) -> None:
    found = plan(text, concat=way, national=national)  # type: ignore[arg-type]  # a strategy's string
    shown = read_parts(found)
    assert "".join(shown) == text
    assert all(is_boundary(text, end) for end in list(accumulate(map(len, shown)))[:-1])
    if way != "payload" or found.segments == 1:
        assert len(found.parts) == found.segments
        for part in found.parts:
            bits = len(part.octets) * (7 if found.encoding == "gsm7" else 8)
            head = len(part.udh) or (6 if part.sar else 0)
            assert head * 8 + bits <= 1120
            header, rest = read_header(part.short_message) if part.udh else read_header(b"\0" + part.octets)
            assert (header.tables, rest) == (found.tables, part.octets)


@settings(deadline=None)
@given(texts)
def test_the_count_is_the_verdicts_but_for_graphemes(text: str) -> None:
    found, plain = plan(text), verdict(text)
    assert (found.encoding, found.units) == (plain.encoding, plain.units)
    assert found.segments >= plain.segments
    if all(is_boundary(text, at) for at in range(1, len(text))):
        assert found.segments == plain.segments


def test_too_long_is_refused_never_cut() -> None:
    with pytest.raises(Unplannable) as caught:
        plan("a" * 307, most=2)
    assert (caught.value.code, caught.value.segments) == ("too_long", 3)
