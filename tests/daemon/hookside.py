"""The other side of a webhook: endpoints in memory that answer as they are told, and keep what came."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio
from trio.testing import memory_stream_pair

from broker.delivery import endpoints
from broker.provider import transport
from broker.provider.contract import TwinReply, TwinRequest
from broker.provider.transport import Pool
from broker.provider.twin import _serve_connection

Answer = int | TwinReply | Callable[[TwinRequest], "int | TwinReply"]


class Outside:
    """Every endpoint there is, by host. `answers[host]` are given in turn, the last one for ever; `down` are hosts without anybody."""

    def __init__(self, nursery: trio.Nursery, now: Callable[[], int]) -> None:
        self.nursery = nursery
        self.now = now
        self.answers: dict[str, list[Answer]] = {}
        self.down: set[str] = set()
        self.came: list[tuple[str, TwinRequest]] = []
        self.opened: list[str] = []
        self.bell = trio.Event()

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        """What webhooks connect with."""
        await trio.lowlevel.checkpoint()
        self.opened.append(f"{host}:{port}")
        if host in self.down:
            raise ConnectionRefusedError
        ours, theirs = memory_stream_pair()
        serve: Any = _serve_connection  # it says that it needs a socket, and needs any stream
        self.nursery.start_soon(serve, _Side(self, host), self.now, theirs)
        return ours

    def answer(self, host: str, request: TwinRequest) -> TwinReply:
        """One request's answer, by the script."""
        self.came.append((host, request))
        self.bell.set()
        self.bell = trio.Event()
        script = self.answers.get(host, [204])
        answer = script.pop(0) if len(script) > 1 else script[0]
        if callable(answer):
            answer = answer(request)
        return TwinReply(answer) if isinstance(answer, int) else answer

    def bodies(self, host: str | None = None) -> list[dict[str, Any]]:
        """What came, as JSON."""
        return [json.loads(request.body) for at, request in self.came if host in (None, at)]

    async def wait(self, count: int, within: float = 60.0) -> None:
        """Return when so many requests have come."""
        with trio.move_on_after(within):
            while len(self.came) < count:
                await self.bell.wait()
        assert len(self.came) >= count, len(self.came)


class _Side:
    def __init__(self, outside: Outside, host: str) -> None:
        self._outside, self._host = outside, host

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        return self._outside.answer(self._host, request)


@contextmanager
def in_memory(outside: Outside) -> Iterator[Outside]:
    """While entered, webhooks connect to `outside`. TLS has its own tests: here every https is carried in clear."""
    place: Any = endpoints
    wire: Any = transport
    were = place.Pool, wire.start_tls

    def make(**keys: Any) -> Pool:
        return Pool(**{**keys, "open_stream": outside.open_stream})

    async def start(stream: trio.abc.Stream, host: str, context: object) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return stream

    place.Pool, wire.start_tls = make, start
    try:
        yield outside
    finally:
        place.Pool, wire.start_tls = were
