"""A receipt on its way to its attempt, and whose it is: values that pass between the exchange, the matching and the ruling."""

from collections.abc import Callable

import msgspec

from broker.delivery.lane import Lane
from broker.store.contract import LiveMessage, Stray
from broker.words.receipt import Receipt

TRIES = 5


class Match(msgspec.Struct, frozen=True, gc=False):
    """Attempt `n` of a message; `ref`: its id as the provider gave it, None where only the token was looked at.

    `live`: the message as the store has it now, where it had to be read anyway.
    """

    message: str
    n: int
    ref: str | None = None
    live: LiveMessage | None = None


class Arrival(msgspec.Struct, gc=False):
    """A receipt on its way to its attempt.

    `ack` is told whether it is durable; `stray`: it was in the inbox; `is_asked`: we asked for it, and shall again; `live`: its message
    as the store has it now.
    """

    lane: Lane
    match: Match
    receipt: Receipt
    ack: Callable[[bool], None] | None = None
    stray: Stray | None = None
    is_asked: bool = False
    tries: int = TRIES
    live: LiveMessage | None = None
