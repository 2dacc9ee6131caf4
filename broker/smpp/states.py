"""Who may ask what in which state of a link: the manual's table 2-1 as data. Decides nothing."""

from typing import Final, Literal

from broker.smpp import commands as c

Role = Literal["esme", "smsc"]
State = Literal["closed", "open", "bound_tx", "bound_rx", "bound_trx", "unbound"]

BINDS: Final[dict[int, State]] = {
    c.BIND_TRANSMITTER: "bound_tx",
    c.BIND_RECEIVER: "bound_rx",
    c.BIND_TRANSCEIVER: "bound_trx",
}
"""Bind request → the state that it leads to."""

SENDS: Final[dict[Role, frozenset[State]]] = {
    "esme": frozenset({"bound_tx", "bound_trx"}),
    "smsc": frozenset({"bound_rx", "bound_trx"}),
}
"""The states in which a side may send messages."""

_SUBMITS = frozenset({c.SUBMIT_SM, c.SUBMIT_MULTI, c.DATA_SM, c.QUERY_SM, c.CANCEL_SM, c.REPLACE_SM})
_DELIVERIES = frozenset({c.DELIVER_SM, c.DATA_SM, c.ALERT_NOTIFICATION})

# enquire_link, unbind and generic_nack are anybody's at any time.
PEER_MAY: Final[dict[Role, dict[State, frozenset[int]]]] = {
    "esme": {
        "open": frozenset({c.OUTBIND}),
        "bound_rx": _DELIVERIES,
        "bound_trx": _DELIVERIES,
    },
    "smsc": {
        "open": frozenset(BINDS),
        "bound_tx": _SUBMITS,
        "bound_trx": _SUBMITS,
    },
}
"""Our role → state → the peer's requests that we take then."""

PEER_EVER_MAY: Final[dict[Role, frozenset[int]]] = {role: frozenset().union(*states.values()) for role, states in PEER_MAY.items()}
"""Our role → the peer's requests that we take in some state; any other is none that it may make."""
