"""What an SMSC delivers: receipts and inbound messages, gathered, made durable through the port, and only then acknowledged.

One task for all links of an account: what came meanwhile goes in the next call. A part of a long message is held, unacknowledged,
until the others are here or have taken too long; what its link cannot acknowledge any more the SMSC delivers again, so it is let go.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import trio

from broker.provider.contract import Inbound, Port, Receipt, Unstored
from broker.provider.smpp_inbound import Group, Joiner, Piece, join, read_piece
from broker.provider.smpp_keys import SmppKeys
from broker.provider.smpp_wire import Wire, find_now
from broker.smpp.events import Request
from broker.smpp.ids import IdForm
from broker.smpp.pdu import DataSm, DeliverSm
from broker.smpp.receipt import Report, is_receipt, read_receipt
from broker.smpp.statuses import ESME_RX_T_APPN

log = logging.getLogger("broker.provider")

PROOFS_AGAIN = 1.0
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


class Inbox:
    """One account's. `read_report` may raise: then the delivery is acknowledged and only logged, or it would come for ever."""

    def __init__(self, read_report: ReadReport, keys: SmppKeys) -> None:
        self._read_report = read_report
        self._own = keys.data_coding
        self._joiner: Joiner[Held] = Joiner(keys.join_wait)
        self._ids = IdForm(keys.id_form)
        self._waiting: list[tuple[Wire, Request]] = []
        self._proofs: list[Receipt] = []
        self._lot = trio.lowlevel.ParkingLot()

    def add(self, wire: Wire, request: Request) -> None:
        """The peer delivers."""
        self._waiting.append((wire, request))
        self._lot.unpark_all()

    def prove(self, receipt: Receipt) -> None:
        """Proof of an attempt in doubt came otherwise than in a delivery."""
        self._proofs.append(receipt)
        self._lot.unpark_all()

    async def run(self, sink: Port) -> None:
        """Hand over, until cancelled."""
        while True:
            await self._wait()
            proofs, self._proofs = self._proofs, []
            receipts: list[Told] = [(proof, None) for proof in proofs]
            requests, self._waiting = self._waiting, []
            acks: list[Held] = []
            inbound: list[Inbound] = []
            for wire, request in requests:
                self._sort(wire, request, receipts, inbound, acks)
            for group in self._joiner.list_due(find_now()):
                self._let_go(group, inbound, acks)
            if (receipts or inbound or acks) and not await self._hand_over(sink, receipts, inbound, acks) and proofs:
                self._proofs = proofs + self._proofs  # nobody else would tell them again
                await trio.sleep(PROOFS_AGAIN)

    async def hand_over_proofs(self, sink: Port) -> None:
        """The last thing before the end: proof that nobody would tell again. What was delivered and not acknowledged comes again."""
        proofs, self._proofs = self._proofs, []
        if proofs:
            with suppress(Unstored):
                await sink(proofs)

    async def _wait(self) -> None:
        while not self._waiting and not self._proofs:
            due = self._joiner.next_due
            if due is not None and due <= find_now():
                return
            with trio.CancelScope(deadline=trio.current_time() + 3600 if due is None else due / 1000):
                await self._lot.park()

    def _sort(self, wire: Wire, request: Request, receipts: list[Told], inbound: list[Inbound], acks: list[Held]) -> None:
        pdu = request.pdu
        assert isinstance(pdu, DeliverSm | DataSm)
        held = (wire, request.sequence)
        try:
            receipt = self._read_receipt(pdu) if is_receipt(pdu) else None
            piece = None if receipt is not None else read_piece(pdu)
        except Exception as error:  # a plugin's own code, or a PDU that nobody foresaw
            log.error("a delivery cannot be read link=%s error=%s", wire.name, type(error).__name__)
            acks.append(held)
            return
        if receipt is not None:
            receipts.append(receipt)
            acks.append(held)
        elif piece is not None and piece.concat is None:
            inbound.append(join([piece], self._own))
            acks.append(held)
        elif piece is not None:
            group = self._joiner.add(piece, held, find_now())
            if group is not None:
                self._complete(group, inbound, acks)

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

    def _complete(self, group: Group[Held], inbound: list[Inbound], acks: list[Held]) -> None:
        inbound.append(join(group.list_pieces(), self._own))
        acks += [held for _, held in group.held.values()]

    def _let_go(self, group: Group[Held], inbound: list[Inbound], acks: list[Held]) -> None:
        """Parts are missing: hand over what is here and can still be acknowledged."""
        alive: dict[int, tuple[Piece, Held]] = {part: each for part, each in group.held.items() if not each[1][0].link.is_over}
        log.warning("parts of an inbound message are missing here=%d of=%d", len(alive), group.parts)
        if alive:
            group.held = alive
            self._complete(group, inbound, acks)

    async def _hand_over(self, sink: Port, receipts: Sequence[Told], inbound: Sequence[Inbound], acks: Sequence[Held]) -> bool:
        status = 0
        try:
            matched = await sink([receipt for receipt, _ in receipts], inbound)
        except Unstored:
            status = ESME_RX_T_APPN
        else:
            for (_, written), stored in zip(receipts, matched, strict=False):
                if written is not None:
                    self._ids.learn(written, stored)
        for wire, sequence in acks:
            wire.link.answer(sequence, status)
        for wire in {wire for wire, _ in acks}:
            wire.wake()
        return not status
