"""Whose receipt is it: the attempt of the same account that a receipt's token or id names. Changes nothing."""

from broker.delivery.arrival import Match
from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.policy import is_recipient
from broker.words.attempt import Attempt
from broker.words.receipt import Receipt


def find_match(ex: Exchange, lane: Lane, receipt: Receipt) -> Match | None:
    """The attempt that a receipt of `lane` means, None for nobody's.

    By its token, else by its id, then by each other form of it, the newest message first, as ids are used again. Where the receipt
    names a recipient, it must be the message's.
    """
    if receipt.token is not None:
        id_, _, n = receipt.token.rpartition("/")
        if id_ and n.isdecimal():
            return Match(id_, int(n))
    if receipt.ref is None:
        return None
    for form in (receipt.ref, *receipt.forms):
        found = lane.recent.find_ref(form)
        if found is not None and _is_recipient(ex, lane, found[0], receipt.recipient):
            return Match(*found, form)
        for id_, number in ex.query.find_ref(lane.name, form):
            if _is_recipient(ex, lane, id_, receipt.recipient):
                return Match(id_, number, form)
    return None


def _is_recipient(ex: Exchange, lane: Lane, id_: str, heard: str | None) -> bool:
    if heard is None:
        return True
    to = lane.recent.find_recipient(id_)
    if to is None:
        message = ex.query.find_message(id_)
        if message is None:
            return False
        to = message.to
    return is_recipient(to, heard)


def find_own_ref(attempt: Attempt, match: Match, receipt: Receipt) -> str | None:
    """The id of the attempt, as it was stored, that the receipt speaks of."""
    if match.ref is not None:
        return match.ref
    return next((form for form in (receipt.ref, *receipt.forms) if form in attempt.refs), None) if receipt.ref is not None else None
