"""Polling: a message's fate, and a provider's balance, asked for where nobody pushes them (CONTRACT §3, `query`, `credit`).

An error of a query never changes a message. The schedule is `policy.polls`; the balance is asked every `credit.every`, soon after a
refusal for want of credit, and as the free probe of a suspended account.
"""

import logging
from collections.abc import Sequence

import msgspec
import trio

from broker.delivery.carry import Carrier
from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.delivery.notes import keep_state, note_report
from broker.delivery.receipts import apply_asked
from broker.delivery.second import find_patience_end, send_second
from broker.policy.polls import find_next_query
from broker.provider.answers import judge
from broker.provider.contract import Ask, Balance, Outcome, Receipt, Reply
from broker.store.contract import Change, Step
from broker.store.failpoints import failpoint
from broker.words.attempt import Attempt
from broker.words.clock import HOUR, SECOND
from broker.words.message import Message
from broker.words.receipt import FINAL_RECEIPTS

log = logging.getLogger("broker.delivery")

PAGE = 200
DRY_AGAIN = 30 * SECOND
AT_ONCE = 4
STRAY_WAIT = 72 * HOUR


async def run_polls(ex: Exchange, lane: Lane) -> None:
    """Ask for the fate of this account's messages, and end their wait, until cancelled."""
    at = ex.query.find_next_sent(lane.name)
    if at is not None:
        lane.poll_bell.ring_at(at)
    while True:
        await lane.poll_bell.wait(ex.now)
        rows = ex.query.read_sent(lane.name, ex.now(), PAGE)
        asked: list[tuple[Message, Attempt]] = []
        for message in rows:
            attempt = _find_accepted(ex, lane, message)
            if attempt is None or ex.now() >= (attempt.closed_at or 0) + _find_wait(lane, message, attempt):
                _give_up(ex, message, attempt)
            elif send_second(ex, message, attempt, ex.now()):
                continue
            elif lane.can_query and attempt.refs:
                asked.append((message, attempt))
            else:
                _ask_later(ex, lane, message, attempt)
        await ask(ex, lane, asked)
        await ex.journal.wait_committed()
        at = ex.query.find_next_sent(lane.name)
        if at is not None:
            lane.poll_bell.ring_at(max(at, ex.now() + 5))


def _find_accepted(ex: Exchange, lane: Lane, message: Message) -> Attempt | None:
    for attempt in reversed(ex.query.find_attempts(message.id)):
        if attempt.state == "accepted" and attempt.provider == lane.name:
            return attempt
    return None


def _find_wait(lane: Lane, message: Message, attempt: Attempt) -> int:
    """How long after its acceptance a receipt may come. What the provider keeps for later may leave until its validity ends."""
    kept = message.valid_until - (attempt.closed_at or 0) if (message.options or {}).get("schedule") else 0
    return lane.settings.receipt_wait + max(kept, 0)


def _give_up(ex: Exchange, message: Message, attempt: Attempt | None) -> None:
    """`receipt_wait` is over: `unconfirmed`."""
    now = ex.now()
    detail = "no final receipt within receipt_wait"
    entry = ex.teller.tell(message, "unconfirmed", now, attempt, detail=detail)
    change = Change("unconfirmed", detail, None, 0, None, None, None, now)
    ex.journal.put(Step(message.id, ("sent",), change, (entry,), hurry=False))


def _ask_later(ex: Exchange, lane: Lane, message: Message, attempt: Attempt) -> None:
    can_ask = lane.can_query and bool(attempt.refs)  # without the provider's id there is nothing to ask for
    now = ex.now()
    settings = msgspec.structs.replace(lane.settings, receipt_wait=_find_wait(lane, message, attempt))
    at = find_next_query(settings, attempt.closed_at or 0, now, can_ask)
    end = find_patience_end(ex, message, attempt, now)
    at = at if end is None else min(at, end)
    ex.journal.put(Step(message.id, ("sent",), Change("sent", message.detail, lane.name, at), hurry=False))


async def run_strays(ex: Exchange) -> None:
    """Messages sent by a provider that is no more: nobody can be asked, so they end when the usual wait is over."""
    while True:
        now = ex.now()
        for name in ex.query.find_sent_lanes():
            if name not in ex.lanes:
                for message in ex.query.read_sent(name, now - STRAY_WAIT, PAGE):
                    attempts = ex.query.find_attempts(message.id)
                    _give_up(ex, message, attempts[-1] if attempts else None)
        await trio.sleep(60)


async def ask(ex: Exchange, lane: Lane, asked: Sequence[tuple[Message, Attempt]]) -> None:
    """Ask in as few calls as the provider allows, a few at once."""
    size = max(1, lane.traits.ask_batch)
    groups = [asked[at : at + size] for at in range(0, len(asked), size)]
    limiter = trio.CapacityLimiter(AT_ONCE)
    async with trio.open_nursery() as nursery:
        for group in groups:
            nursery.start_soon(_ask_group, ex, lane, group, limiter)


async def _ask_group(ex: Exchange, lane: Lane, group: Sequence[tuple[Message, Attempt]], limiter: trio.CapacityLimiter) -> None:
    async with limiter:
        receipts = await _query(ex, lane, group)
    failpoint("poll.answered")
    for (message, attempt), receipt in zip(group, receipts, strict=True):
        if receipt is not None:
            apply_asked(ex, lane, message.id, attempt.n, receipt)
        if receipt is None or receipt.class_ not in FINAL_RECEIPTS:
            _ask_later(ex, lane, message, attempt)


async def _query(ex: Exchange, lane: Lane, group: Sequence[tuple[Message, Attempt]]) -> Sequence[Receipt | None]:
    carrier = lane.carrier
    asks = [make_ask(message, attempt) for message, attempt in group]
    nothing = [None] * len(asks)
    try:
        if not carrier.goes_by_http(asks[0].channel):  # where that differs among an account's messages, each is asked for alone
            return await _query_session(carrier, asks) or nothing
        call = carrier.plugin.query(carrier.config, asks, ex.now())
        assert carrier.caller is not None
        reply = await carrier.caller.call(call)
        if isinstance(reply, Outcome) or judge(reply, carrier.traits.statuses, ex.now()) is not None:
            return nothing
        receipts: list[Receipt] = carrier.plugin.parse_query(carrier.config, reply, asks)
    except Exception as error:
        log.error("query failed provider=%s error=%s", lane.name, type(error).__name__)
        return nothing
    return receipts if len(receipts) == len(asks) else nothing


def make_ask(message: Message, attempt: Attempt) -> Ask:
    """The question for an accepted attempt."""
    sent_at = attempt.closed_at or attempt.opened_at
    channel = attempt.channel or message.channel
    return Ask(attempt.id, attempt.refs, message.to, attempt.key, sent_at, channel, attempt.sender)


async def _query_session(carrier: Carrier, asks: Sequence[Ask]) -> Sequence[Receipt]:
    """One receipt for each, or nothing."""
    if carrier.session is None or "poll" not in carrier.traits.receipts:
        return ()
    receipts: list[Receipt] = []
    with trio.move_on_after(carrier.timeout / 1000):
        receipts = await carrier.session.query(asks)
    return receipts if len(receipts) == len(asks) else ()


async def run_balance(ex: Exchange, lane: Lane) -> None:
    """Ask for the balance on its schedule, until cancelled. A good answer lifts a suspension."""
    lane.balance_bell.ring_at(0)
    while True:
        await lane.balance_bell.wait(ex.now)
        now = ex.now()
        if lane.health.suspended is not None and now < lane.health.probe_at:
            lane.balance_bell.ring_at(lane.health.probe_at)
            if not lane.standing.dry:
                continue
        await ask_balance(ex, lane)
        now = ex.now()
        wait = min(lane.settings.credit.every, DRY_AGAIN) if lane.standing.dry else lane.settings.credit.every
        lane.balance_bell.ring_at(now + wait)


async def ask_balance(ex: Exchange, lane: Lane) -> bool:
    """Ask once. True when the provider reported."""
    carrier = lane.carrier
    if carrier.caller is None or not carrier.has_balance:
        return False
    before = {name: bucket.debited for name, bucket in lane.ledger.buckets.items()}
    try:
        reply = await carrier.caller.call(carrier.plugin.balance(carrier.config, ex.now()))
        found = _read_balance(lane, reply, ex.now())
    except Exception as error:
        log.error("balance failed provider=%s error=%s", lane.name, type(error).__name__)
        return False
    now = ex.now()
    health = lane.health
    if isinstance(found, Outcome):
        log.warning("balance not known provider=%s class=%s code=%s", lane.name, found.class_, found.code)
        if health.suspended is not None and now >= health.probe_at:
            health.suspend(health.suspended, now)
        if found.class_ in ("unreachable", "unavailable"):
            health.extend(now)
        health.show(now)
        return False
    for balance in found:
        note_report(lane, balance.bucket, balance.unit, balance.amount, before.get(balance.bucket, 0), now, is_asked=True)
    if health.lift():
        keep_state(lane, ("provider.resumed", "a good probe", None, None))
        health.show(now)
        ex.gain()
        ex.hurry(lane.name)
        ex.release_at("misconfigured", now)
        lane.bell.ring_at(now)
    return True


def _read_balance(lane: Lane, reply: Reply | Outcome, now: int) -> list[Balance] | Outcome:
    if isinstance(reply, Outcome):
        return reply
    plugin = lane.carrier.plugin
    judged = judge(reply, lane.traits.statuses, now)
    if judged is not None:
        return judged
    found: list[Balance] | Outcome = plugin.parse_balance(lane.carrier.config, reply)
    return found
