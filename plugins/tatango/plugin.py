"""Tatango (US) over HTTP: one message a request, and the HTTP status is the whole answer.

Builds requests and reads answers. Never does I/O, reads a clock, or raises for an answer: what an answer does
not prove is in doubt. The truth is the vendor's page (MANUAL); where it is silent, the choice stands below.

BUGS: the provider gives no id, no receipt, no balance and no query, so what it took stays unconfirmed, and what
is in doubt only a person resolves. The hash covers neither the recipient nor a time: whoever reads a request can
send its text to any number, so keep `url` on https.
"""

import hashlib
from collections.abc import Sequence
from urllib.parse import quote_plus, urlencode

import msgspec

from broker.provider.contract import Call, Outcome, Reply, Secret, Send, Traits
from broker.words.outcome import OutcomeClass

TITLE = "Tatango, United States (HTTP)"
MANUAL = "Tatango SMS Gateway, HTTP API (a page without a date; gem tatango-sms)"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`key`: the gateway key. `password`: never sent, only hashed with each text. `url`: scheme, host, port and
    any prefix."""

    key: Secret
    password: Secret
    url: str = "https://gateway.tatango.com"


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
    """The request for one message; ValueError for more, which nothing can carry."""
    (send,) = sends
    text = send.text
    key, digest = config.key.reveal(), _hash(config, text)
    form = [("key", key), ("recipient", _localise(send.message.to)), ("message", text), ("hash", digest)]
    return Call(
        "POST",
        f"{config.url.rstrip('/')}/messages",
        (("Content-Type", "application/x-www-form-urlencoded"),),
        urlencode(form).encode(),
        (key, quote_plus(key), config.password.reveal(), digest),
    )


def _hash(config: Config, text: str) -> str:
    # MD5 is what the vendor asks for; of the text itself, before it is encoded for the form.
    secret = config.password.reveal().encode() + text.encode()
    return hashlib.md5(secret, usedforsecurity=False).hexdigest()


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
