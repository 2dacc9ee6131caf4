"""Mitake (Taiwan) over HTTP, both APIs whole: the old gateway (`smexpress`) and the current one (`mtk`).

Builds requests; `answers` reads what comes back, `callback` what Mitake calls us with, `codes` has its words. Never does I/O, reads
a clock, or raises for an answer: what an answer does not prove is in doubt. The truth is the vendor's manual (MANUAL); where it is
silent, the choice stands below.

BUGS: `smexpress` turns every text into Big5 on its side, so characters outside it may reach the handset changed;
`mtk` cuts a long text where the account has no permission for long ones, and no answer says so. A time in `options.schedule` that
is less than ten minutes ahead is taken for at once.
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from broker.provider.contract import (
    Ask,
    Balance,
    Call,
    CallbackRequest,
    Outcome,
    Parsed,
    Receipt,
    Reply,
    Secret,
    Send,
    Traits,
    Unsuitable,
)
from broker.text import write_form
from broker.words.clock import DAY, HOUR
from broker.words.message import Message
from broker.words.money import MICRO
from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass
from broker.words.settings import Url
from broker.words.wall import find_start, read_zone, show_wall

from .answers import Row, find_row, judge_block, match_blocks, read_blocks, read_cancels, read_refusal, read_rows
from .callback import STAMP, read_callback
from .codes import FATES, MEANT, find_meaning

TITLE = "Mitake, Taiwan (HTTP)"
MANUAL = "https://github.com/j094097/mitake (README, 2016); for mtk the vendor's SMS HTTP API v2.14"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`username` and `password`: the account's, the same that the vendor's panel takes.

    `api`: `smexpress` (the old gateway) or `mtk` (the current API, which knows repeats again for 12 hours).
    `url`: scheme, host, port and any prefix; None is the vendor's own for that `api`. `long_url`: the same for
    texts over 70 characters, used by `smexpress` alone; None is `url` where that is given.
    `timezone`: that of the times in its answers, and in what it is asked to keep.
    """

    username: str
    password: Secret
    api: Literal["smexpress", "mtk"] = "smexpress"
    url: Url | None = None
    long_url: Url | None = None
    timezone: str = "Asia/Taipei"


def check(config: Config) -> list[tuple[str, str]]:
    """What cannot be used as it stands: (key, problem and remedy) for each."""
    try:
        read_zone(config.timezone)
    except ValueError:
        return [("timezone", 'is no time zone; write for example "Asia/Taipei"')]
    return []


TRAITS = Traits(  # those of `smexpress`, which promises less; see `traits`
    senders=frozenset({"none"}),
    batch=100,  # ours: the manual names no bound for SmSendPost.asp
    receipts=("callback", "poll"),
    ask_batch=100,
    unit="points",
    doubt=frozenset({"token"}),
    schedule=True,
)

CODES: dict[str, OutcomeClass] = {code: class_ for code, (class_, _) in MEANT.items()}

QUERY_CODES: dict[str, ReceiptClass] = FATES


def build(config: Config, sends: Sequence[Send], now: int) -> Call:
    """One request for all of `sends`; ValueError where there are several and one needs a request of its own.

    Raises Unsuitable for a time in `options.schedule` that cannot be kept.
    """
    if len(sends) > 1 and any(shape(config, send) is None for send in sends):
        raise ValueError("a text of this batch can only go alone: ask shape() first")
    if config.api == "mtk":
        return _build_bulk(config, sends, now) if len(sends) > 1 else _build_form(config, sends[0], now)
    return _build_blocks(config, sends, now) if len(sends) > 1 else _build_get(config, sends[0], now)


def _build_get(config: Config, send: Send, now: int) -> Call:
    path = "/SpLmGet" if _is_long(send.text) else "/SmSendGet.asp"
    return _get(config, path, [("dstaddr", _localise(send.message.to)), ("smbody", send.text), *_extras(config, send, now)])


def _build_blocks(config: Config, sends: Sequence[Send], now: int) -> Call:
    lines = []
    for n, send in enumerate(sends):
        lines += [f"[{n}]", f"dstaddr={_localise(send.message.to)}", f"smbody={send.text}"]
        lines += [f"{name}={value}" for name, value in _extras(config, send, now)]
    account = _encode([*_account(config), ("encoding", "UTF8")])
    return _post(config, f"/SmSendPost.asp?{account}", "text/plain", "".join(f"{line}\r\n" for line in lines))


def _build_form(config: Config, send: Send, now: int) -> Call:
    pairs = [*_account(config), ("dstaddr", _localise(send.message.to)), ("smbody", _write_line_ends(send.text))]
    pairs += [("clientid", _client_id(send)), *_extras(config, send, now)]
    return _post(config, "/api/mtk/SmSend?CharsetURL=UTF8", _FORM, _encode(pairs))


def _build_bulk(config: Config, sends: Sequence[Send], now: int) -> Call:
    account = _encode([*_account(config), ("Encoding_PostIn", "UTF8")])
    rows = "".join("$$".join(_fields(config, send, now)) + "\r\n" for send in sends)
    return _post(config, f"/api/mtk/SmBulkSend?{account}", "text/plain", rows)


def _fields(config: Config, send: Send, now: int) -> tuple[str, ...]:
    """The fields of one row, in the manual's order: ClientID, dstaddr, dlvtime, vldtime, destname (empty), response, smbody."""
    extras = dict(_extras(config, send, now))
    times = extras.get("dlvtime", ""), extras.get("vldtime", "")
    return (_client_id(send), _localise(send.message.to), *times, "", extras.get("response", ""), _write_line_ends(send.text))


def _write_line_ends(text: str) -> str:
    return re.sub("\r\n|\r|\n", "\x06", text)  # how `mtk` wants a line's end


def _extras(config: Config, send: Send, now: int) -> list[tuple[str, str]]:
    """What a message may have beside number and text: when to send it, until when, where to call us."""
    try:
        start = _find_start(config, send.message, now)
    except ValueError as error:
        raise Unsuitable(str(error), "options.schedule") from None
    valid_until = send.message.valid_until
    zone = read_zone(config.timezone)
    pairs = [] if start is None else [("dlvtime", show_wall(start, zone, STAMP))]
    if valid_until - (start or now) < _LONGEST:  # what is longer than its own it would cut, or not understand
        pairs.append(("vldtime", show_wall(valid_until, zone, STAMP)))
    if send.callback_url is not None:
        pairs.append(("response", send.callback_url))
    return pairs


_LONGEST: Final = DAY


def _find_start(config: Config, message: Message, now: int) -> int | None:
    schedule = (message.options or {}).get("schedule")
    if schedule is None:
        return None
    return find_start(schedule, read_zone(config.timezone), message.accepted_at, message.valid_until, now)


def parse(config: Config, reply: Reply, sends: Sequence[Send]) -> list[Outcome]:
    """One outcome each, in order. The credit that the answer carries is in the first one's `balances`."""
    if reply.is_html:
        return [Outcome("in_doubt", evidence="html")] * len(sends)
    blocks, points = read_blocks(reply.body)
    missing = Outcome("in_doubt", evidence="missing" if blocks else "unreadable")
    matched = match_blocks(blocks, [_client_id(send) for send in sends])
    outcomes = [judge_block(matched[n]) if n in matched else missing for n in range(len(sends))]
    if points is not None and outcomes:
        outcomes[0] = replace(outcomes[0], balances=(Balance("points", "points", points * MICRO),))
    return outcomes


def query(config: Config, asks: Sequence[Ask], now: int) -> Call:
    """One question for the fate of up to 100 attempts, each by the one id that it has here."""
    return _ask(config, [("msgid", ",".join(ask.refs[0] for ask in asks if ask.refs))])


def parse_query(config: Config, reply: Reply, asks: Sequence[Ask]) -> list[Receipt]:
    """One receipt each, in order, whatever the order of the rows; who has no row gets `query_error`."""
    body = b"" if reply.is_html else reply.body
    return _read_receipts(read_rows(body, read_zone(config.timezone)), body, asks)


def _read_receipts(rows: dict[str, Row], body: bytes, asks: Sequence[Ask]) -> list[Receipt]:
    asked = {ask.refs[0] for ask in asks if ask.refs}
    refusal = read_refusal(body)
    receipts = []
    for ask in asks:
        ref = ask.refs[0] if ask.refs else None
        row = find_row(rows, ref, asked)
        if row is None:
            detail = find_meaning(refusal)[1] or "not in the answer"
            receipts.append(Receipt("query_error", ref=ref, code=refusal, detail=detail, gone=bool(rows and ref)))
            continue
        class_ = QUERY_CODES.get(row.code or "", "unrecognised")
        receipts.append(Receipt(class_, ref=ref, code=row.code, detail=find_meaning(row.code)[1], at=row.at))
    return receipts


def balance(config: Config, now: int) -> Call:
    """The question for the points left."""
    return _ask(config, [])


def parse_balance(config: Config, reply: Reply) -> list[Balance] | Outcome:
    """The points left, or what the answer says instead; an empty `AccountPoint` is no answer."""
    if reply.is_html:
        return Outcome("in_doubt", evidence="html")
    code = read_refusal(reply.body)
    points = read_blocks(reply.body)[1]
    if code is None and points is not None:
        return [Balance("points", "points", points * MICRO)]
    class_, detail = find_meaning(code)
    return Outcome("in_doubt" if class_ == "accepted" else class_, code=code, detail=detail)


def cancel(config: Config, asks: Sequence[Ask], now: int) -> Call:
    """Give up what waits for its `options.schedule`; ValueError in `smexpress`, which cannot."""
    if config.api != "mtk":
        raise ValueError("only `mtk` can cancel: ask traits() first")
    pairs = [*_account(config), ("msgid", ",".join(ask.refs[0] for ask in asks if ask.refs))]
    return _post(config, "/api/mtk/SmCancel", _FORM, _encode(pairs))


def parse_cancel(config: Config, reply: Reply, asks: Sequence[Ask]) -> list[Receipt]:
    """One receipt each, in order: `canceled`, or what the message is by now; `query_error` where the answer does not tell."""
    body = b"" if reply.is_html else reply.body
    return _read_receipts(read_cancels(body), body, asks)


def receipts(config: Config, request: CallbackRequest, now: int) -> Parsed:
    """The receipt in a call to our callback address, and the answer without which Mitake calls again."""
    return read_callback(request, read_zone(config.timezone))


def buckets(config: Config, message: Message, sender: str | None) -> tuple[str, ...]:
    """One bucket pays for every message."""
    return ("points",)


def shape(config: Config, send: Send) -> str | None:
    """None where the message cannot share a request with others.

    In `smexpress` a long text has an address of its own, a line's end would end the field, and no manual says
    whether `%` and `+` are decoded in a body; in `mtk` two dollars would end the field. A time that cannot be kept
    is refused alone.
    """
    try:
        _find_start(config, send.message, send.message.accepted_at)
    except ValueError:
        return None
    if config.api == "smexpress":
        return None if _is_long(send.text) or not set("%+\r\n").isdisjoint(send.text) else "short"
    return None if "$$" in f"${send.text}" else "any"  # nor may one at its start lean on the two before it


def traits(config: Config) -> Traits:
    """TRAITS for the `api` chosen: only `mtk` knows a repeat again, by its clientid, and gives up what it keeps for later."""
    if config.api == "smexpress":
        return TRAITS
    return replace(TRAITS, batch=500, idempotency=12 * HOUR, doubt=frozenset({"token", "key"}), cancel=True)


_URLS: Final = {"smexpress": "http://smexpress.mitake.com.tw:9600", "mtk": "https://smsapi.mitake.com.tw"}
_LONG_URL: Final = "http://smexpress.mitake.com.tw:7002"
_FORM: Final = "application/x-www-form-urlencoded"

_is_taiwanese = re.compile(r"8869[0-9]{8}").fullmatch
_is_client_id = re.compile(r"[0-9A-Za-z-]{8,36}").fullmatch  # from 8: never taken for a label that counts


def _account(config: Config) -> list[tuple[str, str]]:
    return [("username", config.username), ("password", config.password.reveal())]


def _encode(pairs: list[tuple[str, str]]) -> str:
    return write_form(pairs, blank="%20")  # a blank is %20, as from the vendor's own client


def _get(config: Config, path: str, pairs: list[tuple[str, str]]) -> Call:
    # Who points `url` at another host means all of it: long texts, too, must not leave for the vendor's.
    url = (config.long_url or config.url or _LONG_URL) if path == "/SpLmGet" else (config.url or _URLS["smexpress"])
    asked = _encode([*_account(config), ("encoding", "UTF8"), *pairs])
    return Call("GET", f"{url.rstrip('/')}{path}?{asked}", secrets=_secrets(config))


def _post(config: Config, path: str, kind: str, body: str) -> Call:
    url = (config.url or _URLS[config.api]).rstrip("/")
    return Call("POST", f"{url}{path}", (("Content-Type", kind),), body.encode(), _secrets(config))


def _ask(config: Config, pairs: list[tuple[str, str]]) -> Call:
    if config.api == "mtk":
        return _post(config, "/api/mtk/SmQuery", _FORM, _encode([*_account(config), *pairs]))
    return _get(config, "/SmQueryGet.asp", pairs)


def _secrets(config: Config) -> tuple[str, ...]:
    password = config.password.reveal()
    return tuple(dict.fromkeys((password, quote(password, safe=""))))  # also as it stands in an address


def _localise(to: str) -> str:
    """The number as Mitake writes it: 09xxxxxxxx in Taiwan, elsewhere the international digits."""
    digits = to.removeprefix("+")
    return f"0{digits[3:]}" if _is_taiwanese(digits) else digits


def _is_long(text: str) -> bool:
    return len(text.encode("utf-16-be", "surrogatepass")) > 2 * 70


def _client_id(send: Send) -> str:
    # A key that could end its field, or that is too long, is replaced by its hash: the same for every repeat.
    return send.key if _is_client_id(send.key) else sha256(send.key.encode()).hexdigest()[:32]
