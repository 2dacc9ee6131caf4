"""Lookups: what HLR requests find of numbers, told to the feed, kept for the rules that go by a number's network, and asked for once.

A request is a message of channel `hlr`; its answer is a receipt that carries a Lookup. The truth is the store's table, written with the
receipt; in memory stands the newest part of it, and who is being asked about whom.
"""

from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.store.contract import Answer, Change, Entry, Found, Move, Step
from broker.words.clock import DAY, MINUTE
from broker.words.message import Message
from broker.words.receipt import FINAL_RECEIPTS, Lookup, Receipt

AGE = 30 * DAY
"""A network found longer ago is unknown again: people take their numbers along."""
WAIT = 5 * MINUTE
"""So long a second lookup of a number waits for the answer to the first; then it asks for itself."""
MOST_ASKED = 10_000
MOST_WAITING = 1_000
"""Of one number. Whoever is beyond it is answered when its wait is over."""


def is_asked_soon(lane: Lane, message: Message) -> bool:
    """True for a lookup whose result a question brings: over SMPP it comes with the receipt alone, and a question would come before it."""
    return message.channel == "hlr" and lane.carrier.goes_by_http(message.channel)


def is_bare(lane: Lane, message: Message, receipt: Receipt) -> bool:
    """True where a call says that a lookup has ended, and not with what, and the provider can be asked for that."""
    return receipt.class_ in FINAL_RECEIPTS and receipt.lookup is None and lane.can_query and is_asked_soon(lane, message)


def find_network(ex: Exchange, number: str) -> str | None:
    """The network (MCCMNC) that a number was last found in, None where nobody looked or it is too long ago."""
    return ex.lookups.find_network(ex.query, number, find_limit(ex))


def find_limit(ex: Exchange) -> int:
    """What was found before this is not gone by any more."""
    return ex.now() - min(AGE, ex.book.settings.store.keep)


def add_lookup(ex: Exchange, lane: Lane, message: Message, receipt: Receipt, step: Step) -> Step:
    """The step of a receipt, with what it tells of the number: an event before its own, a row, and whoever waits for it woken after."""
    lookup = receipt.lookup
    if lookup is None and message.channel == "hlr" and receipt.class_ in FINAL_RECEIPTS:
        lookup = Lookup((receipt.code or receipt.class_).lower())  # that it ended is all that the provider says of it
    if lookup is None or receipt.class_ == "progress":
        return step  # it is still being looked at
    now, then = ex.now(), step.done
    found = Found(message.to, lane.name, now, receipt.class_, lookup)

    def done(answer: Answer, value: object) -> None:
        if then is not None:
            then(answer, value)
        if answer is Answer.DONE:
            ex.lookups.learn(found)
            end_lookup(ex, lane.name, message)

    step.entries = (_tell(ex, message, found, now), *step.entries)
    step.found, step.done = found, done
    return step


def _tell(ex: Exchange, message: Message, found: Found, now: int) -> Entry:
    result = show_lookup(found.lookup)
    entry = ex.teller.happen(
        "lookup.done", now, id=message.id, ref=message.ref, client=message.client, provider=found.provider, to=message.to, result=result
    )
    entry.message = message.id
    return entry


def show_lookup(lookup: Lookup) -> dict[str, str | None]:
    """`result` of a lookup.done."""
    return {name: getattr(lookup, name) for name in ("status", "country", "network", "operator", "roaming", "code")}


def join_lookup(ex: Exchange, lane: Lane, message: Message, now: int) -> bool:
    """True where a lookup about to leave needs no request of its own: it is answered by another's, or waits for that.

    Any answer of this provider since the message was accepted is one; so it is after a crash between the two, too.
    """
    lookups, key = ex.lookups, (lane.name, message.to)
    found = ex.query.find_found(message.to, lane.name)
    since = max(message.accepted_at, ex.clock.of_wall(message.send_at or 0))
    if found is not None and found.at >= since and found.class_ in FINAL_RECEIPTS:
        _answer(ex, message, found, now)
        return True
    asking, until = lookups.asked.get(key, (message.id, 0))
    if asking != message.id and until > now:
        waiting = lookups.waiting.setdefault(key, [])
        if len(waiting) < MOST_WAITING:
            waiting.append(message.id)
        ex.journal.put(Move(((message.id, lane.name, min(until, message.valid_until)),)))
        return True
    lookups.asked.pop(key, None)  # it stands last now
    if len(lookups.asked) >= MOST_ASKED:
        del lookups.asked[next(iter(lookups.asked))]
    lookups.asked[key] = (message.id, now + WAIT)
    return False


def _answer(ex: Exchange, message: Message, found: Found, now: int) -> None:
    """The message ends as the one that asked did, with the same answer."""
    detail = f"answered by another lookup at {found.provider}"
    entries = (
        _tell(ex, message, found, now),
        ex.teller.tell(message, found.class_, now, class_=found.class_, code=found.lookup.code, detail=detail),
    )

    def done(answer: Answer, _value: object) -> None:
        if answer is Answer.DONE:
            ex.queued -= 1

    ex.journal.put(Step(message.id, ("queued",), Change(found.class_, detail, None, 0, final_at=now), entries, done=done))


def end_lookup(ex: Exchange, provider: str, message: Message) -> None:
    """A lookup at `provider` has its answer, or will get none: who waits for it is due now."""
    key = (provider, message.to)
    if key not in ex.lookups.asked or ex.lookups.asked[key][0] != message.id:
        return
    del ex.lookups.asked[key]
    ids = ex.lookups.waiting.pop(key, ())
    if ids:
        now = ex.now()
        ex.journal.put(Move([(id_, provider, now) for id_ in ids], lambda _answer, _value: ex.wake(provider, now, now), hurry=True))
