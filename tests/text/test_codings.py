"""What an inbound text's data_coding means, by table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.text import read_octets


@pytest.mark.parametrize(
    ("octets", "coding", "text"),
    [
        (b"\x00\x1b\x65", 0, "@€"),
        (b"@\x80", 1, "@€"),
        (b"caf\xe9", 2, "café"),
        (b"caf\xe9 \x93x\x94", 3, "café “x”"),
        (b"caf\xe9", 4, "café"),
        (b"\x1b$B$3$s\x1b(B", 5, "こん"),
        (b"\xbf\xe0", 6, "Пр"),
        (b"\xf9\xec", 7, "של"),
        ("您好😀".encode("utf-16-be"), 8, "您好😀"),
        (b"\xfe\xff\x60\xa8", 8, "您"),
        (b"\xff\xfe\xa8\x60", 8, "您"),
        (b"\x60\xa8\x60", 8, "您\ufffd"),  # an odd octet at the end
        (b"\xd8\x3d\x00\x41", 8, "\ufffdA"),  # half a pair
        (b"\x00", 9, "@"),  # pictograms: reserved, so the default
        (b"\x1b$B$3$s\x1b(B", 10, "こん"),
        (b"\xb0\xa1", 14, "가"),
        (b"\x00", 15, "@"),
        (b"\x00", 0x10, "@"),  # a class with the default alphabet
        (b"[", 0x15, "["),
        (b"\x60\xa8", 0x18, "您"),  # flash in UCS-2
        (b"\x60\xa8", 0x59, "您"),  # with automatic deletion
        (b"\x00", 0x1C, "@"),
        (b"\x00", 0x80, "@"),
        (b"\x00", 0x88, "@"),
        (b"\x00", 0xC8, "@"),  # message waiting
        (b"\x00", 0xD0, "@"),
        (b"\x60\xa8", 0xE0, "您"),
        (b"\x00", 0xF1, "@"),
        (b"[", 0xF5, "["),
    ],
)
def test_the_alphabet_of_a_data_coding(octets: bytes, coding: int, text: str) -> None:
    assert read_octets(octets, coding) == text


def test_the_default_is_the_binds() -> None:
    assert read_octets(b"@_\xe9", 0, alphabet="latin1") == "@_é"
    assert read_octets(b"@_\xe9", 0xF0, alphabet="latin1") == "@_é"
    assert read_octets(b"@\x11", 0) == "¡_"
    assert read_octets(b"\x1b\x69", 0, tables=(0, 1)) == "ı"


@given(st.binary(max_size=60), st.integers(0, 255), st.sampled_from(["gsm", "latin1"]))
def test_nothing_fails(octets: bytes, coding: int, alphabet: str) -> None:
    read_octets(octets, coding, alphabet=alphabet).encode("utf-8")  # type: ignore[arg-type]  # a strategy's string
