"""An inbound message out of a deliver_sm or data_sm: its text by data_coding, from the octets of all its parts. Pure; keeps no time.

The truth is SMPP 3.4, sections 5.2.12, 5.2.19 and 5.3.2.22 to .24. Reading never fails: what an alphabet does not have is U+FFFD.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from broker.provider.contract import Changes, Inbound
from broker.smpp.pdu import DataSm, DeliverSm
from broker.smpp.tlv import read_sar
from broker.text import Concat, read_header, read_octets
from broker.text.septets import DEFAULT_TABLES, Tables

UDHI: Final = 0x40
RECEIPT_TYPES: Final = 0x3C
"""esm_class, bits 5 to 2: the message is no ordinary one, but a receipt or an acknowledgement (5.2.12)."""

_AS: Final = {"gsm7": 0, "latin1": 3, "ucs2": 8}
"""An alphabet of the account's own table → the data_coding by which the manual calls it (5.2.19)."""


def read_text(octets: bytes, data_coding: int, tables: Tables, own: Mapping[str, int]) -> str:
    """The text of a whole message: by the account's `own` table where it names the data_coding, else by the manual's."""
    for alphabet, value in own.items():
        if value == data_coding and alphabet in _AS:
            data_coding = _AS[alphabet]
            break
    return read_octets(octets, data_coding, tables=tables)


class Piece(msgspec.Struct, frozen=True, gc=False):
    """One deliver_sm or data_sm as read so far: who wrote to whom, and which part of what it is."""

    sender: str
    to: str
    octets: bytes
    data_coding: int
    tables: Tables = DEFAULT_TABLES
    concat: Concat | None = None

    def __repr__(self) -> str:
        return "Piece(…)"

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What the parts of one message have in common."""
        assert self.concat is not None
        return self.sender, self.to, self.concat.reference, self.concat.parts


def read_piece(pdu: DeliverSm | DataSm) -> Piece:
    """What a PDU carries."""
    octets, concat, tables = pdu.octets, None, DEFAULT_TABLES
    if pdu.esm_class & UDHI:
        header, octets = read_header(octets)
        concat, tables = header.concat, header.tables
    sar = read_sar(pdu.tlvs)
    if concat is None and sar is not None:
        concat = Concat(sar.reference, sar.total, sar.part)
    if concat is not None and concat.parts == 1:
        concat = None
    return Piece(_read_sender(pdu), pdu.destination_addr, octets, pdu.data_coding, tables, concat)


def _read_sender(pdu: DeliverSm | DataSm) -> str:
    address = pdu.source_addr
    return f"+{address}" if pdu.source_addr_ton == 1 and address.isdigit() else address


def join(pieces: Sequence[Piece], own: Mapping[str, int], changes: Changes = ()) -> Inbound:
    """One message from its parts, in order; `changes` are the Inbound's."""
    first = pieces[0]
    text = read_text(b"".join(piece.octets for piece in pieces), first.data_coding, first.tables, own)
    return Inbound(first.sender, text, first.to or None, segments=len(pieces), changes=changes)
