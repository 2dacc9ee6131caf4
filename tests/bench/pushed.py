"""Pushed: the bench's provider that calls back. It takes every message at once and gives it an id; the bench makes its calls.

Manual: none. A call is read as the longest of the real ones is: seven parameters, a time, a status out of a table.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import trio

from broker.provider.contract import CallbackAnswer, CallbackRequest, Outcome, Parsed, Port, Receipt, Send, Settle, Traits

TITLE = "Pushed: takes everything, is called back for"
MANUAL = "none; see this file"
TRAITS = Traits(senders=frozenset({"none"}), batch=100, receipts=("callback",))
CODES: dict[str, str] = {}
STATES = {"DELIVRD": "delivered", "EXPIRED": "expired", "ACCEPTD": "progress", "UNDELIV": "undelivered"}


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


class PushedSession:
    """One account's session."""

    def __init__(self) -> None:
        self._count = 0

    async def run(self, sink: Port, *, task_status: Any) -> None:
        """Ready at once."""
        task_status.started()
        sink.report(None)
        await trio.sleep_forever()

    async def submit(self, sends: Sequence[Send], settle: Settle) -> None:
        """Take them all."""
        for index, _ in enumerate(sends):
            self._count += 1
            settle(index, Outcome("accepted", "1", None, (f"{self._count:010d}",)))


def open_session(config: Config, name: str) -> PushedSession:
    """A session."""
    return PushedSession()


def receipts(config: Config, request: CallbackRequest, now: int) -> Parsed:
    """One receipt a call."""
    fields = dict(parse_qsl(request.query, keep_blank_values=True))
    at = datetime.strptime(fields["donetime"], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    ref = fields["msgid"]
    receipt = Receipt(
        STATES[fields["statusstr"]],  # type: ignore[arg-type]  # a table of classes
        ref, request.token, "+886" + fields["dstaddr"][1:], fields["StatusFlag"], at=int(at.timestamp() * 1000),
    )  # fmt: skip
    return Parsed((receipt,), answer=CallbackAnswer(body=f"magicid=sms_gateway_rpack\nmsgid={ref}\n".encode()))
