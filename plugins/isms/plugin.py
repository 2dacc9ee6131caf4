"""iSMS.gr (Greece) over its HTTP API: a GET for each message, answered with one line of plain text.

Builds requests and reads answers. Never does I/O, reads a clock, or raises for an answer: what an answer does
not prove is in doubt. The truth is the vendor's page (MANUAL); where it is silent, the choice stands below. SOAP,
SMPP, flash, number lookup, contacts and the provider's own schedule are not in this version.

BUGS: credentials, text and number travel in the address, so keep `url` on https and the provider's logs in mind.
Nothing recognises a repeat: without an id, what is in doubt only a receipt or a person resolves.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Literal
from urllib.parse import quote_plus, urlencode

import msgspec

from broker.provider.contract import Ask, Balance, Call, Outcome, Receipt, Reply, Secret, Send, Traits
from broker.words.message import Message
from broker.words.money import MICRO
from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass

TITLE = "iSMS.gr, Greece (HTTP)"
MANUAL = "https://isms.gr/api-για-αποστολή-sms/ (a page without a date; its examples are of 2017)"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The account's own keys in broker.toml.

    `username`, `password`: those of the account. Both travel in the query string, so keep `url` on https.
    `protocol`: "http"; "soap" and "smpp" are not in this version.
    `url`: scheme, host, port and any prefix before /api/http/.
    `soap_url`: the whole address of the SOAP service; `host`, `port`: the SMPP server. Not in this version.
    """

    username: str
    password: Secret
    protocol: Literal["http", "soap", "smpp"] = "http"
    url: str = "https://cp.isms.gr"
    soap_url: str | None = None
    host: str | None = None
    port: int | None = None


def check(config: Config) -> list[tuple[str, str]]:
    """What cannot be used as it stands: (key, problem and remedy) for each."""
    problems = []
    if config.protocol != "http":
        problems.append(("protocol", f'not in this version: "{config.protocol}"; write "http" or leave the key out'))
    for key, protocol in (("soap_url", "soap"), ("host", "smpp"), ("port", "smpp")):
        if getattr(config, key) is not None:
            problems.append((key, f'not in this version: it belongs to protocol "{protocol}"; take it out'))
    return problems


# One id answers a whole call, so a call could carry several recipients, but only of one text and one sender;
# and a lost answer would then leave them all in doubt. Hence batch 1. query.php too asks for one recipient.
TRAITS = Traits(
    batch=1,
    receipts=("callback", "poll"),
    ask_batch=1,
    unit="credits",
    doubt=frozenset({"token"}),
)

CODES: dict[str, OutcomeClass] = {
    "Authentication error.": "misconfigured",
    "No recipients.": "misconfigured",
    "Invalid sender identity.": "unsuitable",
    "Insufficient credits.": "no_credit",
    "Invalid scheduling date.": "unsuitable",
}

QUERY_CODES: dict[str, ReceiptClass] = {
    "Queued": "progress",
    "Pending": "progress",
    "Delivered": "delivered",
    "Failed": "undelivered",
    "Authentication error.": "query_error",
    "No message ID defined.": "query_error",
    "No mobile defined.": "query_error",
    "No such message or recipient.": "query_error",
}


def build(config: Config, sends: Sequence[Send], now: int) -> Call:
    """The request for one message (manual: "HTTP API για αποστολή SMS").

    Raises ValueError for several messages, or a recipient that is no number.
    """
    (send,) = sends
    message = send.message
    fields = {
        "from": send.sender or "",
        "to": _write_mobile(message.to),
        "message": send.text,
        # The manual's default is GSM, which mangles everything outside that alphabet: it is always said.
        "coding": "GSM" if send.encoding == "gsm7" else "UTF-8",
    }
    if send.callback_url is not None:
        fields["dlr-url"] = send.callback_url
    return _get(config, "send.php", fields)


def _write_mobile(recipient: str) -> str:
    # "to" is a list with commas: anything but digits could name a second recipient.
    digits = recipient.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("the recipient is no E.164 number")
    return digits


def _get(config: Config, page: str, fields: dict[str, str]) -> Call:
    password = config.password.reveal()
    query = urlencode({"username": config.username, "password": password, **fields})
    # The URL holds the password as the query writes it, which may differ from the password itself.
    secrets = tuple(dict.fromkeys(form for form in (password, quote_plus(password)) if form))
    return Call("GET", f"{config.url.rstrip('/')}/api/http/{page}?{query}", secrets=secrets)


def parse(config: Config, reply: Reply, sends: Sequence[Send]) -> list[Outcome]:
    """`ID:…` or `Error: …`, and it speaks of the whole call; with both the id holds, as an anomaly."""
    hidden = [config.password.reveal()]
    for send in sends:
        hidden += send.text, send.message.to.removeprefix("+")
    lines = _read_lines(reply.body)
    ids = [match[1] for line in lines if (match := _is_id(line))]
    errors = [line for line in lines if line.startswith(_ERROR)]
    if len(ids) == 1 and len(errors) <= 1 and len(lines) == 1 + len(errors):
        code = _keep_code(_read_error(errors[0]), hidden) if errors else None
        outcome = Outcome("accepted", code, refs=(ids[0],), evidence="anomaly" if errors else None)
    else:
        outcome = _read_refusal(lines, hidden)
    return [outcome] * len(sends)


_ERROR = "Error:"
_STATUS = "Status:"
_is_id = re.compile(r"ID: ?([0-9A-Za-z]{1,64})").fullmatch
_is_credits = re.compile(r"Credits: ?([0-9]{1,12}(?:\.[0-9]{1,12})?)").fullmatch


def _read_lines(body: bytes) -> list[str]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _read_error(line: str) -> str:
    return line.removeprefix(_ERROR).strip()


def _read_refusal(lines: list[str], hidden: Iterable[str]) -> Outcome:
    if len(lines) != 1:
        return Outcome("in_doubt", detail="the answer is not one line of text", evidence="unreadable")
    (line,) = lines
    code = _read_error(line)
    if line.startswith(_ERROR) and code in CODES:
        return Outcome(CODES[code], code)
    return Outcome("in_doubt", _keep_code(code, hidden), "the manual has no such answer to this request")


_LONGEST_CODE = 80
_has_number = re.compile(r"[0-9]{6}").search


def _keep_code(code: str, hidden: Iterable[str]) -> str | None:
    # A code goes into events and logs, and an answer that nobody has seen may repeat what we sent.
    if not code or len(code) > _LONGEST_CODE or not code.isprintable() or _has_number(code):
        return None
    return None if any(value and value in code for value in hidden) else code


def query(config: Config, asks: Sequence[Ask], now: int) -> Call:
    """The status of one recipient of one call (manual: "Έλεγχος κατάστασης απεσταλμένου μηνύματος").

    Raises ValueError for several asks.
    """
    (ask,) = asks
    return _get(config, "query.php", {"mid": ask.refs[0], "mobile": _write_mobile(ask.recipient)})


def parse_query(config: Config, reply: Reply, asks: Sequence[Ask]) -> list[Receipt]:
    """`Status: …`, or `Error: …` and anything else, which is the query's own trouble."""
    lines = _read_lines(reply.body)
    line = lines[0] if len(lines) == 1 else ""
    class_: ReceiptClass = "query_error"
    code = _read_error(line)
    if line.startswith(_STATUS):
        code = line.removeprefix(_STATUS).strip()
        class_ = QUERY_CODES.get(code, "unrecognised")
    hidden = [config.password.reveal(), *(ask.recipient.removeprefix("+") for ask in asks)]
    code_kept = _keep_code(code, hidden)
    return [Receipt(class_, ref=ask.refs[0] if ask.refs else None, recipient=ask.recipient, code=code_kept) for ask in asks]


def balance(config: Config, now: int) -> Call:
    """The credits left (manual: "Έλεγχος διαθέσιμων credits")."""
    return _get(config, "credits.php", {})


def parse_balance(config: Config, reply: Reply) -> list[Balance] | Outcome:
    """`Credits:3948.47`, a decimal; what is finer than a millionth of a credit is cut off."""
    lines = _read_lines(reply.body)
    match = _is_credits(lines[0]) if len(lines) == 1 else None
    if match is None:
        return _read_refusal(lines, [config.password.reveal()])
    amount = (Decimal(match[1]) * MICRO).to_integral_value(ROUND_DOWN)
    return [Balance("credits", "credits", int(amount))]


def buckets(config: Config, message: Message, sender: str | None) -> tuple[str, ...]:
    """The one purse that pays for everything."""
    return ("credits",)
