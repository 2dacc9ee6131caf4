"""One subscriber of the feed: its handshake, its events in order, its pings, its farewell (CONTRACT §6).

A reader that is slow only reads later: its place is a cursor, and nothing waits for it here but its own connection. Takes nothing
from a subscriber but control frames. The truth lives in `feed_pages`.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from broker.api.feed_filter import Ask, BadAsk, read_ask
from broker.api.feed_pages import Pages, Subscription, View, make_frames, show_gap
from broker.api.heads import Head
from broker.api.tokens import BadCredential, Credential, find_subprotocol, find_token
from broker.api.wire import Wire
from broker.words.settings import Settings

HANDSHAKE = 10.0
PING_EVERY = 20.0
PONG_WAIT = 30.0
CLOSE_WAIT = 5.0
INBOUND_LIMIT = 4 * 1024

GOODBYE = 1001
BAD_ASK = 4400
BAD_TOKEN = 4401
TOO_SLOW = 4408

GONE = (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed)

_encode = msgspec.json.Encoder().encode


class Farewell(NamedTuple):
    """How a connection ends: the close code and its reason, for a person."""

    code: int
    reason: str


class Session:
    """One connection. `settings` gives the newest ones: a token that is taken away ends what it opened.

    `place` is where it reads, None before it does; `since` when it came (ms), `name` its token's.
    """

    def __init__(
        self, stream: trio.SocketStream, head: Head, pages: Pages, node: str, settings: Callable[[], Settings], *, is_local: bool
    ) -> None:
        self.wire = Wire(stream, head.raw)
        self.wire.on_late = self._find_late
        self._pages = pages
        self._node = node
        self._settings = settings
        self._judged: Settings | None = None
        self._require_token = True
        self._scope = trio.CancelScope()
        self._farewell: Farewell | None = None
        self._is_idle = False
        self._is_stopping = False
        self.place: Subscription | None = None
        self.since = 0
        self.name: str | None = None
        self._ask = Ask()
        self._view = View(None, False, False)
        self._credential = Credential(None, is_local=False)
        self._subprotocol = find_subprotocol(head.find_list("sec-websocket-protocol"))
        self._admit(head, is_local)

    def _admit(self, head: Head, is_local: bool) -> None:
        """Read who asks, and what for. A refusal is said once the websocket stands, since only there it has a code."""
        try:
            token = find_token(head.find_all("authorization"), head.find_list("sec-websocket-protocol"))
            self._credential = Credential(token, is_local=is_local)
            self._judge()
            if self._farewell is None:
                self._ask = read_ask(head.query)
                self._judge()
        except BadCredential as error:
            self.end(BAD_TOKEN, str(error))
        except BadAsk as error:
            self.end(BAD_ASK, str(error))

    def _judge(self) -> None:
        """What it may see under the settings of now; nothing ends the session."""
        settings = self._judged = self._settings()
        if settings.feed is not None:  # taken out of the file it stays as it was until the restart that closes the listener
            self._require_token = settings.feed.require_token
        access = self._credential.find_access(settings.tokens, require_token=self._require_token)
        if access is None and self._credential.has_token:
            self.end(BAD_TOKEN, "this token is not known here: look at [tokens] in broker.toml")
        elif access is None:
            self.end(BAD_TOKEN, "a token is needed: `Authorization: Bearer TOKEN`, or subprotocol `bearer.TOKEN`")
        elif "read" not in access.scopes:
            self.end(BAD_TOKEN, "this token may not read the feed: it has no scope `read`")
        else:
            self.name = access.name
            self._view = View(self._ask.filter, "numbers" in access.scopes, "text" in access.scopes, self._ask.batch)

    def end(self, code: int, reason: str) -> None:
        """Let the session end with these words; the first ones given are said."""
        if self._farewell is None:
            self._farewell = Farewell(code, reason)
        self._scope.cancel()

    def stop(self) -> None:
        """The broker stops: who has every event goes now, who is about to have them goes then."""
        self._is_stopping = True
        if self._is_idle and self.place is not None and self.place.has_all:
            self.say_goodbye()

    def say_goodbye(self) -> None:
        """End because the broker stops; the place in the feed keeps."""
        self.end(GOODBYE, "the broker stops: connect again later, `from` the last seq")

    def cut(self) -> None:
        """End without a word."""
        self._scope.cancel()
        self.wire.cut()

    def _find_late(self) -> None:
        self.end(TOO_SLOW, "a frame was not taken in 30 s: connect again `from` the last seq")

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        try:
            await self._serve()
            await self.wire.linger()
        finally:
            self.wire.cut()

    async def _serve(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                connection = await self._shake_hands(nursery)
                if connection is not None:
                    if self._farewell is None:
                        await self._talk(connection)
                    with trio.move_on_after(CLOSE_WAIT):
                        await connection.aclose(*(self._farewell or ()))
                nursery.cancel_scope.cancel()
        except* GONE:
            pass  # the other side has gone or goes; its place in the feed is its own to remember

    async def _shake_hands(self, nursery: trio.Nursery) -> WebSocketConnection | None:
        """The connection, None where the other side cannot do it or does not go on."""
        with trio.move_on_after(HANDSHAKE) as self._scope:
            self.wire.on_end = self._scope.cancel
            request = await wrap_server_stream(nursery, self.wire, max_message_size=INBOUND_LIMIT)
            return await request.accept(subprotocol=self._subprotocol)
        return None

    async def _talk(self, connection: WebSocketConnection) -> None:
        with trio.CancelScope() as self._scope:
            self.wire.on_end = self._scope.cancel
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ignore_messages, connection)
                nursery.start_soon(self._keep_alive, connection)
                await self._follow()

    async def _follow(self) -> None:
        """Send events for as long as there are any; returns by cancellation alone, which `end` asks for."""
        place = self.place = Subscription(self._pages, self._ask.after)
        if place.is_ahead:
            self.end(BAD_ASK, f"`from` is above the last event, which is {place.last}")
        await trio.lowlevel.checkpoint()
        await self._tell({"type": "hello", "seq": place.last, "first": place.first, "node": self._node})
        if place.gap is not None:
            await self._tell_gap(place.gap)
        while True:
            if self._settings() is not self._judged:
                self._judge()
            page = await place.read()
            if page is None:
                await self._wait(place)
                continue
            if page.gap is not None:
                await self._tell_gap(page.gap)
            frames = page.make_frames(self._view)
            if frames.data:
                await self.wire.send_frames(*frames)
                await trio.lowlevel.checkpoint_if_cancelled()
            else:
                await trio.lowlevel.checkpoint()
            place.pass_by(page)

    async def _wait(self, place: Subscription) -> None:
        if self._is_stopping:
            self.say_goodbye()
        self._is_idle = True
        try:
            await place.wait()
        finally:
            self._is_idle = False

    async def _tell(self, value: dict[str, object]) -> None:
        await self.wire.send_frames(*make_frames([_encode(value)], batch=False))

    async def _tell_gap(self, first: int) -> None:
        await self.wire.send_frames(*make_frames([show_gap(first)], batch=self._view.batch))

    async def _ignore_messages(self, connection: WebSocketConnection) -> None:
        """Take what the subscriber says, so that its pings and its close are read."""
        try:
            while True:
                await connection.get_message()
        except ConnectionClosed:
            self._scope.cancel()

    async def _keep_alive(self, connection: WebSocketConnection) -> None:
        """Ping; without a pong, and without any other sign that the other side takes something, it is gone."""
        while True:
            await trio.sleep(PING_EVERY)
            with trio.move_on_after(PONG_WAIT) as waiting:
                try:
                    await connection.ping()
                except ConnectionClosed:
                    return
            silence = trio.current_time() - self.wire.seen_at
            if waiting.cancelled_caught and silence >= PONG_WAIT and not self.wire.is_writing:
                self.end(TOO_SLOW, "no answer to a ping in 30 s: connect again `from` the last seq")
