"""The user data header against 23.040's own examples, and against whatever else may stand there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.text.header import Concat, Header, read_header, write_header

NONE = Header()


@pytest.mark.parametrize(
    ("concat", "tables", "is_wide", "octets"),
    [
        (None, (0, 0), False, ""),
        (Concat(0x2A, 3, 2), (0, 0), False, "05 00 03 2a 03 02"),
        (Concat(0x12A, 3, 2), (0, 0), False, "05 00 03 2a 03 02"),  # a field of 8 bits keeps the low ones
        (Concat(0x12A, 3, 2), (0, 0), True, "06 08 04 01 2a 03 02"),
        (Concat(0x1012A, 255, 255), (0, 0), True, "06 08 04 01 2a ff ff"),
        (None, (1, 0), False, "03 25 01 01"),
        (None, (0, 2), False, "03 24 01 02"),
        (None, (3, 13), True, "06 25 01 03 24 01 0d"),
        (Concat(7, 2, 1), (6, 6), False, "0b 00 03 07 02 01 25 01 06 24 01 06"),
    ],
)
def test_a_header_and_back(concat: Concat | None, tables: tuple[int, int], is_wide: bool, octets: str) -> None:
    written = write_header(concat, tables, is_wide=is_wide)
    assert written == bytes.fromhex(octets)
    if written:
        low = concat and Concat(concat.reference & (0xFFFF if is_wide else 0xFF), concat.parts, concat.part)
        assert read_header(written + b"text") == (Header(low, tables), b"text")


@pytest.mark.parametrize(
    ("octets", "header", "rest"),
    [
        ("", NONE, ""),
        ("00 61", NONE, "61"),
        ("05 00 03 2a 03", NONE, ""),  # shorter than it says
        ("ff", NONE, ""),
        ("05 00 03 2a 03 00 61", NONE, "61"),  # part 0 of 3
        ("05 00 03 2a 03 04 61", NONE, "61"),  # part 4 of 3
        ("05 00 03 2a 00 00 61", NONE, "61"),
        ("05 00 02 2a 03 01 61", NONE, "61"),  # another length than the element's own
        ("06 00 04 2a 03 02 01 61", NONE, "61"),
        ("09 05 04 0b 84 23 f0 24 01 03 61", Header(None, (0, 3)), "61"),  # application ports before a table: passed over
        ("0a 00 03 01 02 01 00 03 02 02 02 61", Header(Concat(2, 2, 2)), "61"),  # of two the last
        ("0a 00 03 01 02 01 00 03 02 02 09 61", Header(Concat(1, 2, 1)), "61"),  # a last one that cannot be
        ("02 00 03 2a 03 02", NONE, "2a 03 02"),  # what follows is no longer the header's
        ("01 00 61", NONE, "61"),
        ("03 24 09 01 61", NONE, "61"),  # an element longer than the header
    ],
)
def test_reading_is_tolerant(octets: str, header: Header, rest: str) -> None:
    assert read_header(bytes.fromhex(octets)) == (header, bytes.fromhex(rest))


@given(st.binary(max_size=40))
def test_any_octets_have_some_header(octets: bytes) -> None:
    header, rest = read_header(octets)
    assert octets.endswith(rest)
    if header.concat is not None:
        assert 1 <= header.concat.part <= header.concat.parts
