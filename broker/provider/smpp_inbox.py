"""What an SMSC delivers: receipts and inbound messages, gathered, made durable through the port, and only then acknowledged.

One task for all links of an account: what came meanwhile goes in the next call. A part of a long message is kept and acknowledged; the
message goes on when the others are here, or have taken too long.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import trio

from broker.provider.contract import Inbound, Outcome, Port, Receipt, Unstored
from broker.provider.smpp_inbound import Piece, join, read_piece
from broker.provider.smpp_joiner import Joiner, name_part, pack_part
from broker.provider.smpp_keys import SmppKeys
from broker.provider.smpp_wire import Wire
from broker.smpp.events import Request
from broker.smpp.ids import IdForm
from broker.smpp.pdu import DataSm, DeliverSm
from broker.smpp.receipt import Report, is_receipt, read_receipt
from broker.smpp.statuses import ESME_RX_T_APPN
from broker.words.clock import DAY

log = logging.getLogger("broker.provider")

AGAIN = 1.0
"""Seconds before what nobody else would tell again is tried once more."""
ID_FORM = "id_form"
"""The name under which is kept how the SMSC's receipts write ids; a part's name has strokes in it."""
DELIVERIES = (DeliverSm, DataSm)
"""What an SMSC delivers by. Written out in an isinstance, their union would be made anew for each."""
Held = tuple[Wire, int]
"""Whom to acknowledge: the link and the peer's sequence."""
Told = tuple[Receipt, str | None]
"""A receipt, and its id as the SMSC wrote it."""
ReadReport = Callable[[Report, DeliverSm | DataSm], Receipt]


def read_report(report: Report) -> Receipt:
    """What a receipt says, as the broker's own value; its id as the SMSC writes it, for the inbox to find ways to write it.

    It names no recipient: SMSCs do not agree which of the two addresses that is. Nor a time: they do not say whose clock it is by.
    """
    detail = None if report.err is None or not report.err.strip("0") else f"err {report.err}"
    return Receipt(report.class_, report.ref, code=report.stat, detail=detail)


class Batch:
    """What goes in one call: `kept` are the parts that wait, `acks` whom to acknowledge."""

    def __init__(self) -> None:
        self.receipts: list[Told] = []
        self.inbound: list[Inbound] = []
        self.kept: dict[str, dict[str, Any] | None] = {}
        self.acks: list[Held] = []


class Inbox:
    """One account's. `read_report` may raise: then the delivery is acknowledged and only logged, or it would come for ever."""

    def __init__(self, read_report: ReadReport, keys: SmppKeys) -> None:
        self._read_report = read_report
        self._own = keys.data_coding
        self._joiner = Joiner(keys.join_wait)
        self._ids = IdForm(keys.id_form)
        self._smsc = f"{keys.host}:{keys.port}"
        self._kept_form: tuple[str | None, int] = (None, 0)  # the way that is kept, and since when
        self._is_plain = False  # ids come as they were given, time and again: of the next that does nothing is learnt
        self._waiting: list[tuple[Wire, Request]] = []
        self._proofs: list[Receipt] = []
        self._refusals: list[tuple[str, Outcome]] = []
        self._lot = trio.lowlevel.ParkingLot()

    def add(self, wire: Wire, request: Request) -> None:
        """The peer delivers."""
        self._waiting.append((wire, request))
        self._lot.unpark_all()

    def prove(self, receipt: Receipt) -> None:
        """Proof of an attempt in doubt came otherwise than in a delivery."""
        self._proofs.append(receipt)
        self._lot.unpark_all()

    def refute(self, attempt: str, outcome: Outcome) -> None:
        """Proof that an attempt in doubt was refused."""
        self._refusals.append((attempt, outcome))
        self._lot.unpark_all()

    async def run(self, sink: Port) -> None:
        """Hand over, until cancelled."""
        self._adopt(self._load(sink))
        while True:
            await self._wait(sink)
            is_told = await self._tell_refusals(sink)
            now, batch = sink.now(), Batch()
            proofs, self._proofs = self._proofs, []
            batch.receipts += [(proof, None) for proof in proofs]
            requests, self._waiting = self._waiting, []
            for wire, request in requests:
                self._sort(wire, request, now, batch)
            due = self._joiner.list_due(now)
            for pieces in due:
                assert pieces[0].concat is not None
                log.warning("parts of an inbound message are missing here=%d of=%d", len(pieces), pieces[0].concat.parts)
                self._complete(pieces, now, batch)
            if batch.kept or batch.inbound:
                batch.kept.update(self._joiner.drop_known(now))
            if not await self._hand_over(sink, batch) and (proofs or due):
                self._proofs = proofs + self._proofs
                is_told = False
            if not is_told:
                await trio.sleep(AGAIN)

    async def _tell_refusals(self, sink: Port) -> bool:
        while self._refusals:
            try:
                await sink.refute(*self._refusals[0])
            except Unstored:
                return False
            del self._refusals[0]
        return True

    async def hand_over_proofs(self, sink: Port) -> None:
        """The last thing before the end: proof that nobody would tell again. What was delivered and not acknowledged comes again."""
        proofs, self._proofs = self._proofs, []
        await self._tell_refusals(sink)
        if proofs:
            with suppress(Unstored):
                await sink(proofs)

    async def _wait(self, sink: Port) -> None:
        while not self._waiting and not self._proofs and not self._refusals:
            due, now = self._joiner.next_due, sink.now()
            if due is not None and due <= now:
                return
            with trio.move_on_after(3600 if due is None else (due - now) / 1000):
                await self._lot.park()

    def _sort(self, wire: Wire, request: Request, now: int, batch: Batch) -> None:
        pdu = request.pdu
        assert isinstance(pdu, DELIVERIES)
        batch.acks.append((wire, request.sequence))
        try:
            receipt = self._read_receipt(pdu) if is_receipt(pdu) else None
            piece = None if receipt is not None else read_piece(pdu)
        except Exception as error:  # a plugin's own code, or a PDU that nobody foresaw
            log.error("a delivery cannot be read link=%s error=%s", wire.name, type(error).__name__)
            return
        if receipt is not None:
            batch.receipts.append(receipt)
        elif piece is not None and piece.concat is None:
            batch.inbound.append(join([piece], self._own))
        elif piece is not None:
            pieces = self._joiner.add(piece, now)
            if pieces is None:
                batch.kept[name_part(piece)] = pack_part(piece, now)
            elif pieces:
                self._complete(pieces, now, batch)

    def _read_receipt(self, pdu: DeliverSm | DataSm) -> tuple[Receipt, str | None]:
        """A receipt with every way to write its id, and its id as it came."""
        report = read_receipt(pdu)
        receipt = self._read_report(report, pdu)
        if receipt.ref is None:
            return receipt, None
        forms = self._ids.forms(receipt.ref)
        if report.also is not None:
            forms = tuple(dict.fromkeys((*forms, *self._ids.forms(report.also))))
        return msgspec.structs.replace(receipt, ref=forms[0], forms=forms[1:]), receipt.ref

    def _complete(self, pieces: Sequence[Piece], now: int, batch: Batch) -> None:
        """These parts go on as one message, and nothing waits of it any more."""
        changes = self._joiner.close(pieces, now)
        for name, _ in changes:
            batch.kept.pop(name, None)
        batch.inbound.append(join(pieces, self._own, changes))

    async def _hand_over(self, sink: Port, batch: Batch) -> bool:
        status = 0
        try:
            if batch.kept:
                await sink.keep(tuple(batch.kept.items()))
            if batch.receipts or batch.inbound:
                matched = await sink([receipt for receipt, _ in batch.receipts], batch.inbound)
                for (_, written), stored in zip(batch.receipts, matched, strict=False):
                    if written is not None and (written != stored or not self._is_plain):
                        self._ids.learn(written, stored)
                        self._is_plain = stored == written and self._ids.settled == "loose"
        except Unstored:
            status = ESME_RX_T_APPN
            self._load(sink)  # what is not durable comes again
        for wire, sequence in batch.acks:
            wire.link.answer(sequence, status)
        for wire in {wire for wire, _ in batch.acks}:
            wire.wake()
        if self._kept_form[0] != self._ids.settled or (self._kept_form[0] and sink.now() >= self._kept_form[1] + DAY):
            await self._keep_form(sink)
        return not status

    def _load(self, sink: Port) -> dict[str, Any]:
        """Take up the parts that were kept; what else was."""
        kept = sink.read_kept()
        form = kept.pop(ID_FORM, {})
        self._joiner.load(kept, sink.now())
        return form

    def _adopt(self, form: dict[str, Any]) -> None:
        """What was learnt of this SMSC before a restart, so that receipts for what was sent before it are found in that way alone."""
        if form.get("smsc") == self._smsc:
            self._ids.adopt(form["way"])
            self._kept_form = self._ids.settled, form["at"]

    async def _keep_form(self, sink: Port) -> None:
        """Keep what is learnt by now; again each day, for what is old is dropped ([store].keep)."""
        now, way = sink.now(), self._ids.settled
        with suppress(Unstored):  # then after the next batch
            await sink.keep(((ID_FORM, None if way is None else {"at": now, "smsc": self._smsc, "way": way}),))
            self._kept_form = way, now
