"""SMSC.ru (Russia): SMPP 3.4 with ten channels, most of them by a command at the beginning of the text; balance and HLR by HTTP as well.

Says what to submit and how to read what comes back; `commands` has the texts, `web` the HTTP side. Never does I/O: links, windows and
times are the session's. The truth is the provider's page (MANUAL); where it is silent, PROVIDERS.md, "Choices".

BUGS: a channel that goes by a command is known from its text alone, so whatever the provider takes for a command in an SMS is refused here
as unsuitable. SMPP has room for twenty characters of an e-mail address, and a longer one is unsuitable too.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from broker.provider.contract import Lookup, Receipt, Secret, Send, Traits, Unsuitable
from broker.provider.smpp import MOST_PASSWORD, Dialect, SmppKeys, SmppSession, check_keys, compose_text, narrow, read_report
from broker.provider.smpp import measure as measure_text
from broker.smpp.pdu import DataSm, DeliverSm, SubmitSm
from broker.smpp.receipt import Report, read_lookup
from broker.smpp.statuses import CODES as CLASSES
from broker.smpp.statuses import SMSCRU_ERRORS, STATS, read_status, show_status
from broker.smpp.tlv import Tlv, find_value
from broker.text import Verdict
from broker.words.channel import CHANNELS
from broker.words.clock import DAY, MINUTE
from broker.words.message import Message
from broker.words.money import MICRO
from broker.words.outcome import OutcomeClass
from broker.words.receipt import FINAL_RECEIPTS, ReceiptClass
from broker.words.settings import Duration, Url

from .commands import OPTIONS, PREFIXES, write_text
from .web import ERRORS, STATUSES, balance, build, parse, parse_balance, parse_price, parse_query, price, query, receipts

__all__ = ["balance", "build", "parse", "parse_balance", "parse_price", "parse_query", "price", "query", "receipts"]

TITLE = "SMSC.ru, Russia (SMPP, ten channels)"
MANUAL = "https://smsc.ru/api/smpp/ (a page without a date; read 2026-11)"

COST, KIND, COUNT = 0x2000, 0x2001, 0x2002
"""Parameters of a receipt: what it cost, "n.nnnn", which channel it was, and how many parts it had."""
HLR = b"4"
"""That channel's number of an HLR request."""


class Config(SmppKeys, frozen=True, kw_only=True):
    """The account's own keys beside those of `SmppKeys`, some of which have the provider's defaults.

    `username` and `password` of the SMPP access, or `api_key` in place of both; `system_type` "ISO" makes data_coding 0 ISO 8859-1;
    `voice`: the voice that reads calls, `bot`: the bot of the channel bot, where a message does not say; `comment`: add our message id,
    which the account's history shows and the subscriber does not get; `http_url`: "https://smsc.ru", for the balance, HLR, and
    what an SMS costs where `prices` does not say it (then `currency` must be "RUB").
    """

    host: str = "smpp.smsc.ru"
    port: int = 3700
    window: int = 50
    enquire_every: Duration = Duration(MINUTE)
    concat: Literal["payload", "udh", "sar"] = "payload"
    source_npi: int | Literal["auto"] = 1
    longest_validity: Duration = Duration(DAY)
    ask: bool = True
    api_key: Secret | None = None
    voice: str | None = None
    bot: str | None = None
    comment: bool = False
    http_url: Url | None = None


def check(config: Config) -> Iterator[tuple[str, str]]:
    """What cannot be used as it stands."""
    yield from (fault for fault in check_keys(config) if config.api_key is None or fault[0] not in ("username", "password"))
    if config.api_key is None and not config.username:
        yield "username", "is missing: write the login and the password of the SMPP access, or `api_key` in place of both"
    if config.api_key is not None and (config.username or config.password):
        yield "api_key", "stands in place of `username` and `password`: take these out"
    key = config.api_key.reveal() if config.api_key is not None else ""
    if not key.isascii() or "\0" in key or len(key) > MOST_PASSWORD:
        yield "api_key", f"must be at most {MOST_PASSWORD} ASCII characters: it goes where SMPP has the password"
    if config.comment and config.concat != "payload":
        yield "comment", 'needs concat = "payload": in parts of our cutting the comment would be a part of its own'
    for key in ("voice", "bot"):
        value = getattr(config, key)
        if value is not None and not value.isprintable():
            yield key, "must be one line of text"


TRAITS = Traits(
    channels=frozenset(CHANNELS),
    senders=frozenset({"alphanumeric", "numeric", "shortcode", "none"}),
    batch=1_000,
    receipts=("callback", "poll"),
    by_ref=True,
    duplicate_window=MINUTE,
    unit="RUB",
    money=True,
    doubt=frozenset({"duplicate"}),
    options=OPTIONS,
    http=frozenset({"hlr"}),
    quotes=frozenset({"sms"}),
)

CODES: dict[str, OutcomeClass] = {show_status(status): class_ for status, class_ in CLASSES.items()}

QUERY_CODES: dict[str, ReceiptClass] = {**STATS, **STATUSES}


def buckets(config: Config, message: Message, sender: str | None) -> tuple[str, ...]:
    """The one purse that pays for everything."""
    return ("money",)


def measure(config: Config, text: str) -> Verdict:
    """What a text becomes, where we cut it."""
    return measure_text(settle_keys(config), text)


def traits(config: Config) -> Traits:
    """Of one account: without its HTTP side there is no balance, and HLR goes by SMPP as everything does."""
    found = narrow(TRAITS, config)
    if config.concat != "payload":
        # Parts of our cutting have another reference each time: a repeat of them is no identical request, but a second copy.
        found = msgspec.structs.replace(found, doubt=frozenset())
    if config.http_url is None:
        return msgspec.structs.replace(found, unit=None, money=False, http=frozenset(), quotes=frozenset())
    return found


def settle_keys(config: Config) -> Config:
    """The keys as the session needs them: what "ISO" means, and whom the key stands for."""
    changes: dict[str, object] = {}
    if config.system_type.upper() == "ISO" and config.data_coding == {"gsm7": 0, "ucs2": 8}:
        changes["data_coding"] = {"latin1": 0, "ucs2": 8}
    if config.api_key is not None:
        changes |= {"username": "", "password": config.api_key}
    return msgspec.structs.replace(config, **changes) if changes else config


def compose(config: Config, send: Send, now: int, reference: int) -> list[SubmitSm]:
    """The parts of one message; by any channel but sms and flash always one. Raises Unsuitable."""
    text = write_text(send, voice=config.voice, bot=config.bot, has_comment=config.comment)
    if send.via not in PREFIXES:
        return compose_text(config, send, text, now, reference)
    address = find_address(send.message.to) if send.via == "email" else None
    return compose_text(config, send, text, now, reference, concat="payload", dest=address)


def find_address(to: str) -> tuple[int, int, str]:
    """An e-mail address as a recipient. Raises Unsuitable."""
    if not to.isascii() or len(to) > 20 or "@" not in to:
        raise Unsuitable("SMPP has room for an e-mail address of 20 ASCII characters here, and no more", "recipient")
    return 5, 0, to


def read_receipt(config: Config, report: Report, pdu: DeliverSm | DataSm) -> Receipt:
    """A receipt with what it cost, its parts, the reason by the provider's own table, and what an HLR request found."""
    receipt = read_report(report)
    code = report.err or ""
    instead, detail = SMSCRU_ERRORS.get(int(code), (None, receipt.detail)) if code.isdecimal() else (None, receipt.detail)
    return msgspec.structs.replace(
        receipt,
        class_=instead or receipt.class_,
        detail=detail or None,
        cost=read_cost(pdu.tlvs),
        segments=read_count(pdu.tlvs),
        lookup=read_lookup(report) or _find_bare(report, receipt, pdu.tlvs),
    )


def _find_bare(report: Report, receipt: Receipt, tlvs: Sequence[Tlv]) -> Lookup | None:
    """What an HLR request came to where nothing of the network is said: the page's own example has neither country nor operator."""
    is_lookup = (find_value(tlvs, KIND) or b"").partition(b"\0")[0] == HLR
    return Lookup((report.stat or "unknown").lower(), code=report.err) if is_lookup and receipt.class_ in FINAL_RECEIPTS else None


def read_cost(tlvs: Sequence[Tlv]) -> int | None:
    """The parameter 0x2000 in micro-units: "n.nnnn"."""
    text = (find_value(tlvs, COST) or b"").partition(b"\0")[0].decode("latin-1").strip()
    whole, _, rest = text.partition(".")
    if not (whole + rest).isdecimal() or not whole.isascii() or len(text) > 16:
        return None
    return int(Decimal(text) * MICRO)


def read_count(tlvs: Sequence[Tlv]) -> int | None:
    """The parameter 0x2002: digits, or a number of up to four octets."""
    value = find_value(tlvs, COUNT) or b""
    text = value.partition(b"\0")[0]
    if text.isdigit() and len(text) < 5:
        return int(text)
    return int.from_bytes(value, "big") if 0 < len(value) <= 4 else None


ALARMS = {"200": "virtual sending is switched on at the provider: nothing is really delivered"}
"""A receipt's `err` → what has to be told loudly, for every message is affected."""


def read_code(text: str) -> str:
    """A command_status as outcomes show it, or an error_code of the HTTP side as it is. Raises ValueError."""
    return text if text in ERRORS else show_status(read_status(text))


def open_session(config: Config, name: str) -> SmppSession:
    """The account's session."""
    keys = settle_keys(config)
    return SmppSession(keys, Dialect(compose, read_receipt, alarms=ALARMS), keys, name)
