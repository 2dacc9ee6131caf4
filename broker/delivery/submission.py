"""Reading a submit: from what a client wrote to the message that it means, or a refusal that names the field and the reason.

Looks at no queue, no provider and no store. What becomes of the message is `accept`'s.
"""

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

from broker.delivery.wording import may_fit
from broker.routing import Book
from broker.text import (
    AddressError,
    NumberError,
    SenderError,
    TextError,
    check_sender,
    clean,
    read_address,
    read_number,
    verdict,
)
from broker.words.channel import CHANNELS, SMS, TEXTLESS
from broker.words.clock import DAY, read_span, read_time
from broker.words.identity import make_id
from broker.words.message import PRIORITIES, Message
from broker.words.money import MoneyError, read_micro
from broker.words.settings import ClientSettings

NOT_YET = "not in this version: "
KEY_LIMIT = 255
TAG_LIMIT = 32
OPTIONS_LIMIT = 4096
"""Bytes of a message's `options`, as JSON."""
FARTHEST = 366 * DAY
"""How far ahead `send_at` may be."""


class Submit(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One line of the submit socket (CONTRACT §4). `id` belongs to the ops `status`, `cancel` and `explain`."""

    to: str | None = None
    text: str | None = None
    from_: str | None = msgspec.field(name="from", default=None)
    key: str | None = None
    ref: str | None = None
    tags: tuple[str, ...] = ()
    priority: str = "normal"
    send_at: str | None = None
    validity: str | None = None
    channel: str = "sms"
    options: dict[str, Any] | None = None
    provider: str | None = None
    max_price: Decimal | None = None
    dry_run: bool = False
    op: str = "submit"
    id: str | None = None


class Refused(Exception):
    """A submit or op that is refused: `code` of CONTRACT §4, the field, and a text that says what to do."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.field = field


def read_submit(request: Submit, client: str, book: Book, now: int, drift: int = 0) -> Message:
    """The message that `request` describes, not yet ranked; dates are `drift` ahead of `now`. Raises Refused naming the field."""
    settings = book.settings
    limits = settings.clients.get(client)
    if request.provider is not None and request.provider not in book.accounts:
        known = ", ".join(book.accounts) or "none"
        raise Refused("bad_request", f"no provider of this name; there are: {known}", "provider")
    _check_fields(request)
    to, country = _read_recipient(request, settings.broker.default_country)
    text = _read_text(request)
    sender = request.from_
    if sender is not None:
        try:
            check_sender(sender)
        except SenderError as error:
            raise Refused("invalid_sender", str(error), "from") from None
    if limits is not None:
        _check_limits(limits, sender, country, request.provider, client)
    measured = verdict(text or "")
    # By the segment only what goes as an SMS is counted and paid: a call, a mail or a lookup is one, whatever its text.
    segments = measured.segments if request.channel in SMS else 1
    most = settings.submit.max_segments
    if segments > most and not may_fit(text or "", most, book):
        raise too_long(segments, most)
    return _make(request, client, to, country, text, measured.encoding, segments, sender, now, drift)


def _make(
    request: Submit,
    client: str,
    to: str,
    country: str | None,
    text: str | None,
    encoding: str,
    segments: int,
    sender: str | None,
    now: int,
    drift: int,
) -> Message:
    send_at = None if request.send_at is None else _read_send_at(request.send_at, now + drift)
    start = now if send_at is None else max(now, send_at - drift)
    valid_until = 0 if request.validity is None else start + _read_validity(request.validity)
    message = Message(make_id(now), client, to, country, text, encoding, segments, now, valid_until)
    message.key, message.ref, message.sender, message.channel = request.key, request.ref, sender, request.channel
    message.tags, message.pin, message.next_at = request.tags, request.provider, now
    message.send_at = send_at
    if request.priority != "normal":
        message.priority = PRIORITIES.index(request.priority)
    if request.max_price is not None:
        message.max_price = _read_price(request.max_price)
    if request.options:
        message.options = request.options
    return message


def _check_fields(request: Submit) -> None:
    """Forms that need no look at the world. Raises Refused (`bad_request`) naming the field."""
    if request.priority not in PRIORITIES:
        raise Refused("bad_request", "`priority` is high, normal or low", "priority")
    if request.key is not None and not 0 < len(request.key.encode("utf-8", "replace")) <= KEY_LIMIT:
        raise Refused("bad_request", f"`key` is 1 to {KEY_LIMIT} bytes", "key")
    if request.ref is not None and len(request.ref) > KEY_LIMIT:
        raise Refused("bad_request", f"`ref` is at most {KEY_LIMIT} characters", "ref")
    if len(request.tags) > TAG_LIMIT or any(not tag or len(tag) > 64 for tag in request.tags):
        raise Refused("bad_request", f"`tags` is at most {TAG_LIMIT} words of 1 to 64 characters", "tags")
    if request.channel not in CHANNELS:
        raise Refused("bad_request", f"`channel` is one of {', '.join(CHANNELS)}", "channel")
    if request.options and len(msgspec.json.encode(request.options)) > OPTIONS_LIMIT:
        raise Refused("bad_request", f"`options` is at most {OPTIONS_LIMIT} bytes of JSON", "options")
    if request.id is not None:
        raise Refused("bad_request", "`id` belongs to the ops status, cancel and explain", "id")


def _read_recipient(request: Submit, default_country: str | None) -> tuple[str, str | None]:
    """(recipient, country): a number in E.164, or for the channel email an address, which has no country."""
    raw = request.to
    if raw is None:
        wanted = "recipient's address" if request.channel == "email" else "recipient's number, for example +886912345678"
        raise Refused("bad_request", f"`to` is missing: the {wanted}", "to")
    try:
        if request.channel == "email":
            return read_address(raw), None
        number = read_number(raw, default_country)
    except (NumberError, AddressError) as error:
        raise Refused("invalid_recipient", str(error), "to") from None
    return number.e164, number.country


def _read_text(request: Submit) -> str | None:
    text, channel = request.text, request.channel
    if channel in TEXTLESS:
        if text is not None:
            raise Refused("bad_request", f"`text`: a message of channel {channel} carries none; leave it out", "text")
        return None
    if text is None:
        raise Refused("bad_request", "`text` is missing", "text")
    try:
        cleaned = clean(text)
    except TextError as error:
        raise Refused("invalid_text", str(error), "text") from None
    if not cleaned or cleaned.isspace():
        raise Refused("invalid_text", "the text is blank", "text")
    return cleaned


def too_long(segments: int, most: int) -> Refused:
    """The refusal of a text that takes too many segments."""
    return Refused("too_long", f"the text takes {segments} segments; [submit].max_segments allows {most}: shorten it", "text")


def _read_validity(text: str) -> int:
    try:
        span = read_span(text)
    except ValueError as error:
        raise Refused("bad_request", f"`validity`: {error}", "validity") from None
    if span <= 0:
        raise Refused("bad_request", "`validity` must be longer than nothing", "validity")
    return span


def _read_send_at(text: str, now: int) -> int:
    try:
        at = read_time(text)
    except ValueError as error:
        raise Refused("bad_request", f"`send_at`: {error}", "send_at") from None
    if at > now + FARTHEST:
        raise Refused("bad_request", f"`send_at` is more than {FARTHEST // DAY} days ahead: submit it nearer to its time", "send_at")
    return at


def _read_price(price: Decimal) -> int:
    try:
        return read_micro(price)
    except MoneyError as error:
        raise Refused("bad_request", f"`max_price`: {error}", "max_price") from None


def _check_limits(limits: ClientSettings, sender: str | None, country: str | None, pin: str | None, client: str) -> None:
    where = f'[clients."{client}"]'
    if sender is not None and limits.senders is not None and sender not in limits.senders:
        raise Refused("forbidden", f"{where}.senders does not allow this sender", "from")
    if limits.countries is not None and country not in limits.countries:
        raise Refused("forbidden", f"{where}.countries does not allow {country or 'this country'}", "to")
    if pin is not None and not limits.pin_provider:
        raise Refused("forbidden", f"{where}.pin_provider is not set", "provider")


def make_digest(message: Message, request: Submit) -> bytes:
    """Hash of the canonical message: what makes two submits with one key the same."""
    fields: tuple[object, ...] = (
        message.to, message.text, message.sender, message.ref, message.tags, message.priority, request.validity, message.channel,
        message.pin, message.max_price,
    )  # fmt: skip
    if request.send_at is not None:
        fields = (*fields, request.send_at)
    if message.options is not None:
        fields = (*fields, msgspec.json.encode(message.options, order="deterministic"))
    return hashlib.blake2b(msgspec.json.encode(fields), digest_size=16).digest()
