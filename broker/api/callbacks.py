"""The door of the providers' callbacks: `POST|GET /cb/PROVIDER/SECRET[/TOKEN]` (CONTRACT §7).

Whoever does not know an account's secret gets the same 404 whatever was asked, and is counted; nothing of a path or a query is ever
logged. What an account's provider says goes to its plugin, then to delivery; the answer leaves only after the commit.
"""

import logging
import math
from collections.abc import Sequence
from functools import partial

import msgspec
import trio

from broker.api.doors import open_tcp, open_unix, remove_socket, show_address
from broker.api.heads import Head
from broker.api.web import WebDoor
from broker.api.web_answers import Answer, Handler, Limits, make_refusal
from broker.delivery.callbacks import Callbacks
from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.provider.contract import CallbackRequest, Parsed, Unstored

log = logging.getLogger("broker.api")

MOST_QUERY = 2048
COMMIT_WAIT = 10.0
AGAIN = ("Retry-After", "5")
TELL_EVERY = 60.0
UNIX_MODE = 0o660
NOT_FOUND = Answer(404, b"not found\n", is_last=True)


class Tally(msgspec.Struct):
    """Callbacks since the start: `answered` after their commit, `refused` as nobody's, `beyond` a limit with an account's secret,
    `unread` as the plugin makes nothing of them and says so, `failed` for the provider to repeat.
    """

    answered: int = 0
    refused: int = 0
    beyond: int = 0
    unread: int = 0
    failed: int = 0


class CallbackDoor:
    """Serves [callbacks]."""

    def __init__(self, ex: Exchange, callbacks: Callbacks) -> None:
        self._ex = ex
        self._callbacks = callbacks
        self.web = WebDoor("callbacks", self, Limits(work_wait=COMMIT_WAIT))
        self.tally = Tally()
        self._told_at = -math.inf
        self._told = 0
        callbacks.count = self.count

    def count(self) -> dict[str, int]:
        """Callbacks and connections since the start, and how many connections there are now.

        `unmatched` named a token that is no attempt's of theirs, `repeated` said again what was known: both are answered.
        """
        known = {"unmatched": self._callbacks.unmatched, "repeated": self._ex.repeated}
        return {**msgspec.structs.asdict(self.tally), **known, "connections": self.web.size, **msgspec.structs.asdict(self.web.counts)}

    async def serve(
        self,
        listen: str,
        inherited: trio.SocketListener | None = None,
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen at `listen`, or on the socket that was inherited, until cancelled. Started with the addresses. Raises DoorError."""
        if inherited is not None:
            listeners: Sequence[trio.SocketListener] = [inherited]
        elif listen.startswith("unix:"):
            listeners = [await open_unix(listen.removeprefix("unix:"), UNIX_MODE)]
        else:
            listeners = await open_tcp(listen)
        addresses = [show_address(listener) for listener in listeners]
        self._callbacks.open(f"http://{addresses[0]}")
        try:
            task_status.started(addresses)
            await self.web.serve_listeners(listeners)
        finally:
            for address in addresses:
                remove_socket(address.removeprefix("unix:"))

    def screen(self, head: Head) -> Answer | Handler:
        """Whose call it is, by the path alone."""
        parts = head.path.split("/")
        if len(parts) not in (4, 5) or parts[0] or parts[1] != "cb":
            return self.refuse(404)
        lane = self._callbacks.find_lane(parts[2], parts[3])
        if lane is None:
            return self.refuse(404)
        if head.method not in ("GET", "POST"):
            return self._refuse_known(405, ("Allow", "GET, POST"))
        if len(head.query) > MOST_QUERY:
            return self._refuse_known(414)
        token = parts[4] if len(parts) == 5 else ""
        return partial(self._take, lane, head, token or None)

    def _refuse_known(self, status: int, *headers: tuple[str, str]) -> Answer:
        self.tally.beyond += 1
        return make_refusal(status, *headers)

    def refuse(self, status: int) -> Answer:
        """The one answer to everybody who is nobody."""
        self.tally.refused += 1
        now = trio.current_time()
        if now - self._told_at >= TELL_EVERY:
            log.warning("callbacks refused: no account's secret count=%d", self.tally.refused - self._told)
            self._told_at, self._told = now, self.tally.refused
        return NOT_FOUND

    async def _take(self, lane: Lane, head: Head, token: str | None, body: bytes) -> Answer:
        """One call of an account's provider: parsed, made durable, answered."""
        if self._ex.journal.is_full:
            return self._put_off(lane.name, "disk full")
        request = CallbackRequest(head.method, head.query, _gather(head), body, token)
        carrier = lane.carrier
        try:
            parsed: Parsed = carrier.plugin.receipts(carrier.config, request, self._ex.clock.wall())
        except Exception as error:
            # Its type and line alone: its text may hold a number, or what the query said.
            return self._put_off(lane.name, f"{type(error).__name__} in the plugin at line {_find_line(error)}")
        try:
            await self._callbacks.take(lane, parsed.receipts, parsed.inbound)
        except Unstored:
            return self._put_off(lane.name, "not durable")
        answer = parsed.answer
        if answer.status < 400:
            self.tally.answered += 1
        else:
            self.tally.unread += 1
        return Answer(answer.status, answer.body, answer.headers)

    def give_up(self) -> Answer:
        """No commit in time: what was told may still become durable, and its repetition changes nothing then."""
        return self._put_off("?", "no commit in time")

    def _put_off(self, name: str, why: str) -> Answer:
        """Nothing is acknowledged: the provider repeats it."""
        self.tally.failed += 1
        log.error("callback put off provider=%s reason=%s", name, why)
        return make_refusal(503, AGAIN)


def _gather(head: Head) -> dict[str, str]:
    """The headers by name in lower case; what came twice is joined, as RFC 9110 §5.3 has it."""
    headers: dict[str, str] = {}
    for raw, value in head.headers:
        name, text = raw.decode("ascii"), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def _find_line(error: Exception) -> int:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_lineno if trace is not None else 0
