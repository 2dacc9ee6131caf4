"""Balances: a provider's credit, asked for every `credit.every`, soon after a refusal for want of credit, and as the free probe of a
suspended account (CONTRACT §3, `credit`). What a report means is `notes`' and the ledger's.
"""

import logging

from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.delivery.ledger import Mark
from broker.delivery.notes import keep_state, note_report
from broker.provider.answers import judge
from broker.provider.contract import Balance, Outcome, Reply
from broker.store.failpoints import failpoint
from broker.words.clock import SECOND

log = logging.getLogger("broker.delivery")

DRY_AGAIN = 30 * SECOND


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
    asked = {name: bucket.mark for name, bucket in lane.ledger.buckets.items()}
    try:
        reply = await carrier.caller.call(carrier.plugin.balance(carrier.config, ex.clock.wall()))
        failpoint("balance.answered")
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
        note_report(ex, lane, balance.bucket, balance.unit, balance.amount, asked.get(balance.bucket, Mark()), now, is_asked=True)
    if health.lift():
        keep_state(ex, lane, ("provider.resumed", "a good probe", None, None))
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
