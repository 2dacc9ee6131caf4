"""Reads one whole answer from a provider's connection: a plain one at once (`heads`), any other by h11.

It never follows, decompresses or judges. A Fault names what went wrong by one word; what that word proves stands in `answers`.
"""

from typing import NamedTuple

import h11
import trio

from broker.provider.heads import read_head

__all__ = ["Answer", "Fault", "read_answer"]

MAX_BODY = 256 * 1024
MAX_HEAD = 64 * 1024

_CHUNK = 16 * 1024  # a TLS record's most: a read leaves no half of one hidden in the decoder
_MOST_INTERIM = 16  # answers of 1xx before the final one


class Answer(NamedTuple):
    """A whole answer: header names in lower case, in their order."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


class Fault(Exception):
    """The exchange failed; `evidence` is the one word of `answers` for how. It holds nothing of the request.

    `status` is the answer's where its head was whole, for those to whom the status alone is the answer.
    """

    def __init__(self, evidence: str) -> None:
        super().__init__(evidence)
        self.evidence = evidence
        self.status: int | None = None


async def read_answer(stream: trio.abc.Stream, method: str) -> tuple[Answer, bool]:
    """The whole answer to a request of `method`, and whether the connection may carry another. Raises Fault."""
    data = await _receive(stream)
    head = None if method == "HEAD" else read_head(data)
    if head is None or head.length > MAX_BODY:
        return await _Reading(stream, method, data).read()
    missing = head.size + head.length - len(data)
    if missing > 0:
        try:
            data, missing = await _receive_rest(stream, data, missing)
        except Fault as fault:
            fault.status = head.status
            raise
    elif not missing:
        return Answer(head.status, head.headers, data[head.size :]), head.is_kept
    return Answer(head.status, head.headers, data[head.size : head.size + head.length]), head.is_kept and not missing


async def _receive(stream: trio.abc.Stream) -> bytes:
    try:
        return bytes(await stream.receive_some(_CHUNK))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        raise Fault("reset") from None


async def _receive_rest(stream: trio.abc.Stream, data: bytes, missing: int) -> tuple[bytes, int]:
    parts = [data]
    while missing > 0:
        part = await _receive(stream)
        if not part:
            raise Fault("cut")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts), missing


class _Reading:
    """An answer that is not plain, by h11. `data` is what came of it so far."""

    def __init__(self, stream: trio.abc.Stream, method: str, data: bytes) -> None:
        self._stream = stream
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        # The state has only to know the method: what an answer may look like hangs on it, and on nothing else of the request.
        self._state.send(h11.Request(method=method, target="/", headers=[("Host", "provider")]))
        self._state.send(h11.EndOfMessage())
        self._take(data)

    def _take(self, data: bytes) -> None:
        self._is_ended = not data
        self._state.receive_data(data)

    async def read(self) -> tuple[Answer, bool]:
        """The whole answer, and whether the connection may carry another request."""
        answer = await self._read()
        return answer, self._state.their_state is h11.DONE and not self._state.trailing_data[0]

    async def _read(self) -> Answer:
        for _ in range(_MOST_INTERIM):
            head = await self._next_event()
            if not isinstance(head, h11.InformationalResponse):
                break
            if head.status_code == 101:
                return Answer(101, [], b"")
        if not isinstance(head, h11.Response):
            raise Fault("protocol")
        try:
            return await self._read_body(head)
        except Fault as fault:
            fault.status = head.status_code
            raise

    async def _read_body(self, head: h11.Response) -> Answer:
        headers = list(head.headers)
        for name, value in headers:
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise Fault("encoding")
        parts: list[bytes] = []
        size = 0
        while isinstance(event := await self._next_event(), h11.Data):
            size += len(event.data)
            if size > MAX_BODY:
                raise Fault("too large")
            parts.append(bytes(event.data))
        if not isinstance(event, h11.EndOfMessage):  # a tunnel, after a CONNECT: no answer of a provider's
            raise Fault("protocol")
        return Answer(head.status_code, headers, b"".join(parts))

    async def _next_event(self) -> object:
        while True:
            try:
                event = self._state.next_event()
            except h11.RemoteProtocolError as error:
                if "_SWITCH_UPGRADE" in str(error):  # h11 takes a 101 that nobody asked for as an error
                    return h11.InformationalResponse(status_code=101, headers=[])
                if error.error_status_hint == 431:  # the head passed MAX_HEAD
                    raise Fault("too large") from None
                raise Fault("cut" if self._is_ended else "protocol") from None
            if event is not h11.NEED_DATA:
                return event
            self._take(await _receive(self._stream))
