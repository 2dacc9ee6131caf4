"""An SMSC in a simulated world: the SMPP twin behind links that break, with answers that are late, lost, refused, before or after receipts.

A message is on its phone when all its parts are. Belongs to the world: a crash of the daemon is to it one more lost link.
"""

import random
from collections.abc import Container

import trio
from trio.testing import memory_stream_pair

from broker.provider.smpp_twin import SmscTwin, Taken
from broker.provider.twin import converse
from broker.smpp.pdu import DeliverSm, SubmitSm
from broker.smpp.receipt import read_receipt
from broker.smpp.tlv import read_sar
from broker.text.header import read_header
from broker.text.septets import find_alphabet
from tests.daemon.house import SECRET
from tests.sim.network import Ledger, Luck, name_of

CODES = (
    "silent", "late", "late refusal", "drop", "drop", "cut", "cut", "nack", "mismatch", "no id", "unbind", "garbage",
    "0x58", "0x14", "0x08", "0x45", "0x0B", "0x58", "0x14",
)  # fmt: skip
"""What a submit may come to beside being taken: see `smpp_twin_line.ANSWERS`, and statuses of the moment and of the message."""
ENDS = ("DELIVRD",) * 6 + ("UNDELIV", "EXPIRED", "DELETED", "REJECTD")
SAID = (*ENDS, "ACCEPTD", "UNKNOWN", "ENROUTE")

SENDER = "886912345678"


class Smsc(SmscTwin):
    """One SMSC, by the name of its account."""

    def __init__(self, name: str, ledger: Ledger, rng: random.Random, nursery: trio.Nursery) -> None:
        super().__init__(
            password=SECRET[:8],
            late=rng.choice((2_500, 4_000, 9_000)),
            delay=rng.choice((0, 0, 20, 700)),
            shuffle=rng.choice((0, 0, 0, 2)),
            receipt_delay=rng.choice((-1, 0, 0, 300, 4_000)),
            receipt_form=rng.choice(("both", "tlv", "text")),
            repeat=rng.choice((1, 1, 1, 2)),
            reverse=rng.random() < 0.3,
        )
        self.name = name
        self.luck = Luck(rng)
        self.is_down = False
        self.told: list[tuple[str, str]] = []
        self._names: dict[tuple[str, int | None], str] = {}  # by recipient and the parts' reference
        self._unheard: dict[str, int] = {}
        self._whose: dict[int, str] = {}
        self._parcels: list[DeliverSm] = []  # kept, for their identity names them
        self._ledger = ledger
        self._nursery = nursery

    @property
    def heard(self) -> list[str]:
        """The inbound messages that were acknowledged whole."""
        return [text for text, left in self._unheard.items() if not left]

    def text_in(self, text: str) -> None:
        """Deliver an inbound message, in parts where it is long."""
        octets = text.encode("utf-16-be")
        pieces = [octets[at : at + 134] for at in range(0, len(octets), 134)]
        self._unheard[text] = len(pieces)
        reference = len(self._unheard) & 0xFF
        for n, piece in enumerate(pieces, 1):
            header = bytes((5, 0, 3, reference, len(pieces), n)) if len(pieces) > 1 else b""
            pdu = DeliverSm(
                source_addr_ton=1, source_addr=SENDER, destination_addr="55501", esm_class=0x40 if header else 0, data_coding=8,
                short_message=header + piece,
            )  # fmt: skip
            self._whose[id(pdu)] = text
            self._parcels.append(pdu)
            self.inject(pdu)

    def flip(self) -> None:
        """Up or down."""
        self.is_down = not self.is_down and not self.luck.is_calm
        if self.is_down:
            self.cut()

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.luck.is_calm = True
        self.delay = self.shuffle = 0
        self.repeat = 1

    def top_up(self, amount: int) -> None:
        """An SMSC knows no credit."""

    async def open_stream(self) -> trio.abc.Stream:
        """A connection, unless it is down."""
        await trio.lowlevel.checkpoint()
        if self.is_down or self.luck.draw("refused", *["well"] * 9) == "refused":
            raise ConnectionRefusedError
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(converse, self, self._ledger.now, theirs)
        return ours

    # What the twin asks of itself

    def find_answer(self, pdu: SubmitSm, now: int) -> str:
        text, reference = read_first(pdu)
        whole = (pdu.destination_addr, reference)
        if text is not None and (reference is None or self._names.get(whole) != name_of(text)):
            self._names[whole] = name_of(text)  # of a long message a part may come again: what has begun is completed, late or not
            self._ledger.on_offer(self.name, name_of(text), now)
        return self.luck.draw(*CODES) or "0x00"

    def ring(self, to: str, text: str, ref: str, pdu: SubmitSm) -> None:
        super().ring(to, text, ref, pdu)
        self._ledger.take(self.name, name_of(text))

    def make_receipts(self, taken: Taken, now: int) -> list[DeliverSm]:
        if not taken.pdu.registered_delivery & 3:
            return []
        rng = self.luck.rng
        if self.luck.draw("none", "some", "some") is None:
            taken.state = rng.choice(ENDS)
            return [self.make_receipt(taken, taken.state, now)] * self.repeat
        stats = [rng.choice(SAID) for _ in range(rng.randint(0, 3))]
        return [self.make_receipt(taken, stat, now) for stat in stats]

    def conclude(self, pdu: DeliverSm) -> None:
        super().conclude(pdu)
        if pdu.esm_class & 0x04 == 0:
            self._unheard[self._whose[id(pdu)]] -= 1
            return
        report = read_receipt(pdu)
        if report.ref is not None:
            self.told.append((report.ref, report.class_))

    def list_told(self, known: Container[str]) -> dict[str, list[str]]:
        """As `Line.list_told`: the parts of a long message each have an id."""
        found: dict[str, list[str]] = {}
        for ref, class_ in self.told:
            name = self._find_name(self.taken[int(ref)].pdu)
            if ref in known and name is not None and class_ != "unrecognised":
                found.setdefault(name, []).append(class_)
        return found

    def has_delivered(self, name: str) -> bool:
        """True where it would say so of a part of that message, if it was asked."""
        return any(taken.state == "DELIVRD" and self._find_name(taken.pdu) == name for taken in self.taken.values())

    def _find_name(self, pdu: SubmitSm) -> str | None:
        text, reference = read_first(pdu)
        return self._names.get((pdu.destination_addr, reference)) if text is None else name_of(text)


def read_first(pdu: SubmitSm) -> tuple[str | None, int | None]:
    """The text of a message's first part, None of another part; and the reference that its parts share."""
    octets, tables, concat = pdu.octets, (0, 0), None
    if pdu.esm_class & 0x40:
        header, octets = read_header(octets)
        tables, concat = header.tables, header.concat
    found = concat or read_sar(pdu.tlvs)
    reference = None if found is None else found.reference
    if found is not None and found.part != 1:
        return None, reference
    if pdu.data_coding & 0x0C == 8:
        return octets.decode("utf-16-be", "replace"), reference
    return find_alphabet(tables).read(octets), reference
