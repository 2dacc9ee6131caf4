"""Mitake (Taiwan) over HTTP, both APIs whole: the old gateway (`smexpress`) and the current one (`mtk`).

Builds requests and reads answers. Never does I/O, reads a clock, or raises for an answer: what an answer does
not prove is in doubt. The truth is the vendor's manual (MANUAL); where it is silent, the choice stands below.

BUGS: `smexpress` turns every text into Big5 on its side, so characters outside it may reach the handset changed;
`mtk` cuts a long text where the account has no permission for long ones, and no answer says so.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from msgspec.structs import replace

from broker.provider.contract import Ask, Balance, Call, Outcome, Receipt, Reply, Secret, Send, Traits
from broker.words.clock import HOUR
from broker.words.message import Message
from broker.words.money import MICRO
from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass

TITLE = "Mitake, Taiwan (HTTP)"
MANUAL = "https://github.com/j094097/mitake (README, 2016); for mtk the vendor's SMS HTTP API v2.14"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`username` and `password`: the account's, the same that the vendor's panel takes.

    `api`: `smexpress` (the old gateway) or `mtk` (the current API, which knows repeats again for 12 hours).
    `url`: scheme, host, port and any prefix; None is the vendor's own for that `api`. `long_url`: the same for
    texts over 70 characters, used by `smexpress` alone; None is `url` where that is given.
    """

    username: str
    password: Secret
    api: Literal["smexpress", "mtk"] = "smexpress"
    url: str | None = None
    long_url: str | None = None


TRAITS = Traits(  # those of `smexpress`, which promises less; see `traits`
    senders=frozenset({"none"}),
    batch=100,  # ours: the manual names no bound for SmSendPost.asp
    receipts=("callback", "poll"),
    ask_batch=100,
    unit="points",
    doubt=frozenset({"token"}),
)

_MEANT: Final[dict[str, tuple[OutcomeClass, str | None]]] = {
    "*": ("in_doubt", "system error, ask Mitake"),
    "-": ("in_doubt", "system error, ask Mitake"),  # how the manual's page shows the asterisk
    "a": ("unavailable", "sending is out of service for now"),
    "b": ("unavailable", "sending is out of service for now"),
    "c": ("misconfigured", "no account was given"),
    "d": ("misconfigured", "no password was given"),
    "e": ("misconfigured", "account or password error"),
    "f": ("misconfigured", "the account has expired"),
    "h": ("misconfigured", "the account is disabled"),
    "k": ("misconfigured", "our IP address is not registered"),
    "l": ("throttled", "too many connections"),
    "m": ("misconfigured", "the password must be changed first"),
    "n": ("misconfigured", "the password has expired"),
    "p": ("misconfigured", "no permission for the HTTP API"),
    "r": ("unavailable", "the system is out of service"),
    "s": ("no_credit", "accounting failure"),
    "t": ("expired", "the message has expired"),
    "u": ("rejected", "the text is blank"),
    "v": ("rejected", "invalid phone number"),
    **dict.fromkeys("01234", ("accepted", None)),  # a reservation, at the carrier (three times), delivered
    "5": ("rejected", "content error"),
    "6": ("rejected", "phone number error"),
    "7": ("unsuitable", "disabled"),
    "8": ("expired", "timeout"),
    "9": ("unsuitable", "reservation canceled"),
}
CODES: dict[str, OutcomeClass] = {code: class_ for code, (class_, _) in _MEANT.items()}

QUERY_CODES: dict[str, ReceiptClass] = {
    **dict.fromkeys("0123", "progress"),
    "4": "delivered",  # "served" like 1 to 3 in the manual; in its Chinese original the handset, and 4 alone
    **dict.fromkeys("567", "undelivered"),
    "8": "expired",
    "9": "canceled",
    **dict.fromkeys("*-abcdefhklmnprstuvwxyz", "query_error"),  # letters answer our question, not its object
}


def build(config: Config, sends: Sequence[Send], now: int) -> Call:
    """One request for all of `sends`; ValueError where there are several and one is not `batchable`."""
    if len(sends) > 1 and not all(batchable(config, send.message) for send in sends):
        raise ValueError("a text of this batch can only go alone: ask batchable() first")
    if config.api == "mtk":
        return _build_bulk(config, sends) if len(sends) > 1 else _build_form(config, sends[0])
    return _build_blocks(config, sends) if len(sends) > 1 else _build_get(config, sends[0])


def _build_get(config: Config, send: Send) -> Call:
    text = send.text
    pairs = [("dstaddr", _localise(send.message.to)), ("smbody", text)]
    if send.callback_url is not None:
        pairs.append(("response", send.callback_url))
    return _get(config, "/SpLmGet" if _is_long(text) else "/SmSendGet.asp", pairs)


def _build_blocks(config: Config, sends: Sequence[Send]) -> Call:
    lines = []
    for n, send in enumerate(sends):
        lines += [f"[{n}]", f"dstaddr={_localise(send.message.to)}", f"smbody={send.text}"]
        if send.callback_url is not None:
            lines.append(f"response={send.callback_url}")
    account = _encode([*_account(config), ("encoding", "UTF8")])
    return _post(config, f"/SmSendPost.asp?{account}", "text/plain", "".join(f"{line}\r\n" for line in lines))


def _build_form(config: Config, send: Send) -> Call:
    client_id, to, *_, response, text = _fields(send)
    pairs = [*_account(config), ("dstaddr", to), ("smbody", text), ("clientid", client_id)]
    if response:
        pairs.append(("response", response))
    return _post(config, "/api/mtk/SmSend?CharsetURL=UTF8", _FORM, _encode(pairs))


def _build_bulk(config: Config, sends: Sequence[Send]) -> Call:
    account = _encode([*_account(config), ("Encoding_PostIn", "UTF8")])
    rows = "".join("$$".join(_fields(send)) + "\r\n" for send in sends)
    return _post(config, f"/api/mtk/SmBulkSend?{account}", "text/plain", rows)


def _fields(send: Send) -> tuple[str, ...]:
    """The fields of one row, in the manual's order; dlvtime, vldtime and destname stay empty."""
    text = re.sub("\r\n|\r|\n", "\x06", send.text)  # how `mtk` wants a line's end
    return (_client_id(send), _localise(send.message.to), "", "", "", send.callback_url or "", text)


def parse(config: Config, reply: Reply, sends: Sequence[Send]) -> list[Outcome]:
    """One outcome each, in order. The credit that the answer carries is in the first one's `balances`."""
    if reply.is_html:
        return [Outcome("in_doubt", evidence="html")] * len(sends)
    blocks, points = _read_blocks(reply.body)
    missing = Outcome("in_doubt", evidence="missing" if blocks else "unreadable")
    matched = _match(blocks, sends)
    outcomes = [_judge(matched[n]) if n in matched else missing for n in range(len(sends))]
    if points is not None and outcomes:
        outcomes[0] = replace(outcomes[0], balances=(Balance("points", "points", points * MICRO),))
    return outcomes


class _Block(NamedTuple):
    """One section of an answer; `label` is None for what stands before the first one."""

    label: str | None
    fields: dict[str, str]


def _read_blocks(body: bytes) -> tuple[list[_Block], int | None]:
    """The sections that speak of a message, in order, and the points left where the answer says so."""
    blocks = [_Block(None, {})]
    points = None
    for line in _lines(body):
        label = _is_label(line)
        key, has_value, value = line.partition("=")
        if label is not None:
            blocks.append(_Block(label[1], {}))
        elif key == "AccountPoint":
            points = int(value) if _is_points(value) else None  # empty is not zero
        elif has_value:
            blocks[-1].fields.setdefault(key, value)
    telling = {"msgid", "statuscode", "Error"}
    return [block for block in blocks if block.label is not None or block.fields.keys() & telling], points


def _lines(body: bytes) -> list[str]:
    # Split before decoding: no line's end is part of a Big5 character, so a broken one spoils its line alone.
    lines = body.split(b"\n")
    if lines[-1].startswith(b"msgid="):
        lines.pop()  # the line has no end: its id may be cut, and half an id is another message's
    return [line.decode("big5", "replace").strip() for line in lines]


def _match(blocks: list[_Block], sends: Sequence[Send]) -> dict[int, _Block]:
    """Which send each section answers, by place. A section that may be another's answers none."""
    if len(blocks) == 1 and (len(sends) == 1 or _is_whole_call(blocks[0])):
        return dict.fromkeys(range(len(sends)), blocks[0])
    labels = Counter(block.label for block in blocks)
    places = {_client_id(send): n for n, send in enumerate(sends)}
    if not places.keys() & labels.keys():
        # Labels count from 1 in the manual, from 0 in its failures. The first one tells: a cut takes the end.
        first = blocks[0].label if blocks else None
        places = {str(int(first) + n): n for n in range(len(sends))} if first in ("0", "1") else {}
    once = {block.label: block for block in blocks if labels[block.label] == 1}
    return {place: once[label] for label, place in places.items() if label in once}


def _is_whole_call(block: _Block) -> bool:
    """True where a lone refusal answers for every message: the manual's `[0]`, `statuscode=e`, `Error=…`."""
    class_, _ = _meaning(_code(block))
    is_general = block.label in (None, "0") and class_ in ("unavailable", "throttled", "no_credit")
    return (is_general or class_ == "misconfigured") and _ref(block) is None


def _judge(block: _Block) -> Outcome:
    code, ref = _code(block), _ref(block)
    class_, detail = _meaning(code)
    if ref is None:
        if class_ == "accepted":
            return Outcome("in_doubt", code=code, evidence="no_id")
        return Outcome(class_, code=code, detail=detail)
    if code is None:
        return Outcome("in_doubt", refs=(ref,), evidence="no_code")
    if class_ != "accepted":  # an id beats a code
        return Outcome("accepted", code=code, detail=detail, refs=(ref,), evidence="anomaly")
    is_repeat = block.fields.get("Duplicate") == "Y"  # the first answer again; nothing was sent twice
    return Outcome("accepted", code=code, refs=(ref,), evidence="duplicate" if is_repeat else None)


def _code(block: _Block) -> str | None:
    code = block.fields.get("statuscode")
    if code is None:
        return "e" if block.fields.get("Error") == "帳號、密碼錯誤" else None
    return code if _is_code(code) else None


def _ref(block: _Block) -> str | None:
    ref = block.fields.get("msgid", "")
    return ref if _is_ref(ref) and ref.strip("#$0") else None


def query(config: Config, asks: Sequence[Ask], now: int) -> Call:
    """One question for the fate of up to 100 attempts, each by the one id that it has here."""
    return _ask(config, [("msgid", ",".join(ask.refs[0] for ask in asks if ask.refs))])


def parse_query(config: Config, reply: Reply, asks: Sequence[Ask]) -> list[Receipt]:
    """One receipt each, in order, whatever the order of the rows; who has no row gets `query_error`."""
    body = b"" if reply.is_html else reply.body
    rows = _read_rows(body)
    asked = {ask.refs[0] for ask in asks if ask.refs}
    refusal = _refusal(body)
    receipts = []
    for ask in asks:
        ref = ask.refs[0] if ask.refs else None
        row = _find_row(rows, ref, asked)
        if row is None:
            detail = _meaning(refusal)[1] or "not in the answer"
            receipts.append(Receipt("query_error", ref=ref, code=refusal, detail=detail))
            continue
        class_ = QUERY_CODES.get(row.code or "", "unrecognised")
        receipts.append(Receipt(class_, ref=ref, code=row.code, detail=_meaning(row.code)[1], at=row.at))
    return receipts


class _Row(NamedTuple):
    code: str | None
    at: int | None


def _read_rows(body: bytes) -> dict[str, _Row]:
    rows = {}
    for line in _lines(body):
        ref, *rest = (field.strip() for field in line.split("\t"))
        if rest:
            rows[ref] = _Row(rest[0] if _is_code(rest[0]) else None, _read_time(rest[1]) if rest[1:] else None)
    return rows


def _find_row(rows: dict[str, _Row], ref: str | None, asked: set[str]) -> _Row | None:
    # An id may come back with or without its prefix; but never take the row of another attempt for it.
    if ref is None:
        return None
    other = ref[1:] if ref.startswith("#") else f"#{ref}"
    return rows.get(ref) or (None if other in asked else rows.get(other))


def _read_time(text: str) -> int | None:
    """Milliseconds UTC of YYYYMMDDHHMMSS in Taipei, which has had no summer time since 1979."""
    try:
        moment = datetime.strptime(text if _is_time(text) else "", "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return (moment - datetime(1970, 1, 1, 8)) // timedelta(milliseconds=1)  # the epoch on Taipei's clocks


def balance(config: Config, now: int) -> Call:
    """The question for the points left."""
    return _ask(config, [])


def parse_balance(config: Config, reply: Reply) -> list[Balance] | Outcome:
    """The points left, or what the answer says instead; an empty `AccountPoint` is no answer."""
    if reply.is_html:
        return Outcome("in_doubt", evidence="html")
    code = _refusal(reply.body)
    points = _read_blocks(reply.body)[1]
    if code is None and points is not None:
        return [Balance("points", "points", points * MICRO)]
    class_, detail = _meaning(code)
    return Outcome("in_doubt" if class_ == "accepted" else class_, code=code, detail=detail)


def buckets(config: Config, message: Message, sender: str | None) -> tuple[str, ...]:
    """One bucket pays for every message."""
    return ("points",)


def batchable(config: Config, message: Message) -> bool:
    """True where the message may share a request with others.

    In `smexpress` a long text has an address of its own, a line's end would end the field, and no manual says
    whether `%` and `+` are decoded in a body; in `mtk` two dollars would end the field.
    """
    text = message.text or ""
    if config.api == "smexpress":
        return not _is_long(text) and set("%+\r\n").isdisjoint(text)
    return "$$" not in f"${text}"  # nor may one at its start lean on the two before it


def traits(config: Config) -> Traits:
    """TRAITS for the `api` chosen: only `mtk` knows a repeat again, by its clientid."""
    if config.api == "smexpress":
        return TRAITS
    return replace(TRAITS, batch=500, idempotency=12 * HOUR, doubt=frozenset({"token", "key"}))


_URLS: Final = {"smexpress": "http://smexpress.mitake.com.tw:9600", "mtk": "https://smsapi.mitake.com.tw"}
_LONG_URL: Final = "http://smexpress.mitake.com.tw:7002"
_FORM: Final = "application/x-www-form-urlencoded"

_is_label = re.compile(r"\[([^\[\]]{1,64})\]").fullmatch
_is_points = re.compile(r"-?[0-9]{1,12}").fullmatch
_is_code = re.compile(r"[0-9A-Za-z*?-]{1,4}").fullmatch  # short, lest an answer bring a text or a secret along
_is_ref = re.compile(r"[#$]?[0-9A-Za-z-]{1,40}").fullmatch
_is_taiwanese = re.compile(r"8869[0-9]{8}").fullmatch
_is_time = re.compile(r"[0-9]{14}").fullmatch
_is_client_id = re.compile(r"[0-9A-Za-z-]{8,36}").fullmatch  # from 8: never taken for a label that counts


def _account(config: Config) -> list[tuple[str, str]]:
    return [("username", config.username), ("password", config.password.reveal())]


def _encode(pairs: list[tuple[str, str]]) -> str:
    return urlencode(pairs, quote_via=quote, safe="")  # a blank is %20, as from the vendor's own client


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


def _meaning(code: str | None) -> tuple[OutcomeClass, str | None]:
    return _MEANT.get(code or "", ("in_doubt", None))


def _refusal(body: bytes) -> str | None:
    """The code with which a question was refused: `statuscode=e`, or the letter alone."""
    alone = body.strip().decode("ascii", "replace")
    if QUERY_CODES.get(alone) == "query_error":
        return alone
    blocks, _ = _read_blocks(body)
    return _code(blocks[0]) if len(blocks) == 1 else None
