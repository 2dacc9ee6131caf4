"""Acceptance: a submit becomes a durable message, or a refusal that names the field and the reason.

Ranks once and stores the first lane in the same insert; a lane with room gets the message in memory as well. Answers come only after
the commit (promise 1), in the order of the requests. Never touches a provider.
"""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from broker.delivery.allowance import Allowance
from broker.delivery.exchange import Exchange
from broker.delivery.wording import may_fit, word
from broker.routing import Candidate, Route, Rule, find_rule, rank
from broker.store.contract import Accept, Answer
from broker.text import (
    NumberError,
    SenderError,
    TextError,
    check_sender,
    clean,
    mask,
    read_number,
    verdict,
)
from broker.words.clock import DAY, read_span, read_time
from broker.words.identity import make_id
from broker.words.message import CHANNELS, PRIORITIES, Message, Progress
from broker.words.money import MoneyError, read_micro
from broker.words.settings import ClientSettings

NOT_YET = "not in this version: "
KEY_LIMIT = 255
TAG_LIMIT = 32
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


class Accepted(msgspec.Struct, gc=False):
    """The answer to a submit that is durable."""

    ok: bool
    id: str
    status: str
    segments: int
    encoding: str
    country: str | None
    duplicate: bool
    transliterated: bool | msgspec.UnsetType = msgspec.UNSET
    ref: str | msgspec.UnsetType | None = msgspec.UNSET


Reply = Callable[[Accepted | Refused], None]


class Intake:
    """Accepts submits from every door. `client` is `unix:USER` or a token's name."""

    def __init__(self, ex: Exchange) -> None:
        self.ex = ex
        self._allowances: dict[str, Allowance] = {}

    def submit(self, request: Submit, client: str, reply: Reply) -> None:
        """Accept `request` for `client`; `reply` is called once, after the commit. Raises Refused at once for what is refused."""
        ex = self.ex
        now = ex.now()
        if ex.is_stopping:
            raise Refused("stopping", "the broker is stopping; submit again when it is back")
        message = self.read(request, client, now)
        digest = None
        if request.key is not None:
            digest = _digest(message, request)
            if self._find_first(message, digest, reply):
                return
        limits = ex.book.settings.clients.get(client)
        self._check_room(client, limits, now)
        start = now if message.send_at is None else max(now, message.send_at)
        was = message.encoding
        rule, route = self.route(message, start)
        self._check_suppressed(message, route)
        if self._put_off(message, rule, start, now, digest, was, reply):
            return
        first = route.first
        ready: Candidate | None = None
        if first is not None:
            message.lane = first.provider
            lane = ex.lanes[first.provider]
            if lane.has_room:
                ready = first
        ex.queued += 1

        def done(answer: Answer, value: Any) -> None:
            if answer is Answer.DONE:
                if ready is None:
                    ex.wake(message.lane, now, now)
            else:
                ex.queued -= 1
            reply(_answer(answer, value, message, digest, was))

        ex.journal.put(Accept(message, ex.teller.tell(message, "queued", now, rule=rule.name), done, digest))
        if ready is not None:
            ex.lanes[ready.provider].offer(message, rule, ready)

    def _put_off(self, message: Message, rule: Rule, start: int, now: int, digest: bytes | None, was: str, reply: Reply) -> bool:
        """Take a message that may not leave yet, for `send_at` or for its rule's window, as scheduled. False where it may."""
        due = rule.find_opening(message, start)
        if due is None and start <= now:
            return False
        message.detail = "send_at" if due is None else "window"
        message.status, message.next_at = "scheduled", min(due or start, message.valid_until)
        ex = self.ex
        ex.queued += 1

        def done(answer: Answer, value: Any) -> None:
            if answer is Answer.DONE:
                ex.sweep_bell.ring_at(message.next_at)
            else:
                ex.queued -= 1
            reply(_answer(answer, value, message, digest, was))

        entry = ex.teller.tell(message, "scheduled", now, rule=rule.name, detail=message.detail, next_at=message.next_at)
        ex.journal.put(Accept(message, entry, done, digest))
        return True

    def read(self, request: Submit, client: str, now: int) -> Message:
        """The message that `request` describes, not yet ranked. Raises Refused naming the field."""
        settings = self.ex.book.settings
        limits = settings.clients.get(client)
        if request.provider is not None and request.provider not in self.ex.book.accounts:
            known = ", ".join(self.ex.book.accounts) or "none"
            raise Refused("bad_request", f"no provider of this name; there are: {known}", "provider")
        if request.to is None:
            raise Refused("bad_request", "`to` is missing: the recipient's number, for example +886912345678", "to")
        _check_fields(request)
        try:
            number = read_number(request.to, settings.broker.default_country)
        except NumberError as error:
            raise Refused("invalid_recipient", str(error), "to") from None
        text = _read_text(request.text)
        sender = request.from_
        if sender is not None:
            try:
                check_sender(sender)
            except SenderError as error:
                raise Refused("invalid_sender", str(error), "from") from None
        if limits is not None:
            _check_limits(limits, sender, number.country, request.provider, client)
        measured = verdict(text)
        most = settings.submit.max_segments
        if measured.segments > most and not may_fit(text, most, self.ex.book):
            raise _too_long(measured.segments, most)
        return _make(request, client, number.e164, number.country, text, measured.encoding, measured.segments, sender, now)

    def route(self, message: Message, now: int) -> tuple[Rule, Route]:
        """The rule and route of a new message; sets its validity. Raises Refused (`no_route`) when nobody could ever take it.

        Its text becomes the one that the rule sends.
        """
        book, standings = self.ex.book, self.ex.standings
        rule = find_rule(book, message, now)
        if rule is None:
            raise Refused("no_route", "no rule matches this message; add a rule, or one without `match` as the last", None)
        first: tuple[Rule, Route] | None = None
        came = (message.text, message.encoding, message.segments)
        while True:
            word(message, rule)
            route = rank(rule, message, standings, {})
            first = first or (rule, route)
            if route.candidates or any(left.for_now for left in route.left_out):
                break
            message.text, message.encoding, message.segments = came
            following = None
            if rule.settings.else_ == "next-rule":
                passed = (*message.progress.passed, rule.name)
                message.progress = Progress(passed=passed)
                following = find_rule(book, message, now, message.progress)
            if following is None:
                why = "; ".join(f"{left.name}: {left.reason}" for left in first[1].left_out)
                raise Refused(
                    "no_route", f"no provider of rule {first[0].name} could ever take this message: {why or 'it has none'}"
                )
            rule = following
        if message.segments > (most := book.settings.submit.max_segments):  # let through for a rule that would have shortened it
            raise _too_long(message.segments, most)
        if message.valid_until == 0 or message.valid_until > now + rule.settings.validity:
            message.valid_until = now + rule.settings.validity  # `now` is when it may leave: `send_at`, where there is one
        return rule, route

    def _find_first(self, message: Message, digest: bytes, reply: Reply) -> bool:
        assert message.key is not None
        found = self.ex.query.find_key(message.client, message.key)
        if found is None:
            return False
        reply(_compare(found, digest, message.encoding))
        return True

    def _check_room(self, client: str, limits: ClientSettings | None, now: int) -> None:
        ex = self.ex
        if ex.journal.is_full:
            raise Refused("unavailable", "the disk is full; submit again when there is room")
        if ex.queued >= ex.book.settings.submit.max_queued:
            raise Refused("queue_full", f"{ex.queued} messages wait; [submit].max_queued allows no more: submit again later")
        if limits is not None and limits.rate is not None:
            allowance = self._allowances.get(client)
            if allowance is None or allowance.rate != limits.rate:
                allowance = self._allowances[client] = Allowance(limits.rate, now)
            if not allowance.take(now):
                raise Refused("rate_limited", "more messages than this client's rate allows; submit again in a moment")

    def _check_suppressed(self, message: Message, route: Route) -> None:
        suppressions = self.ex.suppressions
        if message.to not in suppressions.scopes:
            return
        sender = message.sender
        if sender is None and route.first is not None:
            sender = self.ex.book.accounts[route.first.provider].find_sender(message)
        if suppressions.find_reason(message.to, sender) is not None:
            raise Refused(
                "suppressed", f"{mask(message.to)} is on the suppression list; `broker suppress remove` takes it off", "to"
            )


def _make(
    request: Submit,
    client: str,
    to: str,
    country: str | None,
    text: str,
    encoding: str,
    segments: int,
    sender: str | None,
    now: int,
) -> Message:
    send_at = None if request.send_at is None else _read_send_at(request.send_at, now)
    start = now if send_at is None else max(now, send_at)
    valid_until = 0 if request.validity is None else start + _read_validity(request.validity)
    message = Message(make_id(now), client, to, country, text, encoding, segments, now, valid_until)
    message.key, message.ref, message.sender, message.channel = request.key, request.ref, sender, request.channel
    message.tags, message.pin, message.next_at = request.tags, request.provider, now
    message.send_at = send_at
    if request.priority != "normal":
        message.priority = PRIORITIES.index(request.priority)
    if request.max_price is not None:
        message.max_price = _read_price(request.max_price)
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
    if request.channel != "sms":
        if request.channel not in CHANNELS:
            raise Refused("bad_request", f"`channel` is one of {', '.join(CHANNELS)}", "channel")
        raise Refused("bad_request", f"{NOT_YET}channel {request.channel}", "channel")
    if request.options is not None:
        raise Refused("bad_request", f"{NOT_YET}options", "options")
    if request.id is not None:
        raise Refused("bad_request", "`id` belongs to the ops status, cancel and explain", "id")


def _read_text(text: str | None) -> str:
    if text is None:
        raise Refused("bad_request", "`text` is missing", "text")
    try:
        cleaned = clean(text)
    except TextError as error:
        raise Refused("invalid_text", str(error), "text") from None
    if not cleaned or cleaned.isspace():
        raise Refused("invalid_text", "the text is blank", "text")
    return cleaned


def _too_long(segments: int, most: int) -> Refused:
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


def _digest(message: Message, request: Submit) -> bytes:
    """Hash of the canonical message: what makes two submits with one key the same."""
    fields: tuple[object, ...] = (
        message.to, message.text, message.sender, message.ref, message.tags, message.priority, request.validity, message.channel,
        message.pin, message.max_price,
    )  # fmt: skip
    if request.send_at is not None:
        fields = (*fields, request.send_at)
    return hashlib.blake2b(msgspec.json.encode(fields), digest_size=16).digest()


def _answer(answer: Answer, value: Any, message: Message, digest: bytes | None, was: str) -> Accepted | Refused:
    """What the store's answer to a new message means to its client; `was` is the encoding of the text as it came."""
    if answer is Answer.DONE:
        status = "queued" if message.detail is None else "scheduled"
        reworded = _is_reworded(was, message.encoding)
        return Accepted(True, message.id, status, message.segments, message.encoding, message.country, False, reworded)
    if answer is Answer.EXISTS:
        return _compare(value, digest, was)
    if answer is Answer.UNKNOWN:
        return Refused("outcome_unknown", "the store failed; the message may have been taken: ask again with the same key")
    return Refused("unavailable", "the disk is full; submit again when there is room")


def _compare(row: tuple[Any, ...], digest: bytes | None, was: str) -> Accepted | Refused:
    """The first answer again, or the conflict."""
    id_, first, segments, encoding, country, was_scheduled = row
    if first != digest:
        return Refused("key_conflict", "this key was used for another message; nothing was stored", "key")
    return Accepted(True, id_, "scheduled" if was_scheduled else "queued", segments, encoding, country, True, _is_reworded(was, encoding))


def _is_reworded(was: str, encoding: str) -> bool | msgspec.UnsetType:
    """What the answer says of `transliterate`: true, or nothing. It always changes the encoding."""
    return True if encoding != was else msgspec.UNSET
