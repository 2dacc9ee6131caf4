"""One of an account's links, kept: connects, binds, and does so again whenever it is lost, with patience that grows.

Decides nothing about messages. A bind that the SMSC refused for our account's sake is not repeated for at least half a minute: some
lock an account that knocks too often.
"""

import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import trio

from broker.provider.contract import Outcome
from broker.provider.smpp_keys import SmppKeys
from broker.provider.smpp_wire import Wire, find_now
from broker.smpp.events import Bound, Event, Lost, Refused
from broker.smpp.limits import Limits
from broker.smpp.pdu import Bind, BindReceiver, BindTransceiver, BindTransmitter
from broker.smpp.statuses import judge_status, name_status, show_status
from broker.words.outcome import OutcomeClass

log = logging.getLogger("broker.provider")

CONNECT_TIMEOUT = 15.0
FIRST, MOST, REFUSED = 1.0, 60.0, 30.0
"""Seconds: the first pause between two tries, the longest, and the least after a bind that was refused for good."""
UNBIND_WAIT = 1_000

Role = Literal["transceiver", "transmitter", "receiver"]
OpenStream = Callable[[str, int], Awaitable[trio.abc.Stream]]

_BINDS: dict[Role, type[Bind]] = {
    "transceiver": BindTransceiver,
    "transmitter": BindTransmitter,
    "receiver": BindReceiver,
}


_OWN = (Bound, Refused, Lost)
"""What a link says of itself."""


class Owner(Protocol):
    """The session that the link belongs to."""

    def hear(self, wire: Wire, events: Sequence[Event]) -> None:
        """What the peer said, or what the link came to. Lost is the last of it."""

    def refill(self, wire: Wire) -> None:
        """The link may have room again; what made it is heard afterwards."""

    def note_up(self, wire: Wire, *, can_send: bool) -> None:
        """The link is bound."""

    def note_down(self, why: Outcome) -> None:
        """It is not, and why."""


async def open_tcp(host: str, port: int) -> trio.abc.Stream:
    """A plain connection. Raises OSError."""
    return await trio.open_tcp_stream(host, port)


class Binding:
    """One link that is to be bound as `role`. `draw` gives numbers from 0 to 1 for jitter."""

    def __init__(
        self, owner: Owner, keys: SmppKeys, role: Role, name: str, open_stream: OpenStream | None, draw: Callable[[], float]
    ) -> None:
        self.role = role
        self.name = name
        self._owner = owner
        self._keys = keys
        self._open_stream = open_stream or open_tcp
        self._draw = draw
        self._was_bound = False
        self._trouble: Outcome | None = None
        self._limits = Limits(
            window=keys.window,
            response_timeout=keys.response_timer,
            enquire_every=keys.enquire_every,
            unbind_wait=UNBIND_WAIT,
        )

    async def keep(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            self._was_bound, self._trouble = False, None
            await self._serve()
            trouble = self._trouble or Outcome("unreachable", None, "the link was lost")
            failures = 0 if self._was_bound else failures + 1
            pause = min(FIRST * 2 ** max(failures - 1, 0), MOST) * (0.5 + self._draw() / 2)
            if trouble.class_ == "misconfigured":
                pause = max(pause, REFUSED * (1 + self._draw() / 2))
            log.warning("link down link=%s reason=%s code=%s again in %.1f s", self.name, trouble.detail, trouble.code, pause)
            self._owner.note_down(trouble)
            await trio.sleep(pause)

    async def _serve(self) -> None:
        """One connection, from its opening to its end."""
        stream = None
        try:
            with trio.fail_after(CONNECT_TIMEOUT):
                stream = await self._open_stream(self._keys.host, self._keys.port)
                if self._keys.tls:
                    stream = await self._wrap(stream)
        except ssl.SSLCertVerificationError as error:
            self._trouble = Outcome("misconfigured", "certificate", f"the SMSC's certificate was not accepted: {error.verify_message}")
        except (OSError, trio.BrokenResourceError, trio.TooSlowError):
            self._trouble = Outcome("unreachable", None, "no connection could be made")
        if self._trouble is not None or stream is None:
            if stream is not None:
                await trio.aclose_forcefully(stream)
            return
        wire = Wire(self.name, stream, self._limits, self._hear, self._owner.refill)
        try:
            wire.link.bind(self._make_bind(), find_now())
        except ValueError as error:
            self._trouble = Outcome("misconfigured", "bind", str(error))
            await trio.aclose_forcefully(stream)
            return
        await wire.serve()

    async def _wrap(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        context = ssl.create_default_context(cafile=self._keys.tls_ca)
        wrapped = trio.SSLStream(stream, context, server_hostname=self._keys.host)
        try:
            await wrapped.do_handshake()
        except trio.BrokenResourceError as broken:
            await trio.aclose_forcefully(stream)
            if isinstance(broken.__cause__, ssl.SSLCertVerificationError):
                raise broken.__cause__ from None
            raise
        return wrapped

    def _make_bind(self) -> Bind:
        keys = self._keys
        return _BINDS[self.role](system_id=keys.username, password=keys.password.reveal(), system_type=keys.system_type)

    def _hear(self, wire: Wire, events: Sequence[Event]) -> None:
        for event in events:
            if not isinstance(event, _OWN):
                continue  # as nearly all: what the peer says of messages
            if isinstance(event, Bound):
                self._was_bound = True
                log.info("link up link=%s role=%s", self.name, self.role)
                self._owner.note_up(wire, can_send=self.role != "receiver")
            elif isinstance(event, Refused):
                class_: OutcomeClass = judge_status(event.status)
                kind: OutcomeClass = "misconfigured" if class_ == "misconfigured" else "unreachable"
                code = show_status(event.status)
                self._trouble = Outcome(kind, code, f"the bind was refused: {name_status(event.status)}")
            else:
                self._trouble = Outcome("unreachable", None, f"the link was lost: {event.reason}")
        self._owner.hear(wire, events)
