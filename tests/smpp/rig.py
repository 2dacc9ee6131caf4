"""Two links, or one and octets made by hand, without any connection between."""

from broker.smpp.codec import Header, decode, encode
from broker.smpp.events import Bound, Event, Request
from broker.smpp.frames import Framer
from broker.smpp.limits import Limits
from broker.smpp.link import Link
from broker.smpp.pdu import RESPONSES, Bind, BindTransceiver, Pdu, SubmitSm

BIND = BindTransceiver(system_id="user", password="secret")
LIMITS = Limits()
HELLO = SubmitSm(destination_addr="886912345678", short_message=b"hello")


def read_frames(octets: bytes) -> list[tuple[Header, Pdu]]:
    """What was written."""
    return [decode(frame) for frame in Framer().feed(octets)]


def feed_pdu(link: Link, pdu: Pdu, sequence: int, status: int = 0, now: int = 0) -> list[Event]:
    """What the link says of one PDU."""
    return link.feed(encode(pdu, sequence, status), now)


def make_esme(bind: Bind = BIND, limits: Limits = LIMITS, now: int = 0) -> Link:
    """An ESME's link whose bind an SMSC took; its next sequence is 2."""
    link = Link("esme", limits, now)
    link.bind(bind, now)
    [(header, pdu)] = read_frames(link.take())
    assert header.sequence == 1
    events = feed_pdu(link, RESPONSES[type(pdu)](), 1, now=now)
    assert [type(event) for event in events] == [Bound]
    return link


def make_smsc(bind: Bind = BIND, limits: Limits = LIMITS, now: int = 0) -> Link:
    """An SMSC's link whose ESME is bound; the ESME's next sequence is 2."""
    link = Link("smsc", limits, now)
    events = feed_pdu(link, bind, 1, now=now)
    assert [type(event) for event in events] == [Request]
    assert link.answer(1)
    link.take()
    return link
