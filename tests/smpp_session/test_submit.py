"""What goes out over a session, and what each answer makes of it."""

import msgspec
import pytest
import trio
from trio.testing import MockClock

from broker.provider.contract import Outcome, Send
from broker.provider.smpp_twin import SmscTwin
from broker.smpp.statuses import CODES, QUERY_FAULTS, show_status
from tests.smpp_session.rig import bound, make_valid

LONG = "0123456789" * 40  # three parts in the GSM alphabet


async def test_one_message(autojump_clock: MockClock) -> None:
    async with bound() as rig:
        outcome = await rig.send("héllo €")
        assert (outcome.class_, outcome.refs) == ("accepted", ("1000001",))
        assert rig.twin.sent == [("+306912345678", "héllo €", "1000001")]
        await trio.sleep(1)
        assert [(receipt.class_, receipt.ref) for receipt in rig.port.receipts] == [("delivered", "1000001")]
        assert len(rig.twin.acknowledged) == 1


async def test_every_status(autojump_clock: MockClock) -> None:
    """The table of PROVIDERS.md, "SMPP codes", over the wire; and beside it, what is in no table."""
    wanted = {show_status(status): class_ for status, class_ in CODES.items() if status not in (0, 0x04)}
    wanted |= dict.fromkeys((*map(show_status, QUERY_FAULTS), "0x400", "0x4FF", "0x99"), "unavailable")
    async with bound(SmscTwin(answers=list(wanted))) as rig:
        outcomes = await rig.submit(*(make_valid(n=n) for n in range(len(wanted))))
    assert {outcome.code: outcome.class_ for outcome in outcomes} == wanted
    assert rig.twin.sent == []


@pytest.mark.parametrize(
    ("code", "class_", "evidence", "is_taken"),
    [
        ("silent", "in_doubt", "timeout", True),
        ("late", "in_doubt", "timeout", True),
        ("drop", "in_doubt", "cut", True),
        ("cut", "in_doubt", "cut", False),
        ("garbage", "in_doubt", "cut", False),
        ("mismatch", "in_doubt", "mismatch", True),
        ("nack", "unavailable", "nack", False),
        ("no id", "accepted", None, True),
        ("unbind", "accepted", None, True),
    ],
)
async def test_odd_answers(code: str, class_: str, evidence: str | None, is_taken: bool, autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=[code])) as rig:
        outcome = await rig.send()
        assert (outcome.class_, outcome.evidence, len(rig.twin.sent)) == (class_, evidence, is_taken)
        assert outcome.refs == ()[: code != "unbind"] or code == "unbind"
        await trio.sleep(30)  # by then the link is there again
        assert (await rig.send()).class_ == "accepted"


async def test_a_late_response_is_proof(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=["late"], late=25_000, receipts=None)) as rig:
        assert (await rig.send()).class_ == "in_doubt"
        assert trio.current_time() == pytest.approx(20, abs=0.1)
        await trio.sleep(10)
        [proof] = rig.port.receipts
        assert (proof.class_, proof.token, proof.ref) == ("progress", "m1/1", "1000001")


async def test_a_late_refusal_is_proof_too(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=["late refusal"], late=25_000, receipts=None)) as rig:
        assert (await rig.send()).class_ == "in_doubt"
        rig.port.is_full = True
        await trio.sleep(10)
        assert rig.port.refuted == []
        rig.port.is_full = False
        await trio.sleep(5)
        [(attempt, outcome)] = rig.port.refuted
        assert (attempt, outcome.class_, outcome.code, rig.port.receipts) == ("m1/1", "unavailable", "0x08", [])


@pytest.mark.parametrize(
    ("answers", "told"),
    [(["late refusal"] * 3, ["unavailable"]), (["late refusal", "0x00", "0x00"], ["in_doubt"]), (["late refusal", "silent", "0x08"], [])],
)
async def test_late_refusals_of_parts(answers: list[str], told: list[str], autojump_clock: MockClock) -> None:
    """Only when each part was refused is the message known not to have been sent; where others were taken, that this one is missing."""
    async with bound(SmscTwin(answers=answers, late=25_000, receipts=None)) as rig:
        assert (await rig.send(LONG)).class_ == "in_doubt"
        await trio.sleep(20)
        assert [(attempt, outcome.class_) for attempt, outcome in rig.port.refuted] == [("m1/1", class_) for class_ in told]


async def test_nothing_is_bound(autojump_clock: MockClock) -> None:
    async with bound(wait=False) as rig:
        rig.is_down = True
        await trio.sleep(5)
        outcome = await rig.send()
        assert (outcome.class_, outcome.evidence) == ("unreachable", "not sent")
        assert rig.port.state == "unreachable"
        rig.is_down = False
        await trio.sleep(90)
        assert rig.port.state == "up"
        assert (await rig.send()).class_ == "accepted"


async def test_the_window_is_never_passed(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(delay=100), window=7) as rig:
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, sum(wire.link.outstanding for wire in rig.session._wires))
                await trio.sleep(0.01)

        rig.nursery.start_soon(watch)
        begun = trio.current_time()
        outcomes = await rig.submit(*(make_valid(n=n) for n in range(70)))
        assert {outcome.class_ for outcome in outcomes} == {"accepted"}
        assert most == 7
        assert trio.current_time() - begun == pytest.approx(1.0, abs=0.05)  # ten windows of 100 ms, none wasted


async def test_the_window_is_filled_before_answers_are_settled(autojump_clock: MockClock) -> None:
    """To settle takes a while, as a round of the journal does: the SMSC has the next message before it."""
    async with bound(SmscTwin(delay=100), window=3) as rig:
        seen: list[tuple[int, int]] = []

        def settle(index: int, outcome: Outcome) -> None:
            [wire] = rig.session._wires
            seen.append((wire.link.outstanding, len(wire.unsent)))

        await rig.session.submit([make_valid(n=n) for n in range(6)], settle)
        assert seen == [(3, 0)] * 3 + [(0, 0)] * 3


async def test_answers_in_any_order(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(delay=10, shuffle=5), window=100) as rig:
        outcomes = await rig.submit(*(make_valid(f"text {n}", n=n) for n in range(100)))
        assert {outcome.class_ for outcome in outcomes} == {"accepted"}
        by_ref = {ref: text for _, text, ref in rig.twin.sent}
        assert [by_ref[outcome.refs[0]] for outcome in outcomes] == [f"text {n}" for n in range(100)]


async def test_what_is_in_doubt_when_a_link_drops(autojump_clock: MockClock) -> None:
    twin = SmscTwin(delay=1_000, receipts=None)
    async with bound(twin, window=10) as rig:
        done: dict[int, Outcome] = {}
        sends = [make_valid(n=n) for n in range(25)]
        rig.nursery.start_soon(rig.session.submit, sends, done.__setitem__)
        await trio.sleep(1.5)  # ten are answered, ten are out, five wait
        assert {outcome.class_ for outcome in done.values()} == {"accepted"}
        twin.cut()
        await trio.sleep(0.1)
        assert [done[n].class_ for n in range(25)] == ["accepted"] * 10 + ["in_doubt"] * 10 + ["unreachable"] * 5
        assert len(twin.sent) == 20  # the twin had them: nobody may send them again


def expiring(text: str, until: int, n: int) -> Send:
    """A message whose validity ends then."""
    send = make_valid(text, n=n)
    return msgspec.structs.replace(send, message=msgspec.structs.replace(send.message, valid_until=until))


async def test_what_waits_for_a_window_beyond_its_validity_is_not_written(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(delay=1_000, receipts=None), window=2) as rig:
        # The first and a part of the second leave in time; what has begun is completed.
        first, long = expiring("first", rig.port.now() + 900, n=1), expiring(LONG, rig.port.now() + 900, n=2)
        outcomes = await rig.submit(first, long, make_valid("other", n=3))
        assert [outcome.class_ for outcome in outcomes] == ["accepted", "accepted", "accepted"]
        late = expiring(LONG, rig.port.now() + 900, n=6)
        outcomes = await rig.submit(make_valid(n=4), make_valid(n=5), late, make_valid(n=7))
        assert [(outcome.class_, outcome.code) for outcome in outcomes[2:]] == [("expired", "validity"), ("accepted", None)]
        assert len(rig.twin.sent) == 6


async def test_what_waits_for_a_window_when_time_is_over(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(fault="silent"), window=2) as rig:
        with trio.move_on_after(5):
            await rig.submit(*(make_valid(n=n) for n in range(5)))
        classes = [rig.outcomes[n].class_ for n in range(5)]
        assert classes == ["in_doubt"] * 2 + ["unreachable"] * 3
        await trio.sleep(60)
        assert len(rig.twin.taken) == 2  # what was given up is never written


async def test_one_bad_message_costs_itself_alone(autojump_clock: MockClock) -> None:
    async with bound(service_type="x") as rig:
        good, bad, odd, number = await rig.submit(
            make_valid(n=1), make_valid(n=2, sender="A" * 21), make_valid(n=3, sender="ΑΒΓ"), make_valid(n=4, to="+30,+31")
        )
        assert (good.class_, bad.class_, odd.class_, number.class_) == ("accepted", *["unsuitable"] * 3)
        assert (bad.code, odd.code, number.code) == ("sender", "sender", "recipient")


async def test_a_status_says_that_we_are_not_bound(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=["0x04"])) as rig:
        assert (await rig.send()).class_ == "unreachable"
        await trio.sleep(5)
        assert len(rig.streams) == 2  # bound again
        assert (await rig.send()).class_ == "accepted"


# --- long messages


async def test_parts_go_over_one_link_with_one_reference(autojump_clock: MockClock) -> None:
    async with bound(binds=3) as rig:
        outcome = await rig.send(LONG)
        assert (outcome.class_, outcome.refs) == ("accepted", ("1000001", "1000002", "1000003"))
        assert rig.twin.sent == [("+306912345678", LONG, "1000001")]
        assert len({taken.pdu.short_message[3] for taken in rig.twin.taken.values()}) == 1


@pytest.mark.parametrize("concat", ["udh", "sar", "payload"])
async def test_ways_to_say_that_parts_belong_together(concat: str, autojump_clock: MockClock) -> None:
    async with bound(concat=concat, udh_bits=16) as rig:
        text = "Ω" * 30 + "щ" * 150
        assert (await rig.send(text)).class_ == "accepted"
        assert [each for _, each, _ in rig.twin.sent] == [text]
        assert len(rig.twin.taken) == (1 if concat == "payload" else 3)


async def test_parts_refused_for_now_go_again(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=["0x00", "0x58", "0x14", "0x00", "0x58", "0x00"])) as rig:
        outcome = await rig.send(LONG)
        assert (outcome.class_, outcome.refs) == ("accepted", ("1000001", "1000002", "1000003"))
        assert [text for _, text, _ in rig.twin.sent] == [LONG]
        assert trio.current_time() == pytest.approx(3, abs=0.2)  # after 1 s, and after 2 s more
        assert len({pdu.short_message[3] for pdu, _ in rig.twin.refused}) == 1


async def test_parts_that_stay_missing(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=["0x00", "0x00"], fault="0x58")) as rig:
        outcome = await rig.send(LONG)
        assert (outcome.class_, outcome.detail, outcome.evidence) == ("in_doubt", "partial 2/3", "partial")
        assert outcome.refs == ("1000001", "1000002", "")
        assert len(rig.twin.refused) == 4  # once, and three times again


async def test_a_part_refused_for_good_is_not_repeated(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=["0x00", "0x0A", "0x58"])) as rig:
        outcome = await rig.send(LONG)
        assert (outcome.class_, outcome.detail, outcome.refs) == ("in_doubt", "partial 1/3", ("1000001", "", ""))
        assert len(rig.twin.refused) == 2


@pytest.mark.parametrize(
    ("answers", "class_"),
    [(["0x58", "0x58", "0x58"], "throttled"), (["0x58", "0x0B", "0x58"], "rejected"), (["0x45", "0x58", "0x14"], "unavailable")],
)
async def test_all_parts_refused(answers: list[str], class_: str, autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=answers)) as rig:
        assert (await rig.send(LONG)).class_ == class_
        assert len(rig.twin.refused) == 3


async def test_a_part_without_an_answer(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=["0x00", "late", "0x00"], late=30_000, receipts=None)) as rig:
        outcome = await rig.send(LONG)
        assert (outcome.class_, outcome.evidence, outcome.refs) == ("in_doubt", "timeout", ("1000001", "", "1000003"))
        await trio.sleep(20)
        assert [(receipt.token, receipt.ref) for receipt in rig.port.receipts] == [("m1/1", "1000002")]


async def test_late_answers_prove_one_part_each(autojump_clock: MockClock) -> None:
    """None was answered in time: nobody may take the first late one for the whole."""
    async with bound(SmscTwin(answers=["late", "late", "silent"], late=30_000, receipts=None)) as rig:
        outcome = await rig.send(LONG)
        assert (outcome.class_, outcome.evidence, outcome.refs) == ("in_doubt", "timeout", ("", "", ""))
        await trio.sleep(20)
        assert [(receipt.token, receipt.ref) for receipt in rig.port.receipts] == [("m1/1", "1000001"), ("m1/1", "1000002")]
        assert rig.port.refuted == []


@pytest.mark.parametrize("answers", [["0x00", "late refusal", "0x00"], ["0x00", "late refusal", "late"]])
async def test_a_late_refusal_of_one_part_leaves_it_missing(answers: list[str], autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(answers=answers, late=25_000, receipts=None)) as rig:
        outcome = await rig.send(LONG)
        assert (outcome.class_, outcome.evidence, outcome.refs[:2]) == ("in_doubt", "timeout", ("1000001", ""))
        await trio.sleep(20)
        attempt, found = rig.port.refuted[-1]
        ref = "1000002"  # the second that was taken
        assert (attempt, found.class_, found.evidence, found.detail) == ("m1/1", "in_doubt", "partial", "partial 2/3")
        assert found.refs == ("1000001", "", ref)


async def test_late_answers_without_ids(autojump_clock: MockClock) -> None:
    """One part was taken without an id in time, the other late: the last one says that none is missing."""
    async with bound(SmscTwin(answers=["no id", "late"], late=25_000, receipts=None)) as rig:
        outcome = await rig.send("0123456789" * 20)
        assert (outcome.class_, outcome.refs) == ("in_doubt", ("", ""))
        await trio.sleep(20)
        assert [receipt.ref for receipt in rig.port.receipts] == ["1000002", None]


async def test_parts_wait_for_the_window_of_their_link(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(delay=50), window=2, binds=2) as rig:
        outcomes = await rig.submit(*(make_valid(f"{n}{LONG}", n=n) for n in range(8)))
        assert {outcome.class_ for outcome in outcomes} == {"accepted"}
        assert sorted(text for _, text, _ in rig.twin.sent) == [f"{n}{LONG}" for n in range(8)]
