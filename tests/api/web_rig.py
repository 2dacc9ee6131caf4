"""A web door on a Unix socket, and clients that speak HTTP by hand: what the tests of the server share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from broker.api.doors import open_unix
from broker.api.heads import Head
from broker.api.web import WebDoor
from broker.api.web_answers import Answer, Handler, Limits


class Said(NamedTuple):
    """One answer as a client reads it: header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Echo:
    """A service that answers with the method, the path and the body, and keeps what it was asked. `work` is awaited in between."""

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.bodies: list[bytes] = []
        self.refused: list[int] = []
        self.work: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        self.answer: Answer | None = None

    def screen(self, head: Head) -> Answer | Handler:
        if head.path == "/no":
            return Answer(403, b"no\n", is_last=True)

        async def handle(body: bytes) -> Answer:
            self.heads.append(head)
            self.bodies.append(body)
            await self.work()
            return self.answer or Answer(200, f"{head.method} {head.path} ".encode() + body)

        return handle

    def refuse(self, status: int) -> Answer:
        self.refused.append(status)
        return Answer(404, b"nobody\n", is_last=True)

    def give_up(self) -> Answer:
        return Answer(503, b"too long\n", is_last=True)


class Client:
    """One connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._rest = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read(self, method: str = "GET") -> Said | None:
        """The next answer; None where the connection ended without one."""
        while b"\r\n\r\n" not in self._rest:
            if not await self._more():
                assert not self._rest, self._rest
                return None
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        while len(self._rest) < length:
            assert await self._more(), "the body was cut"
        body, self._rest = self._rest[:length], self._rest[length:]
        return Said(int(status), headers, body)

    async def _more(self) -> bytes:
        try:
            data = bytes(await self.stream.receive_some(65536))
        except trio.BrokenResourceError:  # closed while bytes of ours were unread
            data = b""
        self._rest += data
        return data

    async def ask(self, data: bytes) -> Said | None:
        await self.send(data)
        return await self.read()

    async def is_closed(self) -> bool:
        """True when the other side ends the connection, saying nothing more."""
        return await self.read() is None


def get(path: str = "/a", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1")


def post(path: str, body: bytes, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]).encode("latin-1") + body


async def send_anyway(client: Client, data: bytes) -> None:
    """Send as much as the other side takes."""
    try:
        await client.send(data)
    except trio.BrokenResourceError:
        pass  # it has heard enough


class Rig:
    """A door that serves at `path`."""

    def __init__(self, path: str, limits: Limits) -> None:
        self.path = path
        self.service = Echo()
        self.door = WebDoor("web", self.service, limits)

    async def connect(self) -> Client:
        return Client(await trio.open_unix_socket(self.path))

    async def ask(self, data: bytes) -> Said | None:
        """One request on a connection of its own."""
        client = await self.connect()
        async with client.stream:
            return await client.ask(data)


@asynccontextmanager
async def open_rig(folder: Path, limits: Limits | None = None) -> AsyncIterator[Rig]:
    rig = Rig(str(folder / "web.sock"), limits or Limits())
    listener = await open_unix(rig.path)
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.door.serve_listeners, [listener])
        yield rig
        nursery.cancel_scope.cancel()
    assert rig.door.size == 0
