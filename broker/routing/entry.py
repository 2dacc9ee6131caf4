"""One entry of a rule's `use`: an account, or an account by a channel in place of the message's own, with that channel's text.

An override is for messages of the channels sms and flash alone: one submitted as a call stays a call. The text that goes out is made
here and nowhere else.
"""

from broker.routing.account import Account
from broker.text import verdict
from broker.words.channel import CARRIERS, SMS
from broker.words.message import Message

HOLE = "{text}"
"""What stands for the message's text in a template; every other brace is itself."""


class Entry:
    """`name` as it stands in `use`; `is_second`: the rule has this account without a channel too; `text` the template, if any."""

    __slots__ = ("account", "channel", "is_second", "name", "text")

    def __init__(self, name: str, account: Account, channel: str | None = None, text: str | None = None, is_second: bool = False) -> None:
        self.name = name
        self.account = account
        self.channel = channel
        self.text = text
        self.is_second = is_second

    def find_bar(self, message: Message) -> str | None:
        """Why this entry's channel is not for the message, None where it is. Only where the entry names one."""
        if self.channel == message.channel:
            return f"channel: {self.account.name} stands in the rule without one as well" if self.is_second else None
        if message.channel not in SMS:
            return f"channel {message.channel} is not changed to {self.channel}: only sms and flash are"
        return None if self.channel in CARRIERS else f"channel {self.channel} cannot carry an SMS"

    def measure(self, message: Message) -> tuple[str, int]:
        """(encoding, segments) of the message by this entry's channel."""
        if self.channel not in SMS:
            return message.encoding, 1
        own = self.account.measure
        if self.text is not None:
            measured = (own or verdict)(fill(self.text, message))
        elif own is not None and message.text is not None:
            measured = own(message.text)
        else:
            return message.encoding, message.segments
        return measured.encoding, measured.segments


def fill(template: str, message: Message) -> str:
    """The template with the message's text in its place."""
    return template.replace(HOLE, message.text or "")
