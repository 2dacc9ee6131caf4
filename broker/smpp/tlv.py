"""Optional parameters (TLVs): every tag of SMPP 3.4 by name, the sizes that it may have, and readers for the known ones.

Keeps values as octets, in order, unknown tags included. The truth is the manual, section 5.3.2. Reading never fails: a value of a
wrong size reads as None, or as far as it goes.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

DEST_ADDR_SUBUNIT: Final = 0x0005
DEST_NETWORK_TYPE: Final = 0x0006
DEST_BEARER_TYPE: Final = 0x0007
DEST_TELEMATICS_ID: Final = 0x0008
SOURCE_ADDR_SUBUNIT: Final = 0x000D
SOURCE_NETWORK_TYPE: Final = 0x000E
SOURCE_BEARER_TYPE: Final = 0x000F
SOURCE_TELEMATICS_ID: Final = 0x0010
QOS_TIME_TO_LIVE: Final = 0x0017
PAYLOAD_TYPE: Final = 0x0019
ADDITIONAL_STATUS_INFO_TEXT: Final = 0x001D
RECEIPTED_MESSAGE_ID: Final = 0x001E
MS_MSG_WAIT_FACILITIES: Final = 0x0030
PRIVACY_INDICATOR: Final = 0x0201
SOURCE_SUBADDRESS: Final = 0x0202
DEST_SUBADDRESS: Final = 0x0203
USER_MESSAGE_REFERENCE: Final = 0x0204
USER_RESPONSE_CODE: Final = 0x0205
SOURCE_PORT: Final = 0x020A
DESTINATION_PORT: Final = 0x020B
SAR_MSG_REF_NUM: Final = 0x020C
LANGUAGE_INDICATOR: Final = 0x020D
SAR_TOTAL_SEGMENTS: Final = 0x020E
SAR_SEGMENT_SEQNUM: Final = 0x020F
SC_INTERFACE_VERSION: Final = 0x0210
CALLBACK_NUM_PRES_IND: Final = 0x0302
CALLBACK_NUM_ATAG: Final = 0x0303
NUMBER_OF_MESSAGES: Final = 0x0304
CALLBACK_NUM: Final = 0x0381
DPF_RESULT: Final = 0x0420
SET_DPF: Final = 0x0421
MS_AVAILABILITY_STATUS: Final = 0x0422
NETWORK_ERROR_CODE: Final = 0x0423
MESSAGE_PAYLOAD: Final = 0x0424
DELIVERY_FAILURE_REASON: Final = 0x0425
MORE_MESSAGES_TO_SEND: Final = 0x0426
MESSAGE_STATE: Final = 0x0427
USSD_SERVICE_OP: Final = 0x0501
DISPLAY_TIME: Final = 0x1201
SMS_SIGNAL: Final = 0x1203
MS_VALIDITY: Final = 0x1204
ALERT_ON_MESSAGE_DELIVERY: Final = 0x130C
ITS_REPLY_TYPE: Final = 0x1380
ITS_SESSION_INFO: Final = 0x1383

MOST = 0xFFFF
"""The most octets that any value may have."""

# tag → (name, least octets, most octets); a C-octet string counts its NUL.
TAGS: Final[dict[int, tuple[str, int, int]]] = {
    DEST_ADDR_SUBUNIT: ("dest_addr_subunit", 1, 1),
    DEST_NETWORK_TYPE: ("dest_network_type", 1, 1),
    DEST_BEARER_TYPE: ("dest_bearer_type", 1, 1),
    DEST_TELEMATICS_ID: ("dest_telematics_id", 2, 2),
    SOURCE_ADDR_SUBUNIT: ("source_addr_subunit", 1, 1),
    SOURCE_NETWORK_TYPE: ("source_network_type", 1, 1),
    SOURCE_BEARER_TYPE: ("source_bearer_type", 1, 1),
    SOURCE_TELEMATICS_ID: ("source_telematics_id", 1, 2),  # one in 5.3.2.8, but two for the destination's: both are met
    QOS_TIME_TO_LIVE: ("qos_time_to_live", 4, 4),
    PAYLOAD_TYPE: ("payload_type", 1, 1),
    ADDITIONAL_STATUS_INFO_TEXT: ("additional_status_info_text", 1, 256),
    RECEIPTED_MESSAGE_ID: ("receipted_message_id", 1, 65),
    MS_MSG_WAIT_FACILITIES: ("ms_msg_wait_facilities", 1, 1),
    PRIVACY_INDICATOR: ("privacy_indicator", 1, 1),
    SOURCE_SUBADDRESS: ("source_subaddress", 2, 23),
    DEST_SUBADDRESS: ("dest_subaddress", 2, 23),
    USER_MESSAGE_REFERENCE: ("user_message_reference", 2, 2),
    USER_RESPONSE_CODE: ("user_response_code", 1, 1),
    SOURCE_PORT: ("source_port", 2, 2),
    DESTINATION_PORT: ("destination_port", 2, 2),
    SAR_MSG_REF_NUM: ("sar_msg_ref_num", 2, 2),
    LANGUAGE_INDICATOR: ("language_indicator", 1, 1),
    SAR_TOTAL_SEGMENTS: ("sar_total_segments", 1, 1),
    SAR_SEGMENT_SEQNUM: ("sar_segment_seqnum", 1, 1),
    SC_INTERFACE_VERSION: ("sc_interface_version", 1, 1),
    CALLBACK_NUM_PRES_IND: ("callback_num_pres_ind", 1, 1),
    CALLBACK_NUM_ATAG: ("callback_num_atag", 0, 65),
    NUMBER_OF_MESSAGES: ("number_of_messages", 1, 1),
    CALLBACK_NUM: ("callback_num", 4, 19),
    DPF_RESULT: ("dpf_result", 1, 1),
    SET_DPF: ("set_dpf", 1, 1),
    MS_AVAILABILITY_STATUS: ("ms_availability_status", 1, 1),
    NETWORK_ERROR_CODE: ("network_error_code", 3, 3),
    MESSAGE_PAYLOAD: ("message_payload", 0, MOST),
    DELIVERY_FAILURE_REASON: ("delivery_failure_reason", 1, 1),
    MORE_MESSAGES_TO_SEND: ("more_messages_to_send", 1, 1),
    MESSAGE_STATE: ("message_state", 1, 1),
    USSD_SERVICE_OP: ("ussd_service_op", 1, 1),
    DISPLAY_TIME: ("display_time", 1, 1),
    SMS_SIGNAL: ("sms_signal", 2, 2),
    MS_VALIDITY: ("ms_validity", 1, 1),
    ALERT_ON_MESSAGE_DELIVERY: ("alert_on_message_delivery", 0, 0),
    ITS_REPLY_TYPE: ("its_reply_type", 1, 1),
    ITS_SESSION_INFO: ("its_session_info", 2, 2),
}


class Tlv(msgspec.Struct, frozen=True, gc=False):
    """One optional parameter: its tag, and its value as it stands on the wire, a string's NUL included."""

    tag: int
    value: bytes = b""

    def __repr__(self) -> str:
        return f"Tlv({name_tag(self.tag)}, {len(self.value)} octets)"  # the value may be a text


class Sar(msgspec.Struct, frozen=True, gc=False):
    """One part of a concatenated message, as the sar_* parameters say it: `part` counts from 1."""

    reference: int
    total: int
    part: int


def name_tag(tag: int) -> str:
    """The manual's name of a tag; `0x2000` where it has none."""
    known = TAGS.get(tag)
    return known[0] if known else f"0x{tag:04X}"


def check_tlv(tlv: Tlv) -> None:
    """Raise ValueError, naming the parameter, where its tag or its size is not the manual's."""
    if not 0 <= tlv.tag <= 0xFFFF:
        raise ValueError("tlv: a tag is 0 to 0xFFFF")
    name, least, most = TAGS.get(tlv.tag, ("", 0, MOST))
    if not least <= len(tlv.value) <= most:
        size = str(least) if least == most else f"{least} to {most}"
        raise ValueError(f"{name or name_tag(tlv.tag)}: takes {size} octets, not {len(tlv.value)}")


def make_number(tag: int, number: int) -> Tlv:
    """A parameter that is an unsigned integer, in the size that the manual gives it. Raises ValueError where it does not fit."""
    name, _, size = TAGS[tag]
    try:
        return Tlv(tag, number.to_bytes(size, "big"))
    except OverflowError:
        raise ValueError(f"{name}: does not fit {size} octet(s)") from None


def make_text(tag: int, text: str) -> Tlv:
    """A parameter that is a C-octet string: ASCII with a NUL behind. Raises ValueError for other characters."""
    if not text.isascii() or "\0" in text:
        raise ValueError(f"{name_tag(tag)}: only ASCII without NUL")
    return Tlv(tag, text.encode("ascii") + b"\0")


def make_sar(sar: Sar) -> tuple[Tlv, Tlv, Tlv]:
    """The three parameters of one part."""
    return (
        make_number(SAR_MSG_REF_NUM, sar.reference),
        make_number(SAR_TOTAL_SEGMENTS, sar.total),
        make_number(SAR_SEGMENT_SEQNUM, sar.part),
    )


def find_value(tlvs: Sequence[Tlv], tag: int) -> bytes | None:
    """The value of the first parameter with this tag; None without one."""
    for tlv in tlvs:
        if tlv.tag == tag:
            return tlv.value
    return None


def read_number(tlvs: Sequence[Tlv], tag: int) -> int | None:
    """The parameter as an unsigned integer, whatever its size from 1 to 8 octets; None without it."""
    value = find_value(tlvs, tag)
    return int.from_bytes(value, "big") if value and len(value) <= 8 else None


def read_text(tlvs: Sequence[Tlv], tag: int) -> str | None:
    """The parameter as a string, up to its first NUL if there is one; None without it."""
    value = find_value(tlvs, tag)
    return None if value is None else value.partition(b"\0")[0].decode("latin-1")


def read_receipted_id(tlvs: Sequence[Tlv]) -> str | None:
    """receipted_message_id, with or without its NUL; None where it is missing or empty."""
    return (read_text(tlvs, RECEIPTED_MESSAGE_ID) or "").strip() or None


def read_network_error(tlvs: Sequence[Tlv]) -> tuple[int, int] | None:
    """network_error_code as (network type, error code); None where it is missing or not three octets."""
    value = find_value(tlvs, NETWORK_ERROR_CODE)
    return (value[0], int.from_bytes(value[1:], "big")) if value is not None and len(value) == 3 else None


def read_sar(tlvs: Sequence[Tlv]) -> Sar | None:
    """The part that the sar_* parameters speak of; None unless all three are there and agree."""
    reference = read_number(tlvs, SAR_MSG_REF_NUM)
    total = read_number(tlvs, SAR_TOTAL_SEGMENTS)
    part = read_number(tlvs, SAR_SEGMENT_SEQNUM)
    if reference is None or total is None or part is None or not 1 <= part <= total:
        return None
    return Sar(reference, total, part)
