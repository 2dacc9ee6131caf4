"""A small HTTP/1.1 server: h11 on trio, for doors that strangers reach.

Keeps every limit that a stranger could lean on (the head's size and time, the body's, idleness, connections in all and of one peer),
and asks the door before it reads a body. One bad connection costs itself alone. Knows no path and no rule; speaks no TLS.
"""

import errno
import ipaddress
import logging
import math
import resource
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

import h11
import msgspec
import trio

from broker.api.heads import BadHead, Head

log = logging.getLogger("broker.api")

PIECE = 64 * 1024
RETRY = 0.1  # seconds until another look for a free descriptor
LINGER = 1.0
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Limits(msgspec.Struct, frozen=True):
    """What one connection may take, in bytes and seconds, and how many there may be, in all and of one peer.

    `rest`: how long a kept connection may be idle; `answer_wait`: how long an answer may take to be read. A peer is an address, or the
    64 bits of an IPv6 network; loopback and a Unix socket are a proxy's, and count only in all.
    """

    head: int = 16 * 1024
    head_wait: float = 5.0
    body: int = 64 * 1024
    body_wait: float = 10.0
    rest: float = 75.0
    answer_wait: float = 10.0
    most: int = 1000
    most_of_peer: int = 250


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What to answer. `is_last`: close the connection after it."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain; charset=utf-8"),)
    is_last: bool = False


Handler = Callable[[bytes], Awaitable[Answer]]


class Service(Protocol):
    """What a door makes of requests."""

    def screen(self, head: Head) -> Answer | Handler:
        """Look at a head: the answer that ends it there, or what takes the body."""

    def refuse(self, status: int) -> Answer:
        """What to answer to something that is no request, or one beyond a limit, before anybody is known."""


class Counts(msgspec.Struct):
    """What happened to connections since the start: `late` ones broke a time limit, `evicted` ones made room for others."""

    taken: int = 0
    late: int = 0
    broken: int = 0
    evicted: int = 0
    turned_away: int = 0


def find_room(most: int) -> int:
    """How many connections there may be, of the `most` wanted: a quarter of this process's descriptors, the rest is for others."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if soft == resource.RLIM_INFINITY else max(8, min(most, soft // 4))


class WebDoor:
    """Serves HTTP on its listeners. `name` is for the log."""

    def __init__(self, name: str, service: Service, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.name = name
        self.service = service
        self.limits = msgspec.structs.replace(limits, most=find_room(limits.most))
        self.counts = Counts()
        self._all: set[Connection] = set()
        self._peers: dict[str, int] = {}
        self._new: dict[Connection, None] = {}
        self._resting: dict[Connection, None] = {}
        self._warned_at = -math.inf

    @property
    def size(self) -> int:
        """Connections now."""
        return len(self._all)

    async def serve_listeners(
        self, listeners: Sequence[trio.abc.Listener[trio.SocketStream]], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve sockets that listen already, until cancelled; then close them and every connection."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, nursery)
            task_status.started()

    async def _accept(self, listener: trio.abc.Listener[trio.SocketStream], nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:  # mostly no descriptor left: others may be in need as well, so one idle connection goes
                    self._warn(error.errno)
                    self._make_room()
                    await trio.sleep(RETRY)
                    continue
                connection = Connection(self, stream, find_peer(stream))
                if self._enter(connection):
                    nursery.start_soon(connection.run)
                else:
                    self.counts.turned_away += 1
                    stream.socket.close()

    def _warn(self, number: int | None) -> None:
        if trio.current_time() - self._warned_at >= 60:
            self._warned_at = trio.current_time()
            log.error("no connection can be taken door=%s error=%s", self.name, errno.errorcode.get(number or 0, "?"))

    def _enter(self, connection: "Connection") -> bool:
        """Take a connection in. At a limit the one that has said nothing for longest makes room; False where all are at work."""
        limits, peer = self.limits, connection.peer
        if self._peers.get(peer, 0) >= limits.most_of_peer and peer and not self._evict_of(peer):
            return False
        if len(self._all) >= limits.most and not self._make_room():
            return False
        self.counts.taken += 1
        self._all.add(connection)
        self._peers[peer] = self._peers.get(peer, 0) + 1
        self._new[connection] = None
        return True

    def _make_room(self) -> bool:
        """Close the connection that has waited longest, one that never brought anything first; False where all are at work."""
        return self._evict(self._new) or self._evict(self._resting)

    def _evict_of(self, peer: str) -> bool:
        for idle in (self._new, self._resting):
            for connection in idle:
                if connection.peer == peer:
                    return self._evict({connection: None})
        return False

    def _evict(self, idle: "dict[Connection, None]") -> bool:
        connection = next(iter(idle), None)
        if connection is None:
            return False
        self.counts.evicted += 1
        self.leave(connection)
        connection.stream.socket.close()
        return True

    def leave(self, connection: "Connection") -> None:
        """Forget a connection; twice is once."""
        self._new.pop(connection, None)
        self._resting.pop(connection, None)
        if connection in self._all:
            self._all.remove(connection)
            left = self._peers[connection.peer] - 1
            if left:
                self._peers[connection.peer] = left
            else:
                del self._peers[connection.peer]

    def note_work(self, connection: "Connection") -> None:
        """A connection brought a request that the door takes: it is not evicted until it has its answer."""
        self._new.pop(connection, None)
        self._resting.pop(connection, None)

    def note_rest(self, connection: "Connection") -> None:
        """A connection has had an answer, and waits for its next request."""
        if connection in self._all:
            self._resting[connection] = None


class Connection:
    """One connection and its requests, one after the other."""

    def __init__(self, door: WebDoor, stream: trio.SocketStream, peer: str) -> None:
        self.door = door
        self.stream = stream
        self.peer = peer
        self._scope = trio.CancelScope()
        self._parser = _make_parser(door.limits)

    async def run(self) -> None:
        """Serve until either side has enough; whatever goes wrong costs this connection alone."""
        door = self.door
        try:
            with self._scope:
                self._allow(door.limits.head_wait)
                while await self._serve():
                    door.note_rest(self)
                    self._allow(door.limits.rest)
            if self._scope.cancelled_caught:
                door.counts.late += 1
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # gone, or made to go
        except Exception as error:
            log.error("connection failed door=%s error=%s", door.name, type(error).__name__)
        finally:
            door.leave(self)
            self.stream.socket.close()

    def _allow(self, seconds: float) -> None:
        self._scope.deadline = trio.current_time() + seconds

    async def _serve(self) -> bool:
        """Serve one request; True where the connection may carry another."""
        door = self.door
        try:
            head = await self._read_head()
        except BadHead as bad:
            door.counts.broken += 1
            return await self._say(door.service.refuse(bad.status), None)
        if head is None:
            return False
        found = door.service.screen(head)
        if isinstance(found, Answer):
            return await self._say(found, head)
        door.note_work(self)
        try:
            body = await self._read_body(head)
        except BadHead as bad:
            door.counts.broken += 1
            return await self._say(make_refusal(bad.status), head)
        if body is None:
            return False
        self._scope.deadline = math.inf  # the door's work has limits of its own
        try:
            answer = await found(body)
        except Exception as error:
            log.error("request failed door=%s error=%s", door.name, type(error).__name__)
            answer = make_refusal(503)
        return await self._say(answer, head)

    async def _read_head(self) -> Head | None:
        """The next request's head; None where the other side has ended the connection. Raises BadHead."""
        parser, limit = self._parser, self.door.limits.head
        taken, is_timed = len(parser.trailing_data[0]), False
        try:
            event = parser.next_event()
            while event is h11.NEED_DATA:
                if taken and not is_timed:
                    is_timed = True
                    self._scope.deadline = min(self._scope.deadline, trio.current_time() + self.door.limits.head_wait)
                if taken >= limit:
                    raise BadHead(431, "the head is too long")
                data = await self.stream.receive_some(limit - taken)
                if not data:
                    return None
                taken += len(data)
                parser.receive_data(data)
                event = parser.next_event()
        except h11.RemoteProtocolError as error:
            raise BadHead(error.error_status_hint, "no HTTP") from None
        if not isinstance(event, h11.Request):
            return None
        if event.http_version not in (b"1.1", b"1.0"):
            raise BadHead(505, "another HTTP")
        return Head(event, b"")

    async def _read_body(self, head: Head) -> bytes | None:
        """The request's body; None where the other side has ended the connection. Raises BadHead."""
        parser, limit = self._parser, self.door.limits.body
        length = head.find("content-length")
        if length is not None and int(length) > limit:  # h11 has seen to it that it is a number
            raise BadHead(413, "the body is too large")
        body = b""
        try:
            event = parser.next_event()
            if isinstance(event, h11.EndOfMessage):
                return body
            self._allow(self.door.limits.body_wait)
            while not isinstance(event, h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > limit:
                        raise BadHead(413, "the body is too large")
                elif event is h11.NEED_DATA:
                    if parser.they_are_waiting_for_100_continue:
                        parser.send(h11.InformationalResponse(status_code=100, headers=[]))
                        await self.stream.send_all(_CONTINUE)
                    data = await self.stream.receive_some(PIECE)
                    if not data:
                        return None
                    parser.receive_data(data)
                else:
                    return None
                event = parser.next_event()
        except h11.RemoteProtocolError as error:
            raise BadHead(error.error_status_hint, "no HTTP") from None
        return body

    async def _say(self, answer: Answer, head: Head | None) -> bool:
        """Send an answer; True where the connection goes on after it."""
        parser = self._parser
        is_whole = parser.their_state in (h11.DONE, h11.MUST_CLOSE)
        is_kept = parser.their_state is h11.DONE and not answer.is_last
        try:
            data = show_head(answer.status, answer.headers, len(answer.body), is_kept)
        except ValueError:
            log.error("answer that cannot be sent door=%s status=%d", self.door.name, answer.status)
            answer, is_kept = make_refusal(503), False
            data = show_head(answer.status, answer.headers, len(answer.body), is_kept)
        self._allow(self.door.limits.answer_wait)
        if head is None or head.method != "HEAD":
            data += answer.body
        await self.stream.send_all(data)
        if is_kept:
            # A parser costs less than to walk the old one through an answer that needs no parsing.
            rest = parser.trailing_data[0]
            self._parser = _make_parser(self.door.limits)
            if rest:
                self._parser.receive_data(rest)
        elif not is_whole:
            await self._linger()
        return is_kept

    async def _linger(self) -> None:
        """Let the answer be read: closing a socket with bytes unread resets the connection, and the answer might be lost."""
        await self.stream.send_eof()
        with trio.move_on_after(LINGER):
            for _ in range(16):
                if not await self.stream.receive_some(PIECE):
                    break


def _make_parser(limits: Limits) -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head)


def make_refusal(status: int, *headers: tuple[str, str]) -> Answer:
    """An answer that says no more than its status."""
    body = _PHRASES.get(status, "").encode() + b"\n"
    return Answer(status, body, (("Content-Type", "text/plain; charset=utf-8"), *headers), is_last=True)


@lru_cache(maxsize=256)
def show_head(status: int, headers: tuple[tuple[str, str], ...], length: int, is_kept: bool) -> bytes:
    """The head of an answer. Raises ValueError for one that would not be HTTP, or that says its own length."""
    if not 200 <= status <= 599 or (length and status in (204, 304)):
        raise ValueError(status)
    try:
        checked = h11.Response(status_code=status, headers=list(headers)).headers
    except h11.LocalProtocolError:
        raise ValueError(status) from None
    if any(name in (b"content-length", b"transfer-encoding", b"connection") for name, _ in checked):
        raise ValueError(status)
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [] if status == 204 else [f"Content-Length: {length}"]
    lines += [] if is_kept else ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def find_peer(stream: trio.SocketStream) -> str:
    """Who is at the other end, as far as limits tell peers apart: empty for this machine's own."""
    if stream.socket.family == socket.AF_UNIX:
        return ""
    try:
        name = stream.socket.getpeername()[0].partition("%")[0]
    except OSError:
        return "gone"
    address = ipaddress.ip_address(name)
    mapped = getattr(address, "ipv4_mapped", None)  # how a v4 peer looks on a listener of both families
    address = mapped or address
    if address.is_loopback:
        return ""
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
