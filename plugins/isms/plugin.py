"""iSMS.gr (Greece): SMS by HTTP, SOAP or SMPP, number lookup (HLR) and the account's contacts by HTTP.

Builds requests; `answers` reads lines of text, `soap` envelopes, `callback` what is sent to our `dlr-url`, `codes` has the words. Over
SMPP it is an SMSC like any other. Never does I/O, reads a clock, or raises for an answer: what an answer does not prove is in doubt. The
truth is the vendor's page (MANUAL); where it is silent, the choice stands below.

BUGS: credentials, text and number travel in the address, so keep `url` on https and the provider's logs in mind.
Nothing recognises a repeat: without an id, what is in doubt only a receipt or a person resolves. One id answers for a whole call: a
lost answer leaves all its messages in doubt.
"""

import re
from collections.abc import Hashable, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Literal
from urllib.parse import quote_plus

from msgspec.structs import replace

from broker.provider.contract import (
    Ask,
    Balance,
    Call,
    CallbackRequest,
    ContactChange,
    Outcome,
    Parsed,
    Receipt,
    Reply,
    Secret,
    Send,
    Traits,
    Unsuitable,
)
from broker.provider.smpp import Dialect, SmppKeys, SmppSession, check_keys, narrow
from broker.provider.smpp import measure as measure_text
from broker.smpp.statuses import read_status, show_status
from broker.text import Verdict, verdict, write_form
from broker.text.markup import MarkupError, escape_markup
from broker.words.message import Message
from broker.words.money import MICRO
from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass
from broker.words.settings import Url
from broker.words.wall import find_start, read_zone, show_wall

from .answers import read_contact, read_fate, read_lines, read_lookup, read_refusal, read_send
from .callback import read_callback
from .codes import CONTACTS, FATES, REFUSALS
from .soap import read_answer, write_envelope, write_headers, write_part, write_recipients

TITLE = "iSMS.gr, Greece (HTTP, SOAP, SMPP)"
MANUAL = "https://isms.gr/api-για-αποστολή-sms/ (a page without a date; its examples are of 2017)"


class Config(SmppKeys, frozen=True, kw_only=True):
    """The account's own keys in broker.toml.

    `username`, `password`: those of the account. Both travel in the query string, so keep `url` on https.
    `protocol`: "http", "soap" or "smpp" for what is sent and asked; credits, lookups and contacts go by HTTP in any case.
    `url`: scheme, host, port and any prefix before /api/http/.
    `soap_url`: the whole address of the SOAP service. `soap_namespace`: that of its operations.
    `timezone`: that of the times which it is asked to keep.
    The keys of `SmppKeys` count with "smpp" alone; `host`, `port` and the alphabets iSMS.gr tells each reseller.
    """

    username: str
    password: Secret
    protocol: Literal["http", "soap", "smpp"] = "http"
    url: Url = "https://cp.isms.gr"
    soap_url: Url | None = None
    soap_namespace: str = "urn:isms"
    timezone: str = "Europe/Athens"


def check(config: Config) -> list[tuple[str, str]]:
    """What cannot be used as it stands: (key, problem and remedy) for each."""
    problems: list[tuple[str, str]] = []
    if config.protocol == "smpp":
        problems += check_keys(config)
    if config.protocol == "soap" and config.soap_url is None:
        problems.append(("soap_url", "is missing: the page does not tell the address of the SOAP service; ask iSMS.gr for it"))
    if not _is_namespace(config.soap_namespace):
        problems.append(("soap_namespace", 'is no URI; write for example "urn:isms"'))
    try:
        read_zone(config.timezone)
    except ValueError:
        problems.append(("timezone", 'is no time zone; write for example "Europe/Athens"'))
    if config.host and config.protocol != "smpp":
        problems.append(("host", 'belongs to protocol "smpp": write that, or take the key out'))
    return problems


TRAITS = Traits(  # those of `http`; see `traits`
    channels=frozenset({"sms", "flash", "hlr"}),
    batch=100,  # ours, for the length of the address: the page names no bound
    receipts=("callback", "poll"),
    ask_batch=1,
    unit="credits",
    doubt=frozenset({"token"}),
    schedule=True,
)

CODES: dict[str, OutcomeClass] = REFUSALS

QUERY_CODES: dict[str, ReceiptClass] = FATES


def build(config: Config, sends: Sequence[Send], now: int) -> Call:
    """One request for all of `sends`, which are of one `shape` (manual: "HTTP API για αποστολή SMS", "SOAP API", "HLR lookup").

    Raises ValueError where they are not, or for a recipient that is no number; Unsuitable for a time or a text that cannot be sent.
    """
    first = sends[0]
    if len(sends) > 1 and ({shape(config, send) for send in sends} != {shape(config, first)} or shape(config, first) is None):
        raise ValueError("messages of several shapes in one call: ask shape() first")
    mobiles = [_write_mobile(send.message.to) for send in sends]
    if first.via == "hlr":
        return _get(config, "hlr.php", {"mobiles": ",".join(mobiles)})
    coding = "GSM" if first.encoding == "gsm7" else "UTF-8"
    if config.protocol == "soap":
        return _build_soap(config, first, mobiles, coding)
    # The manual's default is GSM, which mangles everything outside that alphabet: it is always said.
    fields = {"from": first.sender or "", "to": ",".join(mobiles), "message": first.text, "coding": coding}
    if first.via == "flash":
        fields["flash"] = "1"
    start = _find_start(config, first, now)
    if start is not None:
        fields["schedule"] = show_wall(start, read_zone(config.timezone), "%Y-%m-%d %H:%M:%S")
    if first.callback_url is not None:
        fields["dlr-url"] = first.callback_url
    return _get(config, "send.php", fields)


def _build_soap(config: Config, send: Send, mobiles: Sequence[str], coding: str) -> Call:
    try:
        text = write_part("message", send.text)
    except MarkupError as error:
        raise Unsuitable(f"the text {error}", "text") from None
    sender = write_part("from", send.sender or "")
    parts = (sender, write_recipients(mobiles), text, write_part("coding", coding), write_part("flash", send.via == "flash"))
    return _post(config, "send", parts)


def _find_start(config: Config, send: Send, now: int) -> int | None:
    message = send.message
    schedule = (message.options or {}).get("schedule")
    if schedule is None:
        return None
    try:
        return find_start(schedule, read_zone(config.timezone), message.accepted_at, message.valid_until, now)
    except ValueError as error:
        raise Unsuitable(str(error), "options.schedule") from None


def _write_mobile(recipient: str) -> str:
    # "to" is a list with commas: anything but digits could name a second recipient.
    digits = recipient.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("the recipient is no E.164 number")
    return digits


def _get(config: Config, page: str, fields: dict[str, str]) -> Call:
    password = config.password.reveal()
    query = write_form({"username": config.username, "password": password, **fields}.items())
    # The URL holds the password as the query writes it, which may differ from the password itself.
    return Call("GET", f"{config.url.rstrip('/')}/api/http/{page}?{query}", secrets=_list_secrets(password, quote_plus(password)))


def _post(config: Config, operation: str, parts: Sequence[str]) -> Call:
    password = config.password.reveal()
    account = (write_part("username", config.username), write_part("password", password))
    headers = write_headers(config.soap_namespace, operation)
    body = write_envelope(config.soap_namespace, operation, [*account, *parts])
    return Call("POST", config.soap_url or "", headers, body, _list_secrets(password, escape_markup(password)))


def _list_secrets(*forms: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form for form in forms if form))


def parse(config: Config, reply: Reply, sends: Sequence[Send]) -> list[Outcome]:
    """`ID:…` or `Error: …`, and it speaks of the whole call; with both the id holds, as an anomaly."""
    hidden = [config.password.reveal()]
    for send in sends:
        hidden += send.text, send.message.to.removeprefix("+")
    return [read_send(_read(config, reply, "ID:", sends[0].via), CODES, hidden)] * len(sends)


def _read(config: Config, reply: Reply, prefix: str, channel: str) -> list[str]:
    """The lines of an answer to what is sent or asked; `prefix` is what HTTP would put before the value that SOAP returns."""
    if config.protocol == "soap" and channel != "hlr":
        return read_answer(reply.status, reply.body, prefix)
    return read_lines(reply.status, reply.body)


def query(config: Config, asks: Sequence[Ask], now: int) -> Call:
    """The status of one recipient of one call (manual: "Έλεγχος κατάστασης απεσταλμένου μηνύματος", "Έλεγχος αποτελέσματος …").

    Raises ValueError for several asks.
    """
    (ask,) = asks
    ref, mobile = ask.refs[0], _write_mobile(ask.recipient)
    if config.protocol == "soap" and ask.channel != "hlr":
        return _post(config, "query", [write_part("message_id", ref), write_part("mobile", mobile)])
    return _get(config, "hlrquery.php" if ask.channel == "hlr" else "query.php", {"mid": ref, "mobile": mobile})


def parse_query(config: Config, reply: Reply, asks: Sequence[Ask]) -> list[Receipt]:
    """`Status: …`, or of a lookup its bare line; `Error: …` and anything else is the query's own trouble."""
    hidden = [config.password.reveal(), *(ask.recipient.removeprefix("+") for ask in asks)]
    receipts = []
    for ask in asks:
        lines = _read(config, reply, "Status: ", ask.channel)
        receipt = read_lookup(lines, hidden) if ask.channel == "hlr" else read_fate(lines, QUERY_CODES, hidden)
        receipts.append(replace(receipt, ref=ask.refs[0] if ask.refs else None, recipient=ask.recipient))
    return receipts


def balance(config: Config, now: int) -> Call:
    """The credits left (manual: "Έλεγχος διαθέσιμων credits"), by HTTP under either protocol."""
    return _get(config, "credits.php", {})


def parse_balance(config: Config, reply: Reply) -> list[Balance] | Outcome:
    """`Credits:3948.47`, a decimal; what is finer than a millionth of a credit is cut off."""
    lines = read_lines(reply.status, reply.body)
    match = _is_credits(lines[0]) if len(lines) == 1 else None
    if match is None:
        return read_refusal(lines, CODES, [config.password.reveal()])
    amount = (Decimal(match[1]) * MICRO).to_integral_value(ROUND_DOWN)
    return [Balance("credits", "credits", int(amount))]


def contact(config: Config, change: ContactChange, now: int) -> Call:
    """Add to the account's address book, or delete from it (manual: "API για διαχείριση επαφών"); ValueError for any other action.

    The page requires every parameter of an addition: one that is not known goes empty.
    """
    mobile = _write_mobile(change.mobile)
    if change.action == "delete":
        return _get(config, "deletecontact.php", {"mobile": mobile})
    if change.action != "add":
        raise ValueError("a contact is added or deleted")
    fields = {"surname": change.surname, "name": change.name, "mobile": mobile, "comments": change.comments}
    return _get(config, "savecontact.php", fields)


def parse_contact(config: Config, reply: Reply) -> Outcome:
    """`accepted` for the page's OK, Greek or Latin; else why not."""
    return read_contact(read_lines(reply.status, reply.body), CONTACTS, [config.password.reveal()])


def receipts(config: Config, request: CallbackRequest, now: int) -> Parsed:
    """What a call to a message's `dlr-url` says."""
    return read_callback(request)


def buckets(config: Config, message: Message, sender: str | None) -> tuple[str, ...]:
    """The one purse that pays for everything."""
    return ("credits",)


def shape(config: Config, send: Send) -> Hashable | None:
    """A call carries one text from one sender at one time, to many; lookups go together. None for what cannot be sent at all.

    Over SMPP each message goes by itself, and they need nothing in common.
    """
    message = send.message
    if config.protocol == "smpp":
        return "smpp"
    if send.via == "hlr":
        return "hlr"
    try:
        start = _find_start(config, send, message.accepted_at)
    except Unsuitable:
        return None
    return (send.via, send.sender, send.text, start)


def measure(config: Config, text: str) -> Verdict:
    """What a text becomes: over HTTP and SOAP iSMS.gr cuts it, over SMPP we do."""
    return measure_text(config, text) if config.protocol == "smpp" else verdict(text)


def read_code(text: str) -> str:
    """A command_status as outcomes show it; any other text as it is, for HTTP and SOAP answer with texts."""
    try:
        return show_status(read_status(text))
    except ValueError:
        return text


def open_session(config: Config, name: str) -> SmppSession | None:
    """The account's session, where it has one."""
    return SmppSession(config, Dialect(), config, name) if config.protocol == "smpp" else None


def traits(config: Config) -> Traits:
    """TRAITS for the `protocol` chosen: SOAP knows no schedule and no `dlr-url`, and says a fault with status 500.

    SMPP knows neither either, and a lookup goes by HTTP beside it.
    """
    if config.protocol == "smpp":
        return replace(narrow(TRAITS, config), batch=1_000, doubt=frozenset(), schedule=False, http=frozenset({"hlr"}))
    if config.protocol == "soap":
        statuses = TRAITS.statuses | {500}
        return replace(TRAITS, receipts=("poll",), doubt=frozenset(), schedule=False, statuses=statuses)
    return TRAITS


_is_credits = re.compile(r"Credits: ?([0-9]{1,12}(?:\.[0-9]{1,12})?)").fullmatch
_is_namespace = re.compile(r"[!#-;=?-~]{1,200}").fullmatch
