"""Tatango (US) over HTTP: one message a request, and the HTTP status is the whole answer; what handsets send comes as XML.

Builds requests and reads answers. Never does I/O, reads a clock, or raises for an answer: what an answer does
not prove is in doubt. The truth is the vendor's page (MANUAL); where it is silent, the choice stands below.

BUGS: the provider gives no id, no receipt, no balance and no query, so what it took stays unconfirmed, and what
is in doubt only a person resolves. The hash covers neither the recipient nor a time: whoever reads a request can
send its text to any number, so keep `url` on https. An inbound message has no id, no time and not our own number.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote_plus

import msgspec

from broker.provider.contract import (
    Call,
    CallbackAnswer,
    CallbackRequest,
    Inbound,
    Outcome,
    Parsed,
    Reply,
    Secret,
    Send,
    Traits,
    Unsuitable,
)
from broker.text import write_form
from broker.text.markup import Element, MarkupError, read_markup
from broker.words.outcome import OutcomeClass
from broker.words.settings import Url

TITLE = "Tatango, United States (HTTP)"
MANUAL = "Tatango SMS Gateway, HTTP API (a page without a date; gem tatango-sms)"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`key`: the gateway key. `password`: never sent, only hashed with each text. `url`: scheme, host, port and
    any prefix. `charset`: that of the text as it is sent and hashed; the manual does not say which."""

    key: Secret
    password: Secret
    url: Url = "https://gateway.tatango.com"
    charset: Literal["utf-8", "latin-1"] = "utf-8"


TRAITS = Traits(
    senders=frozenset({"none"}),
    statuses=frozenset({200, 202, 400, 401, 403, 409, 500, 501, 503}),
    # No `countries`: the manual names none, and whom the account reaches is for the operator's rules to say.
)

CODES: dict[str, OutcomeClass] = {
    "200": "accepted",
    "202": "accepted",  # only if they opt in, of which we never hear
    "400": "rejected",
    "401": "misconfigured",  # of a text beyond ASCII `unsuitable`: see parse
    "403": "blocked",
    "409": "retry_later",
    "500": "in_doubt",
    "501": "misconfigured",
    "503": "unavailable",
}

_MEANINGS = {
    "202": "opt-in pending",
    "400": "invalid phone number",
    "401": "key or hash refused",
    "403": "the number is blocked: do not send again",
    "409": "invitation pending, not sent",
    "500": "internal error",
    "501": "not implemented",
    "503": "the provider's queue is down",
}


def build(config: Config, sends: Sequence[Send], now: int) -> Call:
    """The request for one message; ValueError for more, which nothing can carry.

    Raises Unsuitable for a text that `charset` cannot write.
    """
    (send,) = sends
    try:
        text = send.text.encode(config.charset)
    except UnicodeEncodeError:
        raise Unsuitable(f"the text has characters that are not in the account's charset, {config.charset}", "charset") from None
    key, digest = config.key.reveal(), _hash(config, text)
    form: list[tuple[str, str | bytes]] = [("key", key), ("recipient", _localise(send.message.to)), ("message", text), ("hash", digest)]
    return Call(
        "POST",
        f"{config.url.rstrip('/')}/messages",
        (("Content-Type", "application/x-www-form-urlencoded"),),
        write_form(form).encode(),
        (key, quote_plus(key), config.password.reveal(), digest),
    )


def _hash(config: Config, text: bytes) -> str:
    # MD5 is what the vendor asks for; of the text itself, before it is encoded for the form.
    return hashlib.md5(config.password.reveal().encode() + text, usedforsecurity=False).hexdigest()


def _localise(to: str) -> str:
    """The number as Tatango writes it: ten digits, without the country code 1."""
    digits = to.removeprefix("+")
    return digits[1:] if len(digits) == 11 and digits.startswith("1") else digits


def parse(config: Config, reply: Reply, sends: Sequence[Send]) -> list[Outcome]:
    """One outcome each, in order. A page is never the provider's word, least of all that a number is blocked."""
    if reply.is_html:
        class_: OutcomeClass = "misconfigured" if 400 <= reply.status < 500 else "in_doubt"
        return [Outcome(class_, evidence="html")] * len(sends)
    return [_judge(str(reply.status), send) for send in sends]


def _judge(code: str, send: Send) -> Outcome:
    class_ = CODES.get(code, "in_doubt")
    if code == "401" and not send.text.isascii():
        class_ = "unsuitable"  # the key may be right, and their reading of the text's octets another than ours
    return Outcome(class_, code=code, detail=_MEANINGS.get(code))


def receipts(config: Config, request: CallbackRequest, now: int) -> Parsed:
    """One inbound message: `<message><sender>…</sender><content>…</content></message>` (manual: "MO's"), whatever its type says.

    What cannot be read is answered with 200 all the same, and an empty Parsed tells the broker: no manual says what else ends it,
    and the same bytes coming again would be no clearer.
    """
    try:
        message = read_markup(request.body, _find_charset(request))
        inbound = _read_inbound(message)
    except MarkupError:
        inbound = None
    return Parsed(inbound=() if inbound is None else (inbound,), answer=CallbackAnswer(200, (("Content-Type", "text/plain"),)))


def _read_inbound(message: Element) -> Inbound | None:
    sender, content = message.find("sender"), message.find("content")
    if message.name != "message" or sender is None or content is None:
        return None
    number = _internationalise(sender.text)
    return Inbound(number, content.text) if number else None


def _internationalise(sender: str) -> str:
    """A handset's number in E.164 where it can be read (ten digits are of +1), else as it came; empty for what is no address."""
    text = sender.strip()
    digits = re.sub(r"[-+.() ]", "", text)
    if _is_national(digits) and not text.startswith("+"):
        return f"+1{digits}"
    if _is_whole(digits) and (text.startswith("+") or (digits.startswith("1") and len(digits) == 11)):
        return f"+{digits}"
    return text if text.isprintable() and len(text) <= _LONGEST_SENDER else ""


_LONGEST_SENDER = 32
_is_national = re.compile(r"[0-9]{10}").fullmatch
_is_whole = re.compile(r"[1-9][0-9]{6,14}").fullmatch
_find_parameter = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE | re.ASCII).search


def _find_charset(request: CallbackRequest) -> str | None:
    """The charset that the request names; where nothing does and the octets are not UTF-8, that of most of the western web."""
    named = _find_parameter(request.headers.get("content-type", ""))
    if named is not None or b"encoding=" in request.body[:100]:
        return named and named[1]
    try:
        request.body.decode()
    except UnicodeDecodeError:
        return None if request.body.startswith((b"\xff\xfe", b"\xfe\xff")) else "windows-1252"
    return None
