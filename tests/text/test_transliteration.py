"""The spellings by table, and that nothing is rewritten without a segment saved."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.text import best_form, encoding_of, transliterate, verdict
from broker.text.gsm import DEFAULT_ALPHABET, EXTENSION

GSM = DEFAULT_ALPHABET.replace("\x1b", "") + "".join(EXTENSION.values())


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("“Hello” – it’s «fine»…", "\"Hello\" - it's \"fine\"..."),
        ("a\u00a0b\u202fc\u2009d", "a b c d"),
        ("a\u00adb\u200bc\u2060d\u200e", "abcd"),
        ("`code`", "'code'"),  # the one printing ASCII character that the alphabet lacks
        ("Zażółć gęślą jaźń", "Zazolc gesla jazn"),
        ("garçon, œuvre, ﬁn", "garcon, oeuvre, fin"),
        ("à é è ì ò ù Ç ñ ü ß", "à é è ì ò ù Ç ñ ü ß"),  # in the alphabet: left alone
        ("Đồng Việt", "Dong Viet"),
        ("İstanbul’da ığış", "Istanbul'da igis"),
        ("e\u0301 n\u0303", "é ñ"),
        ("x\u0301 a\u0323\u0301", "x a"),
        ("c\u1ce2\u0327\u0301\u0301", "c\u1ce2"),  # a mark that is no accent stands between, and stays
        ("Καλημέρα κόσμε", "KAΛHMEPA KOΣME"),
        ("ΆΈΉΊΌΎΏ ΐΰ ς", "AEHIOYΩ IY Σ"),
        ("ἀρχή", "APXH"),
        ("ΑΒΕ ΔΦΓ", "ABE ΔΦΓ"),
        ("5 μm, mμ, 3 μA", "5 μm, mμ, 3 μA"),  # a sign, and another letter would say something else
        ("µ ½ m² 25°C", "µ ½ m² 25°C"),
        ("Привет, ёж", "Привет, ёж"),
        ("您好 한글 क्षि 😀", "您好 한글 क्षि 😀"),
        ("12 × 3 ≤ 40 → ok ™", "12 x 3 <= 40 -> ok (TM)"),
    ],
)
def test_spelling(text: str, spelled: str) -> None:
    assert transliterate(text) == spelled


def test_every_entry_of_the_table_ends_in_the_alphabet() -> None:
    from broker.text import transliteration

    for code, spelled in transliteration._TABLE.items():
        assert encoding_of(chr(code)) == "ucs2", f"U+{code:04X} needs no spelling"
        assert encoding_of(spelled) == "gsm7", f"U+{code:04X} is spelled outside the alphabet"
    for letter, spelled in transliteration._GREEK.items():
        assert encoding_of(spelled) == "gsm7", letter


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("“" + "a" * 98 + "”", (2, 1)),
        ("“" + "a" * 400 + "”", (6, 3)),
        ("…" + "a" * 157, (3, 1)),
        ("ż" * 160, (3, 1)),
        ("ż" * 161, (3, 2)),
    ],
)
def test_the_form_that_saves(text: str, segments: tuple[int, int]) -> None:
    found = best_form(text)
    assert found is not None
    assert (found.before.encoding, found.after.encoding) == ("ucs2", "gsm7")
    assert (found.before.segments, found.after.segments) == segments
    assert (found.before, found.after) == (verdict(text), verdict(found.text))
    assert "a" * 10 not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "“short”",  # one segment cannot be fewer
        "a" * 400,  # fits as it is
        "“" + "a" * 98 + "”😀",  # no spelling for one of them: the others would be changed for nothing
        "Привет, “мир” " * 10,
        "您" * 60 + "\u200b" * 20,  # shorter without its blanks, but in the same alphabet
        "…" * 71,  # 213 septets in place of 71 units: two segments either way
    ],
)
def test_nothing_is_changed_for_nothing(text: str) -> None:
    assert best_form(text) is None


letters = st.one_of(st.sampled_from("“…’żœαΆμ`–\u00a0e\u0301a"), st.sampled_from(GSM), st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)
@given(st.lists(letters, max_size=200).map("".join))
def test_spelling_leaves_the_alphabet_alone_and_is_done_once(text: str) -> None:
    spelled = transliterate(text)
    assert transliterate(spelled) == spelled
    found = best_form(text)
    if found is not None:
        assert found.text == spelled
        assert found.after.segments < found.before.segments


@settings(deadline=None)
@given(st.text(GSM, max_size=200))
def test_a_text_that_fits_stays(text: str) -> None:
    assert transliterate(text) == unicodedata.normalize("NFC", text) == text
    assert best_form(text) is None
