"""Our codec beside two unrelated ones, smpplib (Python) and smpp34 (Rust), both ways: what one writes the other reads, field by field.

Where they disagree on what real SMSCs send, the rows at the end say how, and show that ours is on the tolerant side and still refuses
what lacks a part.
"""

from typing import Any

import pytest
import smpp34
import smpplib.exceptions
import smpplib.smpp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from broker.smpp import pdu as pdus
from broker.smpp import tlv
from broker.smpp.codec import PduError, decode, encode
from broker.smpp.commands import name_command
from broker.smpp.pdu import DeliverSm, Pdu, SubmitSm
from broker.smpp.tlv import Tlv
from tests.smpp.golden import make_frame
from tests.smpp.pdus import make_pdus

FEW = settings(max_examples=30)  # thirty PDUs of twenty fields show as much as a hundred
# Its TLVs stand in an order of its own, one of each; these it takes in a submit_sm and a deliver_sm, in this order.
THEIR_TAGS = (
    tlv.USER_MESSAGE_REFERENCE,
    tlv.SOURCE_PORT,
    tlv.DESTINATION_PORT,
    tlv.SAR_MSG_REF_NUM,
    tlv.SAR_TOTAL_SEGMENTS,
    tlv.SAR_SEGMENT_SEQNUM,
    tlv.USER_RESPONSE_CODE,
    tlv.LANGUAGE_INDICATOR,
    tlv.ITS_SESSION_INFO,
)
PAIR = (SubmitSm, DeliverSm)
OTHERS = (
    *(pdus.BindReceiver, pdus.BindTransmitter, pdus.BindTransceiver, pdus.Unbind, pdus.UnbindResp, pdus.GenericNack),
    *(pdus.EnquireLink, pdus.EnquireLinkResp, pdus.SubmitSmResp, pdus.QuerySm, pdus.QuerySmResp),
    *(pdus.BindReceiverResp, pdus.BindTransmitterResp, pdus.BindTransceiverResp),
)


class Numbers:
    """What smpplib wants of a client: sequence numbers."""

    def __init__(self, sequence: int = 0) -> None:
        self.sequence = sequence

    def next_sequence(self) -> int:
        """The only one."""
        return self.sequence


def _parse(frame: bytes) -> Any:
    return smpplib.smpp.parse_pdu(frame, client=Numbers())


def _make(pdu: Pdu, sequence: int, **values: Any) -> Any:
    return smpplib.smpp.make_pdu(name_command(pdu.COMMAND), client=Numbers(sequence), **values)


@st.composite
def make_plain(draw: st.DrawFn) -> SubmitSm | DeliverSm:
    """A submit_sm or a deliver_sm with parameters that smpplib knows."""
    pdu = draw(make_pdus(PAIR))
    assert isinstance(pdu, SubmitSm | DeliverSm)
    tags = sorted(draw(st.sets(st.sampled_from(THEIR_TAGS), max_size=4)), key=THEIR_TAGS.index)
    return replace(pdu, tlvs=tuple(tlv.make_number(tag, draw(st.integers(0, 255))) for tag in tags))


@FEW
@given(make_plain(), st.integers(1, 0x7FFF_FFFF))
def test_smpplib_reads_what_we_write(pdu: SubmitSm | DeliverSm, sequence: int) -> None:
    theirs = _parse(encode(pdu, sequence))
    assert (theirs.command, theirs.sequence) == (name_command(pdu.COMMAND), sequence)
    assert theirs.sm_length == len(pdu.short_message)
    for name, value in _list_fields(pdu):
        assert (getattr(theirs, name) or b"") == _as_theirs(value), name
    for one in pdu.tlvs:
        assert getattr(theirs, tlv.name_tag(one.tag)) == int.from_bytes(one.value, "big")


@FEW
@given(make_plain(), st.integers(1, 0x7FFF_FFFF))
def test_we_read_what_smpplib_writes(pdu: SubmitSm | DeliverSm, sequence: int) -> None:
    numbers = {tlv.name_tag(one.tag): int.from_bytes(one.value, "big") for one in pdu.tlvs}
    theirs = _make(pdu, sequence, **dict(_list_fields(pdu)), **numbers)
    header, ours = decode(theirs.generate())
    assert header.sequence == sequence
    assert ours == pdu


@FEW
@given(make_pdus(OTHERS))
def test_the_other_pdus_agree_with_smpplib(pdu: Pdu) -> None:
    pdu = replace(pdu, tlvs=()) if hasattr(pdu, "tlvs") else pdu
    assume(getattr(pdu, "message_id", "x"))  # smpplib refuses to write an empty one
    assume(len(getattr(pdu, "password", "")) <= 8)  # and cuts a longer one off, which we write for those who give out such
    frame = encode(pdu, 7)
    theirs = _parse(frame)
    for name, value in _list_fields(pdu):
        assert (getattr(theirs, name) or b"") == _as_theirs(value), name
    again = _make(pdu, 7)
    for name, value in _list_fields(pdu):
        setattr(again, name, value)  # not in the constructor: that of a bind overwrites its version
    assert again.generate() == frame


def _as_theirs(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value or b""  # what is empty or zero, it leaves unset


def _list_fields(pdu: Pdu) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in asdict(pdu).items() if name != "tlvs"]


@FEW
@given(make_pdus(PAIR), st.integers(1, 0x7FFF_FFFF))
def test_smpp34_reads_what_we_write(pdu: SubmitSm | DeliverSm, sequence: int) -> None:
    theirs = smpp34.decode(encode(pdu, sequence))
    assert not isinstance(theirs, smpp34.RawPdu)
    assert (theirs.command_id, theirs.sequence_number) == (pdu.COMMAND, sequence)
    for name, value in _list_fields(pdu):
        assert getattr(theirs, name) == value, name
    assert [Tlv(one.tag, bytes(one.value)) for one in theirs.tlvs] == list(pdu.tlvs)


@FEW
@given(make_pdus(PAIR), st.integers(1, 0x7FFF_FFFF))
def test_smpp34_writes_the_same_octets(pdu: SubmitSm | DeliverSm, sequence: int) -> None:
    theirs = getattr(smpp34, type(pdu).__name__)(
        **dict(_list_fields(pdu)), tlvs=[smpp34.Tlv(one.tag, one.value) for one in pdu.tlvs], sequence_number=sequence
    )
    frame = theirs.encode()
    assert frame == encode(pdu, sequence)
    assert decode(frame)[1] == pdu


@FEW
@given(make_pdus())
def test_smpp34_sees_every_header_as_we_do(pdu: Pdu) -> None:
    theirs = smpp34.decode(encode(pdu, 9, 0x58))
    assert (theirs.command_id, theirs.sequence_number) == (pdu.COMMAND, 9)


_RECEIPTED = bytes(17) + b"\x00\x1e\x00\x02ab"

# (what, frame, ours reads it, smpplib does, smpp34 does)
DISAGREEMENTS: list[tuple[str, bytes, bool, bool, bool]] = [
    ("receipted_message_id without NUL", make_frame(5, _RECEIPTED), True, True, True),
    ("esm_class 0x24", make_frame(5, bytes(7) + b"\x24" + bytes(9)), True, True, True),
    *((f"data_coding {coding:#x}", make_frame(5, bytes(14) + bytes((coding, 0, 0))), True, True, True) for coding in (0x0B, 0x10, 0xF1)),
    ("a vendor's status", make_frame(0x8000_0004, b"\0", 0x400), True, True, True),
    ("a 24-character address", make_frame(5, bytes(3) + b"x" * 24 + bytes(14)), True, True, True),
    ("an unknown command", make_frame(0x12, b""), True, False, True),
    ("an unknown parameter", make_frame(5, bytes(17) + b"\x20\x00\x00\x01z"), True, False, True),
    ("a truncated body", make_frame(4, b"CMT\0\x01\x01"), False, True, False),
    ("a text longer than the PDU", make_frame(5, bytes(17) + b"\x04\x24\x00\x05ab"), False, True, True),
    ("another parameter longer than the PDU", make_frame(5, bytes(17) + b"\x00\x1e\x00\x03ab"), True, True, True),
]


@pytest.mark.parametrize(("frame", "ours", "theirs", "rusts"), [row[1:] for row in DISAGREEMENTS], ids=[row[0] for row in DISAGREEMENTS])
def test_where_they_disagree(frame: bytes, ours: bool, theirs: bool, rusts: bool) -> None:
    assert _is_read(lambda: decode(frame), PduError) == ours
    assert _is_read(lambda: _parse(frame), smpplib.exceptions.UnknownCommandError, KeyError) == theirs
    assert _is_read(lambda: smpp34.decode(frame), smpp34.SmppError) == rusts


def _is_read(read: Any, *refusals: type[Exception]) -> bool:
    try:
        read()
    except refusals:
        return False
    return True
