"""The framer: whole, byte by byte and with junk behind it gives the same frames, and it holds no more than one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.smpp.frames import MOST, Framer, FramingError
from tests.smpp.golden import GOLDEN, make_frame

FRAMES = [make_frame(command, body, status) for _, _, status, command, body in GOLDEN]
STREAM = b"".join(FRAMES)
# (what, four octets, the length that they say)
JUNK = [
    ("nothing", b"\0\0\0\0", 0),
    ("less than a header", b"\0\0\0\x0f", 15),
    ("one too many", (MOST + 1).to_bytes(4, "big"), MOST + 1),
    ("giant", b"\xff\xff\xff\xff", 0xFFFF_FFFF),
    ("HTTP", b"HTTP", 0x48545450),
    ("TLS", b"\x15\x03\x03\x00", 0x15030300),
]


def test_whole() -> None:
    framer = Framer()
    assert framer.feed(STREAM) == FRAMES
    assert not framer.is_partial


def test_byte_by_byte() -> None:
    framer = Framer()
    found = [frame for octet in STREAM for frame in framer.feed(bytes((octet,)))]
    assert found == FRAMES


def test_split_at_every_byte() -> None:
    for at in range(len(STREAM)):
        framer = Framer()
        assert framer.feed(STREAM[:at]) + framer.feed(STREAM[at:]) == FRAMES


@pytest.mark.parametrize(("octets", "length"), [row[1:] for row in JUNK], ids=[row[0] for row in JUNK])
def test_junk_behind_costs_no_frame_before_it(octets: bytes, length: int) -> None:
    whole, bytewise = Framer(), Framer()
    with pytest.raises(FramingError) as caught:
        whole.feed(STREAM + octets + STREAM)
    assert (caught.value.frames, caught.value.length) == (FRAMES, length)
    found = [frame for octet in STREAM + octets[:3] for frame in bytewise.feed(bytes((octet,)))]
    assert found == FRAMES
    with pytest.raises(FramingError) as caught:
        bytewise.feed(octets[3:])
    assert (caught.value.frames, caught.value.length) == ([], length)


def test_nothing_is_read_after_junk() -> None:
    framer = Framer()
    for octets in (bytes(4), STREAM):
        with pytest.raises(FramingError):
            framer.feed(octets)
    assert not framer.is_partial


@pytest.mark.parametrize("size", [16, MOST])
def test_the_least_and_the_most_pass(size: int) -> None:
    frame = size.to_bytes(4, "big") + bytes(size - 4)
    framer = Framer()
    assert framer.feed(frame[:-1]) == []
    assert framer.is_partial
    assert framer.feed(frame[-1:] + frame[:1]) == [frame]
    assert framer.is_partial


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_stream_is_cut_the_same_wherever_it_is_split(chunks: list[bytes]) -> None:
    def cut(pieces: list[bytes]) -> tuple[list[bytes], int | None]:
        framer, found = Framer(), []
        for piece in pieces:
            try:
                found += framer.feed(piece)
            except FramingError as problem:
                return found + problem.frames, problem.length
        return found, None

    assert cut(chunks) == cut([b"".join(chunks)])
