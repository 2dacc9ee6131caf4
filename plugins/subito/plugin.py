"""SubitoSMS (Italy) over HTTP: JSON both ways, and one group id for all messages of a request.

Builds requests and reads answers. Never does I/O, reads a clock, or raises for an answer: what an answer does
not prove is in doubt. The truth is the vendor's manual (MANUAL); where it is silent or contradicts itself, the
choice stands below.

BUGS: nothing recognises a repeat, and without the group's id what is in doubt only a person resolves. A batch
refused for want of credit may have left in part, and nothing says which part.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from broker.provider.contract import Ask, Balance, Call, Outcome, Receipt, Reply, Secret, Send, Traits
from broker.text import sender_form
from broker.words.message import Message
from broker.words.money import MICRO
from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass
from broker.words.settings import Url
from broker.words.status import RANK

TITLE = "SubitoSMS, Italy (HTTP)"
MANUAL = "https://www.subitosms.it/gateway_sms_json.php (JSON APIs 1.2, 2008-08-30)"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The account's own keys in broker.toml.

    `username`, `password`: those of the SubitoSMS account.
    `url`: scheme, host, port and any prefix before /json.php.
    `auth_form`: how the credentials are written: "object", or "list", the manual's other form, a list of one.
    """

    username: str
    password: Secret
    url: Url = "https://www.subitosms.it"
    auth_form: Literal["object", "list"] = "object"


# The gateway splits into four segments at most and says nothing of what it cuts: longer texts never go there.
# The manual sets no limit to a bulk; fifty keeps the damage of a lost answer small. One recipient must not
# stand twice in a call (CONTRACT 7: it never does), since a status names the group and the recipient only.
TRAITS = Traits(max_segments=4, batch=50, receipts=("poll",), ask_batch=50, unit="sms")

CODES: dict[str, OutcomeClass] = {
    "1": "misconfigured",
    "2": "misconfigured",
    "3": "misconfigured",
    "4": "misconfigured",
    "5": "no_credit",
    "7": "misconfigured",
}

QUERY_CODES: dict[str, ReceiptClass] = {
    "-100": "undelivered",
    "-50": "blocked",
    "-2": "progress",
    "-1": "progress",
    "0": "progress",
    "1": "delivered",
    "2": "undelivered",
    "4": "progress",
    "8": "progress",
    "16": "undelivered",
}

_ERRORS = {
    "1": "syntax error, or the credentials are missing",
    "2": "the username is missing",
    "3": "the password is missing",
    "4": "wrong username or password",
    "5": "not enough credit",
    "6": "the query names no id",
    "7": "the action is not defined",
}

_STATUSES = {
    "-100": "gateway error",
    "-50": "the destination has been blocked",
    "-2": "not processed",
    "-1": "not processed",
    "0": "accepted by the gateway",
    "1": "delivered to the phone",
    "2": "not delivered to the phone",
    "4": "buffered",
    "8": "sent",
    "16": "refused",
}


def build(config: Config, sends: Sequence[Send], now: int) -> Call:
    """The request for all of `sends` (manual: "Send SMS messages")."""
    return _post(
        config,
        "send",
        [{"sender": send.sender or "", "dest": send.message.to, "text": send.text} for send in sends],
    )


_JSON = (("Content-Type", "application/json"),)


def _post(config: Config, action: str, data: list[dict[str, Any]]) -> Call:
    password = config.password.reveal()
    auth = {"username": config.username, "password": password}
    body = msgspec.json.encode({"auth": [auth] if config.auth_form == "list" else auth, "data": data})
    # The body holds the password as JSON writes it, which may differ from the password itself.
    forms = (password, msgspec.json.encode(password)[1:-1].decode())
    secrets = tuple(dict.fromkeys(form for form in forms if form))
    return Call("POST", f"{config.url.rstrip('/')}/json.php?action={action}", _JSON, body, secrets)


def parse(config: Config, reply: Reply, sends: Sequence[Send]) -> list[Outcome]:
    """`{"data":{"id":…}}` or `{"error":{…}}`, and it speaks of the whole call; with both the id holds."""
    answer = _read_json(reply.body)
    group = _read_group(answer)
    if group is None:
        outcome = _read_refusal(answer, len(sends))
    elif _has_error(answer):
        code, _ = _read_error(answer)
        outcome = Outcome("accepted", code, "an id and an error together", (group,), evidence="anomaly")
    else:
        outcome = Outcome("accepted", refs=(group,))
    return [outcome] * len(sends)


# A string that never ends is taken whole: a hostile answer costs no second look at it.
_find_oddities = re.compile(rb'("(?:[^"\\]|\\.)*+"?)|,(?=\s*[}\]])', re.DOTALL).sub
_find_controls = re.compile(rb"[\x00-\x1f]").sub
_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)


def _read_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except _UNREADABLE:
        pass  # the manual's own examples have trailing commas, and lines that end inside a string: without them, once more
    try:
        return msgspec.json.decode(_find_oddities(_mend, body))
    except _UNREADABLE:
        return None


def _mend(found: re.Match[bytes]) -> bytes:
    return _find_controls(b" ", found[1]) if found[1] else b""


def _read_group(answer: Any) -> str | None:
    data = answer.get("data") if isinstance(answer, dict) else None
    if isinstance(data, list) and len(data) == 1:
        (data,) = data
    return _read_id(data.get("id")) if isinstance(data, dict) else None


_is_id = re.compile(r"[0-9]{1,20}").fullmatch


def _read_id(value: Any) -> str | None:
    text = _write_integer(value)
    return text if _is_id(text) and text.strip("0") else None


def _write_integer(value: Any) -> str:
    """Ids and codes come as numbers and as strings; "" for what is neither. Whoever asks looks at the digits."""
    return str(value).strip() if isinstance(value, int | str) else ""


def _has_error(answer: Any) -> bool:
    return isinstance(answer, dict) and bool(answer.get("error"))


_is_code = re.compile(r"-?[0-9]{1,5}").fullmatch
_WRONG_CREDENTIALS = "wrong username or password"


def _read_error(answer: Any) -> tuple[str | None, str | None]:
    """The code as it came, and the code whose row holds: the manual's own example says 3 for what is 4."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return None, None
    code = _read_code(error.get("code"))
    message = error.get("message")
    if code == "3" and isinstance(message, str) and message.strip().rstrip(".").lower() == _WRONG_CREDENTIALS:
        return code, "4"
    return code, code


def _read_code(value: Any) -> str | None:
    text = _write_integer(value)
    return text if _is_code(text) else None


def _read_refusal(answer: Any, count: int) -> Outcome:
    if not isinstance(answer, dict):
        return Outcome("in_doubt", detail="the answer is no JSON object", evidence="unreadable")
    code, row = _read_error(answer)
    if row is None or row not in CODES:
        return Outcome("in_doubt", code, "the manual has no such answer to this request")
    if row == "5" and count > 1:
        return Outcome("in_doubt", code, "not enough credit for the whole batch: a part of it may have left")
    return Outcome(CODES[row], code, _ERRORS[row])


def query(config: Config, asks: Sequence[Ask], now: int) -> Call:
    """The status of every group that `asks` name (manual: "Check status"), each once."""
    groups = dict.fromkeys(ask.refs[0] for ask in asks)
    return _post(config, "status", [{"id": _write_id(group)} for group in groups])


def _write_id(group: str) -> int | str:
    # The manual asks with numbers, and answers a send with a string.
    return int(group) if _is_id(group) and not group.startswith("0") else group


def parse_query(config: Config, reply: Reply, asks: Sequence[Ask]) -> list[Receipt]:
    """`[{"id":…, "messages":[…]}, …]`, by group and recipient; what is not found is the query's trouble."""
    answer = _read_json(reply.body)
    code, row = _read_error(answer)
    trouble = _ERRORS.get(row or "", "the answer does not name this group with this recipient")
    groups = _read_groups(answer)
    return [_read_receipt(ask, groups, code, trouble) for ask in asks]


def _read_groups(answer: Any) -> Mapping[str, list[dict[str, Any]]]:
    """Group id -> its messages. The examples answer with a bare list; the XML twin puts it under `data`."""
    items = answer.get("data") if isinstance(answer, dict) else answer
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in items if isinstance(items, list) else []:
        group = _read_id(item.get("id")) if isinstance(item, dict) else None
        messages = item.get("messages") if group else None
        if group and isinstance(messages, list):
            groups.setdefault(group, []).extend(each for each in messages if isinstance(each, dict))
    return groups


def _read_receipt(ask: Ask, groups: Mapping[str, list[dict[str, Any]]], error: str | None, trouble: str) -> Receipt:
    ref = ask.refs[0] if ask.refs else None
    messages = groups.get(ref, []) if ref else []
    found = _find_recipient(messages, ask.recipient)
    if not found:
        return Receipt("query_error", ref=ref, recipient=ask.recipient, code=error, detail=trouble, gone=ref in groups)
    codes = [_read_code(each.get("status")) for each in found]
    # One recipient stands once in a group; should its text come as several rows, the least of them counts.
    code = min(codes, key=lambda code: RANK.get(_class_of(code), -1))
    return Receipt(_class_of(code), ref=ref, recipient=ask.recipient, code=code, detail=_STATUSES.get(code or ""))


def _find_recipient(messages: Iterable[dict[str, Any]], recipient: str) -> list[dict[str, Any]]:
    named = [(re.sub(r"[^0-9+]", "", str(each.get("dest"))[:40]), each) for each in messages]
    digits = recipient.removeprefix("+")
    exact = [each for dest, each in named if dest.removeprefix("+").removeprefix("00") == digits]
    # The manual's samples also write Italian numbers without +39.
    return exact or [each for dest, each in named if _ITALY + dest == recipient]


def _class_of(code: str | None) -> ReceiptClass:
    return QUERY_CODES.get(code or "", "unrecognised")


def balance(config: Config, now: int) -> Call:
    """The three counters (manual: "Checking credit")."""
    return _post(config, "credit", [])


def parse_balance(config: Config, reply: Reply) -> list[Balance] | Outcome:
    """`{"data":{"Italy":"4021",…}}`; a counter that is missing or no count stays unknown, never zero."""
    answer = _read_json(reply.body)
    data = answer.get("data") if isinstance(answer, dict) else None
    counters = data if isinstance(data, dict) else {}
    counts = {bucket: _write_integer(counters.get(bucket)) for bucket in _BUCKETS}
    found = [Balance(name, "sms", int(count) * MICRO) for name, count in counts.items() if _is_count(count)]
    return found or _read_refusal(answer, 1)


_BUCKETS = ("Italy", "ItalyLow", "Foreign")
_is_count = re.compile(r"[0-9]{1,12}").fullmatch


def buckets(config: Config, message: Message, sender: str | None) -> tuple[str, ...]:
    """+39 from a name pays from Italy alone, from a number or none also from ItalyLow; else Foreign."""
    if not message.to.startswith(_ITALY):
        return ("Foreign",)
    if sender is not None and sender_form(sender) == "alphanumeric":
        return ("Italy",)
    return ("Italy", "ItalyLow")


_ITALY = "+39"
