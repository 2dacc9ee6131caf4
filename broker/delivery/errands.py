"""Errands: what a person wants done at the provider itself: a message given up that it keeps for later, its address book changed.

One HTTP call each, over the lane's own account, inside the account's deadline. It decides nothing about a message: what a provider
says of one goes the way of every receipt.
"""

import logging
from collections.abc import Callable
from typing import Any

import trio
from msgspec.structs import replace

from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.delivery.polls import make_ask
from broker.delivery.receipts import take_receipts
from broker.provider.answers import judge
from broker.provider.contract import Call, ContactChange, Outcome, Receipt, Reply, Unstored
from broker.words.attempt import Attempt
from broker.words.message import Message
from broker.words.receipt import FINAL_RECEIPTS

log = logging.getLogger("broker.delivery")


def find_kept(ex: Exchange, message: Message) -> tuple[Lane, Attempt] | None:
    """The attempt that a provider keeps for the schedule that the message asked for, where it can give it up; None: no such."""
    if message.status != "sent" or not (message.options or {}).get("schedule"):
        return None
    for attempt in reversed(ex.query.find_attempts(message.id)):
        lane = ex.lanes.get(attempt.provider)
        if lane is None or attempt.state != "accepted" or attempt.receipt in FINAL_RECEIPTS or not attempt.refs:
            continue
        if lane.traits.cancel and lane.carrier.plugin.cancel is not None:
            return lane, attempt
    return None


async def recall(ex: Exchange, lane: Lane, message: Message, attempt: Attempt) -> Receipt | Outcome:
    """Ask the provider to give up what it keeps, and make durable what it says of the message; or why it could not be asked."""
    plugin, config = lane.carrier.plugin, lane.carrier.config
    asks = [make_ask(message, attempt)]
    said = await _call(lane, ex.now, lambda: plugin.cancel(config, asks, ex.now()), lambda reply: plugin.parse_cancel(config, reply, asks))
    if isinstance(said, Outcome):
        return said
    receipt: Receipt = replace(said[0], token=attempt.id, ref=attempt.refs[0])
    try:
        await take_receipts(ex, lane, [receipt])
    except Unstored:
        return Outcome("in_doubt", detail="what the provider said could not be written down")
    return receipt


async def change_contact(ex: Exchange, lane: Lane, change: ContactChange) -> Outcome:
    """Have the provider change its address book."""
    plugin, config = lane.carrier.plugin, lane.carrier.config
    said = await _call(lane, ex.now, lambda: plugin.contact(config, change, ex.now()), lambda reply: [plugin.parse_contact(config, reply)])
    outcome: Outcome = said if isinstance(said, Outcome) else said[0]
    return outcome


async def _call(
    lane: Lane, now: Callable[[], int], build: Callable[[], Call], parse: Callable[[Reply], list[Any]]
) -> list[Any] | Outcome:
    """One call of a person's: what `parse` makes of a whole answer, else the Outcome that says why there is none."""
    carrier = lane.carrier
    if carrier.caller is None:
        return Outcome("unsuitable", detail="this account has no HTTP side")
    carrier.in_use += 1
    try:
        reply: Reply | Outcome = Outcome("in_doubt", detail="no answer in time", evidence="timeout")
        with trio.move_on_after(carrier.timeout / 1000):
            reply = await carrier.caller.call(build())
        if isinstance(reply, Outcome):
            return reply
        return judge(reply, carrier.traits.statuses, now()) or parse(reply)
    except Exception as error:  # a fault of the plugin's: its text may hold a number or a name
        log.error("an errand failed provider=%s error=%s", lane.name, type(error).__name__)
        return Outcome("in_doubt", "plugin_error", f"the plugin failed: {type(error).__name__}")
    finally:
        carrier.in_use -= 1
