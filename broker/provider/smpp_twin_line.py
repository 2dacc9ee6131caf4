"""One connection to the simulated SMSC of `smpp_twin`: the trio shell on its side, and the answers that its script asks for."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from broker.smpp.codec import encode
from broker.smpp.events import Event, Lost, Request, Response
from broker.smpp.limits import Limits
from broker.smpp.link import Link
from broker.smpp.pdu import Bind, DeliverSm, EnquireLinkResp, GenericNack, QuerySm, QuerySmResp, SubmitSm, SubmitSmResp
from broker.smpp.statuses import ESME_RINVCMDID, ESME_RINVMSGID, ESME_RSYSERR, NAMES, STATES, read_status

if TYPE_CHECKING:
    from broker.provider.smpp_twin import SmscTwin, Taken

ANSWERS: Final = frozenset({"silent", "late", "late refusal", "drop", "cut", "nack", "mismatch", "no id", "unbind", "garbage"})
"""Further codes beside SMPP's statuses: takes the message and never answers; answers after `late`; refuses then; takes it and closes;
closes without taking it; refuses by generic_nack; answers with another command; takes it without an id; takes it and unbinds; writes
nonsense."""
_WINDOW: Final = 10_000
STATES_BY_WORD: Final = {word: state for state, (word, _) in STATES.items()}
"""A receipt's `stat` → message_state."""


def find_now() -> int:
    """The clock of links: milliseconds that never step back."""
    return round(trio.current_time() * 1000)  # not cut off: the time of a deadline would read as a millisecond before it


class Line:
    """One connection to the twin."""

    def __init__(self, twin: "SmscTwin", stream: trio.abc.Stream, now: Callable[[], int]) -> None:
        self.twin = twin
        self.stream = stream
        self.now = now
        limits = Limits(window=_WINDOW, enquire_every=0, unbind_wait=200, most_unanswered=_WINDOW, most_anomalies=1_000_000)
        self.link = Link("smsc", limits, find_now())
        self._lot = trio.lowlevel.ParkingLot()
        self._held: list[Callable[[], None]] = []
        self._raw = b""
        self._scope = trio.CancelScope()

    def wake(self) -> None:
        """There is something to write."""
        self._lot.unpark_all()

    def cut(self) -> None:
        """End at once."""
        self._scope.cancel()

    async def run(self) -> None:
        """Until the connection ends."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                with suppress(trio.BrokenResourceError):
                    async for data in self.stream:
                        self._hear(self.link.feed(bytes(data), find_now()))
                        self.wake()
                nursery.cancel_scope.cancel()
        for tag in [] if self.link.is_over else self.link.lose():
            self.twin.parcels.appendleft(tag)  # type: ignore[arg-type]  # tags are ours: what was delivered and not acknowledged
        self.twin.hurry()

    async def _write(self) -> None:
        while True:
            self._deliver()
            data = self.link.take() + self._raw
            self._raw = b""
            if data:
                with suppress(trio.BrokenResourceError):  # then nothing comes from there any more either
                    await self.stream.send_all(data)
                continue
            if self.link.is_over:
                self._scope.cancel()
                return
            deadlines = [at for at in (self.link.next_deadline(), self.twin.next_due) if at is not None]
            with trio.CancelScope(deadline=min(deadlines) / 1000 if deadlines else trio.current_time() + 3600):
                await self._lot.park()
            self._hear(self.link.tick(find_now()))
            self.twin.do_due(find_now())

    def _deliver(self) -> None:
        """What waits for a receiver goes to the first that there is."""
        parcels = self.twin.parcels
        while parcels and self.link.can_send:
            pdu = parcels.popleft()
            self.link.submit(pdu, pdu, find_now())

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Request):
                self._hear_request(event)
            elif isinstance(event, Response):
                pdu = event.tag
                assert isinstance(pdu, DeliverSm)
                if event.status:
                    self.twin.put_off(pdu, event.status)
                else:
                    self.twin.conclude(pdu)
            elif isinstance(event, Lost):
                for tag in event.tags:
                    self.twin.parcels.appendleft(tag)  # type: ignore[arg-type]  # tags are ours

    def _hear_request(self, request: Request) -> None:
        pdu, sequence = request.pdu, request.sequence
        if isinstance(pdu, Bind):
            status = self.twin.judge_bind(pdu)
            if not status:
                self.twin.hear_system_type(pdu.system_type)
            self.link.answer(sequence, status)
            self.twin.hurry()
        elif isinstance(pdu, SubmitSm):
            self._hear_submit(pdu, sequence)
        elif isinstance(pdu, QuerySm):
            taken = self.twin.find(pdu.message_id)
            if taken is None:
                self.link.answer(sequence, ESME_RINVMSGID)
            else:
                state = STATES_BY_WORD.get(taken.state, 7)
                self.link.answer(sequence, 0, QuerySmResp(message_id=pdu.message_id, message_state=state))
        else:
            self.link.answer(sequence, ESME_RINVCMDID)  # not in this SMSC

    def _hear_submit(self, pdu: SubmitSm, sequence: int) -> None:
        twin, code = self.twin, self.twin.find_answer(pdu, self.now())
        if code == "cut":
            self.cut()
        elif code == "garbage":
            self._raw += b"\x00\x00\x00\x05junk"
        elif code in ANSWERS:
            self._do(code, pdu, sequence)
        else:
            status = read_status(code) if code[:2] == "0x" or code.upper() in NAMES.values() else int(code)
            if status:
                twin.refused.append((pdu, code))
                self._answer(sequence, status, None)
            else:
                self._accept(pdu, sequence, twin.delay)

    def _do(self, code: str, pdu: SubmitSm, sequence: int) -> None:
        """One of ANSWERS."""
        twin = self.twin
        if code == "nack":
            self._raw += encode(GenericNack(), sequence, 0x08)
        elif code == "late refusal":
            twin.refused.append((pdu, code))
            twin.do_after(twin.late, partial(self._answer, sequence, ESME_RSYSERR, None))
        elif code == "late":
            self._accept(pdu, sequence, twin.late)
        else:
            taken = twin.take(pdu, self.now())
            if code == "drop":
                self.cut()
            elif code == "mismatch":
                self._raw += encode(EnquireLinkResp(), sequence, 0)
            elif code == "no id":
                self._answer(sequence, 0, SubmitSmResp())
            elif code == "unbind":
                self._answer(sequence, 0, SubmitSmResp(message_id=twin.write_id(taken.ref, 0)))
                self.link.unbind(find_now())
            if code != "mismatch":
                self._report(taken)

    def _accept(self, pdu: SubmitSm, sequence: int, delay: int) -> None:
        twin = self.twin
        taken = twin.take(pdu, self.now())
        if twin.receipt_delay < 0:
            self._report(taken)
            self._deliver()  # before the answer, if anybody is bound to receive

        def answer() -> None:
            self._answer(sequence, 0, SubmitSmResp(message_id=twin.write_id(taken.ref, 0)))
            if twin.receipt_delay >= 0:
                self._report(taken)

        twin.do_after(delay, answer)

    def _answer(self, sequence: int, status: int, pdu: SubmitSmResp | None) -> None:
        self._held.append(lambda: self._say(sequence, status, pdu))
        if len(self._held) >= self.twin.shuffle:
            while self._held:
                self._held.pop()()
            self.wake()

    def _say(self, sequence: int, status: int, pdu: SubmitSmResp | None) -> None:
        self.link.answer(sequence, status, pdu)

    def _report(self, taken: "Taken") -> None:
        """The receipt of a message, in its time."""

        def report() -> None:
            twin = self.twin
            parcels = twin.make_receipts(taken, self.now())
            if twin.reverse:
                twin.parcels.extendleft(parcels)
            else:
                twin.parcels.extend(parcels)
            twin.hurry()

        self.twin.do_after(max(self.twin.receipt_delay, 0), report)
