"""Channels: the ways by which a message may reach its recipient, and the names of candidates that override one.

A candidate is an account, or an account and the channel that a rule sends by in place of an SMS: `smscru`, `smscru:voice`
(CONTRACT §3, `use`; a provider's name has no colon). Imports nothing: the command line needs these words before anything else.
"""

CHANNELS: tuple[str, ...] = (
    "sms",
    "flash",
    "email",
    "voice",
    "viber",
    "social",
    "telegram",
    "bot",
    "hlr",
    "ping",
)

SMS: frozenset[str] = frozenset({"sms", "flash"})
"""The channels of short messages: encoded, split and paid by the segment. Every other one is a single segment, paid by the message."""

TEXTLESS: frozenset[str] = frozenset({"hlr", "ping"})
"""The channels that carry no text."""

CARRIERS: frozenset[str] = frozenset(CHANNELS) - TEXTLESS - {"email"}
"""The channels that a rule may send an SMS by instead: an SMS has a text, and its recipient is a number."""

OPTION_OF: dict[str, str] = {"subject": "email", "voice": "voice", "param": "voice", "bot": "bot"}
"""Keys of a message's `options` that speak of one channel: by any other they mean nothing, and bar nobody."""


def account_of(name: str) -> str:
    """The account of a candidate's name: the part before the colon."""
    return name.partition(":")[0]


def channel_of(name: str) -> str | None:
    """The channel that a candidate's name overrides the message's own with, None where it has none."""
    return name.partition(":")[2] or None


def name_candidate(account: str, channel: str | None) -> str:
    """The name of an account as a candidate, by a channel that is not the message's own (None: by its own)."""
    return account if channel is None else f"{account}:{channel}"
