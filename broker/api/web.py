"""A small HTTP/1.1 server on trio, for doors that strangers reach: who is let in, and how many.

One bad connection costs itself alone, and a crowd of silent ones nobody else: at a limit the one that has waited longest makes room.
Knows no path and no rule; speaks no TLS.
"""

import errno
import ipaddress
import logging
import math
import resource
import socket
from collections.abc import Sequence

import msgspec
import trio

from broker.api.web_answers import Limits, Service
from broker.api.web_session import Connection

log = logging.getLogger("broker.api")

RETRY = 0.1
"""Seconds until another look for a free descriptor."""


class Counts(msgspec.Struct):
    """What happened to connections since the start: `late` ones broke a limit of time, `evicted` ones made room for others."""

    taken: int = 0
    late: int = 0
    broken: int = 0
    evicted: int = 0
    turned_away: int = 0


def find_room(most: int, share: int = 4) -> int:
    """How many connections there may be, of the `most` wanted: one part in `share` of our descriptors, the rest is for others."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if soft == resource.RLIM_INFINITY else min(most, max(8, soft // share))


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
        self._looking = trio.CancelScope()
        self.look_at = math.inf
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
            nursery.start_soon(self._watch)
            for listener in listeners:
                nursery.start_soon(self._accept, listener, nursery)
            task_status.started()

    async def _watch(self) -> None:
        """End each connection whose limit of time is over, one watch for all of them."""
        while True:
            self.look_at = min((connection.due for connection in self._all), default=math.inf)
            with trio.CancelScope(deadline=self.look_at) as self._looking:
                await trio.sleep_forever()
            now = trio.current_time()
            for connection in self._all:
                if connection.due <= now:
                    connection.due = math.inf
                    connection.end_late()

    def look_by(self, due: float) -> None:
        """A limit of time is over at `due`, before the next look."""
        self.look_at = self._looking.deadline = due

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

    def _enter(self, connection: Connection) -> bool:
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

    def _evict(self, idle: dict[Connection, None]) -> bool:
        connection = next(iter(idle), None)
        if connection is None:
            return False
        self.counts.evicted += 1
        self.leave(connection)
        connection.stream.socket.close()
        return True

    def leave(self, connection: Connection) -> None:
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

    def note_work(self, connection: Connection) -> None:
        """A connection brought a request that the door takes: it is not evicted until it has its answer."""
        self._new.pop(connection, None)
        self._resting.pop(connection, None)

    def note_rest(self, connection: Connection) -> None:
        """A connection has had an answer, and waits for its next request."""
        if connection in self._all:
            self._resting[connection] = None


def find_peer(stream: trio.SocketStream) -> str:
    """Who is at the other end, as far as limits tell peers apart: empty for this machine's own."""
    if stream.socket.family == socket.AF_UNIX:
        return ""
    try:
        return name_peer(stream.socket.getpeername()[0])
    except (OSError, ValueError):
        return "gone"


def name_peer(host: str) -> str:
    """The name of a peer at this address. Raises ValueError where it is none."""
    address = ipaddress.ip_address(host.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address  # how a v4 peer looks on a listener of both families
    if address.is_loopback:
        return ""
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
