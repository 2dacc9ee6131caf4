"""Random stories of links, told by a `random.Random`: an ESME and an SMSC that answers, forgets, errs and leaves; or one link and noise.

A story keeps a ledger of its own and asserts after every step what must hold: every tag ends exactly once; a response is the one to its
own request; only what ended in doubt is answered late, once; nothing raises.
"""

from random import Random

from broker.smpp import pdu as pdus
from broker.smpp.codec import PduError, decode, encode
from broker.smpp.commands import RESPONSE
from broker.smpp.events import Doubt, Event, LateResponse, Lost, Refused, Request, Response
from broker.smpp.fields import LAYOUTS
from broker.smpp.frames import Framer
from broker.smpp.limits import Limits
from broker.smpp.link import Link
from broker.smpp.pdu import DeliverSm, GenericNack, Pdu, RawPdu, SubmitSm, SubmitSmResp
from tests.smpp.golden import GOLDEN, make_frame
from tests.smpp.rig import BIND

LIMITS = Limits(
    **{"window": 5, "response_timeout": 300, "bind_timeout": 500, "enquire_every": 200, "enquire_timeout": 100, "pdu_timeout": 250},
    **{"unbind_wait": 150, "peer_wait": 100, "most_unanswered": 6, "most_late": 8, "most_anomalies": 30, "most_unread": 3_000},
)


class Ledger:
    """What became of each request of one side. A tag is a number; its PDU carries it as text, and the response as message_id."""

    def __init__(self, is_honest: bool) -> None:
        self.is_honest = is_honest  # nobody but the peer's own answers speak
        self.sent: dict[int, int] = {}  # tag → sequence
        self.ended: dict[int, str] = {}
        self.late: set[int] = set()
        self.is_over = False

    def enter(self, events: list[Event]) -> None:
        """Note what the link said, and that it may say so."""
        for event in events:
            assert not self.is_over, f"{event} after the end"
            if isinstance(event, Response):
                self._end(event.tag, "response")
                self._check(event)
            elif isinstance(event, Doubt):
                self._end(event.tag, "doubt")
                assert self.sent[self._read(event.tag)] == event.sequence
            elif isinstance(event, LateResponse):
                tag = self._read(event.tag)
                assert self.ended[tag] == "doubt"
                assert tag not in self.late
                self.late.add(tag)
                self._check(event)
            elif isinstance(event, Lost):
                self.lose(list(event.tags))
            elif isinstance(event, Refused):
                self.lose([])

    def lose(self, tags: list[object]) -> None:
        """The link is over, and these were outstanding."""
        assert tags == [tag for tag in self.sent if tag not in self.ended], "exactly those, in the order of sending"
        for tag in tags:
            self._end(tag, "lost")
        self.is_over = True

    def count(self) -> int:
        """How many are outstanding."""
        return len(self.sent) - len(self.ended)

    def _end(self, tag: object, how: str) -> None:
        number = self._read(tag)
        assert number not in self.ended, f"ended {self.ended[number]}, then {how}"
        self.ended[number] = how

    def _read(self, tag: object) -> int:
        assert isinstance(tag, int)
        assert tag in self.sent
        return tag

    def _check(self, event: Response | LateResponse) -> None:
        assert isinstance(event.pdu, SubmitSmResp | pdus.DeliverSmResp | GenericNack)
        assert self.sent[self._read(event.tag)] == event.sequence
        if self.is_honest and isinstance(event.pdu, SubmitSmResp) and event.pdu.message_id:
            assert event.pdu.message_id == str(event.tag), "somebody else's response"


class Side:
    """One end of the story: its link, its ledger, the octets on their way to it, and the requests that it has not answered."""

    def __init__(self, link: Link, rand: Random, *, is_honest: bool) -> None:
        self.link, self.rand = link, rand
        self.ledger = Ledger(is_honest)
        self.coming = bytearray()
        self.asked: list[Request] = []
        self.peer: Side
        self._framer = Framer()

    def enter(self, events: list[Event]) -> None:
        """Note what the link said."""
        self.ledger.enter(events)
        self.asked += [event for event in events if isinstance(event, Request)]
        assert self.link.outstanding == self.ledger.count()
        assert self.link.outstanding <= LIMITS.window
        assert self.link.room <= LIMITS.window - self.link.outstanding
        if self.link.is_over:
            assert (self.link.next_deadline(), self.link.room) == (None, 0)

    def write(self, junk: bytes = b"") -> None:
        """What the link wants to say goes on its way, and what it does not know of behind it. All that it says can be read."""
        octets = self.link.take()
        assert self.link.take() == b""
        for frame in self._framer.feed(octets):
            header, _ = decode(frame)
            assert header.command & RESPONSE or not self.link.is_over, "a request after the end"
        assert not self._framer.is_partial
        self.peer.coming += octets + junk

    def read(self, now: int) -> None:
        """Some of what is on its way arrives."""
        size = self.rand.choice((1, 7, 40, 10_000))
        octets = bytes(self.coming[:size])
        del self.coming[:size]
        self.enter(self.link.feed(octets, now))

    def submit(self, now: int) -> None:
        """One request, if there is room."""
        if not self.link.can_send:
            return
        tag = len(self.ledger.sent)
        kind = SubmitSm if self.link.role == "esme" else DeliverSm
        timeout = self.rand.choice((None, 50))
        self.ledger.sent[tag] = self.link.submit(kind(short_message=str(tag).encode()), tag, now, timeout=timeout)

    def answer(self) -> None:
        """Answer, forget or refuse one of the peer's requests, any of them."""
        if not self.asked:
            return
        event = self.asked.pop(self.rand.randrange(len(self.asked)))
        how = self.rand.choice(("yes", "yes", "yes", "no", "never", "wrong", "nack"))
        if isinstance(event.pdu, pdus.Bind) and how != "no":
            how = "yes"
        if how == "yes":
            self.link.answer(event.sequence, 0, SubmitSmResp(_read_tag(event.pdu)) if isinstance(event.pdu, SubmitSm) else None)
        elif how == "no":
            self.link.answer(event.sequence, 8)
        elif how == "wrong":
            self.write(encode(pdus.QuerySmResp("?"), event.sequence))
        elif how == "nack":
            self.write(encode(GenericNack(), event.sequence, 3))


def _read_tag(pdu: SubmitSm) -> str:
    return pdu.short_message.decode("ascii", "ignore").replace("\0", "")[:64]


def make_noise(rand: Random) -> bytes:
    """A frame that means nothing, or worse."""
    _, _, status, command, body = rand.choice(GOLDEN)
    match rand.randrange(6):
        case 0:
            return make_frame(command, body, status, rand.choice((1, 2, 3, 7)))
        case 1:
            return make_frame(rand.choice((*LAYOUTS, 0x77)), body[: rand.randrange(len(body) + 1)], status, rand.randrange(9))
        case 2:
            return encode(RawPdu(rand.getrandbits(32), rand.randbytes(rand.randrange(30))), rand.randrange(9))
        case 3:
            return make_frame(rand.choice((*LAYOUTS,)), rand.randbytes(rand.randrange(60)), 0, rand.randrange(9))
        case 4:
            return encode(pdus.EnquireLink(), rand.randrange(1 << 32))
        case _:
            return rand.randbytes(rand.randrange(1, 20))


def tell_of_two(rand: Random, steps: int = 60) -> None:
    """An ESME and an SMSC, and what is between them."""
    now = 0
    is_noisy = rand.random() < 0.3
    esme = Side(Link("esme", LIMITS, now), rand, is_honest=not is_noisy)
    smsc = Side(Link("smsc", LIMITS, now), rand, is_honest=not is_noisy)
    esme.peer, smsc.peer = smsc, esme
    esme.link.bind(BIND, now)
    for _ in range(steps):
        side = rand.choice((esme, smsc))
        match rand.randrange(20):
            case 0 | 1 | 2 | 3:
                side.submit(now)
            case 4 | 5 | 6 | 7:
                side.answer()
            case 8 | 9 | 10 | 11 | 12:
                side.write()
                side.read(now)
            case 13 | 14 | 15:
                side.write()
                side.peer.read(now)
            case 16 if is_noisy:
                side.write(make_noise(rand))
            case 17 if rand.random() < 0.15:
                side.link.unbind(now)
            case 18:
                due = side.link.next_deadline()
                now = max(now, due) if due is not None and rand.random() < 0.5 else now
                side.enter(side.link.tick(now))
            case _:
                now += rand.choice((0, 1, 20, 120))
                side.enter(side.link.tick(now))
    for side in (esme, smsc):
        tags = side.link.lose()
        if not side.ledger.is_over:
            side.ledger.lose(tags)
        assert side.link.lose() == []
        assert side.ledger.ended.keys() == side.ledger.sent.keys()


def tell_of_noise(rand: Random, steps: int = 40) -> None:
    """One link of either side, some requests of its own, and a peer that says anything at all."""
    now = 0
    role = rand.choice(("esme", "smsc"))
    side = Side(Link("esme" if role == "esme" else "smsc", LIMITS, now), rand, is_honest=False)
    side.peer = Side(Link("smsc", LIMITS, now), rand, is_honest=False)
    if role == "esme":
        side.link.bind(BIND, now)
        if rand.random() < 0.9:
            side.enter(side.link.feed(encode(pdus.BindTransceiverResp("S"), 1), now))
    else:
        side.enter(side.link.feed(encode(BIND, 1), now))
        side.answer()
    for _ in range(steps):
        side.submit(now)
        side.write()
        octets = make_noise(rand)
        at = rand.randrange(len(octets) + 1)
        side.enter(side.link.feed(octets[:at], now))
        side.enter(side.link.feed(octets[at:], now))
        side.answer()
        now += rand.choice((0, 0, 10, 100))
        side.enter(side.link.tick(now))
    tags = side.link.lose()
    if not side.ledger.is_over:
        side.ledger.lose(tags)


def tell_of_octets(rand: Random) -> None:
    """One frame of octets that were a PDU, changed here and there: it is read or refused, and what is read can be shown and written."""
    frame = bytearray(make_frame(*(row := rand.choice(GOLDEN))[3:5], row[2]))
    for _ in range(rand.randrange(6)):
        match rand.randrange(3):
            case 0 if len(frame) > 16:
                frame[rand.randrange(16, len(frame))] = rand.getrandbits(8)
            case 1:
                at = rand.randrange(16, len(frame) + 1)
                frame[at:at] = rand.randbytes(rand.randrange(4))
            case _:
                del frame[rand.randrange(16, len(frame) + 1) :]
    frame[:4] = len(frame).to_bytes(4, "big")
    try:
        header, pdu = decode(bytes(frame))
    except PduError:
        return
    assert repr(pdu) == f"{type(pdu).__name__}(…)"
    again: Pdu
    try:
        octets = encode(pdu, header.sequence, header.status)
    except ValueError:  # tolerated in reading, not in writing
        return
    _, again = decode(octets)
    assert again == pdu


STORIES = {"two": tell_of_two, "noise": tell_of_noise, "octets": tell_of_octets}
