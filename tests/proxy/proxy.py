"""A proxy before a house's twins that fails as it is told: the cells of the transport matrix for HTTP, faults of the link for SMPP.

What it is told for a message happens to the first request that carries the message's mark; whatever comes after it is served well. The
twin's `sent` is the handsets' ledger: a request that is `forwarded` has made its copy, whatever becomes of the answer.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import memory_stream_pair

from broker.provider.contract import TwinReply, TwinRequest
from tests.daemon.house import House
from tests.plugins.test_matrix import Cell, Serve, read_request, write
from tests.tap import Tap


class Replayed(trio.abc.Stream):
    """A connection whose first octets have been read already."""

    def __init__(self, stream: trio.abc.Stream, data: bytes) -> None:
        self._stream = stream
        self._data = data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._data:
            data, self._data = self._data, b""
            return data
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class HttpProxy:
    """Before the twins of `house`. `plan` is mark → cell; `is_forwarding`: the twin gets the request even where the cell answers alone."""

    def __init__(self, house: House, nursery: trio.Nursery, *, is_forwarding: bool) -> None:
        self.house = house
        self.plan: dict[bytes, Cell] = {}
        self.blind: Serve | None = None
        self.is_forwarding = is_forwarding
        self._nursery = nursery

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        """What accounts connect with."""
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, self.house.twins[host], theirs)
        return ours

    async def _serve(self, twin: Any, stream: trio.abc.Stream) -> None:
        try:
            while True:
                if self.blind is not None:
                    blind, self.blind = self.blind, None
                    await blind(stream, stand_in(lambda request: TwinReply()))
                    return
                taker = Tap(stream)
                request = await read_request(taker)
                cell = self._find(request)
                if cell is None:
                    reply = twin.answer(request, self.house.now())
                    await stream.send_all(write(reply.status, reply.body, reply.headers))
                    continue
                await self._fail(cell, twin, request, Replayed(stream, taker.taken))
                return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the account has closed its end, or says nothing more
        finally:
            await trio.aclose_forcefully(stream)

    def _find(self, request: TwinRequest) -> Cell | None:
        carried = request.query.encode() + request.body
        mark = next((mark for mark in self.plan if mark in carried), None)
        return None if mark is None else self.plan.pop(mark)

    async def _fail(self, cell: Cell, twin: Any, request: TwinRequest, stream: trio.abc.Stream) -> None:
        replies: list[TwinReply] = []

        def answer(request: TwinRequest) -> TwinReply:
            if not replies:
                replies.append(twin.answer(request, self.house.now()))
            return replies[0]

        if self.is_forwarding:
            answer(request)
        await cell.serve(stream, stand_in(answer))


def stand_in(answer: Callable[[TwinRequest], TwinReply]) -> Any:
    """In the place of a Variant, for a cell that asks it for a twin's good answer."""
    twin = SimpleNamespace(answer=lambda request, _now: answer(request))
    return SimpleNamespace(plugin=SimpleNamespace(twin_type=lambda: twin))

