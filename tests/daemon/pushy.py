"""Pushy: a provider for the tests of callbacks. It takes every message at once, keeps what it was handed, and calls back as told.

Manual: none. Its calls: query or form fields `ref` `to` (E.164) `status` (a receipt's class), repeated for several; `mo` with `from` for
an inbound message; `crash` for a fault of the plugin. It wants to hear `magic=REF`.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec
import trio

from broker.provider.contract import CallbackAnswer, CallbackRequest, Inbound, Outcome, Parsed, Port, Receipt, Send, Settle, Traits

TITLE = "Pushy: calls back, for tests"
MANUAL = "none; see this file"
TRAITS = Traits(senders=frozenset({"none"}), batch=10, receipts=("callback",), doubt=frozenset({"token"}))
CODES: dict[str, str] = {}


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`outcome`: the class to answer messages with."""

    outcome: str = "accepted"


class PushySession:
    """One account's session; `sends` is all that it was handed."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.sends: list[Send] = []

    async def run(self, sink: Port, *, task_status: Any) -> None:
        """Nothing to do: receipts come to the callback address."""
        task_status.started()
        sink.report(None)
        await trio.sleep_forever()

    async def submit(self, sends: Sequence[Send], settle: Settle) -> None:
        """Take them all."""
        for index, send in enumerate(sends):
            self.sends.append(send)
            settle(index, Outcome(self.config.outcome, "1", None, (f"P{len(self.sends)}",)))  # type: ignore[arg-type]  # as configured


def open_session(config: Config, name: str) -> PushySession:
    """A session for the account `name`."""
    return PushySession(config)


def receipts(config: Config, request: CallbackRequest, now: int) -> Parsed:
    """What a call says."""
    fields = parse_qs(request.body.decode("latin-1") if request.method == "POST" else request.query)
    if "crash" in fields:
        raise ValueError(f"cannot read {fields}")
    count = len(fields.get("status", []))
    refs = fields.get("ref", []) + [None] * count
    recipients = fields.get("to", []) + [None] * count
    found = [
        Receipt(status, refs[n], request.token, recipients[n])  # type: ignore[arg-type]  # as told
        for n, status in enumerate(fields.get("status", []))
    ]
    inbound = [Inbound(sender, text) for sender, text in zip(fields.get("from", []), fields.get("mo", []), strict=True)]
    said = f"magic={refs[0] if refs else ''}\n".encode()
    return Parsed(tuple(found), tuple(inbound), CallbackAnswer(body=said))
