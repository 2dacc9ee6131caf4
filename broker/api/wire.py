"""The bytes of one subscriber's connection: frames leave whole and in order, each within its time, or the connection ends.

The websocket library speaks its handshake, pings and closing through this stream; the feed's own frames, made once for all
subscribers, go past it through `send_frames`. A frame once begun is never left half said with something after it: cancellation
waits for its end, and one that does not end in time takes the connection with it.
"""

import math
import socket
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

PATIENCE = 30.0  # seconds in which a frame is to be taken (CONTRACT §6)
GRACE = 5.0  # a frame that is taken within this of being late leaves the connection able to say why it ends
CLOSE_PATIENCE = 5.0
LINGER = 1.0
SEND_BUFFER = 128 * 1024  # what the kernel may hold for one subscriber, so that a thousand stuck ones cost little
_CLOSE = 0x88  # FIN and the opcode of a close frame: RFC 6455 §5.2


class Wire(trio.abc.Stream):
    """A socket's stream with a deadline for each frame. `raw` is what was already read of it, and is read again first.

    `on_end` is called when the other side has ended or broken the connection, `on_late` when a frame was taken too late.
    """

    def __init__(self, stream: trio.SocketStream, raw: bytes = b"") -> None:
        self._stream = stream
        self._raw = raw
        self._turn = trio.Lock()
        self._writing: trio.CancelScope | None = None
        self._is_cut = False
        self.is_closing = False  # a close frame has been given: no data follows it
        self.seen_at = trio.current_time()  # the last sign that the other side takes or sends anything
        self.on_end: Callable[[], None] = _ignore
        self.on_late: Callable[[], None] = _ignore
        with suppress(OSError):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    @property
    def is_writing(self) -> bool:
        """True while a frame is on its way out."""
        return self._writing is not None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Bytes from the other side, b"" at its end."""
        if self._raw:
            raw, self._raw = self._raw, b""
            await trio.lowlevel.checkpoint()
            return raw
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()
            raise
        if data:
            self.seen_at = trio.current_time()
        else:
            self._end()
        return bytes(data)

    def _end(self) -> None:
        self.cut()
        self.on_end()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """One control frame, or one answer of the handshake, as the websocket library gives it."""
        patience = PATIENCE
        if data and data[0] == _CLOSE:
            self.is_closing, patience = True, CLOSE_PATIENCE
        async with self._turn:
            await self._write(data, (len(data),), patience)

    async def send_frames(self, data: bytes, ends: Sequence[int]) -> None:
        """Whole data frames, `ends` being the end of each. Raises ClosedResourceError once a close frame has been given."""
        async with self._turn:
            if self.is_closing:
                raise trio.ClosedResourceError("the connection is closing")
            await self._write(data, ends)

    async def _write(self, data: bytes | bytearray | memoryview, ends: Sequence[int], patience: float = PATIENCE) -> None:
        if self._is_cut:
            raise trio.BrokenResourceError("the connection was cut")
        with trio.CancelScope(shield=True, deadline=trio.current_time() + patience + GRACE) as scope:
            self._writing = scope
            try:
                await self._push(memoryview(data), ends, scope)
            except OSError as error:
                raise trio.BrokenResourceError("the connection is broken") from error
            finally:
                self._writing = None
        if scope.cancelled_caught:
            self.cut()
            raise trio.BrokenResourceError("a frame was not taken in time")

    async def _push(self, view: memoryview, ends: Sequence[int], scope: trio.CancelScope) -> None:
        send, until, done = self._stream.socket.send, len(view), 0
        begun = trio.current_time()  # when the frame now at the front had its turn
        end = ends[0]
        while done < until:
            done += await send(view[done:until])
            now = trio.current_time()
            if now - begun >= PATIENCE:
                # Late: this frame is ended, so that a close can follow it, and no other is begun.
                until = ends[bisect_left(ends, done)]
                begun, scope.deadline = math.inf, now + GRACE
                self.on_late()
            elif done >= end and done < until:
                end, begun = ends[bisect_right(ends, done)], now
                scope.deadline = now + PATIENCE + GRACE
            if now - begun >= 1:
                self.seen_at = now  # it had to wait for room, and got some

    async def linger(self) -> None:
        """Let the last words be read: closing a socket with unread bytes resets the connection, and they might be lost."""
        if self._is_cut:
            return
        with trio.move_on_after(LINGER), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_eof()
            while await self.receive_some(65_536):
                pass

    async def wait_send_all_might_not_block(self) -> None:
        """Return when there is room for more."""
        await self._stream.wait_send_all_might_not_block()

    def cut(self) -> None:
        """End the connection now, whatever was being said."""
        self._is_cut = True
        if self._writing is not None:
            self._writing.cancel()
        self._stream.socket.close()

    async def aclose(self) -> None:
        """Close the connection; a frame half said stays so."""
        self.cut()
        self.on_end()
        await trio.lowlevel.checkpoint()


def _ignore() -> None:
    """Nobody listens yet."""
