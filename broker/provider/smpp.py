"""A session with an SMSC over SMPP 3.4: several links of one account, each bound and kept bound, and the messages that go over them.

The trio shell of `broker.smpp`: it never says what an outcome leads to, keeps nothing over a restart, and repeats nothing that may
have been sent but for the parts that CONTRACT §1 names. One task for a link's reading, one for its writing, one for what the SMSC
delivers; a message has none. A plugin gives a `Dialect`: what to submit, how to read a receipt, its own codes.
"""

import logging
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import msgspec
import trio

from broker.provider.contract import Ask, Outcome, Port, Receipt, Send, Settle, Unsuitable
from broker.provider.smpp_binding import Binding, OpenStream, Role
from broker.provider.smpp_compose import compose, compose_text, make_query, measure
from broker.provider.smpp_inbox import DELIVERIES, Inbox, read_report
from broker.provider.smpp_keys import MOST_PASSWORD, SmppKeys, check_keys, narrow
from broker.provider.smpp_parts import LATE, Handover, Question, combine, doubt
from broker.provider.smpp_wire import Wire, find_now
from broker.smpp.events import Anomaly, Doubt, Event, LateResponse, Lost, Request, Response
from broker.smpp.pdu import DataSm, DeliverSm, SubmitSm
from broker.smpp.receipt import Report
from broker.smpp.statuses import ESME_RINVBNDSTS
from broker.words.outcome import OutcomeClass

__all__ = [
    "MOST_PASSWORD",
    "Dialect",
    "SmppKeys",
    "SmppSession",
    "check_keys",
    "compose",
    "compose_text",
    "measure",
    "narrow",
    "read_report",
]

log = logging.getLogger("broker.provider")

NO_LINK = Outcome("unreachable", None, "no link is bound", evidence="not sent")
LAST_WORDS = 2.0
ROUND_PAUSE = 1.0
"""Seconds before refused parts go again, doubled with each round."""

Tag = tuple[Handover, int]
"""A part on its way: the message's and its number."""


class Dialect(msgspec.Struct, frozen=True):
    """What one plugin says over SMPP.

    `compose(config, send, now, reference)`: the parts to submit; raises Unsuitable. `read_report(config, report, pdu)`: the receipt in
    a deliver_sm or data_sm, its id as the SMSC wrote it. `codes`: classes by status, over those of `smpp.statuses`. `alarms`: a
    receipt's `err` that says that no message of the account gets through, and why: the account is reported misconfigured.
    """

    compose: Callable[[Any, Send, int, int], Sequence[SubmitSm]] = compose
    read_report: Callable[[Any, Report, DeliverSm | DataSm], Receipt] = lambda config, report, pdu: read_report(report)
    codes: Mapping[str, OutcomeClass] = {}
    alarms: Mapping[str, str] = {}


class _Call:
    """One call of `submit` or `query`: how many of its messages are not settled, and the wait for them."""

    __slots__ = ("_settle", "done", "left")

    def __init__(self, left: int, settle: Settle) -> None:
        self.left = left
        self.done = trio.Event()
        self._settle = settle

    def settle(self, index: int, outcome: Outcome) -> None:
        """One of them is settled."""
        self.left -= 1
        self._settle(index, outcome)
        if not self.left:
            self.done.set()


class SmppSession:
    """One account's session. `keys` say where and how, `config` is what the dialect's functions get."""

    def __init__(self, keys: SmppKeys, dialect: Dialect, config: Any, name: str, *, open_stream: OpenStream | None = None) -> None:
        self.name = name
        self._keys = keys
        self._dialect = dialect
        self._codes = dict(dialect.codes)
        self._config = config
        self._sink: Port | None = None
        self._wires: list[Wire] = []  # those that may send
        self._queue: deque[Handover] = deque()
        self._backlogs: dict[Wire, deque[Tag]] = {}
        self._nursery: trio.Nursery | None = None
        self._reported: Outcome | None = NO_LINK
        draw = random.Random()  # noqa: S311  # jitter and the numbers of long messages: no secret
        self._reference = draw.randrange(0x10000)
        self._inbox = Inbox(self._read_report, keys)
        roles: tuple[Role, ...] = ("transceiver",) if keys.bind == "transceiver" else ("transmitter", "receiver")
        self._bindings = [
            Binding(self, keys, role, f"{name}/{n}" if len(roles) == 1 else f"{name}/{n}/{role}", open_stream, draw.random)
            for n in range(1, keys.binds + 1)
            for role in roles
        ]

    async def run(self, sink: Port, *, task_status: Any) -> None:
        """Keep every link bound until cancelled; then unbind."""
        self._sink = sink
        sink.report(NO_LINK)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for binding in self._bindings:
                    nursery.start_soon(binding.keep)
                nursery.start_soon(self._inbox.run, sink)
                task_status.started()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_WORDS):
                await self._inbox.hand_over_proofs(sink)

    async def submit(self, sends: Sequence[Send], settle: Settle) -> None:
        """Hand the messages over, each over one link. See `contract.Session`."""
        mine: list[Handover] = []
        call = _Call(len(sends), settle)
        wall = ahead = 0
        if self._sink is not None:
            wall = self._sink.wall()
            ahead = wall - self._sink.now()
        for index, send in enumerate(sends):
            found = self._prepare(send, wall)
            if isinstance(found, Outcome):
                call.settle(index, found)
            else:
                mine.append(Handover(send.attempt, found, partial(call.settle, index), self._find_end(send, ahead)))
        await self._carry(mine, call)

    async def query(self, asks: Sequence[Ask]) -> list[Receipt]:
        """Ask by query_sm, part by part. What is not answered is the query's own trouble."""
        asked: list[list[Question]] = []
        call = _Call(sum(1 for ask in asks for ref in ask.refs if ref), lambda index, outcome: None)
        for ask in asks:
            pdus = [make_query(self._keys, ref, ask.sender) for ref in ask.refs if ref]
            asked.append([Question(pdu.message_id, pdu, partial(call.settle, 0)) for pdu in pdus])
        if self._wires:
            await self._carry([question for group in asked for question in group], call)
        return [_combine(ask, group) if group else Receipt("query_error") for ask, group in zip(asks, asked, strict=True)]

    async def _carry(self, mine: Sequence[Handover], call: "_Call") -> None:
        """Queue them, and wait until each is settled; what is not when the wait is given up, is then."""
        self._queue.extend(mine)
        self._pump()
        if call.left:
            try:
                await call.done.wait()
            finally:
                if call.left:
                    self._withdraw(mine)

    # --- what goes out

    def _prepare(self, send: Send, wall: int) -> Sequence[SubmitSm] | Outcome:
        """The PDUs of one message, or why none goes out. `wall`: the date."""
        if not self._wires or self._sink is None:
            return NO_LINK
        self._reference = self._reference + 1 & 0xFFFF
        try:
            return self._dialect.compose(self._config, send, wall, self._reference)
        except Unsuitable as refusal:
            return Outcome("unsuitable", refusal.code, refusal.detail, evidence="not sent")
        except Exception as error:
            # The exception's own text may hold what must not be logged.
            log.error("plugin failed account=%s error=%s", self.name, type(error).__name__)
            return Outcome("unsuitable", "plugin_error", f"the plugin failed: {type(error).__name__}", evidence="plugin")

    def _find_end(self, send: Send, ahead: int) -> int:
        """When its validity ends, by the time of waits, which the date is `ahead` of: it may wait here for a window."""
        return send.message.valid_until - ahead

    def _pump(self) -> None:
        """Give the links what they have room for; a message goes to the link with the most."""
        while self._queue and self._wires:
            wire = self._wires[0] if len(self._wires) == 1 else max(self._wires, key=lambda wire: wire.link.room)
            if wire.link.room <= 0:
                return
            handover = self._queue.popleft()
            if not handover.is_closed:
                self._send(wire, handover, range(len(handover.pdus)))

    def _send(self, wire: Wire, handover: Handover, parts: Sequence[int]) -> None:
        """Write these parts to one link, or let them wait for its window."""
        backlog = self._backlogs[wire]
        for part in parts:
            if backlog or wire.link.room <= 0:
                backlog.append((handover, part))
            else:
                self._write(wire, handover, part)

    def _write(self, wire: Wire, handover: Handover, part: int) -> None:
        if not handover.sent and self._sink is not None and self._sink.now() >= handover.until:
            self._note(handover, part, LATE)  # it waited for the window beyond its validity
            return
        try:
            wire.submit(handover.pdus[part], (handover, part))
            handover.sent |= 1 << part
        except ValueError as error:  # its text names a field, and no value
            self._note(handover, part, Outcome("unsuitable", "encode", str(error), evidence="not sent"))

    def refill(self, wire: Wire) -> None:
        """The link has room again: first for what waits for it alone."""
        backlog = self._backlogs.get(wire)
        while backlog and wire.link.room > 0:
            handover, part = backlog.popleft()
            if not handover.is_closed:
                self._write(wire, handover, part)
        if self._queue:
            self._pump()

    def _note(self, handover: Handover, part: int, outcome: Outcome) -> None:
        """What a part came to; the last one settles the message, or sends again what was refused for now."""
        if not handover.note(part, outcome):
            return
        missing = handover.find_missing()
        if missing and self._nursery is not None:
            handover.reopen(missing)
            self._nursery.start_soon(self._send_again, handover, missing)
        else:
            handover.close()

    async def _send_again(self, handover: Handover, parts: Sequence[int]) -> None:
        await trio.sleep(ROUND_PAUSE * 2 ** (handover.rounds - 1))
        if handover.is_closed:
            return
        if self._wires:
            self._send(max(self._wires, key=lambda wire: wire.link.room), handover, parts)
        else:
            for part in parts:
                self._note(handover, part, NO_LINK)

    def _withdraw(self, mine: Sequence[Handover]) -> None:
        """Their time is over: what was not written is not sent any more, what was is in doubt."""
        for handover in mine:
            handover.expire()
            handover.close()
        self._queue = deque(handover for handover in self._queue if not handover.is_closed)

    # --- what comes in

    def note_up(self, wire: Wire, *, can_send: bool) -> None:
        """A link is bound."""
        if can_send:
            self._wires.append(wire)
            self._backlogs[wire] = deque()
            self._report(None)
            self._pump()

    def note_down(self, why: Outcome) -> None:
        """A link is not bound; while no other is, nothing can be sent."""
        if not self._wires:
            self._report(why)

    def _read_report(self, report: Report, pdu: DeliverSm | DataSm) -> Receipt:
        alarm = self._dialect.alarms.get(report.err.lstrip("0")) if report.err else None
        if alarm is not None:
            log.error("alarm account=%s err=%s %s", self.name, report.err, alarm)
            self._report(Outcome("misconfigured", report.err, alarm))
        return self._dialect.read_report(self._config, report, pdu)

    def _report(self, outcome: Outcome | None) -> None:
        if outcome != self._reported and self._sink is not None:
            self._reported = outcome
            self._sink.report(outcome)

    def hear(self, wire: Wire, events: Sequence[Event]) -> None:
        """Everything that a link says, in order."""
        for event in events:
            if isinstance(event, Response):
                self._hear_response(wire, event)
            elif isinstance(event, Request):
                if isinstance(event.pdu, DELIVERIES):
                    self._inbox.add(wire, event)
            elif isinstance(event, LateResponse):
                self._hear_late(event)
            elif isinstance(event, Doubt):
                handover, part = cast(Tag, event.tag)
                self._note(handover, part, doubt(event.reason))
            elif isinstance(event, Lost):
                self._drop(wire, event)
            elif isinstance(event, Anomaly):
                log.warning("anomaly link=%s %r", wire.name, event)

    def _hear_response(self, wire: Wire, event: Response) -> None:
        handover, part = cast(Tag, event.tag)
        outcome = handover.judge(event, self._codes)
        if event.status == ESME_RINVBNDSTS:
            wire.link.unbind(find_now())  # the SMSC does not see us bound: bind again
        if handover.is_closed:
            self._prove(handover, part, outcome)
        else:
            self._note(handover, part, outcome)

    def _hear_late(self, event: LateResponse) -> None:
        handover, part = cast(Tag, event.tag)
        outcome = handover.judge(Response(event.tag, event.status, event.pdu, event.sequence), self._codes)
        if handover.is_closed:
            self._prove(handover, part, outcome)
        else:
            self._note(handover, part, outcome)

    def _prove(self, handover: Handover, part: int, outcome: Outcome) -> None:
        """The response to a part of a message that is settled already, in doubt: proof of that part alone."""
        if isinstance(handover, Question):
            return
        log.warning("late response account=%s attempt=%s class=%s code=%s", self.name, handover.attempt, outcome.class_, outcome.code)
        whole = handover.amend(part, outcome)
        if outcome.class_ == "accepted":
            refs: list[str | None] = [*outcome.refs] or [None]
            if whole.class_ == "accepted":
                refs += [None] * whole.refs.count("")  # none is missing: so were taken those that have no id
            for ref in refs:
                self._inbox.prove(Receipt("progress", ref, handover.attempt, detail="late response"))
        if whole.evidence == "partial" or whole.class_ not in ("accepted", "in_doubt"):
            self._inbox.refute(handover.attempt, whole)

    def _drop(self, wire: Wire, event: Lost) -> None:
        """A link is gone: what was written and not answered is in doubt; what was not written goes over another one, or nowhere."""
        unsent = set(wire.unsent)
        waiting = self._backlogs.pop(wire, deque())
        if wire in self._wires:
            self._wires.remove(wire)
        for tag in event.tags:
            handover, part = cast(Tag, tag)
            self._note(handover, part, NO_LINK if tag in unsent else doubt("lost"))
        for handover, part in waiting:
            self._note(handover, part, NO_LINK)
        if not self._wires:
            queue, self._queue = self._queue, deque()
            for handover in queue:
                for part in range(len(handover.pdus)):
                    self._note(handover, part, NO_LINK)


def _combine(ask: Ask, asked: Sequence[Question]) -> Receipt:
    """What became of the message. Of a part whose id nobody knows nothing is heard: then the others are not the whole."""
    unknown = [Receipt("progress")] if "" in ask.refs else []
    return combine([question.receipt for question in asked] + unknown)
