"""The alphabet against an independent codec (gsmcodecs, codec `gsm23.038`), character by character."""

import gsmcodecs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.text.gsm import DEFAULT_ALPHABET, ESCAPE, EXTENSION, encoding_of, widths_of

ORACLE = "gsm23.038"
assert gsmcodecs.__name__  # importing it registers the codecs

BASIC = DEFAULT_ALPHABET.replace(chr(ESCAPE), "")
EXTENDED = "".join(EXTENSION.values())


def septets_of(text: str) -> bytes | None:
    """What the oracle puts on the air, one octet per septet."""
    try:
        return text.encode(ORACLE)
    except UnicodeEncodeError:
        return None


def find_oracle_widths() -> dict[str, int]:
    """Every character that the oracle can read off the air, with the septets that it takes there."""
    found: dict[str, int] = {}
    for septets in (*(bytes([n]) for n in range(128)), *(bytes([ESCAPE, n]) for n in range(128))):
        try:
            found.setdefault(septets.decode(ORACLE), len(septets))
        except UnicodeDecodeError:
            continue
    return found


def test_every_character_of_unicode_is_where_the_oracle_has_it() -> None:
    expected = {c: width for c, width in find_oracle_widths().items() if septets_of(c) is not None}
    found = {}
    for code in range(0x110000):
        widths = widths_of(chr(code))
        if widths is not None:
            assert len(widths) == 1
            found[chr(code)] = 2 if widths[0] >= 0x80 else 1
    assert found == expected
    assert len(found) == 127 + 10


@pytest.mark.parametrize("septet", [n for n in range(128) if n != ESCAPE])
def test_the_default_alphabet_is_in_the_order_of_its_septets(septet: int) -> None:
    assert DEFAULT_ALPHABET[septet].encode(ORACLE) == bytes([septet])


@pytest.mark.parametrize("septet", EXTENSION)
def test_the_extension_table_is_at_its_septets(septet: int) -> None:
    assert EXTENSION[septet].encode(ORACLE) == bytes([ESCAPE, septet])


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("", "gsm7"),
        ("hello @ 10 £", "gsm7"),
        ("½", "ucs2"),
        ("line\nline\r", "gsm7"),
        ("€ [x] {y} ~ ^ | \\ \f", "gsm7"),
        ("Ç", "gsm7"),
        ("ç", "ucs2"),  # a trap: only the capital is in the table
        ("`", "ucs2"),  # another: the only printing ASCII character outside it
        ("ΔΦΓΛΩΠΨΣΘΞ", "gsm7"),
        ("ΑΒΕ", "ucs2"),  # Greek capitals that look Latin are not in it
        ("\x00", "ucs2"),
        ("a\x00", "ucs2"),
        ("\x1b", "ucs2"),
        ("\t", "ucs2"),
        ("“quoted”", "ucs2"),
        ("您好", "ucs2"),
        ("😀", "ucs2"),
        ("\ud83d", "ucs2"),
        ("\ufffe", "ucs2"),  # what marks an empty place inside the table
    ],
)
def test_encoding(text: str, encoding: str) -> None:
    assert encoding_of(text) == encoding


@settings(deadline=None)
@given(st.text(st.one_of(st.sampled_from(BASIC), st.sampled_from(EXTENDED), st.characters()), max_size=200))
def test_a_text_is_gsm_exactly_if_the_oracle_encodes_it(text: str) -> None:
    assert (encoding_of(text) == "gsm7") == (septets_of(text) is not None)


@settings(deadline=None)
@given(st.text(BASIC + EXTENDED, max_size=200))
def test_widths_are_those_of_each_character(text: str) -> None:
    widths = widths_of(text)
    assert widths is not None
    assert [1 + (octet >= 0x80) for octet in widths] == [len(character.encode(ORACLE)) for character in text]
