"""A feed over a real store on loopback, and subscribers for it: what the tests of the feed share."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection, wrap_client_stream

from broker.api.feed import FeedDoor
from broker.delivery.events import Teller
from broker.store.contract import Entry, Put
from broker.store.journal import SqliteJournal, run_inline
from broker.store.query import SqliteQuery
from broker.store.ring import Ring
from broker.store.sqlite import Writer, open_connection
from broker.words.attempt import Attempt
from broker.words.message import Message
from broker.words.settings import FeedSettings, Settings, TokenSettings
from tests.tap import Tap

NUMBER = "+886912345678"
MASKED = "+8869•••678"
NOW = 1_795_291_200_123

Json = dict[str, Any]


def make_unix(folder: Path) -> Settings:
    """Settings for virtual time: a full TCP connection goes on by the kernel's own timers, which know nothing of a mock clock."""
    return make_settings(f"unix:{folder}/feed.sock")


def make_settings(listen: str = "127.0.0.1:0", *, require_token: bool = False, **tokens: TokenSettings) -> Settings:
    return Settings(feed=FeedSettings(listen=listen, require_token=require_token), tokens=tokens)


class Rig:
    """A running feed. `ring` is small, so that both ways to read are walked."""

    def __init__(self, path: Path, settings: Settings, ring: int) -> None:
        self.settings = settings
        self.conn = open_connection(path)
        self.query = SqliteQuery(path)
        self.writer = Writer(self.conn)
        self.ring = Ring(ring, self.writer.seq)
        self.journal = SqliteJournal(self.writer, None, run_inline, lambda: NOW, self.ring)
        self.teller = Teller("sms1")
        self.port = 0
        self.addresses: list[str] = []
        self.door: FeedDoor
        self.serving = trio.CancelScope()
        self.served = trio.Event()

    def tell(self, n: int = 1, status: str = "sent", *, provider: str | None = "mitake", tags: tuple[str, ...] = (),
             client: str = "unix:shop", id_: str | None = None, to: str = NUMBER) -> Entry:  # fmt: skip
        message = Message(id_ or f"m{n}", client, to, "TW", None, "gsm7", 1, accepted_at=NOW, valid_until=NOW, tags=tags, attempts=1)
        attempt = None if provider is None else Attempt(message.id, 1, provider, "t", NOW, price=900_000, currency="TWD")
        return self.teller.tell(message, status, NOW, attempt, class_="accepted", code="1", ref=f"r{n}")

    async def publish(self, entries: Sequence[Entry]) -> None:
        """Commit `entries`, as many at a time as the journal likes."""
        self.journal.put(Put(entries=tuple(entries)))
        await self.journal.wait_committed()

    async def publish_many(self, count: int, at_once: int = 500) -> None:
        for start in range(0, count, at_once):
            await self.publish([self.tell(n) for n in range(start, min(start + at_once, count))])

    def forget(self, below: int) -> None:
        """Retention: the events under `below` are gone."""
        self.conn.execute("DELETE FROM event WHERE seq < ?", (below,))

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The door, until `serving` is cancelled."""
        with self.serving:
            async with trio.open_nursery() as nursery:
                self.addresses = await nursery.start(self.door.serve)
                if not self.addresses[0].startswith("unix:"):
                    self.port = int(self.addresses[0].rpartition(":")[2])
                task_status.started()
        self.served.set()

    async def dial(self) -> trio.SocketStream:
        """A connection to the feed's listener, of either kind."""
        address = self.addresses[0]
        if address.startswith("unix:"):
            return await trio.open_unix_socket(address.removeprefix("unix:"))
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    @asynccontextmanager
    async def connect(
        self, query: str = "", *, headers: Sequence[tuple[str, str]] = (), subprotocols: Sequence[str] = ()
    ) -> AsyncIterator[WebSocketConnection]:
        stream = await self.dial()
        async with stream, trio.open_nursery() as nursery:
            ws = await wrap_client_stream(
                nursery,
                stream,
                f"127.0.0.1:{self.port}",
                "/v1/events" + (f"?{query}" if query else ""),
                subprotocols=list(subprotocols),
                extra_headers=[(name.encode(), value.encode()) for name, value in headers],
            )
            yield ws
            with trio.move_on_after(2):
                await ws.aclose()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_rig(
    folder: Path, *, settings: Settings | None = None, ring: int = 8192, before: int = 0, most: int = 2000
) -> AsyncIterator[Rig]:
    """A feed over a store in `folder`. `before` events are there when it starts, and so in the table alone."""
    path = folder / "broker.db"
    if before:
        first = Rig(path, settings or make_settings(), ring)
        first.conn.execute("BEGIN IMMEDIATE")
        first.writer.write([Put(entries=tuple(first.tell(n) for n in range(before)))], NOW)
        first.conn.execute("COMMIT")
        first.query.close()
        first.conn.close()
    rig = Rig(path, settings or make_settings(), ring)
    rig.door = FeedDoor(ring=rig.ring, query=rig.query, node="sms1", settings=lambda: rig.settings, now=lambda: NOW, most=most)
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.journal.run)
        await nursery.start(rig.serve)
        yield rig
        nursery.cancel_scope.cancel()
    rig.query.close()
    rig.conn.close()


async def read(ws: WebSocketConnection) -> Any:
    """The next frame, parsed. A feed that says nothing fails the test."""
    with trio.fail_after(5):
        frame = await ws.get_message()
    assert isinstance(frame, str)
    return json.loads(frame)


async def read_seqs(ws: WebSocketConnection, count: int) -> list[int]:
    """The `seq` of the next `count` events."""
    return [(await read(ws))["seq"] for _ in range(count)]


async def read_close(ws: WebSocketConnection) -> tuple[int, str]:
    """How the connection ends; whatever frames come before are dropped."""
    with trio.fail_after(60):
        while True:
            try:
                await ws.get_message()
            except ConnectionClosed as closed:
                reason: CloseReason | None = closed.reason
                assert reason is not None
                return reason.code, reason.reason or ""


class Gate(Tap):
    """A subscriber's connection that reads only while it is open."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self.gate = trio.Event()
        self.gate.set()

    def shut(self) -> None:
        self.gate = trio.Event()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await self.gate.wait()
        data = await super().receive_some(max_bytes)
        await self.gate.wait()  # it may have been shut while this was awaited
        return data


async def connect_slowly(nursery: trio.Nursery, rig: Rig, query: str = "") -> tuple[WebSocketConnection, Gate]:
    """A subscriber with a gate."""
    tap = Gate(await rig.dial())
    # The annotation asks for a socket; the library reads and writes any stream.
    stream = cast(trio.SocketStream, tap)
    return await wrap_client_stream(nursery, stream, f"127.0.0.1:{rig.port}", "/v1/events" + (f"?{query}" if query else "")), tap


async def open_raw(rig: Rig, query: str, *headers: str) -> trio.SocketStream:
    """A subscriber without a library: what it is sent is read as it comes."""
    lines = [
        f"GET /v1/events?{query} HTTP/1.1", f"Host: localhost:{rig.port}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers, "", "",
    ]  # fmt: skip
    stream = await rig.dial()
    await stream.send_all("\r\n".join(lines).encode())
    return stream


async def read_to_end(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything up to the end of the connection."""
    got = b""
    with trio.fail_after(60):
        while data := await stream.receive_some():
            got += data
    return got


async def ask_http(rig: Rig, *lines: str) -> tuple[int, str]:
    """A request by hand: the status and the body of its answer."""
    stream = await trio.open_tcp_stream("127.0.0.1", rig.port)
    async with stream:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = b""
        with trio.fail_after(5):
            while data := await stream.receive_some():
                answer += data
                if answer.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in answer:
                    break
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode("latin-1")


def decode_body(entry: Entry) -> Json:
    """An entry as a subscriber with every scope gets it."""
    fields: Json = msgspec.json.decode(entry.body)
    return {"seq": entry.seq, **fields}
