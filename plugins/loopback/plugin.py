"""Loopback: a provider that lives in the broker itself and answers as it is told. For trying things out and for measuring.

Manual: none; this is its whole description. It takes every message, unless `outcomes` says otherwise, and reports it delivered at
once. It opens no connection and knows no credit.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import msgspec
import trio

from broker.provider.contract import Ask, Lookup, Outcome, Port, Receipt, Send, Settle, Traits
from broker.words.channel import CHANNELS

TITLE = "Loopback: scripted outcomes, nothing leaves the process"
MANUAL = "none; see this file"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`outcomes`: classes to answer the next messages with, over and over (empty: accepted); `receipt`: the receipt that follows
    (`delivered` `undelivered` `expired` …, or `none`); `delay`: milliseconds until the answer, `receipt_delay` from there to the
    receipt; `channels` that it takes; `networks`: what it finds of numbers by channel hlr, prefix -> MCCMNC, the first that fits.
    """

    outcomes: tuple[str, ...] = ()
    receipt: str = "delivered"
    delay: int = 0
    receipt_delay: int = 0
    channels: tuple[str, ...] = ("sms",)
    networks: dict[str, str] = {}


TRAITS = Traits(senders=frozenset({"none", "alphanumeric", "numeric", "shortcode"}), batch=100, receipts=("callback",), options=None)

CODES: dict[str, str] = {}


class LoopbackSession:
    """One account's session."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._script = cycle(config.outcomes) if config.outcomes else None
        self._sink: Port | None = None
        self._count = 0
        self._waiting: list[Receipt] = []
        self._lot = trio.lowlevel.ParkingLot()

    async def run(self, sink: Port, *, task_status: Any) -> None:
        """Report what was taken, until cancelled."""
        task_status.started()
        while True:
            while not self._waiting:
                await self._lot.park()
            if self._config.receipt_delay:
                await trio.sleep(self._config.receipt_delay / 1000)
            receipts, self._waiting = self._waiting, []
            await sink(receipts)

    async def submit(self, sends: Sequence[Send], settle: Settle) -> None:
        """Answer as the script says."""
        if self._config.delay:
            await trio.sleep(self._config.delay / 1000)
        for index, send in enumerate(sends):
            outcome = self._answer()
            settle(index, outcome)
            if self._config.receipt != "none" and outcome.class_ == "accepted":
                self._waiting.append(self._report(send, outcome.refs[0]))
        self._lot.unpark_all()

    async def query(self, asks: Sequence[Ask]) -> list[Receipt]:
        """Nothing to ask: its receipts come at once."""
        return [Receipt("query_error") for _ in asks]

    def _report(self, send: Send, ref: str) -> Receipt:
        lookup = self._look_up(send.message.to) if send.via == "hlr" else None
        return Receipt(self._config.receipt, ref, send.attempt, lookup=lookup)  # type: ignore[arg-type]  # as configured

    def _look_up(self, number: str) -> Lookup:
        network = next((network for prefix, network in self._config.networks.items() if number.startswith(prefix)), None)
        return Lookup("absent" if network is None else "active", network=network)

    def _answer(self) -> Outcome:
        class_ = "accepted" if self._script is None else next(self._script)
        if class_ != "accepted":
            return Outcome(class_, class_, "as scripted")  # type: ignore[arg-type]  # as configured
        self._count += 1
        return Outcome("accepted", "ok", None, (f"L{self._count}",))


def open_session(config: Config, name: str) -> LoopbackSession:
    """A session for the account `name`."""
    return LoopbackSession(config)


def traits(config: Config) -> Traits:
    """The traits of one account: without receipts a message is unconfirmed at once."""
    receipts = TRAITS.receipts if config.receipt != "none" else ()
    return msgspec.structs.replace(TRAITS, channels=frozenset(config.channels), receipts=receipts)


def check(config: Config) -> Iterator[tuple[str, str]]:
    """A channel that there is not."""
    for channel in config.channels:
        if channel not in CHANNELS:
            yield "channels", f"is a list of {', '.join(CHANNELS)}"
