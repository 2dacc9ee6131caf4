"""What the crash test's peers have in common: HTTP with answers that may be cut or never come, files that only grow, the end of faults.

Knows nothing of providers.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import trio


class Asked(NamedTuple):
    """One request. Headers by their name in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes


Said = tuple[int, bytes, str]
"""(status, body, fate): the fate is `whole`, `none` or `half`, of the answer."""


class Peer:
    """Who answers. While it is not calm, faults are drawn."""

    is_calm = False

    def calm(self) -> None:
        """No more faults."""
        self.is_calm = True

    async def answer(self, asked: Asked) -> Said:
        """The answer to one request."""
        raise NotImplementedError


async def serve_web(answer: Callable[[Asked], Awaitable[Said]], stream: trio.SocketStream) -> None:
    """One connection, until it ends or a fault ends it."""
    data = b""
    async with stream:
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    more = await stream.receive_some(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                length = int(headers.get("content-length", 0))
                while len(data) < length:
                    more = await stream.receive_some(65536)
                    if not more:
                        return
                    data += more
                body, data = data[:length], data[length:]
                status, said, fate = await answer(Asked(first.split(" ")[1], headers, body))
                whole = b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (status, len(said), said)
                if fate != "whole":
                    await stream.send_all(whole[: len(whole) // 2] if fate == "half" else b"")
                    return
                await stream.send_all(whole)
        except (trio.BrokenResourceError, ConnectionError):
            return  # the daemon was killed: what was taken is taken


async def wait_calm(calm: Callable[[], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Call `calm` at SIGUSR1. Started before the peer prints its port, or the signal would end it."""
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        task_status.started()
        async for _ in signals:
            calm()
            return


def open_book(path: str) -> int:
    """A file of notes: each is one write, so that no line is ever half, and none is lost whoever is killed."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


async def open_door() -> trio.SocketListener:
    """A listener on any port of 127.0.0.1."""
    return (await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024))[0]


def port_of(door: trio.SocketListener) -> int:
    """Its port."""
    return int(door.socket.getsockname()[1])


async def serve_peer(peer: Peer) -> None:
    """Serve a peer until killed; prints the port."""
    door = await open_door()
    async with trio.open_nursery() as nursery:
        await nursery.start(wait_calm, peer.calm)
        print(port_of(door), flush=True)
        await trio.serve_listeners(partial(serve_web, peer.answer), [door])
