"""The head of an HTTP request: read whole before anything is done about it, and refused in plain words where it has to be.

Serves doors that look at a request before the websocket library does: that library keeps `Host` to itself. Reads no body.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Protocol

import h11
import trio

LIMIT = 16 * 1024
_ASCII = (b"host", b"connection", b"upgrade", b"authorization", b"origin", b"sec-websocket-protocol", b"sec-websocket-extensions")


class BadHead(Exception):
    """What came is to be refused: with `status`, HTTP's own, `headers` and the text, for a person."""

    def __init__(self, status: int, text: str, *headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class Request(Protocol):
    """A request's first line and headers, their names in lower case: h11's, or one that was read without it."""

    @property
    def method(self) -> bytes: ...
    @property
    def target(self) -> bytes: ...
    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]: ...


class Head:
    """A request's method, path, query and headers; `raw` is every byte that was read. Its repr shows no query and no header."""

    def __init__(self, request: Request, raw: bytes) -> None:
        self.method = request.method.decode("ascii")
        target, _, self.query = request.target.decode("ascii").partition("?")
        self.path = target
        self.headers: list[tuple[bytes, bytes]] = list(request.headers)
        self.raw = raw
        for name, value in self.headers:
            if name in _ASCII and not value.isascii():
                raise BadHead(400, f"the header {name.decode('ascii')} holds bytes that are no ASCII")

    def __repr__(self) -> str:
        return f"Head({self.method} {self.path})"

    def find_all(self, name: str) -> list[str]:
        """The values of a header, in order; its name in lower case."""
        wanted = name.encode("ascii")
        return [value.decode("latin-1") for key, value in self.headers if key == wanted]

    def find(self, name: str) -> str | None:
        """The first value of a header, None where it is absent."""
        values = self.find_all(name)
        return values[0] if values else None

    def find_list(self, name: str) -> tuple[str, ...]:
        """The items of a header that is a list with commas."""
        return tuple(item.strip() for value in self.find_all(name) for item in value.split(",") if item.strip())


async def read_head(stream: trio.abc.ReceiveStream) -> Head | None:
    """The head of the first request on `stream`; None where the client went away before its end. Raises BadHead."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    raw = b""
    while True:
        data = await stream.receive_some(LIMIT)
        if not data:
            return None
        raw += data
        try:
            parser.receive_data(bytes(data))
            event = parser.next_event()
        except h11.RemoteProtocolError as error:
            status = 431 if error.error_status_hint == 431 else 400
            raise BadHead(status, "this is no HTTP request, or its head is too long") from None
        if isinstance(event, h11.Request):
            return Head(event, raw)


async def refuse(stream: trio.SocketStream, status: int, text: str, *headers: str) -> None:
    """Answer with `status` and a line of text, then close: so that the client still gets it, what it sends is read for a second."""
    body = text.encode() + b"\n"
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    with trio.move_on_after(2):
        try:
            await stream.send_all("\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body)
            await stream.send_eof()
            with trio.move_on_after(1):
                for _ in range(16):
                    if not await stream.receive_some(LIMIT):
                        break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # gone without waiting for the answer
    await trio.aclose_forcefully(stream)
