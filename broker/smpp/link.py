"""One SMPP link as a state machine, either side of it: octets in, events out; no I/O, no clock.

Whoever drives it reads octets into `feed`, writes what `take` gives, calls `tick` when `next_deadline` has come, and gives `now` to
each: milliseconds of a clock that never steps back (it is compared with itself alone, never with the time of day). The machine
answers enquire_link and unbind and whatever is not allowed; a request that is, it hands out and leaves to `answer`, so that
nothing is acknowledged before it is durable. It never repeats a request and never says what a response means.

The truth is the manual, sections 2 and 7.2. What is outstanding when a link ends is exactly what it names in doubt, once.
"""

from collections.abc import Iterator
from typing import Final

from broker.smpp import statuses
from broker.smpp.asked import Asked
from broker.smpp.codec import Header, PduError, decode, encode
from broker.smpp.commands import ENQUIRE_LINK, GENERIC_NACK, RESPONSE, UNANSWERED, UNBIND
from broker.smpp.events import (
    Anomaly,
    AnomalyKind,
    Bound,
    Doubt,
    Event,
    LateResponse,
    Leaving,
    Lost,
    LostReason,
    Refused,
    Request,
    Response,
)
from broker.smpp.fields import LAYOUTS
from broker.smpp.frames import Framer, FramingError
from broker.smpp.limits import Limits, Patience
from broker.smpp.pdu import RESPONSES, Bind, BindResp, EnquireLink, EnquireLinkResp, GenericNack, Pdu, Unbind, UnbindResp
from broker.smpp.states import BINDS, PEER_EVER_MAY, PEER_MAY, SENDS, Role, State
from broker.smpp.tlv import SC_INTERFACE_VERSION, read_number
from broker.smpp.window import Window


class NotSendable(Exception):
    """The link cannot take a request now: not bound, leaving, or its window is full. Ask `can_send` first."""


class Link:
    """One connection, from the moment that it is made. See the module for how it is driven."""

    def __init__(self, role: Role, limits: Limits, now: int) -> None:
        self.role: Final = role
        self.limits: Final = limits
        self.state: State = "open"
        self.window = Window(limits.window, limits.most_late)
        self._framer = Framer()
        self._out: list[bytes] = []
        self._unread = 0
        self._asked = Asked()
        self._heard = self._spoke = now  # when the last whole PDU came, and our last request went
        self._partial_by: int | None = None
        self._bind: tuple[int, int] | None = None  # our bind: sequence, command
        self._bind_by: int | None = now + limits.bind_timeout if role == "smsc" else None
        self._enquiry: tuple[int, int] | None = None  # sequence, when it was sent
        self._leave_by: int | None = None
        self._unbind: int | None = None  # our unbind's sequence
        self._peer_unbind: int | None = None  # the peer's
        self._patience = Patience(limits.most_anomalies, now)

    # --- what the driver asks

    @property
    def is_over(self) -> bool:
        """True once nothing more can come of it: write what `take` gives, and close."""
        return self.state in ("closed", "unbound")

    @property
    def is_bound(self) -> bool:
        """True while bound, leaving included."""
        return self.state in ("bound_tx", "bound_rx", "bound_trx")

    @property
    def is_leaving(self) -> bool:
        """True once either side wants to unbind."""
        return self._leave_by is not None

    @property
    def outstanding(self) -> int:
        """Our requests without a response."""
        return len(self.window)

    @property
    def unanswered(self) -> int:
        """The peer's requests that wait for `answer`."""
        return len(self._asked)

    @property
    def room(self) -> int:
        """How many more requests `submit` would take now."""
        return 0 if self._leave_by is not None or self.state not in SENDS[self.role] else self.window.room

    @property
    def can_send(self) -> bool:
        """True where `submit` would take a request."""
        return self.room > 0

    def take(self) -> bytes:
        """The octets to write now; they are given once."""
        data = b"".join(self._out)
        self._out.clear()
        self._unread = 0
        return data

    def next_deadline(self) -> int | None:
        """When `tick` is wanted at the latest; in the past where something waits to be told. None: nothing is awaited."""
        return None if self.is_over else min(self._list_deadlines(), default=None)

    # --- what the driver does

    def bind(self, pdu: Bind, now: int) -> None:
        """Ask to be bound (ESME). Raises ValueError, naming the field, for what cannot be written; NotSendable after a first one."""
        if self.role != "esme" or self.state != "open" or self._bind is not None:
            raise NotSendable("only an ESME binds, and once on a link")
        sequence = self._next_sequence()
        self._write(encode(pdu, sequence))
        self._bind, self._bind_by = (sequence, pdu.COMMAND), now + self.limits.bind_timeout

    def submit(self, pdu: Pdu, tag: object, now: int, *, timeout: int | None = None) -> int:
        """Send a request and remember `tag` for its end; gives its sequence. `timeout` in place of `response_timeout`.

        Raises NotSendable unless `can_send`, and ValueError, naming the field, for what cannot be written: then nothing was sent.
        """
        if self.room <= 0:
            raise NotSendable("not bound to send, leaving, or the window is full")
        sequence = self._next_sequence()
        self._write(encode(pdu, sequence))
        self.window.add(sequence, tag, pdu.COMMAND, now + (self.limits.response_timeout if timeout is None else timeout))
        self._spoke = now
        return sequence

    def notify(self, pdu: Pdu) -> None:
        """Send what has no response: alert_notification, outbind. Raises ValueError, naming the field, for what cannot be written."""
        if not self.is_over:
            self._write(encode(pdu, self._next_sequence()))

    def answer(self, sequence: int, status: int = 0, pdu: Pdu | None = None) -> bool:
        """Answer the peer's request; False where there is none such (any more), and nothing is sent.

        `pdu` is the response, by default the empty one of the request. On the SMSC's side a bind answered with status 0 binds the link.
        Raises ValueError for what cannot be written: the request then still waits.
        """
        command = self._asked.find(sequence)
        if command is None:
            return False
        self._write(encode(self._make_response(command) if pdu is None else pdu, sequence, status))
        self._asked.remove(sequence)
        if command in BINDS and not status:
            self.state, self._bind_by = BINDS[command], None
        return True

    def unbind(self, now: int) -> None:
        """Leave in good order: send nothing new, wait for what is outstanding, say unbind. Lost follows, of `tick` or `feed`."""
        if self._leave_by is None and not self.is_over:
            self._leave_by = now + self.limits.unbind_wait if self.is_bound else now

    def lose(self) -> list[object]:
        """The connection is gone: the tags outstanding, in the order of sending. Once: afterwards, and after Lost, there are none."""
        self.state = "closed"
        self._asked.clear()
        # A request that nobody took was not sent and never will be: only what answers the peer may still be written.
        self._out = [frame for frame in self._out if frame[4] & 0x80]
        return self.window.drain()

    def feed(self, data: bytes, now: int) -> list[Event]:
        """Take what came from the peer. Never raises for anything in it; once the link is over nothing is read any more."""
        events: list[Event] = []
        if not self.is_over:
            self._listen(data, now, events)
        return events

    def tick(self, now: int) -> list[Event]:
        """Do what is due at `now`."""
        events: list[Event] = []
        if self.is_over:
            return events
        if self._partial_by is not None and now >= self._partial_by:
            self._end("dribble", events)
        elif self._bind_by is not None and now >= self._bind_by:
            self._end("bind_timeout", events)
        else:
            events += [Doubt(tag, "timeout", sequence) for sequence, tag in self.window.expire(now)]
            self._enquire(now, events)
            self._conclude(now, events)
        return events

    # --- time

    def _list_deadlines(self) -> Iterator[int]:
        for deadline in (self._partial_by, self._bind_by, self.window.soonest):
            if deadline is not None:
                yield deadline
        if self._leave_by is not None:
            yield 0 if self._unbind is None and self._is_drained else self._leave_by
        elif self._enquiry is not None:
            yield self._enquiry[1] + self.limits.enquire_timeout
        elif self.is_bound and self.limits.enquire_every:
            yield min(self._heard, self._spoke) + self.limits.enquire_every

    def _enquire(self, now: int, events: list[Event]) -> None:
        if self._leave_by is not None or not self.is_bound:
            return
        if self._enquiry is not None:
            sent = self._enquiry[1]
            if now < sent + self.limits.enquire_timeout:
                return
            self._enquiry = None
            if self._heard <= sent:
                self._end("enquire_timeout", events)
            return  # not answered, but other PDUs came: busy, or too simple to answer, and alive
        if self.limits.enquire_every and now >= min(self._heard, self._spoke) + self.limits.enquire_every:
            sequence = self._next_sequence()
            self._write(encode(EnquireLink(), sequence))
            self._enquiry, self._spoke = (sequence, now), now

    @property
    def _is_drained(self) -> bool:
        return not self.window and not self._asked

    def _conclude(self, now: int, events: list[Event]) -> None:
        """Take the next step of leaving, if it is time; and leave a peer that does not read."""
        if self.is_over:
            return
        if self._unread > self.limits.most_unread:
            self._end("unread", events)
        elif self._leave_by is None or (now < self._leave_by and (self._unbind is not None or not self._is_drained)):
            return
        elif self._peer_unbind is not None:
            self._write(encode(UnbindResp(), self._peer_unbind))
            self._end("peer_unbind", events)
        elif self._unbind is not None:
            self._end("unbind_timeout", events)
        elif not self.is_bound:
            self._end("unbound", events)
        else:
            self._unbind = self._next_sequence()
            self._write(encode(Unbind(), self._unbind))
            self._leave_by = now + self.limits.unbind_wait

    def _end(self, reason: LostReason, events: list[Event]) -> None:
        tags = tuple(self.lose())
        if reason in ("unbound", "peer_unbind"):
            self.state = "unbound"
        events.append(Lost(reason, tags))

    # --- what the peer says

    def _listen(self, data: bytes, now: int, events: list[Event]) -> None:
        had_partial, is_wrong = self._framer.is_partial, False
        try:
            frames = self._framer.feed(data)
        except FramingError as problem:
            frames, is_wrong = problem.frames, True
        for frame in frames:
            self._heard = now
            self._hear(frame, now, events)
            if self.is_over:
                return
        if is_wrong:
            self._write(encode(GenericNack(), 0, statuses.ESME_RINVCMDLEN))
            self._end("framing", events)
            return
        if not self._framer.is_partial:
            self._partial_by = None
        elif frames or not had_partial:
            self._partial_by = now + self.limits.pdu_timeout
        self._conclude(now, events)

    def _hear(self, frame: bytes, now: int, events: list[Event]) -> None:
        try:
            header, pdu = decode(frame)
        except PduError as problem:
            self._hear_malformed(problem, now, events)
            return
        if header.command & RESPONSE:
            self._hear_response(header, pdu, now, events)
        else:
            self._hear_request(header, pdu, now, events)

    def _hear_response(self, header: Header, pdu: Pdu, now: int, events: list[Event]) -> None:
        command = None if header.command == GENERIC_NACK else header.command & ~RESPONSE
        fit, tag = self.window.match(header.sequence, command)
        if fit == "response":
            events.append(Response(tag, header.status, pdu, header.sequence))
        elif fit == "late":
            events.append(LateResponse(tag, header.status, pdu, header.sequence))
        elif fit == "mismatch":
            events.append(Doubt(tag, "mismatch", header.sequence))
            self._wonder("mismatch", header, pdu, now, events)
        elif not self._hear_own(header, pdu, command, events):
            self._wonder("unknown_sequence" if command is not None else "nack", header, pdu, now, events)

    def _hear_own(self, header: Header, pdu: Pdu, command: int | None, events: list[Event]) -> bool:
        """The response to a request of the link itself; False where it is none."""
        if self._bind is not None and header.sequence == self._bind[0] and self.state == "open":
            if command not in (None, self._bind[1]):
                self._end("bind_mismatch", events)
            elif header.status or command is None:
                self.lose()
                events.append(Refused(header.status or statuses.ESME_RBINDFAIL))
            else:
                assert isinstance(pdu, BindResp)
                self.state, self._bind_by = BINDS[self._bind[1]], None
                events.append(Bound(pdu.system_id, read_number(pdu.tlvs, SC_INTERFACE_VERSION)))
            return True
        if self._enquiry is not None and header.sequence == self._enquiry[0] and command in (None, ENQUIRE_LINK):
            self._enquiry = None
            return True
        if header.sequence == self._unbind and command in (None, UNBIND):
            self._end("unbound", events)
            return True
        return False

    def _hear_request(self, header: Header, pdu: Pdu, now: int, events: list[Event]) -> None:
        command, sequence = header.command, header.sequence
        if command == ENQUIRE_LINK:
            self._write(encode(EnquireLinkResp(), sequence))
        elif command == UNBIND:
            self._hear_unbind(sequence, now, events)
        elif command not in PEER_EVER_MAY[self.role]:
            self._refuse("unknown_command", statuses.ESME_RINVCMDID, header, now, events)
        elif command not in self._list_allowed():
            status = statuses.ESME_RALYBND if command in BINDS else statuses.ESME_RINVBNDSTS
            self._refuse("state", status, header, now, events)
        elif command in UNANSWERED:
            events.append(Request(sequence, pdu))
        elif len(self._asked) >= self.limits.most_unanswered:
            status = statuses.ESME_RX_T_APPN if self.role == "esme" else statuses.ESME_RTHROTTLED
            self._refuse("flood", status, header, now, events)
        else:
            self._asked.add(sequence, command)
            events.append(Request(sequence, pdu))

    def _hear_unbind(self, sequence: int, now: int, events: list[Event]) -> None:
        if self._unbind is not None:  # both at once: the peer's response to ours is on its way
            self._write(encode(UnbindResp(), sequence))
            return
        self._peer_unbind = sequence
        wait = now + self.limits.peer_wait if self.is_bound else now
        self._leave_by = wait if self._leave_by is None else min(wait, self._leave_by)
        events.append(Leaving())

    def _hear_malformed(self, problem: PduError, now: int, events: list[Event]) -> None:
        header = Header(problem.command, 0, problem.sequence)
        if problem.command & RESPONSE:  # a response is never answered
            fit, tag = self.window.give_up(problem.sequence)
            if fit == "mismatch":
                events.append(Doubt(tag, "malformed", problem.sequence))
            self._wonder("malformed", header, None, now, events)
        else:
            self._refuse("malformed", problem.status_to_answer, header, now, events)

    def _list_allowed(self) -> frozenset[int]:
        """What the peer may ask now. One that has our bind and has not answered it may already see us bound."""
        state = BINDS[self._bind[1]] if self._bind is not None and self.state == "open" else self.state
        return PEER_MAY[self.role].get(state, frozenset())

    # --- octets out

    def _make_response(self, command: int) -> Pdu:
        return RESPONSES[LAYOUTS[command]]()

    def _next_sequence(self) -> int:
        number = self.window.next_sequence()
        is_taken = self._enquiry is not None and number == self._enquiry[0]
        return self.window.next_sequence() if is_taken else number

    def _write(self, frame: bytes) -> None:
        self._out.append(frame)
        self._unread += len(frame)

    def _refuse(self, kind: AnomalyKind, status: int, header: Header, now: int, events: list[Event]) -> None:
        """Answer what is wrong with a frame by a generic_nack (4.3), and what is wrong with a request by its own response."""
        is_frame = status in (statuses.ESME_RINVCMDLEN, statuses.ESME_RINVCMDID)
        if header.command not in UNANSWERED:
            self._write(encode(GenericNack() if is_frame else self._make_response(header.command), header.sequence, status))
        self._wonder(kind, header, None, now, events)

    def _wonder(self, kind: AnomalyKind, header: Header, pdu: Pdu | None, now: int, events: list[Event]) -> None:
        """Tell of something odd, and leave a peer that does nothing else."""
        ref = getattr(pdu, "message_id", None) or None
        events.append(Anomaly(kind, header.command, header.sequence, header.status, ref))
        if not self._patience.spend(now):
            self._end("anomalies", events)
