"""One connection of the HTTP server: its requests one after the other, each within its limits of size and time (h11 on trio).

Asks the door before it reads a body, and ends itself where anything is beyond a limit. Knows nothing of other connections.
"""

import logging
import math
import os
from typing import TYPE_CHECKING

import h11
import trio

from broker.api.heads import BadHead, Head
from broker.api.web_answers import Answer, Limits, make_refusal, show_head
from broker.api.whole import Whole, read_whole
from broker.store.failpoints import failpoint

if TYPE_CHECKING:
    from broker.api.web import WebDoor

log = logging.getLogger("broker.api")

PIECE = 16 * 1024
LINGER = 1.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection:
    """One connection and its requests, one after the other."""

    def __init__(self, door: "WebDoor", stream: trio.SocketStream, peer: str) -> None:
        self.door = door
        self.stream = stream
        self.peer = peer
        self.due = math.inf  # when its limit of time is over
        self._scope = trio.CancelScope()
        self._parser: h11.Connection | None = None
        self._whole: Whole | None = None
        self._is_working = False

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
                await self._end_late()
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # gone, or made to go
        except Exception as error:
            log.error("connection failed door=%s error=%s", door.name, type(error).__name__)
        finally:
            door.leave(self)
            self.stream.socket.close()

    def _allow(self, seconds: float) -> None:
        """A new limit of time. Two for each request would be two changes of a scope's deadline, at their price: the door watches."""
        self.due = trio.current_time() + seconds
        if self.due < self.door.look_at:
            self.door.look_by(self.due)

    def end_late(self) -> None:
        """The limit of time is over."""
        self._scope.cancel()

    async def _end_late(self) -> None:
        """A limit of time is over: the client's own is not worth a word, that of our work is."""
        self.door.counts.late += 1
        if self._is_working:
            with trio.move_on_after(self.door.limits.answer_wait):
                await self._send(self.door.service.give_up(), is_kept=False)

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
        self._allow(door.limits.work_wait)
        self._is_working = True
        try:
            answer = await found(body)
        except Exception as error:
            log.error("request failed door=%s error=%s", door.name, type(error).__name__)
            answer = make_refusal(503)
        self._is_working = False
        is_kept = await self._say(answer, head)
        failpoint("web.answered")
        return is_kept

    async def _read_head(self) -> Head | None:
        """The next request's head; None where the other side has ended the connection. Raises BadHead."""
        self._whole = None
        if self._parser is not None:
            return await self._parse_head(self._parser, len(self._parser.trailing_data[0]))
        limit, sock = self.door.limits.head, self.stream.socket
        data = None
        while data is None:
            await trio.lowlevel.wait_readable(sock)  # mostly there is nothing yet, and to try first costs more than to wait
            try:
                data = os.read(sock.fileno(), limit)
            except BlockingIOError:
                pass
        if not data:
            return None
        self._whole = read_whole(data)
        if self._whole is not None:
            return Head(self._whole, b"")
        self._parser = _make_parser(self.door.limits)
        try:
            self._parser.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise BadHead(error.error_status_hint, "no HTTP") from None
        return await self._parse_head(self._parser, len(data))

    async def _parse_head(self, parser: h11.Connection, taken: int) -> Head | None:
        """The same by h11, of whose data `taken` bytes are there already."""
        limit, is_timed = self.door.limits.head, False
        try:
            event = parser.next_event()
            while event is h11.NEED_DATA:
                if taken and not is_timed:
                    is_timed = True
                    self._allow(min(self.due - trio.current_time(), self.door.limits.head_wait))
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
        if self._whole is not None:
            return self._whole.body
        parser, limit, body = self._parser, self.door.limits.body, bytearray()
        taken = pieces = 0
        assert parser is not None
        length = head.find("content-length")
        if length is not None and int(length) > limit:  # h11 has seen to it that it is a number
            raise BadHead(413, "the body is too large")
        self._allow(self.door.limits.body_wait)
        try:
            while not isinstance(event := parser.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    body += event.data
                    pieces += 1
                    if len(body) > limit:
                        raise BadHead(413, "the body is too large")
                    if not pieces % 64:
                        await trio.lowlevel.checkpoint()  # of crumbs it takes thousands: others have their turn in between
                elif event is h11.NEED_DATA and taken <= 2 * limit:  # in chunks of a byte, a body takes six times its size
                    count = await self._feed(parser)
                    if not count:
                        return None
                    taken += count
                elif event is h11.NEED_DATA:
                    raise BadHead(413, "the body is too large")
                else:
                    return None
        except h11.RemoteProtocolError as error:
            raise BadHead(error.error_status_hint, "no HTTP") from None
        return bytes(body)

    async def _feed(self, parser: h11.Connection) -> int:
        """Give the parser more of a body: how many bytes."""
        if parser.they_are_waiting_for_100_continue:
            parser.send(h11.InformationalResponse(status_code=100, headers=[]))
            await self.stream.send_all(_CONTINUE)
        data = await self.stream.receive_some(PIECE)
        if data:
            parser.receive_data(data)
        return len(data)

    async def _say(self, answer: Answer, head: Head | None) -> bool:
        """Send an answer; True where the connection goes on after it."""
        whole, parser = self._whole, self._parser
        if whole is not None:
            is_read, is_kept = True, whole.is_kept
        else:
            state = None if parser is None else parser.their_state
            is_read, is_kept = state in (h11.DONE, h11.MUST_CLOSE), state is h11.DONE
        is_kept = is_kept and not answer.is_last
        wait = self.door.limits.answer_wait
        self._allow(wait)
        is_kept = await self._send(answer, is_kept=is_kept, has_body=head is None or head.method != "HEAD")
        if is_kept and parser is not None:
            # A new parser costs less than to walk the old one through an answer that needs no parsing.
            rest = parser.trailing_data[0]
            self._parser = _make_parser(self.door.limits) if rest else None
            if self._parser is not None:
                self._parser.receive_data(rest)
                await trio.lowlevel.checkpoint()  # whoever sends many at once waits for nothing else
        elif not is_read:
            await self._linger()
        return is_kept

    async def _send(self, answer: Answer, *, is_kept: bool, has_body: bool = True) -> bool:
        """Send an answer, or where it is none the word that it failed; True where the connection goes on after it."""
        try:
            data = show_head(answer.status, answer.headers, len(answer.body), is_kept)
        except ValueError:
            log.error("answer that cannot be sent door=%s status=%d", self.door.name, answer.status)
            answer, is_kept = make_refusal(503), False
            data = show_head(answer.status, answer.headers, len(answer.body), is_kept)
        if has_body:
            data += answer.body
        try:
            sent = os.write(self.stream.socket.fileno(), data)  # mostly there is room: then nobody else need have a turn first
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            await self.stream.send_all(data[sent:])
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
