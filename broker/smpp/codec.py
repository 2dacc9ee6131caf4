"""PDUs to octets and back: strict in what it writes, tolerant in what it reads. Keeps no state, answers nobody.

Reading takes what real SMSCs send though the manual forbids it: unknown statuses and parameters, a missing NUL at the end, responses
without a body, strings longer than allowed, a few stray octets behind. What lacks a mandatory part is a PduError, which says what to
answer. `fields` holds the layouts; the two PDUs of the hot path, submit_sm and deliver_sm, are written and read here at one go.
The truth is the manual, sections 3 and 4.
"""

from functools import lru_cache
from struct import Struct
from typing import Final

import msgspec

from broker.smpp.commands import DELIVER_SM, RESPONSE, SUBMIT_SM
from broker.smpp.fields import LAYOUTS, Bad, complain, is_time, read_body, read_text, read_tlvs, write_body, write_text, write_tlvs
from broker.smpp.frames import LEAST, MOST
from broker.smpp.pdu import DeliverSm, DeliverSmResp, Pdu, RawPdu, ShortMessage, SubmitSm, SubmitSmResp
from broker.smpp.statuses import ESME_RINVCMDLEN
from broker.smpp.tlv import MESSAGE_PAYLOAD, find_value

_HEADER: Final = Struct(">IIII")
_pack_header = _HEADER.pack
_unpack_header = _HEADER.unpack_from
_SUBMIT_SM_RESP: Final = RESPONSE | SUBMIT_SM
_DELIVER_SM_RESP: Final = RESPONSE | DELIVER_SM
_EMPTY_RESP: Final = DeliverSmResp()
_USUAL: Final = 256
"""Where the strings of a submit_sm or deliver_sm end at the latest, unless one is longer than the manual allows."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """The head of a PDU but its length: command id, command_status, sequence_number."""

    command: int
    status: int
    sequence: int


class PduError(ValueError):
    """A frame that cannot be read: `status_to_answer` says why, in a generic_nack or in the response to `command`.

    `field` is what was wrong, by the manual's name. Holds nothing of what the frame said besides.
    """

    def __init__(self, command: int, sequence: int, status_to_answer: int, field: str) -> None:
        super().__init__(f"command 0x{command:08X}: {field} cannot be read")
        self.command = command
        self.sequence = sequence
        self.status_to_answer = status_to_answer
        self.field = field


def encode(pdu: Pdu, sequence: int, status: int = 0) -> bytes:
    """The frame of a PDU. Raises ValueError, naming the field, for what the manual does not allow.

    A bind's or a submit_sm's response with a status has no body (4.1.2, 4.4.2) unless its fields say something.
    """
    if not (0 <= sequence <= 0xFFFF_FFFF and 0 <= status <= 0xFFFF_FFFF):
        raise ValueError("sequence_number and command_status are 0 to 0xFFFFFFFF")
    if isinstance(pdu, ShortMessage):
        body = _write_short(pdu)
    elif pdu == _EMPTY_RESP:
        return _pack_header(17, _DELIVER_SM_RESP, status, sequence) + b"\0"
    elif isinstance(pdu, SubmitSmResp) and not status and not pdu.tlvs:
        body = write_text("message_id", pdu.message_id, 65)
    elif isinstance(pdu, RawPdu):
        body = pdu.body
        if not 0 <= pdu.command <= 0xFFFF_FFFF:
            raise ValueError("command: is 0 to 0xFFFFFFFF")
        if len(body) > MOST - LEAST:
            raise ValueError(f"body: longer than a PDU may be, {MOST} octets")
        return _pack_header(LEAST + len(body), pdu.command, status, sequence) + body
    else:
        body = write_body(pdu, status)
    length = LEAST + len(body)
    if length > MOST:
        raise ValueError(f"{type(pdu).__name__}: longer than a PDU may be, {MOST} octets")
    return _pack_header(length, pdu.COMMAND, status, sequence) + body


def decode(frame: bytes) -> tuple[Header, Pdu]:
    """What one whole frame says. Raises PduError for one that lacks a part; a command in no table is a RawPdu."""
    if len(frame) < LEAST:
        raise PduError(0, 0, ESME_RINVCMDLEN, "command_length")
    length, command, status, sequence = _unpack_header(frame)
    if length != len(frame):
        raise PduError(command, sequence, ESME_RINVCMDLEN, "command_length")
    header = Header(command, status, sequence)
    try:
        if command == _SUBMIT_SM_RESP:
            return header, _read_submit_resp(frame)
        if command == DELIVER_SM:
            return header, _read_short(DeliverSm, status, frame)
        if command == SUBMIT_SM:
            return header, _read_short(SubmitSm, status, frame)
        if command in LAYOUTS:
            return header, read_body(command, status, frame)
    except Bad as bad:
        raise PduError(command, sequence, bad.status, bad.field) from None
    return header, RawPdu(command, frame[LEAST:])


def _write_short(pdu: ShortMessage) -> bytes:
    dest, message = pdu.destination_addr, pdu.short_message
    try:
        # All but the recipient and the text come again and again: what is around them is written once for many.
        source = _write_source(pdu.service_type, pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr)
        middle = _write_middle(
            pdu.esm_class,
            pdu.protocol_id,
            pdu.priority_flag,
            pdu.schedule_delivery_time,
            pdu.validity_period,
            pdu.registered_delivery,
            pdu.replace_if_present_flag,
            pdu.data_coding,
            pdu.sm_default_msg_id,
        )
        if not dest.isascii() or "\0" in dest or len(dest) > 20 or len(message) > 254:
            raise ValueError
        numbers = pdu.dest_addr_ton, pdu.dest_addr_npi
        body = b"%b%c%c%b\0%b%c%b" % (source, *numbers, dest.encode(), middle, len(message), message)
    except (ValueError, OverflowError, TypeError):  # say which field it is
        complain(pdu)
    if pdu.tlvs:
        if message and find_value(pdu.tlvs, MESSAGE_PAYLOAD) is not None:
            raise ValueError("message_payload: the text stands in short_message already")
        body += write_tlvs(pdu.tlvs)
    return body


@lru_cache(maxsize=256)
def _write_source(service: str, ton: int, npi: int, source: str) -> bytes:
    """The body's beginning: service_type and the sender's address. Raises ValueError, OverflowError or TypeError."""
    joined = f"{service}\0{source}"
    if joined.count("\0") != 1 or len(service) > 5 or len(source) > 20:
        raise ValueError
    return b"%b\0%c%c%b\0" % (service.encode("ascii"), ton, npi, source.encode("ascii"))


@lru_cache(maxsize=1024)
def _write_middle(
    esm_class: int,
    protocol: int,
    priority: int,
    schedule: str,
    validity: str,
    registered: int,
    replace: int,
    coding: int,
    default: int,
) -> bytes:
    """What stands between the recipient and sm_length. Raises ValueError, OverflowError or TypeError."""
    first, second = schedule.encode("ascii"), validity.encode("ascii")
    if (schedule and not is_time(schedule)) or (validity and not is_time(validity)):
        raise ValueError
    return b"%c%c%c%b\0%b\0%c%c%c%c" % (esm_class, protocol, priority, first, second, registered, replace, coding, default)


def _read_short(kind: type[ShortMessage], status: int, frame: bytes) -> Pdu:
    find = frame.index
    try:  # where the five strings end; each search begins behind the octets that follow the string before
        a = find(0, LEAST)
        b = find(0, a + 3)
        c = find(0, b + 3)
        d = find(0, c + 4)
        e = find(0, d + 1)
        registered, replace, coding, default, size = frame[e + 1 : e + 6]
    except ValueError:
        return read_body(kind.COMMAND, status, frame)  # which says what is wrong
    end = e + 6 + size
    if e > _USUAL or end > len(frame):
        return read_body(kind.COMMAND, status, frame)
    return kind(
        frame[LEAST:a].decode("latin-1") if a > LEAST else "",
        *(frame[a + 1], frame[a + 2], frame[a + 3 : b].decode("latin-1")),
        *(frame[b + 1], frame[b + 2], frame[b + 3 : c].decode("latin-1")),
        *(frame[c + 1], frame[c + 2], frame[c + 3]),
        frame[c + 4 : d].decode("latin-1") if d > c + 4 else "",
        frame[d + 1 : e].decode("latin-1") if e > d + 1 else "",
        *(registered, replace, coding, default),
        short_message=frame[e + 6 : end],
        tlvs=read_tlvs(frame, end) if end < len(frame) else (),
    )


def _read_submit_resp(frame: bytes) -> SubmitSmResp:
    end = frame.find(b"\0", LEAST)
    if end == len(frame) - 1 and end <= _USUAL:  # an id, its NUL, and nothing else
        return SubmitSmResp(frame[LEAST:end].decode("latin-1"))
    if len(frame) == LEAST:
        return SubmitSmResp()
    message_id, at = read_text("message_id", frame, LEAST)
    return SubmitSmResp(message_id, read_tlvs(frame, at, is_response=True) if at < len(frame) else ())
