"""A flight: one message on its way through one lane, from the opening of its attempt until the outcome is durable."""

from typing import TYPE_CHECKING

import msgspec

from broker.provider.contract import Send
from broker.routing import Rule
from broker.words.attempt import Attempt
from broker.words.message import Message

if TYPE_CHECKING:
    from broker.delivery.lane import Lane


class Flight(msgspec.Struct, gc=False):
    """The message, its open attempt, and the rule and lane that it began with (a reload changes neither).

    `body` is the text to send where the rule has one of its own for the attempt's channel.
    """

    lane: "Lane"
    message: Message
    attempt: Attempt
    rule: Rule
    is_probe: bool = False
    body: str | None = None

    def make_send(self) -> Send:
        """What the plugin is handed."""
        attempt = self.attempt
        return Send(self.message, attempt.id, attempt.n, attempt.sender, attempt.key, None, attempt.channel, self.body)
