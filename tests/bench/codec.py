"""The SMPP codec alone, with its validation: CPU time of one core for each pair of request and response.

A pair is what one side does of it: make the submit_sm and write it, read its submit_sm_resp; or read a deliver_sm that is a receipt and
write its response. Beside it what reading that receipt's text takes, and all four ends of a submit, as the broker and a twin have it.
"""

import time
from collections.abc import Callable, Iterator

from broker.smpp import tlv
from broker.smpp.codec import decode, encode
from broker.smpp.pdu import DeliverSm, DeliverSmResp, SubmitSm, SubmitSmResp
from broker.smpp.receipt import is_receipt, read_receipt
from broker.smpp.tlv import make_number, make_text
from tests.bench.bench import Bench
from tests.bench.figure import Figure

TEXT = b"A text of some ninety characters, as people write it to one another and to their customers."
RECEIPT = b"id:0123456789 sub:001 dlvrd:001 submit date:2611211200 done date:2611211201 stat:DELIVRD err:000 text:A text of some"


def _make_submit() -> SubmitSm:
    return SubmitSm(
        source_addr_ton=5, source_addr="ACME", dest_addr_ton=1, dest_addr_npi=1, destination_addr="886912345678",
        validity_period="000100000000000R", registered_delivery=1, short_message=TEXT,
    )  # fmt: skip


SUBMIT = encode(_make_submit(), 4711)
SUBMIT_RESP = encode(SubmitSmResp("0123456789"), 4711)
DELIVER = encode(
    DeliverSm(
        source_addr_ton=1, source_addr_npi=1, source_addr="886912345678", dest_addr_ton=5, destination_addr="ACME", esm_class=4,
        short_message=RECEIPT, tlvs=(make_text(tlv.RECEIPTED_MESSAGE_ID, "0123456789"), make_number(tlv.MESSAGE_STATE, 2)),
    ),
    4712,
)  # fmt: skip


def _submit(count: int) -> None:
    for n in range(count):
        encode(_make_submit(), n)
        decode(SUBMIT_RESP)


def _submit_both(count: int) -> None:
    for n in range(count):
        encode(_make_submit(), n)
        decode(SUBMIT)
        encode(SubmitSmResp("0123456789"), n)
        decode(SUBMIT_RESP)


def _deliver(count: int) -> None:
    for n in range(count):
        decode(DELIVER)
        encode(DeliverSmResp(), n)


def _receive(count: int) -> None:
    for n in range(count):
        _, pdu = decode(DELIVER)
        assert isinstance(pdu, DeliverSm)
        if is_receipt(pdu):
            read_receipt(pdu)
        encode(DeliverSmResp(), n)


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    yield _measure(bench, "codec", "SMPP codec: a submit_sm and its response", _submit, must=6, aim=3)
    yield _measure(bench, "codec.both", "  the same, both sides of it", _submit_both)
    yield _measure(bench, "codec.deliver", "  a deliver_sm and its response", _deliver)
    yield _measure(bench, "codec.receipt", "  the same, and what the receipt says", _receive)


def _measure(
    bench: Bench, name: str, title: str, work: Callable[[int], None], *, must: float | None = None, aim: float | None = None
) -> Figure:
    count = bench.size(20_000, 200)
    values = []
    for _ in bench.count_runs(7):
        begun = time.process_time()
        work(count)
        values.append((time.process_time() - begun) / count * 1e6)
    return Figure(name=name, title=title, unit="µs", must=must, aim=aim, is_more_better=False, scales=-1, values=values)
