"""Random stories of a session and its SMSC: what is asked, answered, forgotten, refused and lost in any order, on one link or several.

The SMSC keeps a book of what it saw and said, the story one of what the session made of it, and the two must agree at every moment: each
message is settled once; what a dropped link had outstanding is exactly what is in doubt by it; what is called not sent was never seen;
proof comes late, and for doubt alone; no window is passed; nothing is acknowledged before it is durable. Of a message of several parts
none is written again before it is known to be refused, and what is said of the whole follows from what is known of each.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, cast

import trio
from trio.testing import MockClock

from broker.provider.contract import Outcome
from broker.provider.smpp import SmppSession
from broker.provider.smpp_parts import Handover, sum_up
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
REFUSALS = frozenset({"0x58", "0x14", "0x0B", "0x08", "nack", "late refusal"})
PART = 153
"""Characters of the SMSC's default alphabet in each part of several."""


class BookTwin(SmscTwin):
    """An SMSC that writes down what it saw. `port` is the session's: what is acknowledged must stand in it."""

    def __init__(self, **script: Any) -> None:
        super().__init__(**script)
        self.seen: dict[bytes, list[str]] = {}
        self.put_off_count = 0
        self.rig: Rig

    def find_answer(self, pdu: SubmitSm, now: int) -> str:
        code, before = super().find_answer(pdu, now), self.seen.setdefault(read_part(pdu), [])
        assert REFUSALS.issuperset(before), "a part that was written twice, and the first may be taken"
        assert not before or pdu.esm_class & 0x40, "a message of one part that was written twice"
        before.append(code)
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
        self.sizes = rand.choice(((1,), (1, 1, 2, 3), (2, 3, 4)))
        self.outcomes: dict[int, Outcome] = {}
        self.parts: list[int] = []
        self.late: set[str] = set()
        self.handovers: dict[str, Handover] = {}
        twin.rig = rig
        for binding in rig.session._bindings:
            binding._draw = rand.random  # so that a seed tells the same again
        self._watch(rig.session)

    def _watch(self, session: SmppSession) -> None:
        drop, send, note, late = session._drop, session._write, session._note, session._hear_late
        is_dropping: list[set[tuple[str, int]]] = []

        def watched_drop(wire: Wire, event: Lost) -> None:
            unsent = set(wire.unsent)
            tags = cast(Sequence[tuple[Handover, int]], event.tags)
            wanted = {(handover.attempt, part) for handover, part in tags if (handover, part) not in unsent}
            is_dropping.append(set())
            drop(wire, event)
            assert is_dropping.pop() == wanted, "the outstanding set is exactly what is in doubt"

        def watched_note(handover: Handover, part: int, outcome: Outcome) -> None:
            if is_dropping and outcome.class_ == "in_doubt":
                is_dropping[-1].add((handover.attempt, part))
            note(handover, part, outcome)

        def watched_write(wire: Wire, handover: Handover, part: int) -> None:
            self.handovers[handover.attempt] = handover
            send(wire, handover, part)
            assert wire.link.outstanding <= self.window

        def watched_late(event: LateResponse) -> None:
            self.late.add(cast(tuple[Handover, int], event.tag)[0].attempt)
            late(event)

        for name, method in {"_drop": watched_drop, "_note": watched_note, "_write": watched_write, "_hear_late": watched_late}.items():
            setattr(session, name, method)

    def submit(self, *parts: int) -> None:
        """Messages in one call, of so many parts each."""
        first = len(self.parts)
        self.parts += parts
        sends = [make_valid("".join(_list_parts(n, count)), n=n) for n, count in enumerate(parts, first)]

        def settle(index: int, outcome: Outcome) -> None:
            n = first + index
            assert n not in self.outcomes, "settled twice"
            self.outcomes[n] = outcome
            self._check(n, outcome)

        self.rig.nursery.start_soon(self.rig.session.submit, sends, settle)

    def _check(self, n: int, outcome: Outcome) -> None:
        """What the session says of it, beside what the SMSC knows at this moment."""
        taken = self._find(n)
        if outcome.class_ == "accepted":
            assert None not in taken
            assert outcome.refs == tuple(str(each.ref) for each in taken if each is not None)
        elif outcome.evidence == "partial":
            assert None in taken
            assert any(taken)
        elif outcome.class_ != "in_doubt":
            assert not any(taken), f"{outcome.class_}, and the SMSC has it"
            is_seen = any(part in self.twin.seen for part in self._name(n))
            assert is_seen or outcome.evidence == "not sent"
            assert self.parts[n] > 1 or is_seen == (outcome.evidence != "not sent")

    def _name(self, n: int) -> list[bytes]:
        return [part.encode() for part in _list_parts(n, self.parts[n])]

    def _find(self, n: int) -> list[Taken | None]:
        """What the SMSC has of each part."""
        taken = {read_part(each.pdu): each for each in self.twin.taken.values()}
        return [taken.get(part) for part in self._name(n)]

    def check_end(self) -> None:
        """Nothing more comes."""
        port, outcomes = self.rig.port, self.outcomes
        assert outcomes.keys() == set(range(len(self.parts)))
        proofs = [(receipt.token, receipt.ref) for receipt in port.receipts if receipt.token is not None]
        refuted = [attempt for attempt, _ in port.refuted]
        told = [token for token, _ in proofs] + refuted
        assert self.late.issuperset(told), "only a late response is proof"
        assert len({proof for proof in proofs if proof[1]}) == sum(1 for _, ref in proofs if ref), "proven twice"
        for token, ref in proofs:
            n = _read(token)
            assert outcomes[n].class_ == "in_doubt"
            assert ref in {str(each.ref) for each in self._find(n) if each is not None}
        for attempt, outcome in port.refuted:
            assert outcomes[_read(attempt)].class_ == "in_doubt"
            assert None in self._find(_read(attempt))
            assert outcome.evidence == "partial" or not any(self._find(_read(attempt)))
        for attempt, handover in self.handovers.items():
            self._check_known(handover, outcomes[_read(attempt)], [ref for token, ref in proofs if token == attempt], attempt in refuted)
        received = {receipt.ref for receipt in port.receipts}
        reported = {str(ref) for ref, taken in self.twin.taken.items() if self.twin.seen[read_part(taken.pdu)][-1] != "mismatch"}
        assert reported <= received, "a receipt was lost"  # the twin gives none after that answer
        assert not self.twin.parcels

    def _check_known(self, handover: Handover, settled: Outcome, proven: Sequence[str | None], is_refuted: bool) -> None:
        """All that the session came to know of the parts after it had called the message in doubt was told."""
        known = [outcome for outcome in handover.outcomes if outcome is not None]
        whole = sum_up(known) if len(known) == len(handover.outcomes) else settled
        if settled.class_ != "in_doubt":
            assert not proven
            assert not is_refuted
            return
        assert set(whole.refs) - set(settled.refs) - {""} == set(proven), "each late acceptance is proof of that part"
        assert len(handover.pdus) > 1 or proven or is_refuted == (whole.class_ != "in_doubt")
        if settled.evidence != "partial" and (whole.evidence == "partial" or whole.class_ not in ("accepted", "in_doubt")):
            assert is_refuted, "it is known that not all of it was taken, and nobody was told"


def read_part(pdu: SubmitSm) -> bytes:
    """The text of a part, without its header."""
    return pdu.short_message[6:] if pdu.esm_class & 0x40 else pdu.short_message


def _list_parts(n: int, count: int) -> list[str]:
    return [f"<{n}.{part}>".ljust(PART if count > 1 else 0, ".") for part in range(count)]


def _read(attempt: str | None) -> int:
    assert attempt is not None
    return int(attempt.partition("/")[0].removeprefix("m"))


def _do_something(rand: Random, story: Story) -> None:
    rig, twin = story.rig, story.twin
    match rand.randrange(14):
        case 0 | 1 | 2 | 3 | 4:
            story.submit(*rand.choices(story.sizes, k=rand.randint(1, 6)))
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
