"""Random stories of a session and its SMSC: what is asked, answered, forgotten, refused and lost in any order, on one link or several.

The SMSC keeps a book of what it saw and said, the story one of what the session made of it, and the two must agree at every moment: each
message is settled once; what a dropped link had outstanding is exactly what is in doubt by it; what is called not sent was never seen;
proof comes late, and for doubt alone; no window is passed; nothing is acknowledged before it is durable.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, cast

import trio
from trio.testing import MockClock

from broker.provider.contract import Outcome
from broker.provider.smpp import SmppSession
from broker.provider.smpp_parts import Handover
from broker.provider.smpp_twin import SmscTwin, Taken
from broker.provider.smpp_wire import Wire
from broker.smpp.events import LateResponse, Lost
from broker.smpp.pdu import DeliverSm, SubmitSm
from broker.smpp.statuses import ESME_RX_T_APPN
from broker.smpp.tlv import read_receipted_id
from tests.sim.chance import seeded
from tests.smpp_session.rig import Rig, bound, make_valid

CODES = (
    *("0x00", "0x00", "0x00", "0x58", "0x14", "0x0B", "0x08"),
    *("silent", "late", "late refusal", "nack", "mismatch", "drop", "cut", "unbind"),
)
STEPS = 25
TIMER = 5_000
PATIENCE = 120.0
"""Seconds after which all that can still come has come."""


class BookTwin(SmscTwin):
    """An SMSC that writes down what it saw. `port` is the session's: what is acknowledged must stand in it."""

    def __init__(self, **script: Any) -> None:
        super().__init__(**script)
        self.seen: dict[bytes, str] = {}
        self.put_off_count = 0
        self.rig: Rig

    def find_answer(self, pdu: SubmitSm, now: int) -> str:
        code = super().find_answer(pdu, now)
        assert pdu.short_message not in self.seen, "a message that was written twice"
        self.seen[pdu.short_message] = code
        return code

    def conclude(self, pdu: DeliverSm) -> None:
        ref = read_receipted_id(pdu.tlvs)
        assert ref in {receipt.ref for receipt in self.rig.port.receipts}, "acknowledged before it was durable"
        super().conclude(pdu)

    def put_off(self, pdu: DeliverSm, status: int) -> None:
        assert status == ESME_RX_T_APPN
        self.put_off_count += 1
        super().put_off(pdu, status)


class Story:
    """What the session made of each message, by its number; it is asked to watch itself."""

    def __init__(self, rig: Rig, twin: BookTwin, window: int, rand: Random) -> None:
        self.rig, self.twin, self.window = rig, twin, window
        self.outcomes: dict[int, Outcome] = {}
        self.count = 0
        self.late: set[str] = set()
        twin.rig = rig
        for binding in rig.session._bindings:
            binding._draw = rand.random  # so that a seed tells the same again
        self._watch(rig.session)

    def _watch(self, session: SmppSession) -> None:
        drop, send, note, late = session._drop, session._write, session._note, session._hear_late
        is_dropping: list[set[str]] = []

        def watched_drop(wire: Wire, event: Lost) -> None:
            unsent = set(wire.unsent)
            tags = cast(Sequence[tuple[Handover, int]], event.tags)
            wanted = {handover.attempt for handover, part in tags if (handover, part) not in unsent}
            is_dropping.append(set())
            drop(wire, event)
            assert is_dropping.pop() == wanted, "the outstanding set is exactly what is in doubt"

        def watched_note(handover: Handover, part: int, outcome: Outcome) -> None:
            if is_dropping and outcome.class_ == "in_doubt":
                is_dropping[-1].add(handover.attempt)
            note(handover, part, outcome)

        def watched_write(wire: Wire, handover: Handover, part: int) -> None:
            send(wire, handover, part)
            assert wire.link.outstanding <= self.window

        def watched_late(event: LateResponse) -> None:
            self.late.add(cast(tuple[Handover, int], event.tag)[0].attempt)
            late(event)

        for name, method in {"_drop": watched_drop, "_note": watched_note, "_write": watched_write, "_hear_late": watched_late}.items():
            setattr(session, name, method)

    def submit(self, count: int) -> None:
        """So many messages in one call."""
        first, self.count = self.count, self.count + count
        sends = [make_valid(f"text {n}", n=n) for n in range(first, self.count)]

        def settle(index: int, outcome: Outcome) -> None:
            n = first + index
            assert n not in self.outcomes, "settled twice"
            self.outcomes[n] = outcome
            self._check(n, outcome)

        self.rig.nursery.start_soon(self.rig.session.submit, sends, settle)

    def _check(self, n: int, outcome: Outcome) -> None:
        """What the session says of it, beside what the SMSC knows at this moment."""
        code, taken = self.twin.seen.get(_name(n)), self._find(n)
        if outcome.class_ == "accepted":
            assert taken is not None
            assert outcome.refs == (str(taken.ref),)
        elif outcome.class_ != "in_doubt":
            assert taken is None, f"{outcome.class_}, and the SMSC has it"
            assert (code is None) == (outcome.evidence == "not sent")

    def _find(self, n: int) -> Taken | None:
        return next((each for each in self.twin.taken.values() if each.pdu.short_message == _name(n)), None)

    def check_end(self) -> None:
        """Nothing more comes."""
        port, outcomes = self.rig.port, self.outcomes
        assert outcomes.keys() == set(range(self.count))
        proofs = [(receipt.token, receipt.ref) for receipt in port.receipts if receipt.token is not None]
        refuted = [attempt for attempt, _ in port.refuted]
        told = [token for token, _ in proofs] + refuted
        assert len(told) == len(set(told)), "proven twice"
        assert set(told) == self.late, "each late response is proof, and nothing else is"
        for token, ref in proofs:
            n = _read(token)
            taken = self._find(n)
            assert outcomes[n].class_ == "in_doubt"
            assert taken is not None
            assert str(taken.ref) == ref
        for attempt in refuted:
            assert (outcomes[_read(attempt)].class_, self._find(_read(attempt))) == ("in_doubt", None)
        received = {receipt.ref for receipt in port.receipts}
        reported = {str(ref) for ref, taken in self.twin.taken.items() if self.twin.seen[taken.pdu.short_message] != "mismatch"}
        assert reported <= received, "a receipt was lost"  # the twin gives none after that answer
        assert not self.twin.parcels


def _name(n: int) -> bytes:
    return f"text {n}".encode()


def _read(attempt: str | None) -> int:
    assert attempt is not None
    return int(attempt.partition("/")[0].removeprefix("m"))


def _do_something(rand: Random, story: Story) -> None:
    rig, twin = story.rig, story.twin
    match rand.randrange(14):
        case 0 | 1 | 2 | 3 | 4:
            story.submit(rand.randint(1, 6))
        case 5 | 6 | 7:
            twin.answers.extend(rand.choices(CODES, k=rand.randint(1, 5)))
        case 8:
            twin.cut()
        case 9:
            twin.unbind()
        case 10:
            rig.port.is_full = not rig.port.is_full
        case 11:
            rig.port.delay = rand.choice((0, 0.05, 2))
        case 12:
            rig.is_down = rand.random() < 0.4
        case _:
            twin.fault = rand.choice((None, None, "0x58", "silent", "late"))


async def _tell(rand: Random) -> None:
    script = {
        **{"delay": rand.choice((0, 1, 50, 2_000)), "late": rand.choice((6_000, 20_000)), "shuffle": rand.choice((0, 0, 3))},
        **{"receipt_delay": rand.choice((-1, 0, 100, 4_000)), "repeat": rand.choice((1, 2)), "reverse": rand.random() < 0.5},
    }
    twin = BookTwin(**script)
    window = rand.randint(1, 5)
    keys: dict[str, Any] = {"window": window, "binds": rand.randint(1, 3), "bind": rand.choice(("transceiver", "pair"))}
    async with bound(twin, wait=False, response_timer=TIMER, **keys) as rig:
        story = Story(rig, twin, window, Random(rand.getrandbits(32)))
        for _ in range(STEPS):
            _do_something(rand, story)
            await trio.sleep(rand.choice((0, 0, 0.001, 0.05, 1, 7)))
        rig.is_down, rig.port.is_full, rig.port.delay = False, False, 0
        twin.fault, twin.shuffle = None, 0
        twin.answers.clear()
        await trio.sleep(PATIENCE)
        story.check_end()


def tell_of_a_session(rand: Random) -> None:
    """One session, from its first bind until all is told."""
    with seeded(rand.getrandbits(32)):
        trio.run(_tell, rand, clock=MockClock(autojump_threshold=0))


STORIES = {"session": tell_of_a_session}
