"""Acceptance: a submit becomes a durable message, or a refusal that names the field and the reason.

Ranks once and stores the first lane in the same insert; a lane with room gets the message in memory as well. Answers come only after
the commit (promise 1), in the order of the requests. Never touches a provider.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from broker.delivery.allowance import Allowance
from broker.delivery.exchange import Exchange
from broker.delivery.guard import Guard
from broker.delivery.lookups import find_network
from broker.delivery.submission import Refused, Submit, make_digest, read_submit, too_long
from broker.delivery.wording import word
from broker.routing import Candidate, Route, Rule, find_rule, rank
from broker.store.contract import Accept, Answer
from broker.text import mask
from broker.words.message import Message, Progress
from broker.words.settings import ClientSettings


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
        self._guard = Guard()

    def submit(self, request: Submit, client: str, reply: Reply) -> None:
        """Accept `request` for `client`; `reply` is called once, after the commit. Raises Refused at once for what is refused."""
        ex = self.ex
        now = ex.now()
        if ex.is_stopping:
            raise Refused("stopping", "the broker is stopping; submit again when it is back")
        message = self.read(request, client, now)
        digest = None
        if request.key is not None:
            digest = make_digest(message, request)
            if self._find_first(message, digest, reply):
                return
        limits = ex.book.settings.clients.get(client)
        self._check_room(client, limits, now)
        start = now if message.send_at is None else max(now, ex.clock.of_wall(message.send_at))
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
        done = partial(self._note_taken, message, now, ready is None, digest, was, reply)
        ex.journal.put(Accept(message, ex.teller.tell(message, "queued", now, rule=rule.name), done, digest))
        if ready is not None:
            ex.lanes[ready.provider].offer(message, rule, ready, ex.epoch)

    def _note_taken(
        self, message: Message, now: int, is_to_wake: bool, digest: bytes | None, was: str, reply: Reply, answer: Answer, value: Any
    ) -> None:
        """The store's answer to a message that may leave at once."""
        if answer is not Answer.DONE:
            self.ex.queued -= 1
        elif is_to_wake:
            self.ex.wake(message.lane, now, now)
        reply(_answer(answer, value, message, digest, was))

    def _put_off(self, message: Message, rule: Rule, start: int, now: int, digest: bytes | None, was: str, reply: Reply) -> bool:
        """Take a message that may not leave yet: scheduled for `send_at` or its rule's window, or held by the guard. False where it may."""
        ex = self.ex
        due = ex.find_opening(rule, message, start)
        limits = ex.book.settings.guard
        if limits is not None and self._guard.is_tripped(limits, message, now):
            message.status, message.detail, message.next_at = "held", "guard", message.valid_until
        elif due is not None or start > now:
            message.status, message.detail = "scheduled", "send_at" if due is None else "window"
            message.next_at = min(due or start, message.valid_until)
        else:
            return False
        ex.queued += 1

        def done(answer: Answer, value: Any) -> None:
            if answer is Answer.DONE:
                ex.sweep_bell.ring_at(message.next_at)
            else:
                ex.queued -= 1
            reply(_answer(answer, value, message, digest, was))

        shown = message.next_at if message.status == "scheduled" else None
        entry = ex.teller.tell(message, message.status, now, rule=rule.name, detail=message.detail, next_at=shown)
        ex.journal.put(Accept(message, entry, done, digest))
        return True

    def read(self, request: Submit, client: str, now: int) -> Message:
        """The message that `request` describes, not yet ranked. Raises Refused naming the field."""
        message = read_submit(request, client, self.ex.book, now, self.ex.clock.drift)
        message.network = find_network(self.ex, message.to)
        return message

    def route(self, message: Message, now: int) -> tuple[Rule, Route]:
        """The rule and route of a new message; sets its validity. Raises Refused (`no_route`) when nobody could ever take it.

        Its text becomes the one that the rule sends.
        """
        book, standings = self.ex.book, self.ex.standings
        date = self.ex.clock.on_wall(now)
        rule = find_rule(book, message, date)
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
                following = find_rule(book, message, date, message.progress)
            if following is None:
                why = "; ".join(f"{left.name}: {left.reason}" for left in first[1].left_out)
                raise Refused("no_route", f"no provider of rule {first[0].name} could ever take this message: {why or 'it has none'}")
            rule = following
        if message.segments > (most := book.settings.submit.max_segments):  # let through for a rule that would have shortened it
            raise too_long(message.segments, most)
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
        if message.to not in suppressions.scopes or message.channel == "hlr":
            return  # a lookup asks the network, and writes to nobody
        sender = message.sender
        if sender is None and route.first is not None:
            sender = self.ex.book.accounts[route.first.provider].find_sender(message)
        if suppressions.find_reason(message.to, sender) is not None:
            raise Refused("suppressed", f"{mask(message.to)} is on the suppression list; `broker suppress remove` takes it off", "to")


def _answer(answer: Answer, value: Any, message: Message, digest: bytes | None, was: str) -> Accepted | Refused:
    """What the store's answer to a new message means to its client; `was` is the encoding of the text as it came."""
    if answer is Answer.DONE:
        status = "queued" if message.detail is None else message.status  # a lane may have it by now, if nothing set it aside
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
