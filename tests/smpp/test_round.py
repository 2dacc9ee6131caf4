"""Every PDU, made at random, comes back from its octets as it was, however those are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from broker.smpp.codec import decode, encode
from broker.smpp.frames import Framer
from broker.smpp.pdu import Pdu
from tests.smpp.pdus import make_pdus


@given(make_pdus(), st.integers(0, 0xFFFF_FFFF), st.integers(0, 0xFFFF_FFFF))
def test_a_pdu_comes_back(pdu: Pdu, sequence: int, status: int) -> None:
    header, again = decode(encode(pdu, sequence, status))
    assert (header.command, header.sequence, header.status) == (pdu.COMMAND, sequence, status)
    assert again == pdu
    assert type(again) is type(pdu)


@given(st.lists(make_pdus(), max_size=4), st.lists(st.integers(0, 400)))
def test_a_stream_cut_anywhere_gives_the_same_frames(pdus: list[Pdu], cuts: list[int]) -> None:
    frames = [encode(pdu, n + 1) for n, pdu in enumerate(pdus)]
    stream = b"".join(frames)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    framer = Framer()
    found = [frame for begin, end in pairwise(places) for frame in framer.feed(stream[begin:end])]
    assert found == frames
    assert not framer.is_partial
