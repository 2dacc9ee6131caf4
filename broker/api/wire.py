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
TRY_AGAIN = 5.0  # the kernel calls a socket writable late, when most of what it holds has gone: so room is looked for as well
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
        await self._take_turn()
        try:
            if self.is_closing:
                raise trio.ClosedResourceError("the connection is closing")
            await self._write(data, ends)
        finally:
            self._turn.release()

    async def _take_turn(self) -> None:
        try:
            self._turn.acquire_nowait()  # nearly always: half the price of waiting for it
        except trio.WouldBlock:
            await self._turn.acquire()

    async def _write(self, data: bytes | bytearray | memoryview, ends: Sequence[int], patience: float = PATIENCE) -> None:
        view, done, until, end = memoryview(data), 0, len(data), ends[0]
        begun = now = trio.current_time()  # `begun`: when the frame now at the front had its turn
        due = now + patience + GRACE
        while done < until:
            if now >= due:
                self.cut()
            sent = await self._send(view[done:until], min(due, now + TRY_AGAIN))
            done, now = done + sent, trio.current_time()
            if sent and now - begun >= 1:
                self.seen_at = now  # it had to wait for room, and got some
            if now - begun >= patience and sent:
                # Late: this frame is ended, so that a close can follow it, and no other is begun.
                end = until = ends[bisect_left(ends, done)]
                begun, due = math.inf, now + GRACE
                self.on_late()
            elif end <= done < until:
                end, begun = ends[bisect_right(ends, done)], now
                due = now + patience + GRACE

    async def _send(self, view: memoryview, until: float) -> int:
        """Send what there is room for; nothing where there is none `until` then."""
        if self._is_cut:
            raise trio.BrokenResourceError("the connection was cut")
        sent = 0
        with trio.CancelScope(shield=True, deadline=until) as self._writing:
            try:
                sent = await self._stream.socket.send(view)
            except OSError as error:
                raise trio.BrokenResourceError("the connection is broken") from error
            finally:
                self._writing = None
        return sent

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
