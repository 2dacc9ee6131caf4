"""One life of the daemon in a simulated world: its own composition from store to doors, until a crash or an end.

Doors are the real ones, over memory streams; COMMIT runs on the loop. After a crash nothing more is written, and what was not committed
is gone with its connection.
"""

import random
import socket
import sqlite3
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import trio
from trio.testing import memory_stream_pair

from broker.api.callbacks import CallbackDoor
from broker.api.control import ControlDoor
from broker.api.feed import FeedDoor
from broker.api.feed_pages import Pages
from broker.api.submit import SubmitDoor
from broker.daemon import Daemon
from broker.delivery.exchange import Exchange
from broker.store.contract import Entry, Operation
from broker.store.failpoints import fail
from broker.store.journal import StoreBroken, _is_intake
from broker.store.ring import Ring
from broker.store.sqlite import Writer
from tests.daemon.house import Frame

MINE = 0
"""The user id of every client: root's, whoever runs the test."""


class Killed(BaseException):
    """The process died at a named point: nothing handles this, as nothing would handle SIGKILL."""


class _Peer:
    """What a door asks of a Unix socket: who is at the other end."""

    def getsockopt(self, *_asked: int) -> bytes:
        return struct.pack("3i", 1, MINE, MINE)


class Local(trio.abc.HalfCloseableStream):
    """A connection to a door in memory, with what it asks of a socket."""

    socket = _Peer()

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._inner.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._inner.aclose()


class Gate(trio.abc.Listener[trio.SocketStream]):
    """Where connections come in that are pairs of sockets: a door for strangers reads its socket itself."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.SocketStream](100)
        self._theirs: list[trio.SocketStream] = []
        self.socket = self  # what a door asks of its listener
        self.family = socket.AF_UNIX

    def getsockname(self) -> str:
        """Where it would be."""
        return "/sim/gate"

    def cut(self) -> None:
        """Nobody lives here any more."""
        for stream in self._theirs:
            stream.socket.close()

    def connect(self) -> trio.SocketStream:
        """A connection to whoever listens here. Raises OSError when nobody does."""
        ours, theirs = trio.socket.socketpair()
        self._theirs.append(trio.SocketStream(theirs))
        try:
            self._send.send_nowait(self._theirs[-1])
        except (trio.BrokenResourceError, trio.WouldBlock):
            ours.close()
            theirs.close()
            raise ConnectionRefusedError from None
        return trio.SocketStream(ours)

    async def accept(self) -> trio.SocketStream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self._receive.close()
        await trio.lowlevel.checkpoint()


class SimDaemon(Daemon):
    """The daemon, its doors kept in memory."""

    def __init__(self, config: Path) -> None:
        super().__init__(config)
        self.gate, self.feed_gate = Gate(), Gate()

    async def _open_doors(self, ex: Exchange, submit: SubmitDoor, control: ControlDoor, nursery: trio.Nursery) -> None:
        self.submit_door, self.control_door, self.doors = submit, control, nursery
        self.pages = Pages(ex.journal.ring, ex.query)
        if self.settings.callbacks is not None:
            door = CallbackDoor(ex, self.callbacks)
            self.callbacks.open("http://sim")
            await nursery.start(door.web.serve_listeners, [self.gate])
        if self.settings.feed is not None:
            feed = FeedDoor(ring=ex.journal.ring, query=ex.query, node=ex.teller.node, settings=lambda: self.settings, now=ex.clock.wall)
            await nursery.start(feed.serve_listeners, [self.feed_gate])
        nursery.start_soon(self.pages.run_bell, lambda: 2)


class Disk:
    """The disk, which may be full: then it has room for what is small and closes something, and not always for that. Slow, too."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.is_full = self.may_fill = False
        self.waits: tuple[float, ...] = (0.0,)

    def find_wait(self) -> float:
        """Seconds that the next COMMIT takes."""
        return self._rng.choice(self.waits) if len(self.waits) > 1 else 0.0

    def check(self, batch: Sequence[Operation], when: str) -> None:
        """A batch is about to be committed. Raises sqlite3.OperationalError where there is no room."""
        if self.is_full and when == "commit" and (self._rng.random() < 0.3 or any(_is_intake(op) for op in batch)):
            error = sqlite3.OperationalError("no room, as the world has it")
            error.sqlite_errorname = "SQLITE_FULL"
            raise error


class Fuse:
    """What happens at the N-th failpoint from when it was lit: the process dies, or its disk fails at the next point where one may."""

    def __init__(self) -> None:
        self.left = 0
        self.action = ""
        self.life: Life | None = None

    def light(self, left: int, action: str) -> None:
        """`action` is `kill` or `error`."""
        self.left, self.action = left, action

    def reach(self, point: str) -> None:
        """The daemon passes a failpoint."""
        life = self.life
        if life is None:
            return
        if life.is_dead:
            raise Killed  # what is still cancelled around it is a process that is no more
        if not self.left:
            return
        if self.action == "error" and not (point.endswith((".commit", ".committed")) or point.startswith("commit.")):
            return
        if self.action == "error" and (point == "commit.told" or "retention" in point):
            return  # not a moment at which the disk is written to, or one that retention puts off
        self.left -= 1
        if self.left:
            return
        if self.action == "error":
            fail(point)
        life.kill()
        raise Killed


class Life:
    """The daemon from a start to its end. `look` is called after every commit, `gone` at its end.

    Without a `disk` a commit takes no time, and there is room.
    """

    def __init__(
        self,
        config: Path,
        store: Path,
        now: Callable[[], int],
        draw: Callable[[], int],
        *,
        disk: Disk | None = None,
        wall: Callable[[], int] | None = None,
    ) -> None:
        self._disk = disk
        self._wall = wall
        self.daemon = SimDaemon(config)
        self._store = store
        self._now = now
        self._draw = draw
        self._scope = trio.CancelScope()
        self.is_dead = False
        self.ended = trio.Event()
        self.look: Callable[[], None] = lambda: None
        self.gone: Callable[[], None] = lambda: None

    async def run(self, opened: Callable[[Any], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until `kill` or `end`. `opened` is given the store's connection before anything is done with it."""
        life = self

        class LiveWriter(Writer):
            def begin(self) -> None:
                if life.is_dead:
                    raise Killed
                super().begin()

        class LiveRing(Ring):
            def push(self, entries: Sequence[Entry]) -> None:
                super().push(entries)
                life.look()

        frame = Frame(
            self.daemon,
            self._store,
            self._now,
            self._draw,
            wall=self._wall,
            writer_type=LiveWriter,
            ring_type=LiveRing,
            runner=self._commit,
        )
        disk = self._disk
        if disk is not None:
            frame.journal._make_ballast = lambda: not disk.is_full  # type: ignore[method-assign]  # its file would be 16 MiB of our memory
        self.ex, self.journal, self.query = frame.ex, frame.journal, frame.query
        opened(frame.conn)
        try:
            with self._scope:
                async with trio.open_nursery() as outer:
                    await outer.start(self.journal.run)
                    if disk is not None and disk.may_fill:
                        outer.start_soon(self.journal.watch_room)
                    async with trio.open_nursery() as nursery:
                        await self.daemon._start(self.ex, frame.writer, nursery, outer)
                        task_status.started()
        except* (Killed, StoreBroken):
            pass  # dead, by a point or by its disk
        finally:
            self.is_dead = True
            self.gone()
            frame.close()
            self.ended.set()

    async def _commit(self, work: Callable[[], None]) -> None:
        """COMMIT takes the time that the disk takes; a process that dies meanwhile has not committed."""
        await trio.sleep(0.0 if self._disk is None else self._disk.find_wait())
        if self.is_dead:
            raise Killed
        work()
        await trio.lowlevel.checkpoint()
        if self.is_dead:
            raise Killed  # after its COMMIT, before anybody was told

    def kill(self) -> None:
        """The process dies now."""
        self.is_dead = True
        for gate in (self.daemon.gate, self.daemon.feed_gate):
            gate.cut()  # whoever is connected sees it end now, and hears no goodbye
        self._scope.cancel()

    async def end(self) -> None:
        """As a SIGTERM without a drain: what is handed over is still committed."""
        self.ex.is_stopping = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_once_dead, nursery.cancel_scope)
            await self.journal.wait_committed()
            nursery.cancel_scope.cancel()
        self.kill()
        await self.ended.wait()

    async def _cancel_once_dead(self, scope: trio.CancelScope) -> None:
        """A process that dies of something else meanwhile commits nothing more."""
        await self.ended.wait()
        scope.cancel()

    def connect(self, door: str) -> Local:
        """A connection to the `submit` or the `control` door. Raises OSError when nobody lives there."""
        if self.is_dead or not self.daemon.ready.is_set():
            raise ConnectionRefusedError
        ours, theirs = memory_stream_pair()
        served: Any = self.daemon.submit_door if door == "submit" else self.daemon.control_door
        try:
            self.daemon.doors.start_soon(served.serve, Local(theirs))
        except RuntimeError:  # it is just dying
            raise ConnectionRefusedError from None
        return Local(ours)

    def connect_web(self, door: str) -> trio.SocketStream:
        """A connection to the `callbacks` or the `feed`. Raises OSError when nobody lives there."""
        if self.is_dead or not self.daemon.ready.is_set():
            raise ConnectionRefusedError
        return (self.daemon.gate if door == "callbacks" else self.daemon.feed_gate).connect()
