"""One connection to an SMSC: the trio shell over `broker.smpp.Link`. Reads, writes, keeps its times; decides nothing about a message.

Two tasks, one that reads and one that writes and keeps time, and none for a message. Events go to whoever owns the wire, in order, and
behind what the room that they made is used for: to settle a hundred messages takes as long as some round trips, and the peer is not to
wait for it. What was handed to the stream counts as sent; what was not, is told apart by `unsent`.
"""

import logging
from collections.abc import Callable, Sequence

import trio

from broker.smpp.events import Event, Lost, LostReason
from broker.smpp.limits import Limits
from broker.smpp.link import Link
from broker.smpp.pdu import Pdu

log = logging.getLogger("broker.provider")

CHUNK = 65_536
ENOUGH = 500
"""Requests of the peer's that wait for us: then nothing more is read until some are answered. An SMSC with a backlog and no window of its
own would else go beyond what a link bears, be left for it, and begin again with the same. With what one CHUNK holds it stays below that.
"""
WRITE_TIMEOUT = 30.0
"""Seconds that a peer may take to read what we write."""

Hear = Callable[["Wire", Sequence[Event]], None]
Refill = Callable[["Wire"], None]


def find_now() -> int:
    """The clock of links: milliseconds that never step back."""
    return round(trio.current_time() * 1000)  # not cut off: the time of a deadline would read as a millisecond before it


class Wire:
    """One connection, bound or not. `name` is for the log; `hear` is told every event, and before it `refill` that there may be room."""

    def __init__(self, name: str, stream: trio.abc.Stream, limits: Limits, hear: Hear, refill: Refill) -> None:
        self.name = name
        self.stream = stream
        self.link = Link("esme", limits, find_now())
        self.unsent: list[object] = []
        self._hear = hear
        self._refill = refill
        self._unheard: list[Event] = []
        self._lot = trio.lowlevel.ParkingLot()
        self._answered = trio.lowlevel.ParkingLot()
        self._over = trio.Event()
        self._is_awake = True

    def submit(self, pdu: Pdu, tag: object, timeout: int | None = None) -> None:
        """Queue a request. Raises as `Link.submit`."""
        self.link.submit(pdu, tag, find_now(), timeout=timeout)
        self.unsent.append(tag)
        self.wake()

    def wake(self) -> None:
        """There is something to write, or a time has changed."""
        if not self._is_awake:
            self._is_awake = True
            self._lot.unpark_all()

    async def serve(self) -> None:
        """Until the link is over. Cancelled, it unbinds first: what is outstanding has a moment to be answered."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run)
            try:
                await self._over.wait()
            finally:
                self.link.unbind(find_now())
                self.wake()

    async def _run(self) -> None:
        with trio.CancelScope(shield=True):
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read, nursery.cancel_scope)
                    await self._write()
                    nursery.cancel_scope.cancel()
            finally:
                self._lose("eof")
                self._over.set()
                await trio.aclose_forcefully(self.stream)

    async def _read(self, scope: trio.CancelScope) -> None:
        while not self.link.is_over:
            while self.link.unanswered >= ENOUGH:
                await self._answered.park()
            try:
                data = await self.stream.receive_some(CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                self._lose("eof")
                scope.cancel()  # nobody reads what is being written
                return
            self._unheard += self.link.feed(bytes(data), find_now())
            self._refill(self)
            self.wake()
            if self.unsent:
                # Now the other task writes: of two that are ready, trio may take either first, and the second time this one again.
                # Shielded: what came is told, whatever is cancelled meanwhile.
                await trio.lowlevel.cancel_shielded_checkpoint()
                await trio.lowlevel.cancel_shielded_checkpoint()
            self._tell()
            if self.link.is_leaving:  # whoever heard may have wanted to
                self.wake()

    async def _write(self) -> None:
        link = self.link
        while True:
            self._is_awake = False
            data = link.take()
            self._answered.unpark_all()
            if data:
                self.unsent.clear()
                if not await self._send(data):
                    return
            elif link.is_over:
                return
            else:
                deadline = link.next_deadline()
                with trio.CancelScope(deadline=trio.current_time() + 3600 if deadline is None else deadline / 1000):
                    await self._lot.park()
            self._is_awake = True
            due = link.tick(find_now())  # also while there is always more to write: time passes then too
            if due:
                self._unheard += due
                self._refill(self)
                self._tell()

    async def _send(self, data: bytes) -> bool:
        try:
            with trio.fail_after(WRITE_TIMEOUT):
                await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._lose("eof")
            return False
        except trio.TooSlowError:
            self._lose("unread")
            return False
        return True

    def _tell(self) -> None:
        """What is not told yet, in order: either task may come first."""
        events, self._unheard = self._unheard, []
        if events:
            self._hear(self, events)

    def _lose(self, reason: LostReason) -> None:
        """The connection is gone, if it was not over already."""
        if not self.link.is_over:
            self._unheard.append(Lost(reason, tuple(self.link.lose())))
        self._tell()
