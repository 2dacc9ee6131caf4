"""Reads delivery receipts: whether a deliver_sm or data_sm is one, and what its parameters and its text say.

Parameters win over the text. The text is read as `key:value` tokens in any order, not by one pattern, for no two vendors write it alike;
everything behind `text:` is the message's own and proves nothing. Never says which message is meant (`ids` gives the ways to
write its id) and never raises. The truth is the manual, 5.2.12, 5.3.2 and appendix B, and PROVIDERS.md, "SMPP codes".
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from broker.smpp.pdu import DataSm, ShortMessage
from broker.smpp.statuses import STATES, STATS
from broker.smpp.tlv import MESSAGE_STATE, read_network_error, read_number, read_receipted_id
from broker.words.receipt import FINAL_RECEIPTS, Lookup, ReceiptClass

_TYPE: Final = 0x3C  # the bits of esm_class that say what kind of message it is (5.2.12)
_RECEIPT: Final = 0x04
_DELIVERY_ACK: Final = 0x08
_INTERMEDIATE: Final = 0x20
_UDHI: Final = 0x40
_UCS2: Final = 8

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A key begins a text or follows a blank, and its colon follows at once; two have a blank of their own.
_split_keys = re.compile(r"(?:(?<=\s)|^)(submit[ _]?date|done[ _]?date|[A-Za-z][\w-]*):", re.IGNORECASE).split
# The usual ones, which need not be read letter by letter.
_KEYS: Final = {key: key.replace(" ", "_") for key in ("id", "sub", "dlvrd", "submit date", "done date", "stat", "err", "text")}
_SECRET: Final = frozenset({"imsi", "msc"})
# Appendix B to the letter, as most write it: read at one go, and to the same result as token by token.
_is_usual = re.compile(
    r"id:(\S*) sub:(\S*) dlvrd:(\S*) submit date:(\S*) done date:(\S*) stat:(\S*) err:(\S*)(?: text:.*)?", re.DOTALL | re.IGNORECASE
).fullmatch
_USUAL_KEYS: Final = ("id", "sub", "dlvrd", "submit_date", "done_date", "stat", "err")


class Report(msgspec.Struct, frozen=True, gc=False):
    """What one receipt says. `ref` is the SMSC's id as this receipt writes it, None where it names none; `also` the id by the text,
    where the parameter has another.

    `stat` is the SMSC's word for the state, in upper case, from the parameter where there is one; `err` its own code of the reason, as
    written; `network_error` is (network type, code); times are milliseconds UTC. `fields` are all tokens of the text by key in lower case
    (`submit_date`, `done_date`), but the text itself and a subscriber's IMSI, which nobody needs.
    """

    class_: ReceiptClass = msgspec.field(name="class")
    ref: str | None = None
    also: str | None = None
    stat: str | None = None
    err: str | None = None
    submitted_at: int | None = None
    done_at: int | None = None
    network_error: tuple[int, int] | None = None
    fields: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Report({self.class_})"


def is_receipt(pdu: ShortMessage | DataSm) -> bool:
    """True for a receipt, False for a message from a handset: by esm_class, by receipted_message_id, or plainly by its text.

    A text counts alone only where esm_class says nothing: it must begin with an id and have a known `stat` and one field more, for
    anybody with a phone can write to us.
    """
    kind = pdu.esm_class & _TYPE
    if kind & (_RECEIPT | _INTERMEDIATE) or kind == _DELIVERY_ACK or read_receipted_id(pdu.tlvs) is not None:
        return True
    octets = pdu.octets
    if kind or octets[:16].replace(b"\0", b"").lstrip()[:3].lower() != b"id:":
        return False
    fields = read_fields(_read_text(pdu))
    is_known = fields.get("stat", "").upper() in STATS
    return bool(is_known and fields.get("id") and not fields.keys().isdisjoint({"err", "dlvrd", "submit_date", "done_date"}))


def read_receipt(pdu: ShortMessage | DataSm, zone: int = 0) -> Report:
    """What a receipt says; `zone` is the offset of the SMSC's clock from UTC in minutes. Ask `is_receipt` first."""
    fields = read_fields(_read_text(pdu))
    class_, stat = _judge(pdu, fields)
    error = read_network_error(pdu.tlvs)
    told, written = read_receipted_id(pdu.tlvs), fields.get("id") or None
    return Report(
        class_,
        ref=told or written,
        also=written if told and written != told else None,
        stat=stat,
        err=fields.get("err") or (str(error[1]) if error else None),
        submitted_at=read_date(fields.get("submit_date", ""), zone),
        done_at=read_date(fields.get("done_date", ""), zone),
        network_error=error,
        fields=fields,
    )


def _judge(pdu: ShortMessage | DataSm, fields: Mapping[str, str]) -> tuple[ReceiptClass, str | None]:
    """The class and the word, by message_state, else by `stat`."""
    said = fields.get("stat", "").upper() or None
    state = STATES.get(read_number(pdu.tlvs, MESSAGE_STATE) or 0)
    word = state[0] if state else said
    class_: ReceiptClass = STATS.get(word, "unrecognised") if word else "unrecognised"
    kind = pdu.esm_class & _TYPE
    if kind == _INTERMEDIATE and class_ in FINAL_RECEIPTS and class_ != "delivered":
        class_ = "progress"  # an attempt failed and the SMSC goes on trying: what is final comes as a receipt
    return class_, word


def read_state(state: int) -> tuple[str, ReceiptClass]:
    """The word and the class of a message_state, as a query_sm_resp gives it."""
    return STATES.get(state, (f"STATE {state}", "unrecognised"))


def read_fields(text: str) -> dict[str, str]:
    """The `key:value` tokens of a receipt's text; of a key that comes twice the first. A value may be empty or have blanks."""
    usual = _is_usual(text)
    if usual is not None:
        return dict(zip(_USUAL_KEYS, usual.groups(), strict=True))
    fields: dict[str, str] = {}
    pieces = _split_keys(text)
    for written, value in zip(pieces[1::2], pieces[2::2], strict=True):
        key = _KEYS.get(written) or _name_key(written)
        if key == "text":
            break
        if key not in fields:
            fields[key] = value.strip()
    for key in _SECRET:
        fields.pop(key, None)
    return fields


def _name_key(written: str) -> str:
    key = written.lower()
    return f"{key[:-4].rstrip(' _')}_date" if key.endswith("date") else key


def _read_text(pdu: ShortMessage | DataSm) -> str:
    octets = pdu.octets
    if pdu.esm_class & _UDHI and octets:
        octets = octets[octets[0] + 1 :]
    # A receipt's text is ASCII, whatever data_coding says of it, but some vendors write all their messages in UCS-2.
    if pdu.data_coding == _UCS2 or octets[:1] == b"\0":
        return octets.decode("utf-16-be", "replace")
    return octets.replace(b"\0", b"").decode("latin-1")


def read_lookup(report: Report) -> Lookup | None:
    """What an HLR request found, where the receipt has its fields (`mcc mnc cn net rcn rnet`, urlencoded); None for any other."""
    fields = report.fields
    if fields.keys().isdisjoint({"mcc", "mnc", "cn", "net"}):
        return None
    said = {key: unquote_plus(fields.get(key, "")).strip() for key in ("mcc", "mnc", "cn", "net", "rcn", "rnet")}
    network = said["mcc"] + said["mnc"] if said["mcc"] else ""
    return Lookup(
        (report.stat or "unknown").lower(),
        country=said["cn"] or None,
        network=network or None,
        operator=said["net"] or None,
        roaming=said["rnet"] or said["rcn"] or None,
        code=report.err,
    )


@lru_cache(maxsize=512)  # receipts come in crowds, and most name one of a few minutes
def read_date(text: str, zone: int = 0) -> int | None:
    """Milliseconds UTC of a receipt's date; None for what is none. `zone`: minutes that the SMSC's clock is ahead of UTC.

    YYMMDDhhmm[ss] (appendix B), YYYYMMDDhhmm[ss], the absolute time of 7.1.1 with its own offset, and any of them with separators.
    """
    sign = text[15:16]
    if len(text) == 16 and sign in ("+", "-") and text[:15].isascii() and text[:15].isdigit():
        quarters = int(text[13:15])
        return _read_digits(text[:12], 15 * (quarters if sign == "+" else -quarters))
    digits = re.sub(r"[-:/. T]", "", text)
    return _read_digits(digits, zone) if digits.isascii() and digits.isdigit() else None


def _read_digits(digits: str, zone: int) -> int | None:
    forms = {10: ("20" + digits + "00",), 12: ("20" + digits, digits + "00"), 14: (digits,)}.get(len(digits), ())
    for form in forms:
        month, day, hour, minute, second = (int(form[at : at + 2]) for at in range(4, 14, 2))
        try:
            moment = datetime(int(form[:4]), month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            continue
        return (moment - _EPOCH) // timedelta(milliseconds=1) - zone * 60_000
    return None
