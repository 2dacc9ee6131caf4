"""A flight: one message on its way through one lane, from the opening of its attempt until the outcome is durable."""

from typing import TYPE_CHECKING

import msgspec

from broker.routing import Rule
from broker.words.attempt import Attempt
from broker.words.message import Message

if TYPE_CHECKING:
    from broker.delivery.lane import Lane


class Flight(msgspec.Struct, gc=False):
    """The message, its open attempt, and the rule and lane that it began with (a reload changes neither)."""

    lane: "Lane"
    message: Message
    attempt: Attempt
    rule: Rule
    is_probe: bool = False
