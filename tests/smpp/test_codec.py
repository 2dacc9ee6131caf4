"""The codec: golden octets of every PDU, what it refuses to write, what it takes though the manual forbids it, what it refuses to read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from broker.smpp import pdu as pdus
from broker.smpp import tlv
from broker.smpp.codec import Header, PduError, decode, encode
from broker.smpp.fields import LAYOUTS, MOST_TLVS
from broker.smpp.pdu import DataSm, DeliverSm, Pdu, RawPdu, SubmitSm, SubmitSmResp
from broker.smpp.tlv import Sar, Tlv
from tests.smpp.golden import GOLDEN, SEQUENCE, make_frame
from tests.smpp.pdus import make_pdus

IDS = [row[0] for row in GOLDEN]


@pytest.mark.parametrize(("pdu", "status", "command", "body"), [row[1:] for row in GOLDEN], ids=IDS)
def test_golden_octets(pdu: Pdu, status: int, command: int, body: bytes) -> None:
    frame = make_frame(command, body, status)
    assert encode(pdu, SEQUENCE, status) == frame
    assert decode(frame) == (Header(command, status, SEQUENCE), pdu)


def test_every_pdu_has_golden_octets() -> None:
    assert {type(row[1]) for row in GOLDEN} == {*LAYOUTS.values(), RawPdu}
    assert len(LAYOUTS) == 27


def test_the_manuals_own_example() -> None:
    """A bind_transmitter, in section 3.2."""
    octets = "0000002F 00000002 00000000 00000001 534D50503354455354 00 7365637265743038 00 5355424D495431 00 00 01 01 00"
    bind = pdus.BindTransmitter("SMPP3TEST", "secret08", "SUBMIT1", 0, 1, 1, "")
    assert encode(bind, 1) == bytes.fromhex(octets)


# --- strict in writing: (what, PDU, the field that the complaint names)
WRONG: list[tuple[Pdu, str]] = [
    (pdus.BindTransceiver(system_id="x" * 16), "system_id"),
    (pdus.BindTransceiver(password="1" * 65), "password"),
    (pdus.BindTransceiver(system_type="x" * 13), "system_type"),
    (pdus.BindTransceiver(address_range="x" * 41), "address_range"),
    (pdus.BindTransceiver(interface_version=256), "interface_version"),
    (pdus.BindTransceiver(system_id="ü"), "system_id"),
    (pdus.BindTransceiver(password="a\0b"), "password"),
    (SubmitSm(service_type="123456"), "service_type"),
    (SubmitSm(source_addr="x" * 21), "source_addr"),
    (SubmitSm(destination_addr="x" * 21), "destination_addr"),
    (SubmitSm(destination_addr="1\x002"), "destination_addr"),
    (SubmitSm(source_addr="Ä"), "source_addr"),
    (SubmitSm(source_addr_ton=256), "source_addr_ton"),
    (SubmitSm(dest_addr_npi=-1), "dest_addr_npi"),
    (SubmitSm(esm_class=1000), "esm_class"),
    (SubmitSm(data_coding=256), "data_coding"),
    (SubmitSm(short_message=bytes(255)), "short_message"),
    (SubmitSm(validity_period="1h"), "validity_period"),
    (SubmitSm(validity_period="000001000000000X"), "validity_period"),
    (SubmitSm(schedule_delivery_time="²" * 15 + "+"), "schedule_delivery_time"),
    (SubmitSm(schedule_delivery_time="26112120000003+"), "schedule_delivery_time"),
    (SubmitSm(short_message=b"x", tlvs=(Tlv(tlv.MESSAGE_PAYLOAD, b""),)), "message_payload"),
    (SubmitSm(tlvs=(Tlv(tlv.SAR_MSG_REF_NUM, b"\0"),)), "sar_msg_ref_num"),
    (SubmitSm(tlvs=(Tlv(0x10000, b""),)), "tlv"),
    (SubmitSm(tlvs=(Tlv(0x1400, bytes(65536)),)), "0x1400"),
    (SubmitSm(tlvs=(Tlv(0x1400, bytes(65535)),)), "SubmitSm"),  # allowed alone, but not in one PDU
    (SubmitSmResp("x" * 65), "message_id"),
    (pdus.QuerySmResp(final_date="today"), "final_date"),
    (pdus.SubmitMulti(dest_addresses=(pdus.DestAddress(),) * 256), "dest_addresses"),
    (pdus.SubmitMulti(dest_addresses=(pdus.DestAddress(dl_name="x" * 21),)), "dl_name"),
    (pdus.SubmitMulti(short_message=b"x", tlvs=(Tlv(tlv.MESSAGE_PAYLOAD, b""),)), "message_payload"),
    (pdus.SubmitMultiResp(unsuccess_smes=(pdus.UnsuccessSme(error_status_code=1 << 32),)), "error_status_code"),
    (pdus.ReplaceSm(short_message=bytes(255)), "short_message"),
    (RawPdu(1 << 32), "command"),
    (RawPdu(1, bytes(65536)), "body"),
    (Pdu(), "Pdu"),
]


@pytest.mark.parametrize(("pdu", "field"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_what_the_manual_forbids_is_not_written(pdu: Pdu, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: ") as caught:
        encode(pdu, 1)
    assert "1\x002" not in str(caught.value)
    assert "Ä" not in str(caught.value)


@pytest.mark.parametrize(("sequence", "status"), [(-1, 0), (1 << 32, 0), (1, -1), (1, 1 << 32)])
def test_a_header_out_of_range_is_not_written(sequence: int, status: int) -> None:
    with pytest.raises(ValueError, match="sequence_number and command_status"):
        encode(pdus.EnquireLink(), sequence, status)


# --- tolerant in reading: (what, command, status, body, what it is)
TAKEN: list[tuple[str, int, int, bytes, Pdu]] = [
    ("a vendor's status", 0x8000_0004, 0x400, b"\0", SubmitSmResp()),
    ("no body, accepted", 0x8000_0004, 0, b"", SubmitSmResp()),
    ("no body, refused", 0x8000_0004, 8, b"", SubmitSmResp()),
    ("an id without its NUL", 0x8000_0004, 0, b"abc", SubmitSmResp("abc")),
    ("an id longer than allowed", 0x8000_0004, 0, b"x" * 100 + b"\0", SubmitSmResp("x" * 100)),
    ("an id that is not ASCII", 0x8000_0004, 0, b"\xff\0", SubmitSmResp("ÿ")),
    ("parameters behind an id", 0x8000_0004, 0, b"a\0\x20\x02\x00\x01z", SubmitSmResp("a", (Tlv(0x2002, b"z"),))),
    ("a parameter too long behind an id", 0x8000_0004, 0, b"a\0\x20\x02\x00\x09z", SubmitSmResp("a", (Tlv(0x2002, b"z"),))),
    ("a text too long behind an id", 0x8000_0004, 0, b"a\0\x04\x24\x00\x09z", SubmitSmResp("a")),
    ("a NUL counted and not sent", 5, 0, bytes(17) + b"\x00\x1e\x00\x03ab", DeliverSm(tlvs=(Tlv(0x1E, b"ab"),))),
    ("junk behind an id", 0x8000_0004, 0, b"a\0\x20\x02\x00", SubmitSmResp("a")),
    ("deliver_sm_resp without a body", 0x8000_0005, 0, b"", pdus.DeliverSmResp()),
    ("bind refused without a body", 0x8000_0009, 0x0E, b"", pdus.BindTransceiverResp()),
    ("bind taken without a body", 0x8000_0009, 0, b"", pdus.BindTransceiverResp()),
    ("bind_resp, its name without a NUL", 0x8000_0009, 0, b"SMSC", pdus.BindTransceiverResp("SMSC")),
    ("query refused with half a body", 0x8000_0003, 0x67, b"7A\0", pdus.QuerySmResp("7A")),
    ("query refused with a strange time", 0x8000_0003, 0, b"7A\x00soon\0\x02\x00", pdus.QuerySmResp("7A", "soon", 2)),
    ("enquire_link with a body", 0x15, 0, b"\0\0", pdus.EnquireLink()),
    ("unbind_resp with a body", 0x8000_0006, 0, b"\0", pdus.UnbindResp()),
    ("an unknown command", 0x0000_0012, 0, b"\x01", RawPdu(0x12, b"\x01")),
    ("an unknown response", 0x8000_0102, 0, b"", RawPdu(0x8000_0102)),
    ("a 24-character address", 5, 0, bytes(3) + b"x" * 24 + bytes(14), DeliverSm(source_addr="x" * 24)),
    ("a reserved data_coding", 5, 0, bytes(14) + b"\xf1\0\0", DeliverSm(data_coding=0xF1)),
    ("three stray octets", 5, 0, bytes(17) + b"\0\0\0", DeliverSm()),
    ("a receipted id without NUL", 5, 0, bytes(17) + b"\x00\x1e\x00\x02ab", DeliverSm(tlvs=(Tlv(0x1E, b"ab"),))),
    ("a parameter of a wrong size", 5, 0, bytes(17) + b"\x04\x27\x00\x02\0\x02", DeliverSm(tlvs=(Tlv(0x427, b"\0\x02"),))),
    ("255 octets", 5, 0, bytes(16) + b"\xff" + bytes(255), DeliverSm(short_message=bytes(255))),
    ("the text twice", 5, 0, bytes(16) + b"\x01a\x04\x24\x00\x01b", DeliverSm(short_message=b"a", tlvs=(Tlv(0x424, b"b"),))),
    ("data_sm without parameters", 0x103, 0, bytes(10), DataSm()),
    ("query_sm, its last string without a NUL", 3, 0, b"7A\0\x01\x01555", pdus.QuerySm("7A", 1, 1, "555")),
]


@pytest.mark.parametrize(("command", "status", "body", "pdu"), [row[1:] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_what_real_peers_send_is_taken(command: int, status: int, body: bytes, pdu: Pdu) -> None:
    header, found = decode(make_frame(command, body, status))
    assert header.status == status
    assert found == pdu


# --- refused in reading: (what, command, body, what to answer)
REFUSED: list[tuple[str, int, bytes, int]] = [
    ("no body", 5, b"", 0x02),
    ("nothing behind the strings", 5, bytes(11), 0x02),
    ("no sm_length", 5, bytes(16), 0x02),
    ("a short text", 5, bytes(16) + b"\x05abcd", 0x01),
    ("a payload too long", 5, bytes(17) + b"\x04\x24\x00\x05abcd", 0xC0),
    ("parameters without end", 5, bytes(17) + b"\x14\0\0\0" * (MOST_TLVS + 1), 0xC0),
    ("no end of an address", 5, bytes(3) + b"x" * 30, 0x02),
    ("an endless address", 5, bytes(3) + b"x" * 300 + bytes(14), 0x0A),
    ("an endless recipient", 5, bytes(6) + b"x" * 300 + bytes(14), 0x0B),
    ("half a submit_sm", 4, b"CMT\0\x01", 0x02),
    ("half a bind", 9, b"user\0", 0x02),
    ("an endless user", 9, b"x" * 300 + b"\0\0\0\x34\0\0\0", 0x0F),
    ("an endless id", 0x8000_0004, b"x" * 300, 0x0C),
    ("half a query_sm_resp", 0x8000_0003, b"7A\0", 0x02),
    ("a list without its members", 0x21, b"\0\0\0\0\x02\x01\x01\x01777\0", 0x02),
    ("a member of no kind", 0x21, b"\0\0\0\0\x01\x03777\0", 0x40),
    ("half a list of refusals", 0x8000_0021, b"9\0\x01\x01\x01777\0\0\0", 0x02),
]


@pytest.mark.parametrize(("command", "body", "status"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_lacks_a_part_is_refused(command: int, body: bytes, status: int) -> None:
    with pytest.raises(PduError) as caught:
        decode(make_frame(command, body))
    assert (caught.value.command, caught.value.sequence, caught.value.status_to_answer) == (command, SEQUENCE, status)
    assert "777" not in str(caught.value)


@pytest.mark.parametrize("frame", [b"", bytes(15), make_frame(4, b"")[:-1] + b"", make_frame(0x15, b"") + b"x", bytes(16)])
def test_a_length_that_is_not_the_frames_is_refused(frame: bytes) -> None:
    with pytest.raises(PduError) as caught:
        decode(frame)
    assert caught.value.status_to_answer == 0x02


@given(make_pdus(), st.data())
def test_a_cut_pdu_is_refused_or_a_shorter_one(pdu: Pdu, data: st.DataObject) -> None:
    """Cut anywhere, the length corrected: whatever is read can be told from what was cut, or only lacks what may be missing."""
    frame = encode(pdu, 1)
    cut = data.draw(st.integers(16, max(len(frame) - 1, 16)))
    shorter = cut.to_bytes(4, "big") + frame[4:cut]
    try:
        _, found = decode(shorter)
    except PduError:
        return
    assert type(found) is type(pdu)
    if isinstance(pdu, SubmitSm | DeliverSm):  # all but the optional parameters, or all
        assert isinstance(found, SubmitSm | DeliverSm)
        assert replace(found, tlvs=()) == replace(pdu, tlvs=())


@given(st.binary(max_size=200), st.sampled_from([*LAYOUTS, 0x77]), st.integers(0, 0xFFFF_FFFF))
def test_any_octets_are_read_or_refused(body: bytes, command: int, status: int) -> None:
    frame = make_frame(command, body, status)
    try:
        header, pdu = decode(frame)
    except PduError:
        return
    assert header == Header(command, status, SEQUENCE)
    assert type(pdu) is LAYOUTS.get(command, RawPdu)


@given(make_pdus())
def test_no_value_is_shown(pdu: Pdu) -> None:
    assert repr(pdu) == f"{type(pdu).__name__}(…)"
    assert "secret" not in repr([Tlv(0x424, b"secret"), pdus.DestAddress(1, 1, "secret"), pdus.UnsuccessSme(1, 1, "secret")])


def test_a_pdu_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        SubmitSm().data_coding = 8  # type: ignore[misc]  # that is the point
    assert msgspec.structs.replace(SubmitSm(), data_coding=8) == SubmitSm(data_coding=8)


def test_octets_are_found_where_they_stand() -> None:
    payload = (Tlv(tlv.MESSAGE_PAYLOAD, b"long"),)
    assert [one.octets for one in (SubmitSm(short_message=b"s"), DeliverSm(tlvs=payload), DataSm(tlvs=payload), DataSm())] == [
        *(b"s", b"long", b"long", b"")
    ]


def test_parameters_are_read_by_type() -> None:
    tlvs = (
        Tlv(tlv.RECEIPTED_MESSAGE_ID, b" 7A\0junk"),
        Tlv(tlv.MESSAGE_STATE, b"\x02"),
        Tlv(tlv.NETWORK_ERROR_CODE, b"\x03\x01\x02"),
        *tlv.make_sar(Sar(0x1234, 3, 2)),
        tlv.make_text(tlv.ADDITIONAL_STATUS_INFO_TEXT, "why"),
        Tlv(0x2000, b"1.5000\0"),
        Tlv(tlv.MESSAGE_STATE, b"\x05"),
    )
    assert tlv.read_receipted_id(tlvs) == "7A"
    assert tlv.read_number(tlvs, tlv.MESSAGE_STATE) == 2
    assert tlv.read_network_error(tlvs) == (3, 0x0102)
    assert tlv.read_sar(tlvs) == Sar(0x1234, 3, 2)
    assert tlv.read_text(tlvs, tlv.ADDITIONAL_STATUS_INFO_TEXT) == "why"
    assert tlv.read_text(tlvs, 0x2000) == "1.5000"
    assert tlv.find_value(tlvs, 0x2001) is None
    assert [tlv.name_tag(tag) for tag in (0x001E, 0x2000)] == ["receipted_message_id", "0x2000"]


def test_parameters_of_a_wrong_size_read_as_none() -> None:
    tlvs = (Tlv(tlv.RECEIPTED_MESSAGE_ID, b"\0"), Tlv(tlv.MESSAGE_STATE, b""), Tlv(tlv.NETWORK_ERROR_CODE, b"\x03"), Tlv(0x99, bytes(9)))
    assert tlv.read_receipted_id(tlvs) is None
    assert tlv.read_number(tlvs, tlv.MESSAGE_STATE) is None
    assert tlv.read_number(tlvs, 0x99) is None
    assert tlv.read_network_error(tlvs) is None
    assert tlv.read_sar(tlv.make_sar(Sar(1, 2, 1))[:2]) is None
    assert tlv.read_sar(tlv.make_sar(Sar(1, 2, 3))) is None


def test_a_parameter_that_does_not_fit_is_not_made() -> None:
    with pytest.raises(ValueError, match="sar_msg_ref_num"):
        tlv.make_number(tlv.SAR_MSG_REF_NUM, 65536)
    with pytest.raises(ValueError, match="receipted_message_id"):
        tlv.make_text(tlv.RECEIPTED_MESSAGE_ID, "ä")
