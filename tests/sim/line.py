"""Line: the plugin of the simulated session providers. Hands everything to its account's exchange in `tests.sim.network`, by name.

Manual: none; what such a provider may do stands there.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from broker.provider.contract import Port, Send, Settle, Traits
from tests.sim.network import find_line

TITLE = "Line: a simulated provider"
MANUAL = "none; see this file"
TRAITS = Traits(senders=frozenset({"none"}), batch=10, receipts=("callback",), by_ref=True, doubt=frozenset({"token"}))
CODES: dict[str, str] = {}


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`memory`: milliseconds for which it knows a key again; `mute`: it gives no receipts."""

    memory: int = 0
    mute: bool = False


class LineSession:
    """One account's session."""

    def __init__(self, config: Config, name: str) -> None:
        self._line = find_line(name)
        self._config = config

    async def run(self, sink: Port, *, task_status: Any) -> None:
        """Be called back for as long as the session stands."""
        task_status.started()
        await self._line.serve(sink, self._config.mute)

    async def submit(self, sends: Sequence[Send], settle: Settle) -> None:
        """Each message meets its own fate."""

        async def submit_one(index: int, send: Send) -> None:
            settle(index, await self._line.take(send, self._config.memory))

        async with trio.open_nursery() as nursery:
            for index, send in enumerate(sends):
                nursery.start_soon(submit_one, index, send)


def open_session(config: Config, name: str) -> LineSession:
    """A session for the account `name`."""
    return LineSession(config, name)


def traits(config: Config) -> Traits:
    """The traits of one account."""
    found = TRAITS if not config.mute else msgspec.structs.replace(TRAITS, receipts=(), by_ref=False)
    if config.memory:
        found = msgspec.structs.replace(found, idempotency=config.memory, doubt=frozenset({"token", "key"}))
    return found
