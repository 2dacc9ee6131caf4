"""The feed's door: a listener for websocket subscribers of `/v1/events` (CONTRACT §6).

Decides who comes in (`Host`, `Origin`, path, room) and says goodbye to all at the end; what a subscriber then gets is its session's
matter. Never slows the broker: a subscriber is a cursor over what is committed, and nothing is kept for it.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import trio

from broker.api.doors import is_loopback, open_tcp, open_unix, remove_socket, show_address, show_name
from broker.api.feed_pages import Events, Pages, Recent
from broker.api.feed_session import Session
from broker.api.heads import BadHead, Head, read_head, refuse
from broker.api.hosts import is_foreign, is_listed, split_host
from broker.api.web import find_room
from broker.words.clock import show_time
from broker.words.settings import Settings

log = logging.getLogger("broker.api")

PATH = "/v1/events"
MOST = 2_000
MOST_REFUSED = 64  # refusals said in words at one time; beyond them a connection is closed without any
HEAD_WAIT = 10.0
FLUSH = 1.0  # what those about to have every event get at the end
GOODBYE_WAIT = 2.0  # what a goodbye gets to be answered
UNIX_MODE = 0o660
_PROXIED = ("forwarded", "x-forwarded-for", "x-real-ip")


class FeedDoor:
    """Serves the feed. `settings` gives the newest applied ones; `most`: how many subscribers there may be at one time, if
    half of this process's descriptors is as many."""

    def __init__(
        self,
        *,
        ring: Recent,
        query: Events,
        node: str,
        settings: Callable[[], Settings],
        now: Callable[[], int],
        most: int = MOST,
    ) -> None:
        self._pages = Pages(ring, query)
        self._node = node
        self._settings = settings
        self._now = now
        self._most = find_room(most, 2)
        self._most_refused = min(MOST_REFUSED, self._most // 4 + 1)
        self._sessions: set[Session] = set()
        self._strangers: set[trio.SocketStream] = set()
        self._left = trio.lowlevel.ParkingLot()
        self._is_stopping = False

    def show_subscribers(self) -> list[dict[str, Any]]:
        """Who reads now, for operators: the token's name (None without one), since when, and how far behind in `seq`."""
        return [
            {"token": session.name, "since": show_time(session.since), "behind": self._pages.ring.last - session.place.cursor}
            for session in self._sessions
            if session.place is not None
        ]

    async def serve(self, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen where `[feed].listen` says, until cancelled. Started with the addresses. Raises DoorError."""
        feed = self._settings().feed
        if feed is None:
            raise ValueError("there is no [feed] to serve")
        if feed.listen.startswith("unix:"):
            listeners = [await open_unix(feed.listen.removeprefix("unix:"), UNIX_MODE)]
        else:
            listeners = await open_tcp(feed.listen)
        await self.serve_listeners(listeners, task_status=task_status)

    async def serve_listeners(
        self, listeners: Sequence[trio.SocketListener], *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve sockets that listen already, inherited ones too, until cancelled; then say goodbye to everybody and close them."""
        addresses = [show_address(listener) for listener in listeners]
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            sessions = await nursery.start(self._hold_sessions, over)
            nursery.start_soon(self._pages.run_bell, lambda: len(self._sessions))
            try:
                async with trio.open_nursery() as accepting:
                    serve = partial(trio.serve_listeners, self._take, list(listeners), handler_nursery=sessions)
                    await accepting.start(serve)
                    task_status.started(addresses)
            finally:
                for address in addresses:
                    remove_socket(address.removeprefix("unix:"))
                over.set()

    async def _hold_sessions(self, over: trio.Event, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """The nursery of all connections: it outlives the cancellation of the door by the goodbye."""
        async with trio.open_nursery() as sessions:
            sessions.cancel_scope.shield = True
            task_status.started(sessions)
            await over.wait()
            self._is_stopping = True
            self._pages.ring_now()
            for stream in self._strangers:
                stream.socket.close()
            for patience, part in ((FLUSH, Session.stop), (GOODBYE_WAIT, Session.say_goodbye), (0.0, Session.cut)):
                for session in tuple(self._sessions):
                    part(session)
                with trio.move_on_after(patience):
                    while self._sessions:
                        await self._left.park()
            sessions.cancel_scope.cancel()

    async def _take(self, stream: trio.SocketStream) -> None:
        """Serve one connection; whatever goes wrong costs this connection alone."""
        try:
            # Both together, so that no crowd takes the descriptors that the submit socket needs.
            if self._is_stopping or len(self._strangers) + len(self._sessions) >= self._most + self._most_refused:
                return
            head = await self._receive(stream)
            if head is not None:
                await self._serve(stream, head)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return  # the other side has gone
        except Exception as error:
            log.error("connection failed door=feed error=%s", type(error).__name__)

    async def _receive(self, stream: trio.SocketStream) -> Head | None:
        """The head of a request that may come in; None after refusing it, or where none came."""
        self._strangers.add(stream)
        try:
            with trio.move_on_after(HEAD_WAIT):
                try:
                    head = await read_head(stream)
                    if head is not None:
                        self._screen(stream, head)
                        return head
                except BadHead as bad:
                    await refuse(stream, bad.status, str(bad), *bad.headers)
            return None
        finally:
            self._strangers.discard(stream)

    def _screen(self, stream: trio.SocketStream, head: Head) -> None:
        """Look at a request before anything is done about it. Raises BadHead with what to answer."""
        feed = self._settings().feed
        hosts = head.find_all("host")
        host = split_host(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            raise BadHead(403, "refused: the request has no readable Host")
        name = stream.socket.getsockname()
        if isinstance(name, tuple) and not is_listed(host, "" if feed is None else feed.listen, name[0], name[1]):
            raise BadHead(403, f"refused: this Host is no name of this listener; connect to {show_name(name[0], name[1])}")
        if any(is_foreign(origin, host) for origin in head.find_all("origin")):
            raise BadHead(403, "refused: a page of another origin may not read the feed")
        if head.path != PATH:
            raise BadHead(404, f"there is nothing here but the feed, a websocket at {PATH}")
        if head.method != "GET":
            raise BadHead(405, f"the feed is read by GET, a websocket at {PATH}", "Allow: GET")
        if "websocket" not in map(str.lower, head.find_list("upgrade")):
            raise BadHead(426, "the feed is a websocket: connect with a websocket client, or read it with `broker tail`",
                          "Upgrade: websocket")  # fmt: skip
        if len(self._sessions) >= self._most:
            raise BadHead(503, f"the feed has {self._most} subscribers, and takes no more now: try again later", "Retry-After: 5")

    async def _serve(self, stream: trio.SocketStream, head: Head) -> None:
        is_proxied = any(head.find_all(name) for name in _PROXIED)  # then somebody elsewhere speaks through a program of this machine
        is_local = is_loopback(stream) and not is_proxied
        session = Session(stream, head, self._pages, self._node, self._settings, is_local=is_local)
        session.since = self._now()
        self._sessions.add(session)
        try:
            await session.run()
        except Exception as error:
            if not session.wire.is_closing:  # once a close is said, nothing that goes wrong matters
                log.error("connection failed door=feed error=%s", type(error).__name__)
        finally:
            self._sessions.discard(session)
            self._left.unpark_all()
