"""What one link tells whoever drives it. Values only; `link` makes them.

A `tag` is whatever the driver gave with its request. Each ends exactly once: in a Response, in a Doubt, in Lost, or by `Link.lose`.
No event shows a text, a number or a password in its repr.
"""

from typing import ClassVar, Literal

import msgspec

from broker.smpp.pdu import Pdu

DoubtReason = Literal["timeout", "mismatch", "malformed"]
LostReason = Literal[
    "eof",  # the driver's own word for an end of the stream or a reset: `Link.lose`
    "framing",  # a command_length that cannot be
    "dribble",  # a PDU that began and did not end in time
    "bind_timeout",  # no response to our bind, or no bind from the peer
    "bind_mismatch",  # a response to our bind that is none
    "enquire_timeout",  # the peer is silent
    "unbound",  # by us, and the peer agreed
    "unbind_timeout",  # by us, and the peer said nothing
    "peer_unbind",  # by the peer
    "anomalies",  # too many PDUs that mean nothing
    "unread",  # the peer does not read what we write
]
AnomalyKind = Literal[
    "unknown_sequence",  # a response to nothing that we asked, or asked too long ago
    "mismatch",  # a response of another command than the request's
    "nack",  # a generic_nack to nothing that we asked
    "malformed",  # a PDU that lacks a part
    "unknown_command",  # a request that we do not know, or that is not the peer's to make
    "state",  # a request that is not allowed as things stand
    "flood",  # more unanswered requests of the peer's than are kept
]


class Event(msgspec.Struct, frozen=True, gc=False):
    """What all have: a repr of only what is no secret."""

    SHOWN: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.SHOWN)})"


class Bound(Event, frozen=True, gc=False):
    """The SMSC took our bind. `system_id` is its own name; `version` its sc_interface_version, None where it says none."""

    system_id: str
    version: int | None


class Refused(Event, frozen=True, gc=False):
    """The SMSC refused our bind with `status`, which is never 0. The link is over; nothing was outstanding."""

    SHOWN: ClassVar[tuple[str, ...]] = ("status",)

    status: int


class Response(Event, frozen=True, gc=False):
    """The response to our request. `pdu` is the request's own response or a GenericNack, which is a refusal whatever its status."""

    SHOWN: ClassVar[tuple[str, ...]] = ("status", "sequence")

    tag: object
    status: int
    pdu: Pdu
    sequence: int


class LateResponse(Event, frozen=True, gc=False):
    """The response to a request of ours that had ended in a Doubt: proof at last. Its tag ended before; it is told once."""

    SHOWN: ClassVar[tuple[str, ...]] = ("status", "sequence")

    tag: object
    status: int
    pdu: Pdu
    sequence: int


class Doubt(Event, frozen=True, gc=False):
    """Our request ended without proof either way: no response in time, one of another command, or one that cannot be read."""

    SHOWN: ClassVar[tuple[str, ...]] = ("reason", "sequence")

    tag: object
    reason: DoubtReason
    sequence: int


class Request(Event, frozen=True, gc=False):
    """The peer asks; `Link.answer` with this sequence answers it. An alert_notification and an outbind take no answer."""

    SHOWN: ClassVar[tuple[str, ...]] = ("sequence",)

    sequence: int
    pdu: Pdu


class Leaving(Event, frozen=True, gc=False):
    """The peer wants to unbind: nothing more can be sent on this link; Lost follows within `Limits.peer_wait`."""


class Lost(Event, frozen=True, gc=False):
    """The link is over; write what `take` still gives, then close. `tags` are exactly those outstanding, in the order of sending."""

    SHOWN: ClassVar[tuple[str, ...]] = ("reason",)

    reason: LostReason
    tags: tuple[object, ...] = ()


class Anomaly(Event, frozen=True, gc=False):
    """The peer did what it should not, and the link goes on. `ref` is the message id that came with an orphaned response."""

    SHOWN: ClassVar[tuple[str, ...]] = ("kind", "command", "sequence", "status")

    kind: AnomalyKind
    command: int
    sequence: int
    status: int = 0
    ref: str | None = None
