"""Live prices: what a message costs, asked of a provider that says so, where broker.toml has no price for it (`routing.quotes`).

Beside everything else and never on a message's way: it is asked with a number and a text that only look like the message's, one at a
time, seldom, and what a provider does not say leaves the price unknown. Lives in memory: after a restart it is asked for again.
"""

import logging

import trio

from broker.delivery.carrier import Carrier
from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.provider.answers import judge
from broker.provider.contract import Outcome, Send
from broker.routing import Quote, Quotes
from broker.routing.quotes import Place
from broker.text import verdict
from broker.words.clock import DAY, HOUR, MINUTE, SECOND
from broker.words.message import Message

log = logging.getLogger("broker.delivery")

FRESH, GOOD = HOUR, DAY
"""A price that is used is asked for again after the one, and counts until the other while nobody says a new one."""
PAUSE = SECOND
"""Between two questions: providers take a price's question for a message's as far as their limits go."""
FIRST_REST, LONGEST_REST = MINUTE, HOUR


def offer_quotes(lane: Lane) -> None:
    """Have a table of live prices where the account's provider says some, in the currency that the account is kept in."""
    channels = lane.traits.quotes if can_quote(lane.carrier) else frozenset()
    if not channels or lane.carrier.account.currency != lane.traits.unit:
        lane.standing.quotes = None
    elif lane.standing.quotes is None or lane.standing.quotes.channels != channels:
        lane.standing.quotes = Quotes(channels)
        lane.standing.quotes.on_wanted = lambda: lane.quote_bell.ring_at(0)


def can_quote(carrier: Carrier) -> bool:
    """True where the provider can be asked for a price."""
    return carrier.caller is not None and carrier.plugin.price is not None and carrier.plugin.parse_price is not None


async def run_quotes(ex: Exchange, lane: Lane) -> None:
    """Ask for what is wanted, until cancelled."""
    rest = 0
    while True:
        await lane.quote_bell.wait(ex.now)
        quotes, now = lane.standing.quotes, ex.now()
        if quotes is None:
            continue
        quotes.review(now - FRESH, now - GOOD)
        while quotes.wanted and lane.standing.quotes is quotes:
            place = next(iter(quotes.wanted))
            found = await ask_price(ex, lane, place)
            rest = 0 if found is not None else min(max(2 * rest, FIRST_REST), LONGEST_REST)
            at = ex.now() if found is not None else ex.now() - FRESH + rest  # no answer is old sooner
            quotes.learn(place, Quote(found if isinstance(found, int) else None, at))
            ex.gain()  # who waits for a price may go, and who has none ranks anew
            ex.hurry(lane.name)
            if rest:
                log.warning("the provider does not say its prices provider=%s again in %d s", lane.name, rest // SECOND)
            await trio.sleep((rest or PAUSE) / SECOND)
        lane.quote_bell.ring_at(ex.now() + (rest or FRESH))


async def ask_price(ex: Exchange, lane: Lane, place: Place) -> "int | Outcome | None":
    """Ask once: micro-units for the whole message; the provider's refusal of this very question; or None, nothing can be asked now."""
    carrier = lane.carrier
    if carrier.caller is None or carrier.plugin.price is None or carrier.plugin.parse_price is None:
        return None
    carrier.in_use += 1
    try:
        sends = [make_question(place, carrier)]
        reply = await carrier.caller.call(carrier.plugin.price(carrier.config, sends, ex.clock.wall()))
        if isinstance(reply, Outcome) or judge(reply, lane.traits.statuses, ex.clock.wall()) is not None:
            return None
        found: tuple[int, int] | Outcome = carrier.plugin.parse_price(carrier.config, reply, sends)
    except Exception as error:
        log.error("price failed provider=%s error=%s", lane.name, type(error).__name__)
        return None
    finally:
        carrier.in_use -= 1
    if isinstance(found, Outcome):
        return found if found.class_ in ("rejected", "unsuitable") else None
    price, segments = found
    return price if segments == place.segments else price * place.segments // max(segments, 1)


def make_question(place: Place, carrier: Carrier) -> Send:
    """A message like those that the price is for: nobody's number, and a text of as many segments that says nothing."""
    to = place.prefix.ljust(place.length, "0")
    letter = "a" if place.encoding == "gsm7" else "ж"
    low, high = 1, 160 * place.segments
    while low < high:  # the shortest of so many segments
        middle = (low + high) // 2
        low, high = (middle + 1, high) if verdict(letter * middle).segments < place.segments else (low, middle)
    text = letter * low
    blank = Message("", "", to, None, text, place.encoding, place.segments, 0, 0, channel=place.channel)
    return Send(blank, "", 0, carrier.find_sender(blank), "")
