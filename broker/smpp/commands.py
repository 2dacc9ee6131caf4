"""The command ids of SMPP 3.4 (section 5.1.2.1) and their names. Knows neither fields nor states."""

from typing import Final

RESPONSE: Final = 0x8000_0000
"""The bit that makes a response of its request's command id."""

GENERIC_NACK: Final = 0x8000_0000
BIND_RECEIVER: Final = 0x0000_0001
BIND_TRANSMITTER: Final = 0x0000_0002
QUERY_SM: Final = 0x0000_0003
SUBMIT_SM: Final = 0x0000_0004
DELIVER_SM: Final = 0x0000_0005
UNBIND: Final = 0x0000_0006
REPLACE_SM: Final = 0x0000_0007
CANCEL_SM: Final = 0x0000_0008
BIND_TRANSCEIVER: Final = 0x0000_0009
OUTBIND: Final = 0x0000_000B
ENQUIRE_LINK: Final = 0x0000_0015
SUBMIT_MULTI: Final = 0x0000_0021
ALERT_NOTIFICATION: Final = 0x0000_0102
DATA_SM: Final = 0x0000_0103

UNANSWERED: Final = frozenset({OUTBIND, ALERT_NOTIFICATION})
"""Requests that have no response."""

_NAMES: Final = {
    BIND_RECEIVER: "bind_receiver",
    BIND_TRANSMITTER: "bind_transmitter",
    QUERY_SM: "query_sm",
    SUBMIT_SM: "submit_sm",
    DELIVER_SM: "deliver_sm",
    UNBIND: "unbind",
    REPLACE_SM: "replace_sm",
    CANCEL_SM: "cancel_sm",
    BIND_TRANSCEIVER: "bind_transceiver",
    OUTBIND: "outbind",
    ENQUIRE_LINK: "enquire_link",
    SUBMIT_MULTI: "submit_multi",
    ALERT_NOTIFICATION: "alert_notification",
    DATA_SM: "data_sm",
}


def name_command(command: int) -> str:
    """The manual's name of a command id: `submit_sm`, `submit_sm_resp`; `0x00010200` where the manual has none."""
    if command == GENERIC_NACK:
        return "generic_nack"
    name = _NAMES.get(command & ~RESPONSE)
    if name is None or command in {RESPONSE | one for one in UNANSWERED}:
        return f"0x{command:08X}"
    return f"{name}_resp" if command & RESPONSE else name
