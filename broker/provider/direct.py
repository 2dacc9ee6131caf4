"""A connected socket as a trio stream that goes straight to the kernel: a pass of the scheduler, and two calls of the kernel, less for
each request than trio's own stream takes, which tries to read before anything can have come and yields after every write.

Knows no protocol and no TLS; what it raises is what trio's streams raise.
"""

import select
import socket

import trio

__all__ = ["DirectStream"]


class DirectStream(trio.abc.Stream):
    """Takes over the socket of `stream`, which is no more.

    `send_all` is a checkpoint only where the kernel does not take everything at once, `receive_some` always. One task at a time in each.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._socket = socket.socket(fileno=stream.socket.detach())
        self._socket.setblocking(False)
        self._unread = select.poll()
        self._unread.register(self._socket, select.POLLIN)

    def is_readable(self) -> bool:
        """True where something can be read at once: octets, or the end."""
        return bool(self._unread.poll(0))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write everything. Raises trio.BrokenResourceError, trio.ClosedResourceError."""
        sent = self._send(data)
        if sent == len(data):
            return
        with memoryview(data) as view:
            while sent < len(view):
                await self.wait_send_all_might_not_block()
                sent += self._send(view[sent:])

    def _send(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._explain() from error

    async def wait_send_all_might_not_block(self) -> None:
        """Return when the kernel takes more. Raises trio.ClosedResourceError."""
        self._check()
        await trio.lowlevel.wait_writable(self._socket)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What has come, up to `max_bytes`; nothing at the end. Raises trio.BrokenResourceError, trio.ClosedResourceError."""
        while True:
            self._check()
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(max_bytes or 65_536)
            except BlockingIOError:
                continue  # woken for nothing
            except OSError as error:
                raise self._explain() from error

    async def aclose(self) -> None:
        """Close at once; whoever waits is told."""
        self.close_nowait()
        await trio.lowlevel.checkpoint()

    def close_nowait(self) -> None:
        """The same without a turn of the scheduler."""
        if self._socket.fileno() >= 0:
            self._unread.unregister(self._socket)
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _check(self) -> None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError("this stream is closed")

    def _explain(self) -> trio.BrokenResourceError | trio.ClosedResourceError:
        if self._socket.fileno() < 0:
            return trio.ClosedResourceError("this stream is closed")
        return trio.BrokenResourceError("the connection broke")
