"""Errands: what a person wants done at the provider itself: a message given up that it keeps for later, its address book changed.

One HTTP call each, over the lane's own account, inside the account's deadline. It decides nothing about a message: what a provider
says of one goes the way of every receipt.
"""

import logging
from collections.abc import Callable, Sequence
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


Kept = tuple[Message, Attempt]
"""A message that a provider keeps for later, and the attempt that it has."""


async def recall(ex: Exchange, lane: Lane, kept: Sequence[Kept]) -> list[Receipt] | Outcome:
    """Ask the provider in one call to give up what it keeps, and make durable what it says of each; or why it could not be asked."""
    plugin, config = lane.carrier.plugin, lane.carrier.config
    asks = [make_ask(message, attempt, ex.clock) for message, attempt in kept]
    said = await _call(ex, lane, lambda now: plugin.cancel(config, asks, now), lambda reply: plugin.parse_cancel(config, reply, asks))
    if isinstance(said, Outcome):
        return said
    receipts = [replace(each, token=attempt.id, ref=attempt.refs[0]) for each, (_, attempt) in zip(said, kept, strict=True)]
    try:
        await take_receipts(ex, lane, receipts)
    except Unstored:
        return Outcome("in_doubt", detail="what the provider said could not be written down")
    return receipts


async def recall_all(ex: Exchange, messages: Sequence[Message], silent: set[str]) -> tuple[int, list[str]]:
    """Have each provider give up what it keeps of `messages`, so many in a call as it takes: (how many were asked for, ids now canceled).

    `silent`: accounts that gave no answer, which are asked for nothing more.
    """
    kept: dict[str, list[Kept]] = {}
    for message in messages:
        found = find_kept(ex, message)
        if found is not None:
            kept.setdefault(found[0].name, []).append((message, found[1]))
    asked, ids = 0, []
    for name, mine in kept.items():
        lane = ex.lanes[name]
        for at in range(0, len(mine), lane.traits.ask_batch):
            if name in silent:
                break
            group = mine[at : at + lane.traits.ask_batch]
            asked += len(group)
            if isinstance(await recall(ex, lane, group), Outcome):
                silent.add(name)
            ids += [message.id for message, _ in group if is_canceled(ex, message.id)]
    return asked, ids


def is_canceled(ex: Exchange, id_: str) -> bool:
    """True where the message has ended so."""
    message = ex.query.find_message(id_)
    return message is not None and message.status == "canceled"


async def change_contact(ex: Exchange, lane: Lane, change: ContactChange) -> Outcome:
    """Have the provider change its address book."""
    plugin, config = lane.carrier.plugin, lane.carrier.config
    said = await _call(ex, lane, lambda now: plugin.contact(config, change, now), lambda reply: [plugin.parse_contact(config, reply)])
    outcome: Outcome = said if isinstance(said, Outcome) else said[0]
    return outcome


async def _call(ex: Exchange, lane: Lane, build: Callable[[int], Call], parse: Callable[[Reply], list[Any]]) -> list[Any] | Outcome:
    """One call of a person's: what `parse` makes of a whole answer, else the Outcome that says why there is none."""
    carrier, wall = lane.carrier, ex.clock.wall
    if carrier.caller is None:
        return Outcome("unsuitable", detail="this account has no HTTP side")
    carrier.in_use += 1
    try:
        reply: Reply | Outcome = Outcome("in_doubt", detail="no answer in time", evidence="timeout")
        with trio.move_on_after(carrier.timeout / 1000):
            reply = await carrier.caller.call(build(wall()))
        if isinstance(reply, Outcome):
            return reply
        return judge(reply, carrier.traits.statuses, wall()) or parse(reply)
    except Exception as error:  # a fault of the plugin's: its text may hold a number or a name
        log.error("an errand failed provider=%s error=%s", lane.name, type(error).__name__)
        return Outcome("in_doubt", "plugin_error", f"the plugin failed: {type(error).__name__}")
    finally:
        carrier.in_use -= 1
