"""Mitake's words and what each means: the tables of the manual's README and of the vendor's SMS HTTP API v2.14.

Reads no answer. Where the README's translation is lossy ("has been served" for 1 to 4) the Chinese original decides: 1 to 3 are
the carrier, 4 alone is the handset.
"""

from typing import Final

from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass

MEANT: Final[dict[str, tuple[OutcomeClass, str | None]]] = {
    "*": ("in_doubt", "system error, ask Mitake"),
    "-": ("in_doubt", "system error, ask Mitake"),  # how the manual's page shows the asterisk
    "a": ("unavailable", "sending is out of service for now"),
    "b": ("unavailable", "sending is out of service for now"),
    "c": ("misconfigured", "no account was given"),
    "d": ("misconfigured", "no password was given"),
    "e": ("misconfigured", "account or password error"),
    "f": ("misconfigured", "the account has expired"),
    "h": ("misconfigured", "the account is disabled"),
    "k": ("misconfigured", "our IP address is not registered"),
    "l": ("throttled", "too many connections"),
    "m": ("misconfigured", "the password must be changed first"),
    "n": ("misconfigured", "the password has expired"),
    "p": ("misconfigured", "no permission for the HTTP API"),
    "r": ("unavailable", "the system is out of service"),
    "s": ("no_credit", "accounting failure"),
    "t": ("expired", "the message has expired"),
    "u": ("rejected", "the text is blank"),
    "v": ("rejected", "invalid phone number"),
    **dict.fromkeys("01234", ("accepted", None)),  # a reservation, at the carrier (three times), delivered
    "5": ("rejected", "content error"),
    "6": ("rejected", "phone number error"),
    "7": ("unsuitable", "disabled"),
    "8": ("expired", "timeout"),
    "9": ("unsuitable", "reservation canceled"),
}
"""`statuscode` of a send → class, and what it says to a person."""

FATES: Final[dict[str, ReceiptClass]] = {
    **dict.fromkeys("0123", "progress"),
    "4": "delivered",
    **dict.fromkeys("567", "undelivered"),
    "8": "expired",
    "9": "canceled",
    **dict.fromkeys("*-abcdefhklmnprstuvwxyz?", "query_error"),  # these answer our question, not its object; `?`: no such id
}
"""`statuscode` of a query or a cancel, and StatusFlag of a callback → class."""

CALLBACKS: Final[dict[str, tuple[str, ReceiptClass]]] = {
    "ACCEPTD": ("0123", "progress"),
    "DELIVRD": ("4", "delivered"),
    "EXPIRED": ("8", "expired"),
    "DELETED": ("9", "canceled"),
    "UNDELIV": ("67", "undelivered"),
    "SYNTAXE": ("5", "undelivered"),
    "REJECTD": ("", "undelivered"),
    "UNKNOWN": ("", "unrecognised"),
}
"""`statusstr` of a callback → the StatusFlags that agree with it (empty: it comes without one), class."""


def find_meaning(code: str | None) -> tuple[OutcomeClass, str | None]:
    """The class of a send's code and what it says; a code in no table is in doubt."""
    return MEANT.get(code or "", ("in_doubt", None))
