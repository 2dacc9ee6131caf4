"""What a text may hold, character by character, and that an error never shows the text."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.text.clean import TextError, clean


def is_refused(code: int) -> bool:
    """The list, said in another way than in the code: by category, but for the line ends and the BOM."""
    return code == 0xFEFF or (unicodedata.category(chr(code)) in ("Cc", "Cs") and chr(code) not in "\r\n")


def test_every_character_of_unicode() -> None:
    wrong = []
    for code in range(0x110000):
        text = f"a{chr(code)}b"
        try:
            passed = clean(text) == ("a\nb" if chr(code) == "\r" else text)
        except TextError:
            passed = is_refused(code)
        else:
            passed = passed and not is_refused(code)
        if not passed:
            wrong.append(f"U+{code:04X}")
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("", ""),
        ("one\ntwo", "one\ntwo"),
        ("one\r\ntwo\rthree\n\rfour\r\r\nfive", "one\ntwo\nthree\n\nfour\n\nfive"),
        ("\r", "\n"),
        ("  blanks stay  \n\n", "  blanks stay  \n\n"),
        ("e\u0301 is not composed", "e\u0301 is not composed"),
        ("👩\u200d👧 joiners stay", "👩\u200d👧 joiners stay"),
        ("odd\u00a0blanks\u2028stay", "odd\u00a0blanks\u2028stay"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a\x00b", "U+0000 at position 2"),
        ("\x1bhello", "U+001B at position 1"),
        ("tab\there", "U+0009 at position 4"),
        ("\x0c", "U+000C at position 1"),
        ("end\x7f", "U+007F at position 4"),
        ("\x80", "U+0080 at position 1"),
        ("next\x85line", "U+0085 at position 5"),
        ("\ufeffbom", "U+FEFF at position 1"),
        ("half \ud83d of it", "U+D83D at position 6"),
        ("\udfff", "U+DFFF at position 1"),
        ("\r\n\r\n\x01", "U+0001 at position 5"),  # as the text came, before its line ends are changed
        ("\x01\x02", "U+0001 at position 1"),
    ],
)
def test_refused(text: str, where: str) -> None:
    with pytest.raises(TextError, match=re.escape(where)):
        clean(text)


texts = st.text(st.one_of(st.characters(), st.sampled_from("\r\n\x00\x1b\t\ufeff ")))


@settings(deadline=None)
@given(texts)
def test_only_line_ends_change(text: str) -> None:
    try:
        cleaned = clean(text)
    except TextError:
        assert any(is_refused(ord(character)) for character in text)
        return
    assert "\r" not in cleaned
    assert cleaned == "\n".join(re.split("\r\n|\r|\n", text))
    assert clean(cleaned) == cleaned


@settings(deadline=None)
@given(st.text("abcdefgh", min_size=1))
def test_the_error_never_shows_the_text(secret: str) -> None:
    with pytest.raises(TextError) as caught:
        clean(f"<<{secret}>>\x00<<{secret}>>")
    assert f"<<{secret}>>" not in str(caught.value) + repr(caught.value)
