"""What a command_status, a message_state and a receipt's word mean: the manual's names, and PROVIDERS.md, "SMPP codes", as tables.

Says what a code means, never what to do; knows no account's own overrides. A status is shown to people, and written in the `codes` of
broker.toml, as `0x` and at least two hex digits: `0x58`, `0x0B`, `0x40A` (`show_status`).
"""

import re
from typing import Final

from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass

ESME_ROK: Final = 0x00
ESME_RINVMSGLEN: Final = 0x01
ESME_RINVCMDLEN: Final = 0x02
ESME_RINVCMDID: Final = 0x03
ESME_RINVBNDSTS: Final = 0x04
ESME_RALYBND: Final = 0x05
ESME_RINVPRTFLG: Final = 0x06
ESME_RINVREGDLVFLG: Final = 0x07
ESME_RSYSERR: Final = 0x08
ESME_RINVSRCADR: Final = 0x0A
ESME_RINVDSTADR: Final = 0x0B
ESME_RINVMSGID: Final = 0x0C
ESME_RBINDFAIL: Final = 0x0D
ESME_RINVPASWD: Final = 0x0E
ESME_RINVSYSID: Final = 0x0F
ESME_RCANCELFAIL: Final = 0x11
ESME_RREPLACEFAIL: Final = 0x13
ESME_RMSGQFUL: Final = 0x14
ESME_RINVSERTYP: Final = 0x15
ESME_RINVNUMDESTS: Final = 0x33
ESME_RINVDLNAME: Final = 0x34
ESME_RINVDESTFLAG: Final = 0x40
ESME_RINVSUBREP: Final = 0x42
ESME_RINVESMCLASS: Final = 0x43
ESME_RCNTSUBDL: Final = 0x44
ESME_RSUBMITFAIL: Final = 0x45
ESME_RINVSRCTON: Final = 0x48
ESME_RINVSRCNPI: Final = 0x49
ESME_RINVDSTTON: Final = 0x50
ESME_RINVDSTNPI: Final = 0x51
ESME_RINVSYSTYP: Final = 0x53
ESME_RINVREPFLAG: Final = 0x54
ESME_RINVNUMMSGS: Final = 0x55
ESME_RTHROTTLED: Final = 0x58
ESME_RINVSCHED: Final = 0x61
ESME_RINVEXPIRY: Final = 0x62
ESME_RINVDFTMSGID: Final = 0x63
ESME_RX_T_APPN: Final = 0x64
ESME_RX_P_APPN: Final = 0x65
ESME_RX_R_APPN: Final = 0x66
ESME_RQUERYFAIL: Final = 0x67
ESME_RINVOPTPARSTREAM: Final = 0xC0
ESME_ROPTPARNOTALLWD: Final = 0xC1
ESME_RINVPARLEN: Final = 0xC2
ESME_RMISSINGOPTPARAM: Final = 0xC3
ESME_RINVOPTPARAMVAL: Final = 0xC4
ESME_RDELIVERYFAILURE: Final = 0xFE
ESME_RUNKNOWNERR: Final = 0xFF

NAMES: Final[dict[int, str]] = {
    value: name for name, value in sorted(globals().items(), key=str) if name.startswith("ESME_") and isinstance(value, int)
}
"""Status → the manual's name (table 5-2)."""


def _class_statuses() -> dict[int, OutcomeClass]:
    rows: dict[OutcomeClass, tuple[int, ...]] = {
        "accepted": (0x00,),
        "unsuitable": (
            *(0x01, 0x43, 0x15, 0x06, 0x07, 0x61, 0x62, 0x63, 0x42, 0x54, 0xC1, 0xC4),
            *(0x0A, 0x48, 0x49),  # the sender
            *(0x65, 0x66),
        ),
        "rejected": (0x0B, 0x50, 0x51),
        "misconfigured": (
            *(0x02, 0x03, 0xC0, 0xC2, 0xC3),  # our own fault
            *(0x05, 0x0D, 0x0E, 0x0F, 0x53),  # the bind
            *(0x33, 0x34, 0x40, 0x44, 0x55),  # of lists, which we never send
        ),
        "throttled": (0x58, 0x14),
        "unavailable": (0x45, 0x08, 0x64, 0xFE, 0xFF),
        "unreachable": (0x04,),  # the peer does not see us bound: bind again
    }
    return {status: class_ for class_, statuses in rows.items() for status in statuses}


CODES: Final[dict[int, OutcomeClass]] = _class_statuses()
"""Status → class of a submit or a bind; `judge_status` covers the rest."""

QUERY_FAULTS: Final = frozenset({ESME_RINVMSGID, ESME_RQUERYFAIL, ESME_RCANCELFAIL, ESME_RREPLACEFAIL})
"""Statuses that answer a query, a cancel or a replace: the asker's own trouble, class `query_error`."""

_FOR_THE_MOMENT: Final = frozenset({"throttled", "unavailable", "unreachable"})


def judge_status(status: int) -> OutcomeClass:
    """The class of a submit's or a bind's status. Not 0 is a refusal (5.1.3), so none is in doubt.

    One of the vendor's (0x400 to 0x4FF), a reserved one, or one that only a query can earn says no more than that: `unavailable`.
    """
    return CODES.get(status, "unavailable")


def judge_nack(status: int) -> OutcomeClass:
    """The class of a generic_nack with our sequence: refused, so never `accepted`, whatever its status.

    PROVIDERS.md: `misconfigured`. Peers also throttle by it, so a status that speaks of the moment keeps its meaning.
    """
    class_ = CODES.get(status, "misconfigured")
    return class_ if class_ in _FOR_THE_MOMENT else "misconfigured"


def is_known(status: int) -> bool:
    """True where the manual gives the status a meaning; any other is told loudly, for an operator to put it into `codes`."""
    return status in NAMES


def show_status(status: int) -> str:
    """How a status is shown and keyed everywhere: 0x58, 0x0B, 0x40A."""
    return f"0x{status:02X}"


def name_status(status: int) -> str:
    """What a person reads: `ESME_RTHROTTLED`, `vendor status 0x40A`, `reserved status 0x99`."""
    name = NAMES.get(status)
    if name:
        return name
    return f"{'vendor' if 0x400 <= status <= 0x4FF else 'reserved'} status {show_status(status)}"


_read_hex = re.compile(r"0[xX]([0-9a-fA-F]{1,8})").fullmatch
_BY_NAME: Final = {name: status for status, name in NAMES.items()}


def read_status(text: str) -> int:
    """The status that an operator wrote: `0x58`, `0x00000058`, `ESME_RTHROTTLED` or `RTHROTTLED`. Raises ValueError for another."""
    found = _read_hex(text.strip())
    if found:
        return int(found[1], 16)
    word = text.strip().upper()
    status = _BY_NAME.get(word, _BY_NAME.get(f"ESME_{word}"))
    if status is None:
        raise ValueError('not an SMPP status; write it as "0x58", or by its name, "ESME_RTHROTTLED"')
    return status


ENROUTE: Final = 1
DELIVERED: Final = 2
EXPIRED: Final = 3
DELETED: Final = 4
UNDELIVERABLE: Final = 5
ACCEPTED: Final = 6
UNKNOWN: Final = 7
REJECTED: Final = 8

STATES: Final[dict[int, tuple[str, ReceiptClass]]] = {
    ENROUTE: ("ENROUTE", "progress"),
    DELIVERED: ("DELIVRD", "delivered"),
    EXPIRED: ("EXPIRED", "expired"),
    DELETED: ("DELETED", "canceled"),
    UNDELIVERABLE: ("UNDELIV", "undelivered"),
    ACCEPTED: ("ACCEPTD", "progress"),
    UNKNOWN: ("UNKNOWN", "unrecognised"),
    REJECTED: ("REJECTD", "undelivered"),
}
"""message_state (5.2.28) → the word of a receipt's `stat` (appendix B), and its class."""

STATS: Final[dict[str, ReceiptClass]] = {
    **dict(STATES.values()),
    # The same words written out, or by the names of 5.2.28: vendors mix them.
    "DELIVERED": "delivered",
    "UNDELIVERABLE": "undelivered",
    "UNDELIVERED": "undelivered",
    "ACCEPTED": "progress",
    "REJECTED": "undelivered",
}
"""A receipt's `stat`, in upper case → its class; any other word is `unrecognised`."""


SMSCRU_ERRORS: Final[dict[int, tuple[ReceiptClass | None, str]]] = {
    0: (None, ""),
    1: (None, "no such subscriber"),
    6: (None, "the subscriber is not reachable"),
    11: (None, "no SMS service on the number"),
    12: (None, "an error in the subscriber's phone"),
    13: (None, "the subscriber is barred"),
    21: (None, "SMS is not supported"),
    200: ("unrecognised", "virtual sending: nothing is really delivered"),
    219: (None, "the SIM was changed within the last day"),
    220: (None, "the operator's queue is full"),
}
"""SMSC.ru's `err` → (class instead of that by `stat`, None where `stat` holds; what a person reads). PROVIDERS.md, "SMPP codes"."""
