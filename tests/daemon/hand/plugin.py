"""A session worked by hand: a test takes what was handed over, and says what became of it and what is heard of it later.

Manual: none; this is its whole description.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from broker.provider.contract import Ask, Outcome, Port, Receipt, Send, Settle, Traits

TITLE = "By hand: for tests"
MANUAL = "none; see this file"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`poll`: it may be asked; `splits`: it sends one part for each segment; `memory`: milliseconds for which it knows a key again."""

    poll: bool = False
    splits: bool = False
    memory: int = 0


TRAITS = Traits(senders=frozenset({"none", "alphanumeric", "numeric"}), batch=100, receipts=("callback",), by_ref=True, ask_batch=100)
CODES: dict[str, str] = {}


class HandSession:
    """One account's session: `waiting` is what was handed over and not yet answered, by attempt."""

    def __init__(self) -> None:
        self.port: Port | None = None
        self.waiting: dict[str, tuple[int, Settle, Send, trio.Event]] = {}
        self.sent: list[Send] = []
        self.asked: list[Sequence[Ask]] = []
        self.fates: dict[str, Receipt] = {}

    async def run(self, sink: Port, *, task_status: Any) -> None:
        self.port = sink
        task_status.started()
        await trio.sleep_forever()

    async def submit(self, sends: Sequence[Send], settle: Settle) -> None:
        events = []
        for index, send in enumerate(sends):
            event = trio.Event()
            self.sent.append(send)
            self.waiting[send.attempt] = (index, settle, send, event)
            events.append(event)
        for event in events:
            await event.wait()

    def answer(self, attempt: str, outcome: Outcome) -> None:
        """The provider's answer to one attempt."""
        index, settle, _, event = self.waiting.pop(attempt)
        settle(index, outcome)
        event.set()

    async def hear(self, *receipts: Receipt) -> Sequence[str | None]:
        """Receipts come in: what they matched, once they are durable."""
        assert self.port is not None
        return await self.port(receipts)

    async def query(self, asks: Sequence[Ask]) -> list[Receipt]:
        self.asked.append(asks)
        return [self.fates.get(ask.attempt, Receipt("progress")) for ask in asks]


def open_session(config: Config, name: str) -> HandSession:
    return HandSession()


def traits(config: Config) -> Traits:
    receipts = ("callback", "poll") if config.poll else ("callback",)
    doubt = frozenset({"token", "key"} if config.memory else ())
    splits = "broker" if config.splits else "provider"
    return msgspec.structs.replace(TRAITS, receipts=receipts, splits=splits, idempotency=config.memory, doubt=doubt)
