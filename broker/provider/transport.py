"""One account's connections: HTTP/1.1 over trio's streams, with the proof of what was not sent.

It never follows, repeats, decompresses, logs or reads the environment, and knows neither providers nor outcome classes.
The point of no return is Exchange.stage: "offered" is set right before the first byte of a request is offered to an
established connection. A Fault names what went wrong by one word; what that word proves stands in `answers`.
"""

import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from functools import cache
from typing import NamedTuple

import msgspec
import trio

from broker.provider.direct import DirectStream
from broker.provider.reading import Answer, Fault, read_answer

__all__ = ["Answer", "Exchange", "Fault", "OpenStream", "Origin", "Pool"]

KEPT_IDLE = 4.0
"""Seconds that an idle connection is kept: below the providers' own idle timeouts, so that no write meets a dying one."""

_LARGE = 64 * 1024  # a request that the socket's buffer may not take at once is written and answered side by side

_TIMED_OUT = {"pool": "pool", "connect": "connect", "tls": "tls", "offered": "timeout"}

OpenStream = Callable[[str, int], Awaitable[trio.abc.Stream]]


class Origin(NamedTuple):
    """Where a connection leads: the host in ASCII, `scheme` http or https."""

    scheme: str
    host: str
    port: int


class Exchange(msgspec.Struct):
    """One request and how far it has come: `pool` (waits for a connection), `connect`, `tls`, `offered`.

    `head` is the request's head as the wire has it, its end included; the body's length stands in it.
    """

    origin: Origin
    method: str
    head: bytes
    body: bytes
    stage: str = "pool"

    @property
    def is_offered(self) -> bool:
        """True once a byte may have left: nothing but a whole answer is proof from here on."""
        return self.stage == "offered"

    def __repr__(self) -> str:
        return f"Exchange({self.stage})"


@cache
def share_ssl_context() -> ssl.SSLContext:
    """The one context of all accounts (each costs megabytes and tens of milliseconds): verified, TLS 1.2 at least."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connection:
    """One established connection, which carries one exchange at a time."""

    __slots__ = ("_stream", "idle_since", "is_clean", "is_given_up", "origin")

    def __init__(self, origin: Origin, stream: trio.abc.Stream) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.is_clean = False  # True while it may carry another request
        self.is_given_up = False
        self._stream = stream

    @property
    def is_direct(self) -> bool:
        """True where the exchange under way can be given up at any moment: not inside TLS, and not in memory."""
        return isinstance(self._stream, DirectStream)

    def give_up(self) -> None:
        """No answer in time: close, and whoever waits for it is told. Only where it is direct."""
        assert isinstance(self._stream, DirectStream)
        self.is_given_up = True
        self._stream.close_nowait()

    def is_fresh(self) -> bool:
        """True while nothing came unasked on the idle connection, its end included."""
        stream = self._stream
        if isinstance(stream, trio.SSLStream):
            # A record that came behind the answer waits here undeciphered, and no socket shows it. It has no public
            # name; if trio renames it, no TLS connection is used twice, and a test says so.
            unread = getattr(stream, "_incoming", None)
            if unread is None or unread.pending:
                return False
            stream = stream.transport_stream
        return not (isinstance(stream, DirectStream) and stream.is_readable())

    async def close(self) -> None:
        """Close at once, without a goodbye; safe in a cancelled task, and never ends in Cancelled."""
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)

    async def carry(self, exchange: Exchange) -> Answer:
        """Write the request, read the answer. Raises Fault."""
        self.is_clean = False
        data = exchange.head + exchange.body
        await trio.lowlevel.checkpoint_if_cancelled()  # a deadline that has passed by now is still before the write
        exchange.stage = "offered"
        if len(data) > _LARGE:
            answer, is_written, is_clean = await self._write_beside(data, exchange.method)
        else:
            is_written = await self._write(data)
            try:
                answer, is_clean = await read_answer(self._stream, exchange.method)
            except Fault:
                if is_written:
                    raise
                raise Fault("write") from None
        self.is_clean = is_written and is_clean
        return answer

    async def _write(self, data: bytes) -> bool:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False  # an answer may have come before the pipe broke: it is read all the same
        return True

    async def _write_beside(self, data: bytes, method: str) -> tuple[Answer, bool, bool]:
        """A large request: a server may answer (413) without reading it all, and then never read on."""
        is_written, is_clean, answer, evidence = False, False, None, ""

        async def write() -> None:
            nonlocal is_written
            is_written = await self._write(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            try:
                answer, is_clean = await read_answer(self._stream, method)
            except Fault as fault:  # kept out of the nursery, which would wrap it in a group
                evidence = fault.evidence
            nursery.cancel_scope.cancel()
        if answer is None:
            raise Fault(evidence)
        return answer, is_written, is_clean


class Pool:
    """At most `max_connections` connections of one account, to all its origins together; waiting calls are served in order.

    `timeout` in milliseconds covers all of an exchange: the wait for a connection, name, connect, TLS, write and answer.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        timeout: int,
        ssl_context: ssl.SSLContext | None = None,
        open_stream: OpenStream | None = None,
    ) -> None:
        self._most = max_connections
        self._timeout = timeout / 1000
        self._ssl_context = ssl_context
        self._open_stream: OpenStream = open_stream or trio.open_tcp_stream
        self._slots = trio.Semaphore(max_connections)
        self._idle: deque[Connection] = deque()  # oldest first
        self._opened = 0  # connections that exist, in use or idle
        self._is_closed = False
        self._under_way: dict[Connection, float] = {}  # of those that are watched, until when; in the order of that
        self._is_watched = False

    async def exchange(self, exchange: Exchange) -> Answer:
        """Carry one request out and bring its whole answer back, or raise Fault. A whole answer counts, however late."""
        connection = self._take_at_once(exchange.origin)
        if connection is not None:
            return await self._carry_watched(connection, exchange)
        answer = None
        with trio.CancelScope(deadline=trio.current_time() + self._timeout):
            answer = await self._exchange(exchange)
        if answer is None:
            raise Fault(_TIMED_OUT[exchange.stage])
        return answer

    def _take_at_once(self, origin: Origin) -> Connection | None:
        """The connection that was used last, with a slot, where nothing has to be waited for, made or closed before; None elsewhere."""
        idle = self._idle
        if self._is_closed or not idle or trio.current_time() - idle[0].idle_since >= KEPT_IDLE:
            return None
        connection = idle[-1]
        if connection.origin != origin or not connection.is_direct or not connection.is_fresh():
            return None
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            return None
        return idle.pop()

    async def _carry_watched(self, connection: Connection, exchange: Exchange) -> Answer:
        """Carry a request over a connection that holds a slot, under the watch in place of a scope of its own."""
        self._under_way[connection] = trio.current_time() + self._timeout
        if not self._is_watched:
            self._is_watched = True
            trio.lowlevel.spawn_system_task(self._watch)
        try:
            return await connection.carry(exchange)
        except Fault:
            if connection.is_given_up:
                raise Fault(_TIMED_OUT[exchange.stage]) from None
            raise
        finally:
            self._under_way.pop(connection, None)
            await self._put_back(connection)
            self._slots.release()

    async def _watch(self) -> None:
        """Give up each exchange whose time is over: one task for all, as a scope with a deadline for each costs more than its wait."""
        under_way = self._under_way
        while under_way:
            connection, until = next(iter(under_way.items()))
            if trio.current_time() < until:
                await trio.sleep_until(until)
            elif under_way.pop(connection, None) is not None:
                connection.give_up()
        self._is_watched = False

    async def aclose(self) -> None:
        """Close what is idle; a connection in use closes as its exchange ends, and no new exchange begins."""
        self._is_closed = True
        while self._idle:
            await self._idle.popleft().close()

    async def _exchange(self, exchange: Exchange) -> Answer:
        try:
            self._slots.acquire_nowait()  # spares a pass of the scheduler where nobody waits
        except trio.WouldBlock:
            await self._slots.acquire()
        try:
            if self._is_closed:
                raise Fault("pool")
            connection, left = self._choose(exchange.origin)
            for old in left:
                await old.close()
            if connection is None:
                connection = await self._connect(exchange)
            try:
                return await connection.carry(exchange)
            finally:
                await self._put_back(connection)
        finally:
            self._slots.release()

    async def _put_back(self, connection: Connection) -> None:
        """Keep a connection for the next exchange, or close it where there can be none."""
        if connection.is_clean and not self._is_closed:
            connection.idle_since = trio.current_time()
            self._idle.append(connection)
        else:
            self._opened -= 1
            await connection.close()

    def _choose(self, origin: Origin) -> tuple[Connection | None, list[Connection]]:
        """An idle connection that still stands (None: one is to be made, and is counted), and what has to be closed first.

        Decided without a wait, so that no other exchange sees the book half written.
        """
        idle, left, now = self._idle, [], trio.current_time()
        while idle and now - idle[0].idle_since >= KEPT_IDLE:
            left.append(idle.popleft())
        chosen = None
        while (connection := next((found for found in reversed(idle) if found.origin == origin), None)) is not None:
            if connection is idle[-1]:
                idle.pop()  # as nearly always: what was used last is looked at first
            else:
                idle.remove(connection)
            if connection.is_fresh():
                chosen = connection
                break
            left.append(connection)
        self._opened -= len(left)
        if chosen is None:
            if self._opened >= self._most:  # we hold a slot, so fewer are in use: the rest are idle, elsewhere
                left.append(idle.popleft())
                self._opened -= 1
            self._opened += 1
        return chosen, left

    async def _connect(self, exchange: Exchange) -> Connection:
        scheme, host, port = exchange.origin
        exchange.stage = "connect"
        try:
            stream = await self._open_stream(host, port)
            if isinstance(stream, trio.SocketStream):
                stream = DirectStream(stream)
            if scheme == "https":
                exchange.stage = "tls"
                stream = await start_tls(stream, host, self._ssl_context or share_ssl_context())
        except BaseException as error:
            self._opened -= 1
            if isinstance(error, (OSError, UnicodeError)):
                raise Fault(name_fault(error)) from None
            raise
        return Connection(exchange.origin, stream)


async def start_tls(stream: trio.abc.Stream, host: str, context: ssl.SSLContext) -> trio.abc.Stream:
    """The stream inside TLS, handshake done, the host's name checked. Raises Fault and closes the stream if that fails."""
    try:
        # https_compatible: most web servers close without TLS's goodbye; the length says whether an answer is whole
        inside = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
        await inside.do_handshake()
    except BaseException as error:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
        if isinstance(error, trio.BrokenResourceError):
            is_certificate = isinstance(error.__cause__, ssl.SSLCertVerificationError)
            raise Fault("certificate" if is_certificate else "tls") from None
        if isinstance(error, ValueError):  # a host that cannot be a server's name
            raise Fault("tls") from None
        raise
    return inside


def name_fault(error: OSError | UnicodeError) -> str:
    """The word for a connection that could not be made."""
    if isinstance(error, (trio.socket.gaierror, UnicodeError)):
        return "dns"
    causes = error.__cause__.exceptions if isinstance(error.__cause__, ExceptionGroup) else (error,)
    return "refused" if all(isinstance(cause, ConnectionRefusedError) for cause in causes) else "connect"
