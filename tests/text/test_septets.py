"""Every national table against gsmcodecs octet by octet, some of the standard's own rows, and reading what is no text at all."""

from itertools import product

import gsmcodecs
import pytest
from gsmcodecs.charmaps import GSMCHARMAPS
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.text.gsm import DEFAULT_ALPHABET, ESCAPE, EXTENSION
from broker.text.septets import GSM, LANGUAGES, find_alphabet

EVERY = (0, *LANGUAGES.values())
TABLES = list(product(EVERY, EVERY))


def write(text: str, tables: tuple[int, int]) -> bytes | None:
    alphabet = find_alphabet(tables)
    places = alphabet.places_of(text)
    return None if places is None else alphabet.write(places)


def oracle_write(text: str, tables: tuple[int, int]) -> bytes | None:
    try:
        octets: bytes = gsmcodecs.Codec(*tables).encode(text)[0]
    except UnicodeEncodeError:
        return None
    return octets


def find_characters(tables: tuple[int, int]) -> str:
    """Every character that the two tables can write, and some that they cannot."""
    locking, single = (GSMCHARMAPS[language] for language in tables)
    codes = {*locking.get("locking", GSMCHARMAPS[0]["locking"])["encode"], *single["singleShift"]["encode"]}
    return "".join(map(chr, sorted(codes)))


@pytest.mark.parametrize("tables", TABLES)
def test_every_character_is_written_where_the_oracle_has_it(tables: tuple[int, int]) -> None:
    for character in find_characters(tables) + "\x1b\0`😀您":
        octets = write(character, tables)
        wanted = oracle_write(character, tables) if character != "\x1b" else None
        if octets != wanted:  # a character that a table has twice may be written at either place
            assert octets is not None
            assert wanted is not None
            assert len(octets) == len(wanted)
            assert gsmcodecs.Codec(*tables).decode(octets)[0] == character
        if octets is not None:
            assert find_alphabet(tables).read(octets) == character


@pytest.mark.parametrize("tables", TABLES)
def test_every_octet_is_read_as_the_oracle_reads_it(tables: tuple[int, int]) -> None:
    alphabet = find_alphabet(tables)
    for octets in (*(bytes([n]) for n in range(128) if n != ESCAPE), *(bytes([ESCAPE, n]) for n in range(128))):
        try:
            wanted = gsmcodecs.Codec(*tables).decode(octets)[0]
        except UnicodeDecodeError:  # a place that the table leaves empty: never refused, always one character
            wanted = alphabet.read(octets[1:]) if octets[0] == ESCAPE else DEFAULT_ALPHABET[octets[0]]
        assert alphabet.read(octets) == wanted
        assert len(wanted) == 1


def test_the_default_tables_are_those_of_the_hot_path() -> None:
    maps = GSMCHARMAPS[0]
    for septet in range(128):
        if septet != ESCAPE:
            assert GSM.read(bytes([septet])) == DEFAULT_ALPHABET[septet] == chr(maps["locking"]["decode"][septet])
    assert {n: chr(code) for n, code in maps["singleShift"]["decode"].items() if n != ESCAPE} == EXTENSION


# 23.038, annex A, as printed there: places of the single shift tables beyond the default extension, and of the locking tables.
SPANISH = {0x09: "ç", 0x41: "Á", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x61: "á", 0x69: "í", 0x6F: "ó", 0x75: "ú"}
TURKISH = {0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x67: "ğ", 0x69: "ı", 0x73: "ş"}
TURKISH_LOCKING = {0x04: "€", 0x07: "ı", 0x0B: "Ğ", 0x0C: "ğ", 0x1C: "Ş", 0x1D: "ş", 0x40: "İ", 0x60: "ç"}
PORTUGUESE_LOCKING = {0x04: "ê", 0x06: "ú", 0x07: "í", 0x08: "ó", 0x09: "ç", 0x0B: "Ô", 0x0C: "ô", 0x0E: "Á", 0x0F: "á", 0x12: "ª",
                      0x13: "Ç", 0x14: "À", 0x15: "∞", 0x16: "^", 0x17: "\\", 0x18: "€", 0x19: "Ó", 0x1A: "|", 0x1C: "Â", 0x1D: "â",
                      0x1E: "Ê", 0x40: "Í", 0x5B: "Ã", 0x5C: "Õ", 0x5D: "Ú", 0x5E: "Ü", 0x60: "~", 0x7B: "ã", 0x7C: "õ", 0x7D: "`",
                      0x7E: "ü"}  # fmt: skip


@pytest.mark.parametrize(
    ("tables", "own", "single"),
    [
        ((0, 2), {**EXTENSION, **SPANISH}, True),
        ((0, 1), {**EXTENSION, **TURKISH}, True),
        ((1, 0), TURKISH_LOCKING, False),
        ((3, 0), PORTUGUESE_LOCKING, False),
    ],
)
def test_the_standards_own_rows(tables: tuple[int, int], own: dict[int, str], single: bool) -> None:
    alphabet = find_alphabet(tables)
    for septet, character in own.items():
        assert alphabet.read(bytes([ESCAPE, septet] if single else [septet])) == character
    if single:
        assert {n: alphabet.read(bytes([ESCAPE, n])) for n in own} == own
        others = [n for n in range(128) if n not in own and n != ESCAPE]
        assert all(alphabet.read(bytes([ESCAPE, n])) == DEFAULT_ALPHABET[n] for n in others)
    else:
        others = [n for n in range(128) if n not in own and n != ESCAPE]
        same = [n for n in others if alphabet.read(bytes([n])) == DEFAULT_ALPHABET[n]]
        assert len(others) - len(same) <= 1  # º in Portuguese


def test_spanish_has_no_locking_table() -> None:
    spanish = LANGUAGES["spanish"]
    assert [each for each in LANGUAGES.values() if "locking" not in GSMCHARMAPS[each]] == [spanish]
    assert find_alphabet((spanish, 0)).places_of("Áb") is None


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", ""),
        (b"\x00\x02\x1b\x65", "@$€"),
        (b"\x1ba", "a"),  # the extension table has nothing there: the default alphabet's character (23.038, 6.2.1.1)
        (b"a\x1b", "a "),  # cut behind the escape
        (b"\x1b\x1ba", " a"),  # the escape to a further table, of which there is none
        (b"\x1b\x1b\x1b\x65", " €"),
        (b"\x1b\x1b\x1b", "  "),
        (b"a\xe9\x92b", "aé’b"),  # no septets: Latin-1, or what is sold as it
        (b"\x1b\xe9", "é"),
        (b"\x81", "\ufffd"),
    ],
)
def test_reading_is_tolerant(octets: bytes, text: str) -> None:
    assert GSM.read(octets) == text


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([*TABLES, (0, 14), (200, 77)]))
def test_any_octets_are_some_text(octets: bytes, tables: tuple[int, int]) -> None:
    text = find_alphabet(tables).read(octets)
    assert len(octets) - octets.count(ESCAPE) <= len(text) <= len(octets)


@settings(deadline=None)
@given(st.data(), st.sampled_from(TABLES))
def test_what_is_written_reads_the_same(data: st.DataObject, tables: tuple[int, int]) -> None:
    alphabet = find_alphabet(tables)
    text = data.draw(st.text(find_characters(tables).replace("\x1b", ""), max_size=200))
    places = alphabet.places_of(text)
    assert places is not None
    assert len(places) == len(text)
    octets = alphabet.write(places)
    assert alphabet.read(octets) == gsmcodecs.Codec(*tables).decode(octets)[0] == text
    assert octets.isascii()
    assert len(octets) == sum(1 + (place >= 0x80) for place in places)
