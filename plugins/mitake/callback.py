"""Mitake's calls to our callback address: what they say of a message, and the words that it wants to hear.

Raises nothing for a call. `statuscode` is never believed here: in a callback 0 and 1 mean success, everywhere else a reservation
and the carrier (README, "CALLBACK params"); `statusstr` and StatusFlag decide, and only where they agree.
"""

import re
from collections.abc import Mapping
from datetime import tzinfo
from urllib.parse import parse_qsl

from broker.provider.contract import CallbackAnswer, CallbackRequest, Parsed, Receipt
from broker.words.receipt import ReceiptClass
from broker.words.wall import read_wall

from .codes import CALLBACKS, MEANT

STAMP = "%Y%m%d%H%M%S"
"""YYYYMMDDHHNNSS of the manual, NN the minutes."""

_REFUSED = CallbackAnswer(400, (("Content-Type", "text/plain"),))
_MOST_FIELDS = 50

_is_ref = re.compile(r"#?[0-9A-Za-z]{1,20}").fullmatch
_is_mobile = re.compile(r"09[0-9]{8}").fullmatch
_is_international = re.compile(r"[1-9][0-9]{6,14}").fullmatch
_is_word = re.compile(r"[A-Z]{1,10}").fullmatch
_is_flag = re.compile(r"[0-9]?").fullmatch


def read_callback(request: CallbackRequest, zone: tzinfo) -> Parsed:
    """The one receipt of a call and the answer that ends its repetition; without a plain `msgid` neither."""
    fields = _read_fields(request)
    ref = fields.get("msgid", "")
    if not _is_ref(ref):  # what is not an id of theirs is never said back
        return Parsed(answer=_REFUSED)
    class_, code, detail = _judge(fields.get("statusstr", ""), fields.get("statusflag", ""))
    receipt = Receipt(
        class_,
        ref=ref,
        token=request.token,
        recipient=_find_recipient(fields.get("dstaddr", "")),
        code=code,
        detail=detail,
        at=read_stamp(fields.get("donetime", ""), zone),
        forms=(ref[1:] if ref.startswith("#") else f"#{ref}",),
    )
    body = f"magicid=sms_gateway_rpack\nmsgid={ref}\n".encode()
    return Parsed((receipt,), answer=CallbackAnswer(200, (("Content-Type", "text/plain"),), body))


def _read_fields(request: CallbackRequest) -> Mapping[str, str]:
    """The parameters by their name in lower case, the first of each; empty for what is no query string."""
    text = request.query
    if "application/x-www-form-urlencoded" in request.headers.get("content-type", "").lower():
        text = f"{text}&{request.body.decode('ascii', 'replace')}"  # the manual knows GET alone
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name.lower(), value)
    return fields


def _judge(word: str, flag: str) -> tuple[ReceiptClass, str | None, str | None]:
    """Class, code and detail of `statusstr` and StatusFlag."""
    code = (word if _is_word(word) else None) or (flag if _is_flag(flag) else None) or None
    flags, class_ = CALLBACKS.get(word, ("", None))
    if class_ is None:
        return "unrecognised", code, None
    if flag not in flags or len(flag) != bool(flags):
        return "unrecognised", code, "statusstr and StatusFlag disagree"
    return class_, code, MEANT[flag][1] if flag else None


def _find_recipient(mobile: str) -> str | None:
    if _is_mobile(mobile):
        return f"+886{mobile[1:]}"
    digits = mobile.removeprefix("+")
    return f"+{digits}" if _is_international(digits) else None


def read_stamp(text: str, zone: tzinfo) -> int | None:
    """Milliseconds UTC of a time as Mitake writes it; None for what is none."""
    try:
        return read_wall(text, zone, STAMP)
    except ValueError:
        return None
