"""Polling: a message's fate, asked for where nobody pushes it, and the end of the wait for it (CONTRACT §3, `query`, `receipt_wait`).

An error of a query never changes a message. The schedule is `policy.polls`; asked is in as few calls as the provider allows, a few at
once, so many a second; and while the provider answers none, one call now and then finds out when it does.
"""

import logging
from collections.abc import Sequence

import trio

from broker.delivery.carrier import Carrier
from broker.delivery.clock import Clock
from broker.delivery.exchange import Exchange
from broker.delivery.health import RateBucket
from broker.delivery.lane import Lane
from broker.delivery.lookups import is_asked_soon
from broker.delivery.receipts import apply_asked
from broker.delivery.second import find_patience_end, send_second
from broker.delivery.settle import NO_RECEIPTS
from broker.policy.polls import find_gather, find_next_query
from broker.provider.answers import judge
from broker.provider.contract import Ask, Outcome, Receipt
from broker.store.contract import Change, Move, Step
from broker.store.failpoints import failpoint
from broker.words.attempt import Attempt
from broker.words.clock import HOUR, MINUTE, SECOND
from broker.words.message import Message
from broker.words.settings import Rate

log = logging.getLogger("broker.delivery")

PAGE = 200
AT_ONCE = 4
CALLS = Rate(20, SECOND)
"""Queries a second of one account at most, whatever became due at once."""
FIRST_REST, LONGEST_REST = 5 * SECOND, 5 * MINUTE
"""How long nothing is asked after a query that failed, doubled each time."""
GONE_TIMES, GONE_SPAN = 3, HOUR
"""A provider that says so often, over so long, that it knows no such message is not asked for it again."""
MOST_GONE = 10_000
STRAY_WAIT = 72 * HOUR

Asked = tuple[Message, Attempt]


async def run_polls(ex: Exchange, lane: Lane) -> None:
    """Ask for the fate of this account's messages, and end their wait, until cancelled."""
    poller = Poller(ex, lane)
    at = ex.query.find_next_sent(lane.name)
    if at is not None:
        lane.poll_bell.ring_at(at)
    while True:
        await lane.poll_bell.wait(ex.now)
        begun = ex.now()
        await poller.look()
        at = ex.query.find_next_sent(lane.name)
        if at is not None:
            lane.poll_bell.ring_at(max(at, begun + find_gather(lane.settings, lane.can_query)))


class Poller:
    """What is kept of one account's polling: its rate, its rest after a failure, and whose messages it is said not to know."""

    def __init__(self, ex: Exchange, lane: Lane) -> None:
        self.ex = ex
        self.lane = lane
        self._bucket = RateBucket(CALLS, ex.now())
        self._rest = FIRST_REST
        self._rests_until = 0
        self._gone: dict[str, tuple[int, int]] = {}

    async def look(self) -> None:
        """See to all that is due, a page at a time."""
        ex, lane = self.ex, self.lane
        while rows := ex.query.read_awaiting(lane.name, ex.now(), PAGE):
            now = ex.now()
            asked: list[Asked] = []
            later: list[Asked] = []
            for message, attempt in rows:
                if attempt is None or now >= _find_deadline(lane, message, attempt):
                    _give_up(ex, message, attempt)
                elif not lane.traits.receipts:
                    _give_up(ex, message, attempt, NO_RECEIPTS)
                elif send_second(ex, message, attempt, now):
                    continue
                elif lane.can_query and any(attempt.refs):
                    asked.append((message, attempt))
                else:
                    later.append((message, attempt))
            self._ask_later(later)
            await self._ask(asked)
            await ex.journal.wait_committed()

    async def _ask(self, asked: Sequence[Asked]) -> None:
        """In as few calls as the provider allows, a few at once."""
        size = max(1, self.lane.traits.ask_batch)
        limiter = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            for at in range(0, len(asked), size):
                nursery.start_soon(self._ask_group, asked[at : at + size], limiter)

    async def _ask_group(self, group: Sequence[Asked], limiter: trio.CapacityLimiter) -> None:
        ex, lane = self.ex, self.lane
        async with limiter:
            while wait := self._bucket.take(1, ex.now()):  # noqa: ASYNC110  # a wait for time, not for an event
                await trio.sleep(wait / 1000)
            if ex.now() < self._rests_until:
                self._put_off(group)
                return
            receipts = await _query(ex, lane, group)
        failpoint("poll.answered")
        if receipts is None or all(receipt.class_ == "query_error" and not receipt.gone for receipt in receipts):
            self._note_failure(None if receipts is None else receipts[0].code)
            self._put_off(group)
            return
        self._rest = FIRST_REST
        # Also after a final: it may have to wait for another attempt, and where it ends the message this finds nothing to move.
        self._ask_later([pair for pair, receipt in zip(group, receipts, strict=True) if self._take(*pair, receipt)])

    def _take(self, message: Message, attempt: Attempt, receipt: Receipt) -> bool:
        """Apply one answer. False where nothing more is to be asked."""
        if not receipt.gone:
            self._gone.pop(message.id, None)
        elif self._is_gone(message, attempt):
            return False
        # What is told again and again is not worth a look at the store.
        if receipt.class_ != "progress" or attempt.receipt is None or receipt.cost is not None or receipt.lookup is not None:
            apply_asked(self.ex, self.lane, message.id, attempt.n, receipt)
        return True

    def _is_gone(self, message: Message, attempt: Attempt) -> bool:
        """The provider says that it knows no such message: at first that may be too early. True where it is not asked again."""
        now = self.ex.now()
        times, since = self._gone.pop(message.id, (0, now))
        if times + 1 >= GONE_TIMES and now - since >= GONE_SPAN:
            log.warning("provider does not know a message that it took: not asked again id=%s provider=%s", message.id, self.lane.name)
            self._move([(message, _find_deadline(self.lane, message, attempt))])
            return True
        if len(self._gone) >= MOST_GONE:
            del self._gone[next(iter(self._gone))]
        self._gone[message.id] = (times + 1, since)
        return False

    def _note_failure(self, code: str | None) -> None:
        now = self.ex.now()
        if now >= self._rests_until:  # of several at once the first counts
            self._rests_until = now + self._rest + self._rest * self.ex.draw() // 4_000_000
            self._rest = min(2 * self._rest, LONGEST_REST)
            log.warning("query failed provider=%s code=%s again_in=%dms", self.lane.name, code, self._rests_until - now)

    def _put_off(self, asked: Sequence[Asked]) -> None:
        """Not asked now: as soon as the account is asked again."""
        at = self._rests_until + 1
        self._move([(message, min(at, _find_deadline(self.lane, message, attempt))) for message, attempt in asked])

    def _ask_later(self, asked: Sequence[Asked]) -> None:
        """To their next times, a little spread: what came at once need not be asked for at once for ever."""
        ex, lane = self.ex, self.lane
        now, rows = ex.now(), []
        for message, attempt in asked:
            can_ask = lane.can_query and any(attempt.refs)  # without the provider's id there is nothing to ask for
            deadline = _find_deadline(lane, message, attempt)
            sent_at, is_lookup = attempt.closed_at or 0, is_asked_soon(lane, message)
            at = find_next_query(lane.settings, sent_at, now, can_ask, ex.draw(), deadline, is_lookup=is_lookup)
            end = find_patience_end(ex, message, attempt, now)
            rows.append((message, at if end is None else min(at, end)))
        self._move(rows)

    def _move(self, rows: Sequence[tuple[Message, int]]) -> None:
        if rows:
            name = self.lane.name
            self.ex.journal.put(Move([(message.id, name, at) for message, at in rows], is_sent=True))


def _find_deadline(lane: Lane, message: Message, attempt: Attempt) -> int:
    """When no receipt is waited for any more: `receipt_wait` after the acceptance, and what the provider keeps for later may leave
    until its validity ends.
    """
    since = attempt.closed_at or 0
    if (message.options or {}).get("schedule"):
        since = max(since, message.valid_until)
    return since + lane.settings.receipt_wait


def _give_up(ex: Exchange, message: Message, attempt: Attempt | None, detail: str = "no final receipt within receipt_wait") -> None:
    """Nothing is waited for any more: `unconfirmed`."""
    now = ex.now()
    entry = ex.teller.tell(message, "unconfirmed", now, attempt, detail=detail)
    change = Change("unconfirmed", detail, None, 0, None, None, None, now)
    ex.journal.put(Step(message.id, ("sent",), change, (entry,), hurry=False))


async def run_strays(ex: Exchange) -> None:
    """Messages sent by a provider that is no more: nobody can be asked, so they end when the usual wait is over."""
    while True:
        now = ex.now()
        for name in ex.query.find_sent_lanes():
            if name not in ex.lanes:
                for message, attempt in ex.query.read_awaiting(name, now - STRAY_WAIT, PAGE):
                    _give_up(ex, message, attempt)
        await trio.sleep(60)


def make_ask(message: Message, attempt: Attempt, clock: Clock) -> Ask:
    """The question for an accepted attempt."""
    sent_at = attempt.closed_at or attempt.opened_at
    channel = attempt.channel or message.channel
    return Ask(attempt.id, attempt.refs, message.to, attempt.key, clock.on_wall(sent_at), channel, attempt.sender)


async def _query(ex: Exchange, lane: Lane, group: Sequence[Asked]) -> Sequence[Receipt] | None:
    """One receipt for each, in order; None where the provider did not say."""
    carrier = lane.carrier
    asks = [make_ask(message, attempt, ex.clock) for message, attempt in group]
    try:
        if not carrier.goes_by_http(asks[0].channel):  # where that differs among an account's messages, each is asked for alone
            receipts = await _query_session(carrier, asks)
        else:
            call = carrier.plugin.query(carrier.config, asks, ex.clock.wall())
            assert carrier.caller is not None
            reply = await carrier.caller.call(call)
            if isinstance(reply, Outcome) or judge(reply, carrier.traits.statuses, ex.clock.wall()) is not None:
                return None
            receipts = carrier.plugin.parse_query(carrier.config, reply, asks)
    except Exception as error:
        log.error("query failed provider=%s error=%s", lane.name, type(error).__name__)
        return None
    return receipts if len(receipts) == len(asks) else None


async def _query_session(carrier: Carrier, asks: Sequence[Ask]) -> Sequence[Receipt]:
    if carrier.session is None or "poll" not in carrier.traits.receipts:
        return ()
    with trio.move_on_after(carrier.timeout / 1000):
        return await carrier.session.query(asks)
    return ()
