"""The layouts of all bodies, field by field in wire order, with what each may hold; writes and reads any body by its layout.

A layout is data: (field, kind, most octets with the NUL). Strict in writing, tolerant in reading, as `codec` says. The truth is the
manual, section 4; the fields stand in the order of the structs in `pdu`.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, NoReturn

from broker.smpp import pdu as pdus
from broker.smpp import statuses
from broker.smpp.commands import RESPONSE
from broker.smpp.pdu import DestAddress, Pdu, UnsuccessSme
from broker.smpp.tlv import MESSAGE_PAYLOAD, Tlv, check_tlv, find_value

MOST_TEXT: Final = 256
"""The longest string that is read, whatever the manual allows the field: vendors write longer addresses and ids."""
MOST_TLVS: Final = 256
"""The most parameters that one PDU may have; a frame of empty ones would otherwise be 16,000."""

Kind = Literal["text", "time", "octet", "message", "recipients", "refused", "tlvs"]


class Field(NamedTuple):
    """One field of a body. `most`: octets, a string's NUL included."""

    name: str
    kind: Kind
    most: int = 1


class Bad(ValueError):
    """A field that cannot be read; `status` is what to answer."""

    def __init__(self, field: str, status: int = statuses.ESME_RINVCMDLEN) -> None:
        super().__init__(field)
        self.field = field
        self.status = status


def _text(name: str, most: int) -> Field:
    return Field(name, "text", most)


def _octets(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, "octet") for name in names)


def _address(side: str, name: str, most: int = 21) -> tuple[Field, ...]:
    return (*_octets(f"{side}_ton", f"{side}_npi"), _text(name, most))


_SOURCE = _address("source_addr", "source_addr")
_DEST = _address("dest_addr", "destination_addr")
_SERVICE = _text("service_type", 6)
_ID = _text("message_id", 65)
_TIMES = (Field("schedule_delivery_time", "time"), Field("validity_period", "time"))
_MESSAGE = Field("short_message", "message", 254)
_TLVS = Field("tlvs", "tlvs")
_PASSWORD = _text("password", 65)  # 9 in the manual; an account may say that its SMSC takes more (`long_login`)
_BIND = (
    *(_text("system_id", 16), _PASSWORD, _text("system_type", 13)),
    *(*_octets("interface_version", "addr_ton", "addr_npi"), _text("address_range", 41)),
)
_TAIL = (
    *_octets("esm_class", "protocol_id", "priority_flag"),
    *_TIMES,
    *_octets("registered_delivery", "replace_if_present_flag", "data_coding", "sm_default_msg_id"),
    *(_MESSAGE, _TLVS),
)

BODIES: Final[dict[type[Pdu], tuple[Field, ...]]] = {
    pdus.BindReceiver: _BIND,
    pdus.BindTransmitter: _BIND,
    pdus.BindTransceiver: _BIND,
    pdus.BindReceiverResp: (_text("system_id", 16), _TLVS),
    pdus.BindTransmitterResp: (_text("system_id", 16), _TLVS),
    pdus.BindTransceiverResp: (_text("system_id", 16), _TLVS),
    pdus.Outbind: (_text("system_id", 16), _PASSWORD),
    pdus.Unbind: (),
    pdus.UnbindResp: (),
    pdus.GenericNack: (),
    pdus.EnquireLink: (),
    pdus.EnquireLinkResp: (),
    pdus.SubmitSm: (_SERVICE, *_SOURCE, *_DEST, *_TAIL),
    pdus.DeliverSm: (_SERVICE, *_SOURCE, *_DEST, *_TAIL),
    pdus.SubmitSmResp: (_ID, _TLVS),
    pdus.DeliverSmResp: (_ID, _TLVS),
    pdus.SubmitMulti: (_SERVICE, *_SOURCE, Field("dest_addresses", "recipients", 254), *_TAIL),
    pdus.SubmitMultiResp: (_ID, Field("unsuccess_smes", "refused", 254), _TLVS),
    pdus.DataSm: (
        *(_SERVICE, *_address("source_addr", "source_addr", 65), *_address("dest_addr", "destination_addr", 65)),
        *(*_octets("esm_class", "registered_delivery", "data_coding"), _TLVS),
    ),
    pdus.DataSmResp: (_ID, _TLVS),
    pdus.QuerySm: (_ID, *_SOURCE),
    pdus.QuerySmResp: (_ID, Field("final_date", "time"), *_octets("message_state", "error_code"), _TLVS),
    pdus.CancelSm: (_SERVICE, _ID, *_SOURCE, *_DEST),
    pdus.CancelSmResp: (),
    pdus.ReplaceSm: (_ID, *_SOURCE, *_TIMES, *_octets("registered_delivery", "sm_default_msg_id"), _MESSAGE),
    pdus.ReplaceSmResp: (),
    pdus.AlertNotification: (
        *(*_address("source_addr", "source_addr", 65), *_address("esme_addr", "esme_addr", 65), _TLVS),
    ),
}

LAYOUTS: Final[dict[int, type[Pdu]]] = {kind.COMMAND: kind for kind in BODIES}
"""Command id → the PDU that it names."""

_BODILESS: Final = (pdus.BindResp, pdus.SubmitSmResp)
"""Responses that have no body where they carry an error (4.1.2, 4.4.2)."""

# field → what to answer where it is too long to be read
_STATUSES: Final = {
    "system_id": statuses.ESME_RINVSYSID,
    "password": statuses.ESME_RINVPASWD,
    "system_type": statuses.ESME_RINVSYSTYP,
    "service_type": statuses.ESME_RINVSERTYP,
    "source_addr": statuses.ESME_RINVSRCADR,
    "destination_addr": statuses.ESME_RINVDSTADR,
    "message_id": statuses.ESME_RINVMSGID,
    "schedule_delivery_time": statuses.ESME_RINVSCHED,
    "validity_period": statuses.ESME_RINVEXPIRY,
    "dl_name": statuses.ESME_RINVDLNAME,
}


def is_time(text: str) -> bool:
    """True for a time as 7.1.1 writes it, YYMMDDhhmmsstnn and `+`, `-` or `R`; `text` is ASCII."""
    return len(text) == 16 and text[:15].isdigit() and text[15] in "+-R"


# --- writing


def write_body(pdu: Pdu, status: int) -> bytes:
    """The body of a PDU. Raises ValueError, naming the field, for what the manual does not allow."""
    if status and isinstance(pdu, _BODILESS) and pdu == type(pdu)():
        return b""
    layout = BODIES.get(type(pdu))
    if layout is None:
        raise ValueError(f"{type(pdu).__name__}: is no PDU that can be written")
    body = b"".join([_write(field, getattr(pdu, field.name)) for field in layout])
    texts = (pdu.short_message, pdu.tlvs) if isinstance(pdu, pdus.SubmitMulti | pdus.ShortMessage) else (b"", ())
    if texts[0] and find_value(texts[1], MESSAGE_PAYLOAD) is not None:
        raise ValueError("message_payload: the text stands in short_message already")
    return body


def complain(pdu: Pdu) -> NoReturn:
    """Raise the ValueError that `write_body` has for a PDU which is known to be wrong."""
    write_body(pdu, 0)
    raise ValueError(f"{type(pdu).__name__}: cannot be written")


def _write(field: Field, value: Any) -> bytes:
    name, kind, most = field
    match kind:
        case "octet":
            return _write_octet(name, value)
        case "text":
            return write_text(name, value, most)
        case "time":
            written = write_text(name, value, 17)
            if value and not is_time(value):
                raise ValueError(f"{name}: is empty, or 15 digits and one of + - R")
            return written
        case "message":
            if len(value) > most:
                raise ValueError(f"{name}: {len(value)} octets, at most {most}; a longer text goes into message_payload")
            return bytes((len(value),)) + bytes(value)
        case "recipients":
            return _write_octet(name, len(value)) + b"".join([_write_recipient(one) for one in value])
        case "refused":
            return _write_octet(name, len(value)) + b"".join([_write_refused(one) for one in value])
        case _:
            return write_tlvs(value)


def _write_octet(name: str, value: int) -> bytes:
    if not (isinstance(value, int) and 0 <= value <= 255):
        raise ValueError(f"{name}: is an octet, 0 to 255")
    return bytes((value,))


def write_text(name: str, value: str, most: int) -> bytes:
    """A string and its NUL, in at most `most` octets. Raises ValueError, naming the field, for another."""
    if not value.isascii() or "\0" in value:
        raise ValueError(f"{name}: only ASCII without NUL")
    if len(value) >= most:
        raise ValueError(f"{name}: {len(value)} characters, at most {most - 1}")
    return value.encode("ascii") + b"\0"


def _write_address(one: DestAddress | UnsuccessSme) -> bytes:
    octets = _write_octet("dest_addr_ton", one.dest_addr_ton) + _write_octet("dest_addr_npi", one.dest_addr_npi)
    return octets + write_text("destination_addr", one.destination_addr, 21)


def _write_recipient(one: DestAddress) -> bytes:
    if one.dl_name is not None:
        return b"\x02" + write_text("dl_name", one.dl_name, 21)
    return b"\x01" + _write_address(one)


def _write_refused(one: UnsuccessSme) -> bytes:
    if not 0 <= one.error_status_code <= 0xFFFF_FFFF:
        raise ValueError("error_status_code: is 0 to 0xFFFFFFFF")
    return _write_address(one) + one.error_status_code.to_bytes(4, "big")


def write_tlvs(tlvs: Sequence[Tlv]) -> bytes:
    """All parameters, in order. Raises ValueError, naming the parameter, for a size that the manual does not allow."""
    for tlv in tlvs:
        check_tlv(tlv)
    return b"".join([tlv.tag.to_bytes(2, "big") + len(tlv.value).to_bytes(2, "big") + tlv.value for tlv in tlvs])


# --- reading


def read_body(command: int, status: int, frame: bytes) -> Pdu:
    """The PDU of a frame whose command is in LAYOUTS. Raises Bad for one that lacks a part.

    A response may lack its body whole; with an error status it may also end in the middle of it.
    """
    kind = LAYOUTS[command]
    is_response = bool(command & RESPONSE)
    if is_response and len(frame) == 16:
        return kind()
    values: list[object] = []
    at = 16
    for field in BODIES[kind]:
        try:
            value, at = _read(field, frame, at, is_response)
        except Bad:
            if is_response and status:
                break
            raise
        values.append(value)
    return kind(*values)


def _read(field: Field, frame: bytes, at: int, is_response: bool) -> tuple[object, int]:
    match field.kind:
        case "octet":
            return _read_octet(field.name, frame, at), at + 1
        case "text" | "time":
            return read_text(field.name, frame, at)
        case "message":
            size = _read_octet("sm_length", frame, at)
            return _read_octets(field.name, frame, at + 1, size, statuses.ESME_RINVMSGLEN), at + 1 + size
        case "recipients":
            return _read_many(frame, at, "number_of_dests", _read_recipient)
        case "refused":
            return _read_many(frame, at, "no_unsuccess", _read_refused)
        case _:
            return read_tlvs(frame, at, is_response), len(frame)


def _read_octet(name: str, frame: bytes, at: int) -> int:
    if at >= len(frame):
        raise Bad(name)
    return frame[at]


def _read_octets(name: str, frame: bytes, at: int, size: int, status: int = statuses.ESME_RINVCMDLEN) -> bytes:
    if at + size > len(frame):
        raise Bad(name, status)
    return frame[at : at + size]


def read_text(name: str, frame: bytes, at: int) -> tuple[str, int]:
    """The string at `at` and where the next field begins; the last string of a frame may lack its NUL."""
    if at >= len(frame):
        raise Bad(name)
    end = frame.find(b"\0", at)
    if end < 0:
        end = len(frame)
    if end - at > MOST_TEXT:
        raise Bad(name, _STATUSES.get(name, statuses.ESME_RINVPARLEN))
    return frame[at:end].decode("latin-1"), end + 1


def _read_many(frame: bytes, at: int, name: str, read_one: Any) -> tuple[object, int]:
    count = _read_octet(name, frame, at)
    at += 1
    found = []
    for _ in range(count):
        one, at = read_one(frame, at)
        found.append(one)
    return tuple(found), at


def _read_address(frame: bytes, at: int) -> tuple[tuple[int, int, str], int]:
    ton, npi = _read_octet("dest_addr_ton", frame, at), _read_octet("dest_addr_npi", frame, at + 1)
    text, at = read_text("destination_addr", frame, at + 2)
    return (ton, npi, text), at


def _read_recipient(frame: bytes, at: int) -> tuple[DestAddress, int]:
    flag = _read_octet("dest_flag", frame, at)
    if flag == 2:
        name, at = read_text("dl_name", frame, at + 1)
        return DestAddress(dl_name=name), at
    if flag != 1:
        raise Bad("dest_flag", statuses.ESME_RINVDESTFLAG)
    address, at = _read_address(frame, at + 1)
    return DestAddress(*address), at


def _read_refused(frame: bytes, at: int) -> tuple[UnsuccessSme, int]:
    address, at = _read_address(frame, at)
    code = _read_octets("error_status_code", frame, at, 4)
    return UnsuccessSme(*address, int.from_bytes(code, "big")), at + 4


def read_tlvs(frame: bytes, at: int, is_response: bool = False) -> tuple[Tlv, ...]:
    """The parameters from `at` to the end; fewer than four octets behind them are junk and let go.

    One that says to be longer than the frame is taken as far as it goes: vendors count a NUL that they do not send. Raises Bad where
    that would cut a text, and for more parameters than anybody sends; a response is read even so, for what it is for stands before.
    """
    tlvs: list[Tlv] = []
    end = len(frame)
    while end - at >= 4:
        tag, size = frame[at] << 8 | frame[at + 1], frame[at + 2] << 8 | frame[at + 3]
        if (at + 4 + size > end and tag == MESSAGE_PAYLOAD) or len(tlvs) == MOST_TLVS:
            if is_response:
                break
            raise Bad("tlv", statuses.ESME_RINVOPTPARSTREAM)
        tlvs.append(Tlv(tag, frame[at + 4 : at + 4 + size]))
        at += 4 + size
    return tuple(tlvs)
