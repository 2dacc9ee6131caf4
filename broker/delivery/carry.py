"""Carrying: opened attempts handed to their account's carrier, and each settled by its outcome. Decides nothing of what follows one."""

from functools import partial
from typing import Any, cast

import msgspec

from broker.delivery.carrier import Carrier
from broker.delivery.clock import date
from broker.delivery.exchange import Exchange
from broker.delivery.flight import Flight
from broker.delivery.settle import settle
from broker.provider.contract import Outcome, Send
from broker.store.failpoints import failpoint


def make_send(ex: Exchange, flight: Flight) -> Send:
    """What the plugin is handed."""
    attempt = flight.attempt
    url = ex.callbacks.find_url(attempt) if ex.callbacks is not None else None
    message = date(flight.message, ex.clock)
    return Send(message, attempt.id, attempt.n, attempt.sender, attempt.key, url, attempt.channel, flight.body)


async def carry(ex: Exchange, carrier: Carrier, flights: list[Flight]) -> None:
    """Send the opened attempts in one call and settle each by its outcome. No byte leaves after a message's validity."""
    failpoint("attempt.opened")
    now = ex.now()
    late = [flight for flight in flights if now >= flight.message.valid_until]
    if late:
        for flight in late:
            settle(ex, flight, Outcome("expired", "validity", "validity passed before the first byte", evidence="not sent"))
        flights = [flight for flight in flights if flight not in late]
        if not flights:
            return
    sends = [make_send(ex, flight) for flight in flights]
    carrier.in_use += 1
    try:
        await carrier.submit(sends, ex.clock.wall, partial(_settle_one, ex, carrier, flights))
    finally:
        carrier.in_use -= 1


def _settle_one(ex: Exchange, carrier: Carrier, flights: list[Flight], index: int, outcome: Outcome) -> None:
    if not index:
        failpoint("attempt.answered")
    if carrier.codes and outcome.code in carrier.codes and outcome.class_ != "accepted":
        outcome = msgspec.structs.replace(outcome, class_=cast(Any, carrier.codes[outcome.code]))
    settle(ex, flights[index], outcome)
