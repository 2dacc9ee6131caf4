"""Any SMSC that speaks SMPP 3.4: an account with a bind of its own.

Says what to submit and how to read a receipt. Never does I/O: links, windows and times are the session's (broker.provider.smpp). README.md
beside it says what to ask a provider, and which keys follow from the answers. The truth is the manual, and what the provider says.
"""

from collections.abc import Iterable

from broker.provider.contract import Secret, Traits
from broker.provider.smpp import Dialect, SmppKeys, SmppSession, check_keys, measure, narrow
from broker.smpp.statuses import CODES as STATUSES
from broker.smpp.statuses import STATS, read_status, show_status
from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass

__all__ = ["measure"]

TITLE = "Any SMSC, by SMPP 3.4"
MANUAL = "Short Message Peer to Peer Protocol Specification v3.4, 12-Oct-1999 Issue 1.2"


class Config(SmppKeys, frozen=True, kw_only=True):
    """The account's own keys: those of `SmppKeys`."""

    host: str
    username: str
    password: Secret


def check(config: Config) -> Iterable[tuple[str, str]]:
    """What cannot be used as it stands."""
    return check_keys(config)


TRAITS = Traits(
    channels=frozenset({"sms", "flash"}),
    splits="broker",
    senders=frozenset({"alphanumeric", "numeric", "shortcode", "none"}),
    batch=1_000,
    receipts=("callback",),
    by_ref=True,
)

CODES: dict[str, OutcomeClass] = {show_status(status): class_ for status, class_ in STATUSES.items()}

QUERY_CODES: dict[str, ReceiptClass] = dict(STATS)


def traits(config: Config) -> Traits:
    """Of one account."""
    return narrow(TRAITS, config)


def read_code(text: str) -> str:
    """A command_status as outcomes show it: "0x45" for "0x00000045", and for "ESME_RSUBMITFAIL". Raises ValueError."""
    return show_status(read_status(text))


def open_session(config: Config, name: str) -> SmppSession:
    """The account's session."""
    return SmppSession(config, Dialect(), config, name)
