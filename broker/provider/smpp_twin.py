"""An SMSC for tests, `demo` and `run --twins`: takes binds and messages, gives ids and receipts, and every answer that it is told to.

It speaks with the same `broker.smpp.Link` as the session, from the other side, but reads and writes no text with the session's code.
A plugin's twin.py makes it its own. Meant for one machine; it keeps nothing beyond its own process.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count, cycle

import msgspec
import trio

from broker.provider.smpp_twin_line import STATES_BY_WORD, Line, find_now
from broker.smpp.pdu import Bind, DeliverSm, SubmitSm
from broker.smpp.statuses import ESME_RINVPASWD, ESME_RINVSYSID, read_status
from broker.smpp.tlv import MESSAGE_STATE, NETWORK_ERROR_CODE, RECEIPTED_MESSAGE_ID, Tlv, make_number, make_text, read_sar
from broker.text.header import read_header
from broker.text.septets import find_alphabet


class Taken(msgspec.Struct):
    """A message that the twin has: `pdu` as it came, `ref` its id in decimal digits, `state` a receipt's `stat`."""

    pdu: SubmitSm
    ref: int
    at: int
    state: str = "ENROUTE"


class SmscTwin:
    """One SMSC. What each argument scripts:

    `username` `password`: the one account, empty for any · `binds`: statuses of the next binds, in order · `answers`: codes of the next
    submits, in order (a status, or one of ANSWERS), then `fault`'s until that is None · `delay`: milliseconds before an answer, `late`
    those of the code "late" · `shuffle`: so many answers wait for each other and go in reverse · `receipts`: the `stat` of each
    receipt, over and over, None for no receipts · `receipt_delay`: milliseconds after the answer, less than 0: before it ·
    `receipt_form`: `both`, or only `tlv` or `text` · `repeat`: how often each receipt goes · `reverse`: receipts of one moment go
    backwards · `ids`: how ids are written in the answer and in the receipt, each `decimal`, `hex` or `HEX` · `latin1`: data_coding 0
    is ISO-8859-1.
    """

    def __init__(
        self,
        *,
        username: str = "",
        password: str = "",
        binds: Sequence[str] = (),
        answers: Sequence[str] = (),
        fault: str | None = None,
        delay: int = 0,
        late: int = 60_000,
        shuffle: int = 0,
        receipts: Sequence[str] | None = ("DELIVRD",),
        receipt_delay: int = 0,
        receipt_form: str = "both",
        repeat: int = 1,
        reverse: bool = False,
        ids: tuple[str, str] = ("decimal", "decimal"),
        latin1: bool = False,
    ) -> None:
        self.username, self.password = username, password
        self.binds = deque(binds)
        self.answers = deque(answers)
        self.fault = fault
        self.delay, self.late, self.shuffle = delay, late, shuffle
        self.stats: Iterator[str] | None = cycle(receipts) if receipts else None
        self.receipt_delay, self.receipt_form, self.repeat, self.reverse = receipt_delay, receipt_form, repeat, reverse
        self.ids = ids
        self.latin1 = latin1
        self.sent: list[tuple[str, str, str]] = []
        self.taken: dict[int, Taken] = {}
        self.refused: list[tuple[SubmitSm, str]] = []
        self.acknowledged: list[DeliverSm] = []
        self.lines: list[Line] = []
        self.parcels: deque[DeliverSm] = deque()
        self._last = 1_000_000
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = count()
        self._parts: dict[tuple[str, str, int, int], dict[int, tuple[bytes, int]]] = {}

    # --- what a test or a demo does

    def inject(self, pdu: DeliverSm) -> None:
        """Deliver an inbound message, now or when somebody is bound to receive."""
        self.parcels.append(pdu)
        self.hurry()

    def unbind(self) -> None:
        """Ask every peer to leave."""
        for line in self.lines:
            line.link.unbind(find_now())
            line.wake()

    def cut(self) -> None:
        """Close every connection without a word."""
        for line in self.lines:
            line.cut()

    # --- what lines ask

    async def converse(self, stream: trio.abc.Stream, now: Callable[[], int]) -> None:
        """Serve one connection until it ends."""
        line = Line(self, stream, now)
        self.lines.append(line)
        try:
            await line.run()
        finally:
            self.lines.remove(line)

    def judge_bind(self, pdu: Bind) -> int:
        """The status of a bind."""
        if self.binds:
            return read_status(self.binds.popleft())
        if self.username and pdu.system_id != self.username:
            return ESME_RINVSYSID
        return ESME_RINVPASWD if self.password and pdu.password != self.password else 0

    def hear_system_type(self, system_type: str) -> None:
        """What the system_type of a bind that was taken means: nothing here."""

    def find_answer(self, pdu: SubmitSm, now: int) -> str:
        """The code of a submit."""
        return self.answers.popleft() if self.answers else self.fault or "0x00"

    def take(self, pdu: SubmitSm, now: int) -> Taken:
        """The message is ours: it has an id, and reaches the handset when its parts are here."""
        self._last += 1
        taken = self.taken[self._last] = Taken(pdu, self._last, now)
        self._arrive(taken)
        return taken

    def conclude(self, pdu: DeliverSm) -> None:
        """A receipt or an inbound message was acknowledged: it is not delivered again."""
        self.acknowledged.append(pdu)

    def put_off(self, pdu: DeliverSm, status: int) -> None:
        """It was answered with `status`: not durable there, so it is delivered again."""
        self.do_after(1_000, partial(self.inject, pdu))

    def write_id(self, ref: int, where: int) -> str:
        """An id as the answer (0) or the receipt (1) has it."""
        form = self.ids[where]
        return f"{ref:x}" if form == "hex" else f"{ref:X}" if form == "HEX" else str(ref)

    def find(self, ref: str) -> Taken | None:
        """The message of an id as an answer wrote it."""
        return next((taken for taken in self.taken.values() if self.write_id(taken.ref, 0) == ref), None)

    def hurry(self) -> None:
        """Somebody may deliver."""
        for line in self.lines:
            line.wake()

    def do_after(self, delay: int, do: Callable[[], None]) -> None:
        """Now, or when so many milliseconds have passed and somebody is connected."""
        if delay <= 0:
            do()
        else:
            heappush(self._due, (find_now() + delay, next(self._count), do))

    @property
    def next_due(self) -> int | None:
        """When `do_due` is wanted."""
        return self._due[0][0] if self._due else None

    def do_due(self, now: int) -> None:
        """Do whose time has come."""
        while self._due and self._due[0][0] <= now:
            heappop(self._due)[2]()
            self.hurry()

    def make_receipts(self, taken: Taken, now: int) -> list[DeliverSm]:
        """The receipts of a message, as many as `repeat` says."""
        if self.stats is None or not taken.pdu.registered_delivery & 3:
            return []
        taken.state = next(self.stats)
        return [self.make_receipt(taken, taken.state, now)] * self.repeat

    def make_receipt(self, taken: Taken, stat: str, now: int, err: str = "000", more: str = "", tlvs: tuple[Tlv, ...] = ()) -> DeliverSm:
        """A receipt in the usual form (appendix B), in text, parameters or both."""
        ref, pdu = self.write_id(taken.ref, 1), taken.pdu
        text = b""
        if self.receipt_form != "tlv":
            dates = f"submit date:2611220000 done date:2611220000 stat:{stat} err:{err} text:{more}"
            text = f"id:{ref} sub:001 dlvrd:001 {dates}".encode()[:254]
        if self.receipt_form != "text":
            tlvs = (make_text(RECEIPTED_MESSAGE_ID, ref), *tlvs)
            if stat in STATES_BY_WORD:
                tlvs = (*tlvs, make_number(MESSAGE_STATE, STATES_BY_WORD[stat]))
            if err.isdigit():
                tlvs = (*tlvs, Tlv(NETWORK_ERROR_CODE, b"\x03" + int(err).to_bytes(2, "big")))
        return DeliverSm(
            source_addr_ton=pdu.dest_addr_ton,
            source_addr_npi=pdu.dest_addr_npi,
            source_addr=pdu.destination_addr,
            dest_addr_ton=pdu.source_addr_ton,
            dest_addr_npi=pdu.source_addr_npi,
            destination_addr=pdu.source_addr,
            esm_class=0x04,
            short_message=text,
            tlvs=tlvs,
        )

    def _arrive(self, taken: Taken) -> None:
        """A part is on the handset, which shows a message when all are there."""
        pdu = taken.pdu
        octets, tables, concat = pdu.octets, (0, 0), None
        if pdu.esm_class & 0x40:
            header, octets = read_header(octets)
            tables = header.tables
            concat = None if header.concat is None else (header.concat.reference, header.concat.parts, header.concat.part)
        sar = read_sar(pdu.tlvs)
        if sar is not None:
            concat = (sar.reference, sar.total, sar.part)
        to = f"+{pdu.destination_addr}" if pdu.dest_addr_ton == 1 else pdu.destination_addr
        ref = self.write_id(taken.ref, 0)
        if concat is None:
            self.ring(to, self._read(octets, pdu.data_coding, tables), ref, pdu)
            return
        reference, total, part = concat
        parts = self._parts.setdefault((pdu.source_addr, to, reference, total), {})
        parts[part] = (octets, taken.ref)
        if len(parts) == total:
            whole = b"".join(parts[n][0] for n in range(1, total + 1))
            self.ring(to, self._read(whole, pdu.data_coding, tables), self.write_id(parts[1][1], 0), pdu)
            del self._parts[pdu.source_addr, to, reference, total]

    def ring(self, to: str, text: str, ref: str, pdu: SubmitSm) -> None:
        """The handset shows a whole message; `pdu` is its last part."""
        self.sent.append((to, text, ref))

    def _read(self, octets: bytes, data_coding: int, tables: tuple[int, int]) -> str:
        if data_coding & 0x0C == 8:
            return octets.decode("utf-16-be", "replace")
        if data_coding & 0x0F in (1, 3, 4) or self.latin1:
            return octets.decode("latin-1")
        return find_alphabet(tables).read(octets)
