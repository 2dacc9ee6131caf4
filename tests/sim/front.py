"""An HTTP provider in a simulated world: its plugin's twin behind a bad connection, and the calls that it makes to the callback door.

Belongs to the world and not to the daemon, as every provider does. Knows each plugin's twin by the account's name, and nothing of
its plugin.
"""

import random
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import trio
from trio.testing import memory_stream_pair

from broker.provider.contract import Call, Reply, TwinReply, TwinRequest
from plugins.isms.twin import Twin as IsmsTwin
from plugins.mitake.twin import Twin as MitakeTwin
from plugins.subito.twin import Twin as SubitoTwin
from plugins.tatango.twin import Twin as TatangoTwin
from tests.daemon.house import SECRET
from tests.sim.network import Ledger, Luck, name_of
from tests.sim.wire import RequestReader, write_reply

PAGE = b"<html><body>We shall be back soon</body></html>"
STATUSES = {b"503": b"Unavailable", b"500": b"Error", b"429": b"Slow", b"502": b"Gateway"}
CALLING = 30.0
"""Seconds after a message in which a provider still calls about it: everything that it says is said by then, or not heard."""
PHONES = tuple(f"+8869{n:08d}" for n in range(6))
ABROAD = tuple(f"+1202555010{n}" for n in range(3))

SENDER = "2025550199"

CallBack = Callable[[Call], Awaitable[Reply | None]]
"""Makes a provider's call to the daemon; None where nobody answered."""


class Kind(NamedTuple):
    """One plugin's provider: `codes` are answers of its own that refuse, `bad` the fates by which a message is not delivered, `forge` what
    makes of a call one that says it was (a pattern, and what stands there instead).
    """

    twin: Any
    is_send: Callable[[TwinRequest], bool]
    codes: tuple[str, ...]
    bad: tuple[str, ...] = ()
    forge: tuple[str, str] = ("", "")
    account: tuple[tuple[str, str], ...] = (("password", SECRET),)


_FORGED = ("statusstr=.*", "statusstr=DELIVRD&statuscode=0&StatusFlag=4")
KINDS = {
    "m": Kind(MitakeTwin, lambda request: "Query" not in request.path, ("5", "w", "e", "77"), ("5", "6", "7", "8"), _FORGED),
    "s": Kind(SubitoTwin, lambda request: request.query == "action=send", ("5", "w", "e", "77"), ("16", "2")),
    "i": Kind(
        IsmsTwin, lambda request: "send.php" in request.path, ("Error: Out of order.", "Error: Insufficient credits."), ("Failed",),
        ("status=Failed", "status=Delivered"),
    ),
    "t": Kind(TatangoTwin, lambda request: True, ("409", "503", "500", "403", "501")),
}  # fmt: skip


class Front:
    """The provider of one account: `twin` answers what comes through; much does not. `failing`: phones that it never delivers to."""

    def __init__(self, name: str, ledger: Ledger, rng: random.Random, nursery: trio.Nursery, call_back: CallBack) -> None:
        self.name = name
        self.luck = Luck(rng)
        self.is_down = False
        self._kind = kind = KINDS[name]
        self.failing = set(rng.sample(PHONES, rng.choice((0, 1, 3, 5)))) if kind.bad else set()
        fates = {form: rng.choice(kind.bad) for phone in sorted(self.failing) for form in (phone, phone[1:])}
        settle = {} if name == "t" else {"settle": rng.choice((0, 1_000, 3_000))}
        self.twin = kind.twin(balance=rng.choice((3, 1000)), fates=fates, **settle, **dict(kind.account))
        self.heard: list[str] = []
        self._call_back = call_back
        self._calling_until = 0.0
        self._bell = trio.lowlevel.ParkingLot()
        self._ledger = ledger
        self._nursery = nursery
        if hasattr(self.twin, "calls"):
            nursery.start_soon(self._make_calls)

    def flip(self) -> None:
        """Up or down."""
        self.is_down = not self.is_down and not self.luck.is_calm

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.luck.is_calm = True

    def top_up(self, amount: int) -> None:
        """The account has so much credit now."""
        if isinstance(self.twin.balance, dict):
            self.twin.balance["Foreign"] = amount
        else:
            self.twin.balance = type(self.twin.balance)(amount)

    # What the daemon asks

    async def open_stream(self) -> trio.abc.Stream:
        """A connection, unless it is down."""
        await trio.lowlevel.checkpoint()
        if self.is_down or self.luck.draw("refused", *["well"] * 9) == "refused":
            raise ConnectionRefusedError
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            await self._converse(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the daemon has gone, or does not wait any more
        finally:
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.abc.Stream) -> None:
        reader = RequestReader(stream)
        while (request := await reader.read()) is not None:
            self._ledger.begin(self.name)
            try:
                may_go_on = await self._answer(stream, request)
            finally:
                self._ledger.end(self.name)
            if not may_go_on:
                return

    async def _answer(self, stream: trio.abc.Stream, request: TwinRequest) -> bool:
        """Answer one request, or do not. True where another may come on the same connection."""
        luck, at = self.luck, self._ledger.now()
        fate = luck.draw(
            "status", "status", "page", "drop", "reset", "swallow", "cut", "half", "page after", "empty", "garbage", "late", "code"
        )
        await trio.sleep(luck.pause(0.0, 0.01, 0.3, 1.5))
        if fate == "status":
            code = luck.rng.choice(tuple(STATUSES))
            await stream.send_all(b"HTTP/1.1 %b %b\r\nContent-Length: 0\r\n\r\n" % (code, STATUSES[code]))
            return True
        if fate == "page":
            await stream.send_all(write_reply(TwinReply(200, (("Content-Type", "text/html"),), PAGE)))
            return True
        if fate == "drop":
            await trio.sleep(10)
        if fate in ("drop", "reset"):
            return False
        if fate == "late":
            await trio.sleep(luck.rng.choice((2.0, 4.0, 9.0)))
        if fate == "code" and self._kind.is_send(request):
            self.twin.answers.append(luck.rng.choice(self._kind.codes))
        answer = write_reply(self._take(request, at))
        if fate == "swallow":
            await trio.sleep(10)
        if fate in ("swallow", "cut"):
            return False
        if fate == "page after":
            answer = write_reply(TwinReply(200, (("Content-Type", "text/html"),), PAGE))
        elif fate == "empty":
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        elif fate == "garbage":
            answer = write_reply(TwinReply(200, (), luck.rng.randbytes(20)))
        await stream.send_all(answer[: len(answer) // 2] if fate == "half" else answer)
        return fate != "half"

    def _take(self, request: TwinRequest, at: int) -> TwinReply:
        before = len(self.twin.sent)
        reply: TwinReply = self.twin.answer(request, self._ledger.now())
        for _, text, _ in self.twin.sent[before:]:
            self._ledger.on_offer(self.name, name_of(text), at)
            self._ledger.take(self.name, name_of(text))
            self._calling_until = trio.current_time() + CALLING
            self._bell.unpark_all()
        return reply

    # What it calls

    async def _make_calls(self) -> None:
        while True:
            while trio.current_time() >= self._calling_until:
                await self._bell.park()
            await trio.sleep(self.luck.pause(0.1, 0.5, 2.0) if not self.luck.is_calm else 1.0)
            for call in self.twin.calls(self._ledger.now()):
                await self._call(call)

    async def _call(self, call: Call) -> None:
        """One call, and whatever happens to it: what is not answered as this provider wants to hear, it makes again."""
        if self.luck.rng.random() < 0.3:
            await self._call_back(self._forge(call))
        fate = self.luck.draw("lost", "lost", "twice", "unheard")
        if fate == "lost":
            return
        reply = await self._call_back(call)
        if fate == "twice":
            reply = await self._call_back(call)
        if reply is not None and fate != "unheard":
            self.twin.hear(call, reply)

    def _forge(self, call: Call) -> Call:
        """What somebody calls who knows the form and not the secret: that it was delivered."""
        secret = call.url.split("/cb/")[1].split("/")[1]
        return Call(call.method, re.sub(*self._kind.forge, call.url.replace(secret, secret[::-1])), call.headers, call.body)

    async def text_in(self, url: str, text: str) -> None:
        """Tell an inbound message, until it is heard; sometimes once more."""
        call = self.twin.call(url, SENDER, text)
        reply = None
        while reply is None or reply.status != 200:
            await trio.sleep(0.5)
            reply = await self._call_back(call)
        self.heard.append(text)
        if self.luck.draw("again") is not None:
            await self._call_back(call)
