"""One frame of every PDU, its octets written by hand from the manual: (name, PDU, status, command id, body). The sequence is 0x01020304."""

from broker.smpp import pdu, tlv
from broker.smpp.pdu import DestAddress, Pdu, UnsuccessSme
from broker.smpp.tlv import Tlv

SEQUENCE = 0x01020304

_BIND_BODY = b"SMPP3TEST\0secret08\0SUBMIT1\0\x34\x01\x02^4\0"
_BIND = {
    "system_id": "SMPP3TEST",
    "password": "secret08",
    "system_type": "SUBMIT1",
    "interface_version": 0x34,
    "addr_ton": 1,
    "addr_npi": 2,
    "address_range": "^4",
}
_VERSION = (Tlv(tlv.SC_INTERFACE_VERSION, b"\x34"),)
_SHORT = {
    "service_type": "CMT",
    "source_addr_ton": 5,
    "source_addr_npi": 0,
    "source_addr": "ACME",
    "dest_addr_ton": 1,
    "dest_addr_npi": 1,
    "destination_addr": "886912345678",
    "esm_class": 0x40,
    "protocol_id": 2,
    "priority_flag": 3,
    "schedule_delivery_time": "261121200000032+",
    "validity_period": "000001000000000R",
    "registered_delivery": 1,
    "replace_if_present_flag": 1,
    "data_coding": 8,
    "sm_default_msg_id": 7,
    "short_message": b"\x00h\x00i",
    "tlvs": (Tlv(tlv.USER_MESSAGE_REFERENCE, b"\x12\x34"), Tlv(0x2001, b"")),
}
_SHORT_BODY = (
    b"CMT\0\x05\x00ACME\0\x01\x01886912345678\0\x40\x02\x03261121200000032+\x00000001000000000R\0\x01\x01\x08\x07\x04\x00h\x00i"
    b"\x02\x04\x00\x02\x12\x34\x20\x01\x00\x00"
)
_SOURCE = {"source_addr_ton": 1, "source_addr_npi": 9, "source_addr": "555"}

Row = tuple[str, Pdu, int, int, bytes]

GOLDEN: list[Row] = [
    ("bind_receiver", pdu.BindReceiver(**_BIND), 0, 0x01, _BIND_BODY),  # type: ignore[arg-type]  # rows of mixed values
    ("bind_transmitter", pdu.BindTransmitter(**_BIND), 0, 0x02, _BIND_BODY),  # type: ignore[arg-type]  # the same
    ("bind_transceiver", pdu.BindTransceiver(**_BIND), 0, 0x09, _BIND_BODY),  # type: ignore[arg-type]  # the same
    ("bind_receiver_resp", pdu.BindReceiverResp("SMSC", _VERSION), 0, 0x8000_0001, b"SMSC\0\x02\x10\x00\x01\x34"),
    ("bind_transmitter_resp", pdu.BindTransmitterResp("SMSC"), 0, 0x8000_0002, b"SMSC\0"),
    ("bind_transceiver_resp", pdu.BindTransceiverResp("SMSC", _VERSION), 0, 0x8000_0009, b"SMSC\0\x02\x10\x00\x01\x34"),
    ("bind refused", pdu.BindTransceiverResp(), 0x0E, 0x8000_0009, b""),
    ("outbind", pdu.Outbind("SMSC", "secret"), 0, 0x0B, b"SMSC\0secret\0"),
    ("unbind", pdu.Unbind(), 0, 0x06, b""),
    ("unbind_resp", pdu.UnbindResp(), 0, 0x8000_0006, b""),
    ("generic_nack", pdu.GenericNack(), 0x03, 0x8000_0000, b""),
    ("enquire_link", pdu.EnquireLink(), 0, 0x15, b""),
    ("enquire_link_resp", pdu.EnquireLinkResp(), 0, 0x8000_0015, b""),
    ("submit_sm", pdu.SubmitSm(**_SHORT), 0, 0x04, _SHORT_BODY),  # type: ignore[arg-type]  # the same
    ("submit_sm, empty", pdu.SubmitSm(), 0, 0x04, bytes(17)),
    (
        "submit_sm with a payload",
        pdu.SubmitSm(destination_addr="1", tlvs=(Tlv(tlv.MESSAGE_PAYLOAD, b"hi"),)),
        *(0, 0x04, b"\0\0\0\0\0\x001\0\0\0\0\0\0\0\0\0\0\0\x04\x24\x00\x02hi"),
    ),
    ("submit_sm_resp", pdu.SubmitSmResp("7A"), 0, 0x8000_0004, b"7A\0"),
    ("submit_sm_resp, refused", pdu.SubmitSmResp(), 0x58, 0x8000_0004, b""),
    ("submit_sm_resp, refused with an id", pdu.SubmitSmResp("7A"), 0x58, 0x8000_0004, b"7A\0"),
    ("deliver_sm", pdu.DeliverSm(**_SHORT), 0, 0x05, _SHORT_BODY),  # type: ignore[arg-type]  # the same
    ("deliver_sm_resp", pdu.DeliverSmResp(), 0, 0x8000_0005, b"\0"),
    ("deliver_sm_resp, refused", pdu.DeliverSmResp(), 0x64, 0x8000_0005, b"\0"),
    (
        "submit_multi",
        pdu.SubmitMulti(
            service_type="CMT",
            **_SOURCE,  # type: ignore[arg-type]  # the same
            dest_addresses=(DestAddress(1, 1, "777"), DestAddress(dl_name="friends")),
            data_coding=3,
            short_message=b"hey",
        ),
        *(0, 0x21, b"CMT\0\x01\x09555\0\x02\x01\x01\x01777\0\x02friends\0\0\0\0\0\0\0\0\x03\0\x03hey"),
    ),
    (
        "submit_multi_resp",
        pdu.SubmitMultiResp("9", (UnsuccessSme(1, 1, "777", 0x0B), UnsuccessSme(0, 0, "", 0x400))),
        *(0, 0x8000_0021, b"9\0\x02\x01\x01777\0\0\0\0\x0b\0\0\0\0\0\x04\0"),
    ),
    (
        "data_sm",
        pdu.DataSm(**_SOURCE, destination_addr="1", registered_delivery=1, tlvs=(Tlv(tlv.MESSAGE_PAYLOAD, b"hi"),)),  # type: ignore[arg-type]  # the same
        *(0, 0x103, b"\0\x01\x09555\0\0\x001\0\0\x01\0\x04\x24\x00\x02hi"),
    ),
    (
        "data_sm_resp",
        pdu.DataSmResp("7A", (Tlv(tlv.DELIVERY_FAILURE_REASON, b"\x01"),)),
        *(0xFE, 0x8000_0103, b"7A\0\x04\x25\x00\x01\x01"),
    ),
    ("query_sm", pdu.QuerySm("7A", **_SOURCE), 0, 0x03, b"7A\0\x01\x09555\0"),  # type: ignore[arg-type]  # the same
    (
        "query_sm_resp",
        pdu.QuerySmResp("7A", "261121200000032+", 2, 5),
        *(0, 0x8000_0003, b"7A\x00261121200000032+\0\x02\x05"),
    ),
    (
        "cancel_sm",
        pdu.CancelSm("CMT", "7A", 1, 9, "555", 2, 8, "777"),
        *(0, 0x08, b"CMT\x007A\0\x01\x09555\0\x02\x08777\0"),
    ),
    ("cancel_sm_resp", pdu.CancelSmResp(), 0x11, 0x8000_0008, b""),
    (
        "replace_sm",
        pdu.ReplaceSm("7A", 1, 9, "555", "", "000001000000000R", 1, 7, b"new"),
        *(0, 0x07, b"7A\0\x01\x09555\0\x00000001000000000R\0\x01\x07\x03new"),
    ),
    ("replace_sm_resp", pdu.ReplaceSmResp(), 0x13, 0x8000_0007, b""),
    (
        "alert_notification",
        pdu.AlertNotification(1, 9, "555", 2, 8, "777", (Tlv(tlv.MS_AVAILABILITY_STATUS, b"\0"),)),
        *(0, 0x102, b"\x01\x09555\0\x02\x08777\0\x04\x22\x00\x01\0"),
    ),
    ("a vendor's", pdu.RawPdu(0x0001_0200, b"xyz"), 0, 0x0001_0200, b"xyz"),
]


def make_frame(command: int, body: bytes, status: int = 0, sequence: int = SEQUENCE) -> bytes:
    """A frame by hand."""
    return b"".join(number.to_bytes(4, "big") for number in (16 + len(body), command, status, sequence)) + body
