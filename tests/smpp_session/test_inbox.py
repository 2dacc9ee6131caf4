"""What an SMSC delivers: made durable first and acknowledged then, receipts in every form and order, long messages joined."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from broker.provider.smpp_inbound import Piece
from broker.provider.smpp_joiner import Joiner, name_part, pack_part
from broker.provider.smpp_twin import SmscTwin
from broker.provider.smpp_wire import CHUNK, ENOUGH
from broker.smpp.codec import encode
from broker.smpp.limits import Limits
from broker.smpp.pdu import DeliverSm
from broker.smpp.tlv import Sar, make_sar
from broker.text import Concat
from broker.text.header import write_header
from tests.smpp_session.rig import Rig, bound, make_valid


def make_mo(text: bytes | str = b"hello", sender: str = "306912345678", **more: object) -> DeliverSm:
    octets = text if isinstance(text, bytes) else text.encode("utf-16-be")
    coding = {} if isinstance(text, bytes) else {"data_coding": 8}
    fields = {"source_addr_ton": 1, "source_addr": sender, "destination_addr": "54321", "short_message": octets, **coding, **more}
    return DeliverSm(**fields)  # type: ignore[arg-type]  # as the caller gives them


def make_parts(text: str, size: int = 60, reference: int = 7, *, by_sar: bool = False) -> list[DeliverSm]:
    cuts = [text[at : at + size] for at in range(0, len(text), size)]
    made = []
    for n, cut in enumerate(cuts, 1):
        if by_sar:
            made.append(make_mo(cut, tlvs=make_sar(Sar(reference, len(cuts), n))))
        else:
            header = write_header(Concat(reference, len(cuts), n), (0, 0))
            made.append(make_mo(header + cut.encode("utf-16-be"), data_coding=8, esm_class=0x40))
    return made


async def test_nothing_is_acknowledged_before_it_is_durable(autojump_clock: MockClock) -> None:
    async with bound() as rig:
        rig.port.delay = 5
        rig.twin.inject(make_mo())
        await trio.sleep(4)
        assert rig.twin.acknowledged == []
        await trio.sleep(2)
        assert [(each.sender, each.to, each.text) for each in rig.port.inbound] == [("+306912345678", "54321", "hello")]
        assert len(rig.twin.acknowledged) == 1


async def test_a_backlog_without_a_window_is_taken_at_our_pace(autojump_clock: MockClock) -> None:
    async with bound() as rig:
        rig.port.delay = 0.5
        for n in range(6_000):
            rig.twin.parcels.append(make_mo(b"%d" % n))
        (line,) = rig.twin.lines
        rig.twin.hurry()
        await trio.sleep(30)
        assert rig.twin.lines == [line], "the link was left for what the SMSC may do"
        assert sorted(int(each.text) for each in rig.port.inbound) == list(range(6_000))
        assert len(rig.twin.acknowledged) == 6_000


def test_a_chunk_on_top_of_what_waits_is_borne() -> None:
    assert ENOUGH + CHUNK // len(encode(DeliverSm(), 1)) < Limits().most_unanswered


async def test_what_cannot_be_stored_comes_again(autojump_clock: MockClock) -> None:
    async with bound() as rig:
        rig.port.is_full = True
        rig.twin.inject(make_mo())
        await rig.send()
        await trio.sleep(5)
        assert (rig.twin.acknowledged, rig.port.receipts) == ([], [])
        rig.port.is_full = False
        await trio.sleep(5)
        assert (len(rig.twin.acknowledged), len(rig.port.receipts), len(rig.port.inbound)) == (2, 1, 1)


async def test_proof_outlives_a_full_disk(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=["late"], late=21_000, receipts=None)) as rig:
        await rig.send()
        rig.port.is_full = True
        await trio.sleep(10)
        assert rig.port.receipts == []
        rig.port.is_full = False
        await trio.sleep(5)
        assert [receipt.token for receipt in rig.port.receipts] == ["m1/1"]


async def test_what_comes_together_is_stored_together(autojump_clock: MockClock) -> None:
    async with bound(window=100) as rig:
        rig.port.delay = 0.01
        await rig.submit(*(make_valid(n=n) for n in range(100)))
        await trio.sleep(1)
        assert len(rig.port.receipts) == 100
        assert len(rig.port.calls) <= 3


@pytest.mark.parametrize("form", ["both", "tlv", "text"])
@pytest.mark.parametrize("stat", ["DELIVRD", "UNDELIV", "EXPIRED", "DELETED", "REJECTD", "ACCEPTD", "ENROUTE", "UNKNOWN"])
async def test_receipts_in_every_form(form: str, stat: str, autojump_clock: MockClock) -> None:
    classes = {"DELIVRD": "delivered", "EXPIRED": "expired", "DELETED": "canceled", "ACCEPTD": "progress", "ENROUTE": "progress"}
    async with bound(SmscTwin(receipts=[stat], receipt_form=form)) as rig:
        await rig.send()
        await trio.sleep(1)
        [receipt] = rig.port.receipts
        assert receipt.class_ == classes.get(stat, "unrecognised" if stat == "UNKNOWN" else "undelivered")
        assert (receipt.ref, receipt.code, receipt.recipient) == ("1000001", stat, None)
        assert rig.port.inbound == []


@pytest.mark.parametrize(
    ("ids", "id_form"),
    [
        (("hex", "decimal"), "auto"),
        (("HEX", "hex"), "auto"),
        (("HEX", "decimal"), "decimal"),
        (("decimal", "hex"), "hex"),
        (("decimal", "decimal"), "text"),
    ],
)
async def test_ids_in_every_form(ids: tuple[str, str], id_form: str, autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(ids=ids), id_form=id_form) as rig:
        outcomes = await rig.submit(*(make_valid(n=n) for n in range(10)))
        await trio.sleep(1)
        for outcome, receipt in zip(outcomes, rig.port.receipts, strict=True):
            assert outcome.refs[0] in (receipt.ref, *receipt.forms)


async def test_the_form_of_ids_is_learnt(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(ids=("hex", "decimal"))) as rig:
        rig.port.stored.update(f"{ref:x}" for ref in range(1_000_000, 1_001_000))
        for n in range(5):
            await rig.send(n=n)
            await trio.sleep(0.1)
        assert len(rig.port.receipts[0].forms) > len(rig.port.receipts[-1].forms)
        assert rig.port.receipts[-1].ref == rig.outcomes[0].refs[0]


async def learn(rig: Rig, count: int = 5) -> None:
    """Some messages whose receipts are found."""
    rig.port.stored.update(f"{ref:x}" for ref in range(1_000_000, 1_001_000))
    for n in range(count):
        await rig.send(n=n)
        await trio.sleep(0.1)


@pytest.mark.parametrize(("host", "is_known"), [("smsc.test", True), ("other.test", False)])
async def test_what_was_learnt_outlives_us(host: str, is_known: bool, autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(ids=("hex", "decimal"))) as rig:
        rig.port.is_full = True
        await learn(rig)
        assert rig.port.kept == {}
        rig.port.is_full = False
        await trio.sleep(5)
        [(name, kept)] = rig.port.kept.items()
        assert (name, kept["way"]) == ("id_form", "decimal")
        until = rig.port.now()
        assert kept["at"] <= until
    async with bound(SmscTwin(ids=("hex", "decimal")), kept=rig.port.kept, host=host) as rig:
        await learn(rig, 1)
        [receipt] = rig.port.receipts
        assert (receipt.ref == rig.outcomes[0].refs[0] and "1000001" not in receipt.forms) == is_known
        await trio.sleep(86_400)
        await learn(rig)
        assert rig.port.kept["id_form"]["at"] > until + 86_000_000  # or retention would take it


async def test_a_receipt_may_come_before_the_answer(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(receipt_delay=-1, delay=100, repeat=3)) as rig:
        outcome = await rig.send()
        await trio.sleep(1)
        assert {receipt.ref for receipt in rig.port.receipts} == set(outcome.refs)
        assert len(rig.twin.acknowledged) == len(rig.port.receipts) == 3


async def test_receipts_wait_for_a_link(autojump_clock: MockClock) -> None:
    twin = SmscTwin(receipt_delay=100)
    async with bound(twin) as rig:
        await rig.send()
        twin.cut()
        await trio.sleep(10)
        assert [receipt.class_ for receipt in rig.port.receipts] == ["delivered"]


# --- messages from handsets


@pytest.mark.parametrize(
    ("octets", "coding", "text"),
    [
        (b"\x00\x11\x1b\x3d ok", 0, "@_~ ok"),
        ("Ελλάδα".encode("utf-16-be"), 8, "Ελλάδα"),
        ("naïve".encode("latin-1"), 3, "naïve"),
        ("день".encode("iso8859-5"), 6, "день"),
        ("😀".encode("utf-16-be"), 8, "😀"),
        (b"flash", 0x10, "flash"),
        (b"\xd8", 8, "\ufffd"),
        (b"", 0, ""),
    ],
)
async def test_alphabets(octets: bytes, coding: int, text: str, autojump_clock: MockClock) -> None:
    async with bound() as rig:
        rig.twin.inject(make_mo(octets, data_coding=coding))
        await trio.sleep(1)
        assert [each.text for each in rig.port.inbound] == [text]


async def test_the_account_says_what_a_data_coding_means(autojump_clock: MockClock) -> None:
    async with bound(data_coding={"latin1": 0, "ucs2": 8}) as rig:
        rig.twin.inject(make_mo("naïve_".encode("latin-1")))
        await trio.sleep(1)
        assert [each.text for each in rig.port.inbound] == ["naïve_"]


@pytest.mark.parametrize("by_sar", [False, True])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 1, 0, 2]])
async def test_parts_are_joined(by_sar: bool, order: list[int], autojump_clock: MockClock) -> None:
    text = "Καλημέρα κόσμε, " * 10
    async with bound() as rig:
        parts = make_parts(text, by_sar=by_sar)
        for n in order[:-1]:
            rig.twin.inject(parts[n])
        await trio.sleep(2)
        assert (rig.port.inbound, len(rig.port.kept)) == ([], 2)
        assert len(rig.twin.acknowledged) == len(order) - 1
        rig.twin.inject(parts[order[-1]])
        await trio.sleep(1)
        assert [(each.text, each.segments) for each in rig.port.inbound] == [(text, 3)]
        assert [name.count("/") for name in rig.port.kept] == [3]  # that it was whole, and no part


async def test_an_smsc_that_delivers_one_at_a_time(autojump_clock: MockClock) -> None:
    """It sends the next part only when the last is acknowledged: none may wait for the others."""
    async with bound() as rig:
        rig.twin.lines[0].link.window.size = 1
        for part in make_parts("x" * 500):
            rig.twin.inject(part)
        await trio.sleep(5)
        assert [each.text for each in rig.port.inbound] == ["x" * 500]


async def test_parts_that_never_come(autojump_clock: MockClock) -> None:
    async with bound(join_wait=10_000) as rig:
        first, second, last = make_parts("a" * 60 + "b" * 60 + "c" * 10)
        rig.twin.inject(first)
        rig.twin.inject(last)
        await trio.sleep(9)
        assert rig.port.inbound == []
        await trio.sleep(2)
        assert [(each.text, each.segments) for each in rig.port.inbound] == [("a" * 60 + "c" * 10, 2)]
        assert rig.port.kept == {}
        rig.twin.inject(second)  # too late, and still not lost
        await trio.sleep(11)
        assert [each.text for each in rig.port.inbound][1:] == ["b" * 60]


async def test_parts_outlive_us(autojump_clock: MockClock) -> None:
    async with bound() as rig:
        first, second = make_parts("a" * 60 + "b")
        rig.twin.inject(first)
        await trio.sleep(1)
        kept = rig.port.kept
    async with bound(kept=kept) as rig:
        rig.twin.inject(second)
        await trio.sleep(1)
        assert [each.text for each in rig.port.inbound] == ["a" * 60 + "b"]


@pytest.mark.parametrize("is_new", [False, True])
async def test_a_part_that_comes_again_after_its_message(is_new: bool, autojump_clock: MockClock) -> None:
    """Its acknowledgement was lost, perhaps with us: it is no message of its own. One of another text under the same number is."""
    async with bound() as rig:
        parts = make_parts("a" * 60 + "b")
        for part in parts:
            rig.twin.inject(part)
        await trio.sleep(1)
        kept = rig.port.kept
    async with bound(kept=kept, join_wait=5_000) as rig:
        rig.twin.inject(make_parts("a" * 60 + "c")[1] if is_new else parts[1])
        await trio.sleep(10)
        assert len(rig.twin.acknowledged) == 1
        assert [each.text for each in rig.port.inbound] == (["c"] if is_new else [])
        await trio.sleep(3_600)
        rig.twin.inject(make_mo())
        await trio.sleep(1)
        assert [len(name.split("/")) for name in rig.port.kept] == []


@pytest.mark.parametrize("full", [0, 1])
async def test_parts_that_cannot_be_kept_come_again(full: int, autojump_clock: MockClock) -> None:
    async with bound() as rig:
        for n, part in enumerate(make_parts("a" * 60 + "b")):
            rig.port.is_full = n == full
            rig.twin.inject(part)
            await trio.sleep(3)
        rig.port.is_full = False
        await trio.sleep(3)
        assert [each.text for each in rig.port.inbound] == ["a" * 60 + "b"]


async def test_senders_with_one_reference_are_told_apart(autojump_clock: MockClock) -> None:
    async with bound() as rig:
        for sender in ("306912345678", "306912345679"):
            for part in make_parts(f"from {sender[-1]} " + "x" * 70):
                rig.twin.inject(make_mo(part.short_message, sender, data_coding=8, esm_class=0x40))
        await trio.sleep(1)
        assert sorted(each.text[:6] for each in rig.port.inbound) == ["from 8", "from 9"]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.integers(2, 4), st.integers(0, 500)).filter(lambda each: each[1] <= each[2])
    )
)
def test_every_part_leaves_the_joiner_once(parts: list[tuple[str, int, int, int]]) -> None:
    """What is kept says at any time exactly what waits, so that a restart goes on with it."""
    joiner, now, kept, left = Joiner(1_000, most=5), 0, {}, []
    came = set()
    for n, (sender, part, total, step) in enumerate(parts):
        now += step
        piece = Piece(sender, "1", str(n).encode(), 0, concat=Concat(1, total, part))
        came.add(piece.octets)
        whole = joiner.add(piece, now)
        groups = [whole] if whole else []
        if whole is None:
            kept[name_part(piece)] = pack_part(piece, now)
        groups += joiner.list_due(now)
        for group in groups:
            for name, value in joiner.close(group, now):
                kept.pop(name, None)
                if value is not None:
                    kept[name] = value
        left += [each.octets for group in groups for each in group]
        assert len(joiner) == len([name for name in kept if name.count("/") == 4]) <= 5
        again = Joiner(1_000)
        again.load(kept, now)
        assert len(again) == len(joiner)
    left += [each.octets for group in joiner.list_due(now + 1_000) for each in group]
    assert len(set(left)) == len(left)
    assert set(left) <= came
    assert (len(joiner), joiner.next_due) == (0, None)
