"""The plan against tables of the two standards, and against what a reader of the parts gets back."""

from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.text import Plan, Unplannable, plan, verdict
from broker.text.graphemes import is_boundary
from tests.text.story import WAYS, check_plan, read_parts


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
    found = plan(text, concat=way, national=national, reference=300)  # type: ignore[arg-type]  # a strategy's string
    check_plan(text, found, way, reference=300, national=national)  # type: ignore[arg-type]


@settings(deadline=None)
@given(texts)
def test_the_count_is_the_verdicts_but_for_graphemes(text: str) -> None:
    found, plain = plan(text), verdict(text)
    assert (found.encoding, found.units) == (plain.encoding, plain.units)
    assert found.segments >= plain.segments
    if all(is_boundary(text, at) for at in range(1, len(text))):
        assert found.segments == plain.segments


@pytest.mark.parametrize(
    ("head", "national", "way", "tables", "alone", "room"),
    [
        # what is left of 140 octets by 23.040, 9.2.3.24.1, after the length, the part number (5 or 6) and 3 for each table
        ("", (), "udh8", (0, 0), 160, 153),
        ("", (), "udh16", (0, 0), 160, 152),
        ("ç", (2,), "udh8", (0, 2), 155, 149),
        ("ç", (2,), "udh16", (0, 2), 155, 148),
        ("ª", (3,), "udh8", (3, 0), 155, 149),
        ("ª", (3,), "udh16", (3, 0), 155, 148),
        ("अ०", (6,), "udh8", (6, 6), 152, 146),
        ("अ०", (6,), "udh16", (6, 6), 152, 145),
        ("अ", (), "udh8", (0, 0), 70, 67),
        ("अ", (), "udh16", (0, 0), 70, 66),
    ],
)
def test_the_room_is_what_the_header_leaves(
    head: str, national: tuple[int, ...], way: Literal["udh8", "udh16"], tables: tuple[int, int], alone: int, room: int
) -> None:
    def go(text: str) -> Plan:
        return plan(text, encodings={"gsm7"} if alone > 70 else {"ucs2"}, national=national, concat=way)

    full = head + "a" * (alone - go(head).units)
    assert (go(full).units, go(full).segments, go(full).tables) == (alone, 1, tables)
    more = go(full + "a")
    assert (more.segments, more.tables) == (2, tables)
    assert len(more.parts[0].octets) == room * (2 if more.encoding == "ucs2" else 1)


@pytest.mark.parametrize(
    ("text", "national", "encoding", "tables"),
    [
        ("ç" * 70, (1, 2, 3), "ucs2", (0, 0)),  # one segment is one segment: no table
        ("a" * 60 + "ç" * 11, (), "ucs2", (0, 0)),
        ("a" * 60 + "ç" * 11, (2,), "gsm7", (0, 2)),
        ("a" * 60 + "ç" * 11, (1,), "gsm7", (0, 1)),  # the single shift table alone is enough
        ("ç" * 150, (1,), "gsm7", (1, 0)),
        ("ç" * 150, (2, 1), "gsm7", (1, 0)),  # Spanish would need two
        ("ğ" * 150, (2, 3), "ucs2", (0, 0)),
        ("a" * 161, (1, 2, 3), "gsm7", (0, 0)),  # no table helps what fits the default alphabet, and a tie has none
        ("[]" * 50, (3,), "gsm7", (0, 0)),
        ("^" * 100, (), "gsm7", (0, 0)),
        ("^" * 100, (3,), "gsm7", (3, 0)),  # one septet in Portuguese
        ("ã^" * 40 + "ğ", (3,), "ucs2", (0, 0)),
        ("अ" * 100 + "०", (6,), "gsm7", (6, 6)),
        ("ãİ" * 50, (1, 3), "gsm7", (1, 3)),  # the locking table of one and the single shift table of another
    ],
)
def test_a_table_is_taken_only_where_it_saves(text: str, national: tuple[int, ...], encoding: str, tables: tuple[int, int]) -> None:
    found = plan(text, national=national)
    assert (found.encoding, found.tables) == (encoding, tables)
    assert "".join(read_parts(found)) == text
    assert found.segments <= plan(text).segments


def test_every_choice_is_the_cheapest() -> None:
    text = "çãğ" * 60
    found = plan(text, national=(1, 2, 3))
    each = [plan(text, encodings={"gsm7"}, national=(a, b)).segments for a, b in [(1, 3), (3, 1)]]
    assert found.segments == min(each) < plan(text).segments


@pytest.mark.parametrize("way", ["sar", "payload"])
def test_no_table_goes_where_the_header_is_not_ours(way: Literal["sar", "payload"]) -> None:
    assert plan("ç" * 100, national=(1,), concat=way).tables == (1, 0)
    assert plan("ç" * 160, national=(1,), concat=way).tables == (0, 0)
    assert plan("ç" * 160, national=(1,)).tables == (1, 0)


def test_what_says_which_part_it_is() -> None:
    text = "a" * 307
    assert [part.udh for part in plan(text, reference=0x1FE).parts] == [bytes([5, 0, 3, 0xFE, 3, n]) for n in (1, 2, 3)]
    assert [part.udh for part in plan(text, concat="udh16", reference=0x1FE).parts] == [bytes([6, 8, 4, 1, 0xFE, 3, n]) for n in (1, 2, 3)]
    assert [(part.udh, part.sar) for part in plan(text, concat="sar", reference=0x1_0001).parts] == [(b"", (1, 3, n)) for n in (1, 2, 3)]
    (whole,) = plan(text, concat="payload").parts
    assert (whole.udh, whole.sar, whole.short_message) == (b"", None, b"a" * 307)
    assert plan(text).parts[0].short_message == bytes([5, 0, 3, 0, 3, 1]) + b"a" * 153
    for way in WAYS:
        (alone,) = plan("a" * 160, concat=way).parts
        assert (alone.udh, alone.sar) == (b"", None)
    assert plan("ç" * 70, national=(2,)).parts[0].udh == b""
    assert plan("ç" * 77, national=(2,)).parts[0].udh == bytes([3, 0x24, 1, 2])


@pytest.mark.parametrize(
    ("text", "encoding", "octets"),
    [
        ("a_~[é", "gsm7", b"a_~[\xe9"),
        ("price 5€", "ucs2", "price 5€".encode("utf-16-be")),  # in the GSM alphabet, not in Latin-1
        ("ΔΩ", "ucs2", "ΔΩ".encode("utf-16-be")),
        ("ç", "ucs2", "ç".encode("utf-16-be")),  # in Latin-1, not in the GSM alphabet
    ],
)
def test_a_bind_that_speaks_latin1(text: str, encoding: str, octets: bytes) -> None:
    found = plan(text, alphabet="latin1", national=(1, 2, 3))
    assert (found.encoding, found.tables, found.parts[0].octets) == (encoding, (0, 0), octets)
    assert found.data_coding == (8 if encoding == "ucs2" else 0)


def test_latin1_is_counted_as_the_septets_that_it_becomes() -> None:
    found = plan("[" * 100, alphabet="latin1")
    assert (found.units, [len(part.octets) for part in found.parts]) == (200, [76, 24])
    assert plan("[" * 80, alphabet="latin1").segments == 1


def test_latin1_takes_no_table() -> None:
    assert plan("ç" * 100, national=(1,)).tables == (1, 0)
    assert plan("ç" * 100, national=(1,), alphabet="latin1").encoding == "ucs2"


def test_only_the_encodings_that_the_account_takes() -> None:
    assert plan("a", encodings={"ucs2"}).data_coding == 8
    assert plan("a" * 71, encodings={"ucs2"}).segments == 2
    assert plan("ç", encodings={"gsm7"}, national=(2,)).tables == (0, 2)
    for encodings in ({"gsm7"}, set[str]()):
        with pytest.raises(Unplannable) as caught:
            plan("您好 secret", encodings=encodings)
        assert caught.value.code == "encoding"
        assert "secret" not in str(caught.value)


def test_too_long_is_refused_never_cut() -> None:
    for way in WAYS:
        with pytest.raises(Unplannable) as caught:
            plan("a" * 307, most=2, concat=way)
        assert (caught.value.code, caught.value.segments) == ("too_long", 3)
    assert plan("a" * 153 * 255).segments == 255
    with pytest.raises(Unplannable):
        plan("a" * 153 * 255 + "a", most=1000)  # no header counts further


def test_a_grapheme_larger_than_a_part_is_cut_between_its_characters() -> None:
    text = "a" + "\u0301" * 200
    found = plan(text)
    assert [len(part.octets) // 2 for part in found.parts] == [67, 67, 67]
    assert "".join(read_parts(found)) == text
    text = "x" * 10 + "😀\u200d" * 60
    shown = read_parts(plan(text))
    assert shown[0] == "x" * 10
    assert "".join(shown) == text


def test_a_grapheme_may_cost_a_segment_more_than_the_plain_count() -> None:
    text = "您" * 66 + "e\u0301" + "您" * 66  # the accent would begin the second part; kept with its letter, both do
    assert verdict(text).segments == 2
    assert plan(text).segments == 3
    assert plan(text, concat="payload").segments == 2  # the SMSC cuts, and it keeps no graphemes


def test_nothing_of_the_text_is_in_a_repr() -> None:
    found = plan("secret" * 40)
    assert "secret" not in f"{found!r}{found.parts!r}{found.parts[0]!r}"
