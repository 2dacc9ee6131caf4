"""SMSC.ru's HTTP side, where `http_url` is set: the balance, what a message would cost, HLR requests; and results sent to our address.

Builds requests and reads answers; does no I/O. The credentials go in the body, for addresses get into logs. The truth is the provider's
pages "HTTP/HTTPS протокол" and "Статусы сообщений"; PROVIDERS.md, "SMSC.ru", has what of it is certain.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from broker.provider.contract import Ask, Balance, Call, CallbackAnswer, CallbackRequest, Outcome, Parsed, Receipt, Reply, Secret, Send
from broker.smpp.statuses import STATS
from broker.text import write_form
from broker.words.money import MICRO
from broker.words.outcome import OutcomeClass
from broker.words.receipt import FINAL_RECEIPTS, Lookup, ReceiptClass

ERRORS: Mapping[str, tuple[OutcomeClass, str]] = {
    "1": ("misconfigured", "the provider misses a parameter, or cannot read one"),
    "2": ("misconfigured", "wrong login, password or key, or our address is not allowed"),
    "3": ("no_credit", "not enough money"),
    "4": ("misconfigured", "our address is blocked for a while: too many errors"),
    "5": ("unsuitable", "a date of a wrong form"),
    "6": ("unsuitable", "the text or the sender is forbidden"),
    "7": ("rejected", "a number of a wrong form"),
    "8": ("rejected", "nothing can be delivered to this number"),
    "9": ("duplicate", "the same request again within a minute, or too many requests for a price"),
}
"""error_code → class, and what a person reads."""
STATUSES: Mapping[str, ReceiptClass] = {
    "-3": "query_error",
    "-2": "progress",
    "-1": "progress",
    "0": "progress",
    "1": "delivered",
    "2": "delivered",
    "3": "expired",
    "4": "delivered",
    "20": "undelivered",
    "22": "undelivered",
    "23": "undelivered",
    "24": "undelivered",
    "25": "undelivered",
}
"""A message's status by HTTP → class: 2 is read, 4 a link in it was followed."""
_STATUS_WORDS: Mapping[str, str] = {"1": "delivrd", "3": "expired", "20": "undeliv", "22": "undeliv", "23": "rejectd", "25": "undeliv"}

_is_number = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?").fullmatch
_is_id = re.compile(r"[0-9]{1,20}").fullmatch
_form = (("Content-Type", "application/x-www-form-urlencoded"),)


class Account(Protocol):
    """What of the plugin's Config this side needs."""

    @property
    def username(self) -> str: ...
    @property
    def password(self) -> Secret: ...
    @property
    def api_key(self) -> Secret | None: ...
    @property
    def http_url(self) -> str | None: ...


def _post(config: Account, page: str, **fields: str) -> Call:
    if config.api_key is not None:
        secret = config.api_key.reveal()
        who = {"apikey": secret}
    else:
        secret = config.password.reveal()
        who = {"login": config.username, "psw": secret}
    body = write_form({**who, **fields, "fmt": "3", "charset": "utf-8"}.items()).encode()
    return Call("POST", f"{(config.http_url or '').rstrip('/')}/sys/{page}", _form, body, (secret,))


def _read(body: bytes) -> dict[str, Any] | None:
    """The answer's one object; None for anything else."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _read_text(value: object) -> str:
    return str(value) if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else ""


def _read_money(value: object) -> int | None:
    """Micro-units; None for what is no amount. Finer than a millionth is cut off."""
    text = repr(value) if isinstance(value, float) else _read_text(value)
    if not _is_number(text):
        return None
    try:
        return int((Decimal(text) * MICRO).to_integral_value(ROUND_DOWN))
    except InvalidOperation:
        return None


def _read_refusal(found: dict[str, Any] | None) -> Outcome:
    code = _read_text((found or {}).get("error_code"))
    if code in ERRORS:
        class_, detail = ERRORS[code]
        return Outcome(class_, code, detail)
    return Outcome("in_doubt", code if _is_number(code) else None, "the provider's page has no such answer to this request")


# --- balance and price


def balance(config: Account, now: int) -> Call:
    """The money left."""
    return _post(config, "balance.php")


def parse_balance(config: Account, reply: Reply) -> list[Balance] | Outcome:
    """`{"balance":"100.5"}`, or an error."""
    found = _read(reply.body)
    amount = _read_money((found or {}).get("balance"))
    return _read_refusal(found) if amount is None else [Balance("money", "RUB", max(amount, 0))]


def price(config: Account, sends: Sequence[Send], now: int) -> Call:
    """What one message would cost. Not more than five times a minute for the same one: then it is error 9."""
    (send,) = sends
    sender = {"sender": send.sender} if send.sender else {}
    return _post(config, "send.php", phones=send.message.to, mes=send.text, cost="1", **sender)


def parse_price(config: Account, reply: Reply, sends: Sequence[Send]) -> tuple[int, int] | Outcome:
    """`{"cost":"1.44","cnt":1}`: the whole message's price in micro-units, and its segments; or an error."""
    found = _read(reply.body)
    cost, count = _read_money((found or {}).get("cost")), _read_text((found or {}).get("cnt"))
    return (cost, int(count)) if cost is not None and cost >= 0 and count.isdecimal() and len(count) < 4 else _read_refusal(found)


# --- HLR


def build(config: Account, sends: Sequence[Send], now: int) -> Call:
    """An HLR request: the one thing that is sent this way. Raises ValueError for several."""
    (send,) = sends
    return _post(config, "send.php", phones=send.message.to, mes="", hlr="1")


def parse(config: Account, reply: Reply, sends: Sequence[Send]) -> list[Outcome]:
    """`{"id":855469,"cnt":1}`, or an error; with both the id holds, as an anomaly."""
    found = _read(reply.body)
    ref = _read_text((found or {}).get("id"))
    if not _is_id(ref) or not ref.strip("0"):
        return [_read_refusal(found)]
    return [Outcome("accepted", None, None, (ref,), evidence="anomaly" if found and "error_code" in found else None)]


def query(config: Account, asks: Sequence[Ask], now: int) -> Call:
    """What became of an HLR request."""
    (ask,) = asks
    return _post(config, "status.php", phone=ask.recipient, id=ask.refs[0])


def parse_query(config: Account, reply: Reply, asks: Sequence[Ask]) -> list[Receipt]:
    """Its status and, once there is one, the lookup."""
    (ask,) = asks
    ref = ask.refs[0]
    found = _read(reply.body)
    status = _read_text((found or {}).get("status"))
    if found is None or status not in STATUSES:
        return [Receipt("query_error", ref, code=_read_text((found or {}).get("error_code")) or None)]
    return [Receipt(STATUSES[status], ref, code=status, lookup=_read_lookup(found, _STATUS_WORDS.get(status)))]


def _read_lookup(found: Mapping[str, Any], word: str | None) -> Lookup | None:
    """What the fields say of the number; None for a fate that is not final yet, and for fields that say nothing of a number."""
    if word is None or not found.keys() & {"mcc", "mnc", "cn", "net"}:
        return None
    said = {key: _read_text(found.get(key)).strip() for key in ("mcc", "mnc", "cn", "net", "rcn", "rnet", "err")}
    return Lookup(
        word,
        country=said["cn"] or None,
        network=said["mcc"] + said["mnc"].rjust(2, "0") if said["mcc"] else None,
        operator=said["net"] or None,
        roaming=said["rnet"] or said["rcn"] or None,
        code=said["err"] or None,
    )


# --- results sent to our address


def receipts(config: Account, request: CallbackRequest, now: int) -> Parsed:
    """What the provider sends to a handler of its account's settings: the fate of `id`, and what an HLR request found.

    No page names the parameters. `status` (or `stat`) is believed where it is a number of the page "Статусы сообщений" or a word of
    SMPP's receipts; a call that does not say so only tells that there is news of `id`, and the provider is asked. Answered 200 in any case.
    """
    said = _read_call(request)
    ref, status = said.get("id", ""), said.get("status") or said.get("stat") or ""
    if not _is_id(ref) or status == "-3":
        return Parsed(answer=CallbackAnswer())
    class_ = STATUSES.get(status) or STATS.get(status.upper())
    if class_ is None or class_ == "unrecognised":
        news = Receipt("unrecognised", ref, request.token, detail="the call does not say what: the provider is asked")
        return Parsed((news,))
    error = said.get("err", "")
    detail = f"err {error}" if error.isdecimal() and error.strip("0") and len(error) < 5 else None
    word = _STATUS_WORDS.get(status) or (status.lower() if class_ in FINAL_RECEIPTS and status.isalpha() else None)
    return Parsed((Receipt(class_, ref, request.token, code=status, detail=detail, lookup=_read_lookup(said, word)),))


def _read_call(request: CallbackRequest) -> dict[str, str]:
    """The parameters of query and body by their name in lower case, the first of each; of an HLR result never the subscriber's own."""
    said: dict[str, str] = {}
    for text in (request.query, request.body.decode("latin-1") if len(request.body) <= 65_536 else ""):
        for key, value in _split(text) if text.count("&") < 64 else ():
            said.setdefault(key.lower(), unquote_plus(value) if " " not in value else value)  # names are urlencoded by themselves as well
    return {key: value for key, value in said.items() if key not in ("imsi", "msc")}


def _split(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, errors="strict", max_num_fields=64)
    except UnicodeDecodeError:  # the provider's own charset, where a request says no other
        return parse_qsl(text, encoding="windows-1251", errors="replace", max_num_fields=64)
