"""A flight: one message on its way through one lane, from the opening of its attempt until the outcome is durable."""

from collections.abc import Hashable, Sequence

import msgspec

from broker.delivery.lane import Lane
from broker.delivery.ledger import Mark
from broker.routing import Rule
from broker.words.attempt import Attempt
from broker.words.message import Message


class Flight(msgspec.Struct, gc=False):
    """The message, its open attempt, and the rule and lane that it began with (a reload changes neither).

    `body` is the text to send where the rule has one of its own for the attempt's channel; `shape`: what the messages that share
    its request have to be like, None: it has one of its own; `replaced`: the attempt in doubt that this one, another copy, abandons
    as it opens; `asked`: how its bucket stood then.
    """

    lane: Lane
    message: Message
    attempt: Attempt
    rule: Rule
    is_probe: bool = False
    body: str | None = None
    shape: Hashable | None = None
    replaced: Attempt | None = None
    asked: Mark | None = None

    def may_join(self, batch: Sequence["Flight"]) -> bool:
        """A request is for messages of one shape, and never for one recipient twice: answers and receipts are told apart by it."""
        to, shape = self.message.to, self.shape
        return shape is not None and all(each.shape == shape and each.message.to != to for each in batch)
