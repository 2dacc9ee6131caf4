"""Inbound: what a handset sent us becomes durable once, is told, is obeyed where it is a STOP or START, and is put before its endpoint.

The caller acknowledges to the provider only when `take_inbound` has returned (promise 9). Hands nothing on itself: `hooks` does. The
truth is the store's; who is barred stands in the suppression list.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import trio

from broker.delivery.exchange import BY_A_PERSON, STOP, Exchange
from broker.delivery.lane import Lane
from broker.provider.contract import Changes, Inbound, Unstored
from broker.store.contract import Answer, Hook, Put, Receive
from broker.store.retention import KEPT
from broker.text import NumberError, first_word, fold_whole, read_number
from broker.words.clock import MINUTE
from broker.words.identity import make_id
from broker.words.inbound import Received
from broker.words.settings import InboundMatch, InboundSettings

SAME = MINUTE
"""An identical inbound message without the provider's id is the same one for so long (CONTRACT §10): since it last came, or since it
was acknowledged, for who repeats it until it hears us began that anew with each. After a restart, since it came first.
"""
MOST_HEARD = 10_000
MOST_SEGMENTS = 255
INBOUND = "in:"
LATEST = 1 << 53

Facts = tuple[tuple[str, str, dict[str, Any] | None], ...]
Heard = Callable[[bool], None]


async def take_inbound(ex: Exchange, lane: Lane, inbound: Sequence[Inbound]) -> None:
    """Make inbound messages of `lane`'s account durable, with whatever follows from them; return after the commit.

    One that was taken before is taken again without any effect. Raises Unstored where even one is not durable: the provider has to send
    them again.
    """
    left, is_stored, told = len(inbound), True, trio.Event()

    def hear(is_done: bool) -> None:
        nonlocal left, is_stored
        left -= 1
        is_stored = is_stored and is_done
        if not left:
            told.set()

    for each in inbound:
        _receive(ex, lane, read_inbound(lane.name, each, ex.now()), _name_facts(lane, each.changes), hear)
    if inbound:
        await told.wait()
    if not is_stored:
        raise Unstored


async def keep(ex: Exchange, lane: Lane, changes: Changes) -> None:
    """Make durable what `lane`'s session keeps beside messages; return after the commit. Raises Unstored."""
    told, is_stored = trio.Event(), False

    def done(answer: Answer, _value: object) -> None:
        nonlocal is_stored
        is_stored = answer is Answer.DONE
        told.set()

    ex.journal.put(Put(facts=_name_facts(lane, changes), done=done, from_outside=True))
    await told.wait()
    if not is_stored:
        raise Unstored


def read_kept(ex: Exchange, lane: Lane) -> dict[str, dict[str, Any]]:
    """What `lane`'s session keeps, by name."""
    return ex.query.read_facts(KEPT + lane.name)


def _name_facts(lane: Lane, changes: Changes) -> Facts:
    return tuple((KEPT + lane.name, name, value) for name, value in changes)


def read_inbound(provider: str, given: Inbound, now: int) -> Received:
    """What is kept of an inbound message: a stranger wrote it, so whatever no store and no JSON could hold is replaced."""
    sender, country = _read_number(given.sender)
    to = None if given.to is None else _read_number(given.to)[0]
    ref = None if given.ref is None else _tidy(given.ref)
    sent_at = given.at if given.at is not None and 0 < given.at < LATEST else None
    segments = min(max(given.segments, 1), MOST_SEGMENTS)
    return Received(make_id(now), provider, sender, to, _tidy(given.text), ref, now, sent_at, segments, country)


def _read_number(raw: str) -> tuple[str, str | None]:
    """(E.164, country), or the number as it came and None."""
    try:
        number = read_number(raw, None)
    except NumberError:
        return _tidy(raw), None
    return number.e164, number.country


def _tidy(text: str) -> str:
    """`text` without NULs, and without halves of characters."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def find_rule(rules: Sequence[InboundSettings], received: Received) -> InboundSettings | None:
    """The first of [[inbound]] that matches."""
    return next((rule for rule in rules if _matches(rule.match, received)), None)


def _matches(match: InboundMatch, received: Received) -> bool:
    if match.provider is not None and received.provider not in match.provider:
        return False
    if match.to is not None and not _is_among(received.to, match.to):
        return False
    if match.from_ is not None and not _is_among(received.sender, match.from_):
        return False
    return match.keyword is None or first_word(received.text or "") in map(first_word, match.keyword)


def _is_among(number: str | None, numbers: Sequence[str]) -> bool:
    """Providers write our numbers with a plus sign or without."""
    return number is not None and number.removeprefix("+") in [each.removeprefix("+") for each in numbers]


def name_stream(rule: InboundSettings) -> str | None:
    """The queue of the rule's endpoint: the same for all rules that name the same one, and nothing of the address can be read in it."""
    if rule.to is None and rule.exec is None:
        return None
    return INBOUND + hashlib.blake2b(msgspec.json.encode((rule.to, rule.exec)), digest_size=8).hexdigest()


def is_inbound(stream: str) -> bool:
    """True for the queue of a rule of [[inbound]]."""
    return stream.startswith(INBOUND)


def find_stream(ex: Exchange, received: Received) -> str | None:
    """The queue that a message belongs in under the newest configuration."""
    rule = find_rule(ex.book.settings.inbound, received)
    return None if rule is None else name_stream(rule)


def _receive(ex: Exchange, lane: Lane, received: Received, facts: Facts, hear: Heard) -> None:
    now = received.at
    entry = ex.teller.happen(
        "inbound.received",
        now,
        id=received.id,
        provider=received.provider,
        **{"from": received.sender},
        to=received.to,
        text=received.text,
        segments=received.segments,
        country=received.country,
    )
    entry.message = received.id  # so that its text can be found when its time is over
    word = _find_word(ex, received)
    put = _obey(ex, lane, received, word)
    put.entries, put.facts = (entry, *put.entries), facts
    stream = find_stream(ex, received)
    if stream is not None:
        put.hooks = (Hook(stream, received.id, received.sender, now),)

    def done(answer: Answer, _value: object) -> None:
        if answer is Answer.DONE:
            _apply(ex, put)
            if stream is not None:
                ex.ring_hook(stream)
        elif answer is Answer.EXISTS and word == "stop" and received.ref is None:
            # STOP, START, STOP within the minute: without an id the last word cannot be told from the first, and STOP is the safe one.
            _repeat(ex, put, hear)
            return
        elif answer is Answer.EXISTS and facts:  # what is kept of it goes all the same
            _repeat(ex, Put(facts=facts), hear)
            return
        hear(answer in (Answer.DONE, Answer.EXISTS))

    mark = _mark(received)
    since = 0 if received.ref is not None or _is_heard(ex, mark, now) else now - SAME

    def note(answer: Answer, value: object) -> None:
        if received.ref is None and answer in (Answer.DONE, Answer.EXISTS):
            _note_heard(ex, mark)
        done(answer, value)

    ex.journal.put(Receive(received, mark, since, put, note))


def _mark(received: Received) -> bytes:
    """What makes two inbound messages the same."""
    same = (received.provider, received.ref, received.sender, received.to, received.text)
    return hashlib.blake2b(msgspec.json.encode(same), digest_size=16).digest()


def _is_heard(ex: Exchange, mark: bytes, now: int) -> bool:
    """True where one like it was acknowledged within the last SAME."""
    at = ex.heard.get(mark)
    return at is not None and now - at <= SAME


def _note_heard(ex: Exchange, mark: bytes) -> None:
    ex.heard.pop(mark, None)  # it stands last now
    ex.heard[mark] = ex.now()
    if len(ex.heard) > MOST_HEARD:
        del ex.heard[next(iter(ex.heard))]


def _find_word(ex: Exchange, received: Received) -> str | None:
    """`stop` or `start` where the whole text is one of their words."""
    text, words = fold_whole(received.text or ""), ex.book.settings.suppress
    if text and text in map(fold_whole, words.stop):
        return "stop"
    return "start" if text and text in map(fold_whole, words.start) else None


def _obey(ex: Exchange, lane: Lane, received: Received, word: str | None) -> Put:
    """What a STOP adds to the suppression list, or a START takes off it, with the events that tell of the change."""
    put, now, number = Put(), received.at, received.sender
    tell, listed = ex.teller.tell_suppressed, ex.suppressions.scopes.get(number, {})
    if word == "stop":
        added = [scope for scope in _find_scopes(ex, lane, received) if ex.suppressions.is_stronger(number, scope, STOP)]
        put.unsuppress = tuple((number, scope) for scope in added)  # a STOP takes the place of a provider's reason
        put.suppress = tuple((number, scope, STOP, now) for scope in added)
        put.entries = tuple(tell("suppress.added", now, number, scope, STOP) for scope in added if scope not in listed)
    elif word == "start":
        gone = [scope for scope, reason in listed.items() if reason != BY_A_PERSON]
        put.unsuppress = tuple((number, scope) for scope in gone)
        put.entries = tuple(tell("suppress.removed", now, number, scope, "START") for scope in gone)
    return put


def _find_scopes(ex: Exchange, lane: Lane, received: Received) -> list[str]:
    """Whom a STOP bars: everybody, or the number that it was sent to and the account's own sender.

    The account's own as well: who sends by a number of the provider's names none in a submit. Where the provider does not say to which
    number a STOP came, it cannot be meant for one sender alone.
    """
    if ex.book.settings.suppress.scope == "all" or received.to is None:
        return ["all"]
    account = lane.carrier.account
    own = account.senders_by_country.get(received.country or "", account.settings.sender)
    return list(dict.fromkeys((f"sender:{received.to}", f"sender:{own or ''}")))


def _apply(ex: Exchange, put: Put) -> None:
    for number, scope in put.unsuppress:
        ex.suppressions.remove(number, scope)
    for number, scope, reason, _ in put.suppress:
        ex.suppressions.add(number, scope, reason)


def _repeat(ex: Exchange, put: Put, hear: Heard) -> None:
    """What follows from a message even where it came before: whom a repeated STOP finds off the list is barred again."""

    def done(answer: Answer, _value: object) -> None:
        if answer is Answer.DONE:
            _apply(ex, again)
        hear(answer is Answer.DONE)

    again = Put(unsuppress=put.unsuppress, suppress=put.suppress, entries=put.entries[1:], facts=put.facts, done=done)
    ex.journal.put(again)
