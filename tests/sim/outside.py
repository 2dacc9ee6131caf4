"""Where a simulated broker hands things on to: one endpoint that takes webhooks, refuses them, loses its answers, and is down at times.

Belongs to the world. What reached it whole it has, whether the broker heard so or not.
"""

import json
import random
from typing import Any

import trio
from trio.testing import memory_stream_pair

from broker.provider.contract import TwinReply
from tests.sim.network import Luck
from tests.sim.wire import RequestReader, write_reply


class Outside:
    """The endpoint. `came`: (webhook-id, body) in order."""

    def __init__(self, rng: random.Random, nursery: trio.Nursery) -> None:
        self.name = "outside"
        self.luck = Luck(rng)
        self.is_down = False
        self.came: list[tuple[str, dict[str, Any]]] = []
        self._nursery = nursery

    def flip(self) -> None:
        """Up or down."""
        self.is_down = not self.is_down and not self.luck.is_calm

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.luck.is_calm = True
        self.is_down = False

    async def open_stream(self, _host: str, _port: int) -> trio.abc.Stream:
        """A connection, unless it is down."""
        await trio.lowlevel.checkpoint()
        if self.is_down or self.luck.draw("refused", *["well"] * 9) == "refused":
            raise ConnectionRefusedError
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            await self._converse(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the broker has gone, or does not wait any more
        finally:
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.abc.Stream) -> None:
        reader = RequestReader(stream)
        while (request := await reader.read()) is not None:
            await trio.sleep(self.luck.pause(0.0, 0.0, 0.02, 0.7))
            fate = self.luck.draw("500", "429", "drop", "swallow", "late")
            if fate == "drop":
                return
            if fate in ("500", "429"):
                await stream.send_all(write_reply(TwinReply(int(fate))))
                continue
            self.came.append((request.headers["webhook-id"], json.loads(request.body)))
            if fate == "swallow":
                return
            if fate == "late":
                await trio.sleep(16)
            await stream.send_all(write_reply(TwinReply(204)))
