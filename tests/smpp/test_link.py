"""One link: bind, window, responses, the peer's requests, and what is not allowed. Times are made up."""

from typing import Any

import pytest

from broker.smpp import commands as c
from broker.smpp import pdu as pdus
from broker.smpp import tlv
from broker.smpp.codec import Header, encode
from broker.smpp.events import Anomaly, Bound, Doubt, LateResponse, Lost, Refused, Request, Response
from broker.smpp.limits import Limits
from broker.smpp.link import Link, NotSendable
from broker.smpp.pdu import DeliverSm, DeliverSmResp, EnquireLink, EnquireLinkResp, GenericNack, Pdu, RawPdu, SubmitSm, SubmitSmResp
from broker.smpp.window import LAST_SEQUENCE
from tests.smpp.golden import make_frame
from tests.smpp.rig import BIND, HELLO, feed_pdu, make_esme, make_smsc, read_frames

# --- binding


@pytest.mark.parametrize(
    ("bind", "response", "state", "can_send"),
    [
        (pdus.BindTransmitter("u"), pdus.BindTransmitterResp("S"), "bound_tx", True),
        (pdus.BindReceiver("u"), pdus.BindReceiverResp("S"), "bound_rx", False),
        (pdus.BindTransceiver("u"), pdus.BindTransceiverResp("S"), "bound_trx", True),
    ],
)
def test_a_bind_that_is_taken(bind: pdus.Bind, response: pdus.BindResp, state: str, can_send: bool) -> None:
    link = Link("esme", Limits(), 0)
    assert (link.state, link.can_send, link.next_deadline()) == ("open", False, None)
    link.bind(bind, 5)
    assert link.take() == encode(bind, 1)
    assert link.next_deadline() == 10_005
    version = pdus.BindTransceiverResp(tlvs=(tlv.make_number(tlv.SC_INTERFACE_VERSION, 0x34),)).tlvs
    events = feed_pdu(link, type(response)("S", version), 1, now=6)
    assert events == [Bound("S", 0x34)]
    assert (link.state, link.can_send, link.is_bound) == (state, can_send, True)
    assert link.next_deadline() == 60_000 + 0  # the first enquiry: nothing of ours went since the start


@pytest.mark.parametrize("sent", [pdus.BindTransceiverResp(), GenericNack()])
def test_a_bind_that_is_refused(sent: Pdu) -> None:
    link = Link("esme", Limits(), 0)
    link.bind(BIND, 0)
    assert feed_pdu(link, sent, 1, 0x0E) == [Refused(0x0E)]
    assert link.is_over
    assert link.lose() == []


def test_a_nack_without_a_status_is_no_bind() -> None:
    link = Link("esme", Limits(), 0)
    link.bind(BIND, 0)
    assert feed_pdu(link, GenericNack(), 1, 0) == [Refused(0x0D)]


def test_a_response_to_another_bind_is_none() -> None:
    link = Link("esme", Limits(), 0)
    link.bind(BIND, 0)
    assert feed_pdu(link, pdus.BindReceiverResp("S"), 1) == [Lost("bind_mismatch")]


def test_a_bind_without_a_response() -> None:
    link = Link("esme", Limits(bind_timeout=700), 0)
    link.bind(BIND, 10)
    assert link.tick(709) == []
    assert link.tick(710) == [Lost("bind_timeout")]
    assert feed_pdu(link, pdus.BindTransceiverResp("S"), 1, now=711) == []  # over is over


def test_a_link_binds_once() -> None:
    link = make_esme()
    with pytest.raises(NotSendable):
        link.bind(BIND, 0)
    with pytest.raises(NotSendable):
        Link("smsc", Limits(), 0).bind(BIND, 0)


def test_a_bind_that_cannot_be_written_changes_nothing() -> None:
    link = Link("esme", Limits(), 0)
    with pytest.raises(ValueError, match=r"^password: "):
        link.bind(pdus.BindTransceiver(password="1" * 65), 0)
    assert (link.take(), link.next_deadline()) == (b"", None)
    link.bind(BIND, 0)


def test_an_smsc_is_bound_by_its_own_answer() -> None:
    link = Link("smsc", Limits(), 0)
    [event] = feed_pdu(link, BIND, 7)
    assert event == Request(7, BIND)
    assert (link.state, link.unanswered) == ("open", 1)
    assert link.answer(7, 0, pdus.BindTransceiverResp("me"))
    assert (link.state, link.can_send) == ("bound_trx", True)
    assert link.take() == encode(pdus.BindTransceiverResp("me"), 7)


def test_an_smsc_that_refuses_a_bind_hears_the_next() -> None:
    link = Link("smsc", Limits(), 0)
    feed_pdu(link, BIND, 1)
    link.answer(1, 0x0E)
    assert link.take() == make_frame(0x8000_0009, b"", 0x0E, 1)
    assert link.state == "open"
    assert feed_pdu(link, BIND, 2) == [Request(2, BIND)]


def test_an_smsc_does_not_wait_for_a_bind_for_ever() -> None:
    link = Link("smsc", Limits(bind_timeout=500), 100)
    feed_pdu(link, EnquireLink(), 1, now=599)
    assert link.next_deadline() == 600
    assert link.tick(600) == [Lost("bind_timeout")]


# --- requests and responses


def test_a_window_and_its_responses_in_any_order() -> None:
    link = make_esme(limits=Limits(window=3))
    sequences = [link.submit(HELLO, tag, 1) for tag in "abc"]
    assert sequences == [2, 3, 4]
    assert (link.outstanding, link.room, link.can_send) == (3, 0, False)
    with pytest.raises(NotSendable):
        link.submit(HELLO, "d", 1)
    assert [header.sequence for header, _ in read_frames(link.take())] == sequences
    assert feed_pdu(link, SubmitSmResp("x"), 4) == [Response("c", 0, SubmitSmResp("x"), 4)]
    assert feed_pdu(link, SubmitSmResp(), 2, 0x58) == [Response("a", 0x58, SubmitSmResp(), 2)]
    assert (link.outstanding, link.room) == (1, 2)
    assert link.lose() == ["b"]
    assert link.lose() == []


def test_what_cannot_be_written_was_not_sent() -> None:
    link = make_esme()
    with pytest.raises(ValueError, match=r"^source_addr: "):
        link.submit(SubmitSm(source_addr="x" * 21), "a", 0)
    assert (link.outstanding, link.take(), link.lose()) == (0, b"", [])


def test_a_nack_with_our_sequence_is_the_response() -> None:
    link = make_esme()
    link.submit(HELLO, "a", 0)
    assert feed_pdu(link, GenericNack(), 2, 3) == [Response("a", 3, GenericNack(), 2)]


def test_a_response_of_another_command_proves_nothing() -> None:
    link = make_esme()
    link.submit(HELLO, "a", 0)
    events = feed_pdu(link, pdus.QuerySmResp("x"), 2)
    assert events == [Doubt("a", "mismatch", 2), Anomaly("mismatch", 0x8000_0003, 2, 0, "x")]
    assert feed_pdu(link, SubmitSmResp("x"), 2) == [LateResponse("a", 0, SubmitSmResp("x"), 2)]
    assert link.lose() == []


def test_a_response_that_cannot_be_read_proves_nothing() -> None:
    link = make_esme()
    link.submit(pdus.QuerySm("x"), "a", 0)
    link.take()
    events = link.feed(make_frame(0x8000_0003, b"x\0", sequence=2), 0)
    assert events == [Doubt("a", "malformed", 2), Anomaly("malformed", 0x8000_0003, 2)]
    assert link.take() == b""  # a response is never answered


@pytest.mark.parametrize(("pdu", "ref"), [(SubmitSmResp("x"), "x"), (SubmitSmResp(), None), (pdus.CancelSmResp(), None)])
def test_a_response_to_nothing_is_told_with_its_id(pdu: Pdu, ref: str | None) -> None:
    link = make_esme()
    assert feed_pdu(link, pdu, 99, 8) == [Anomaly("unknown_sequence", pdu.COMMAND, 99, 8, ref)]
    assert feed_pdu(link, GenericNack(), 0, 3) == [Anomaly("nack", c.GENERIC_NACK, 0, 3)]


def test_no_response_in_time_and_one_too_late() -> None:
    link = make_esme(limits=Limits(response_timeout=1_000))
    link.submit(HELLO, "a", 0)
    link.submit(HELLO, "b", 400, timeout=200)
    link.submit(HELLO, "c", 400)
    assert link.next_deadline() == 600
    assert link.tick(599) == []
    assert link.tick(600) == [Doubt("b", "timeout", 3)]
    assert link.next_deadline() == 1_000
    assert link.tick(1_400) == [Doubt("a", "timeout", 2), Doubt("c", "timeout", 4)]
    assert link.outstanding == 0
    late = feed_pdu(link, SubmitSmResp("x"), 2, now=1_500)
    assert late == [LateResponse("a", 0, SubmitSmResp("x"), 2)]
    assert feed_pdu(link, SubmitSmResp("x"), 2, now=1_500) == [Anomaly("unknown_sequence", 0x8000_0004, 2, 0, "x")]
    assert feed_pdu(link, GenericNack(), 3, 8, now=1_500) == [LateResponse("b", 8, GenericNack(), 3)]
    assert link.lose() == []


def test_late_responses_are_waited_for_within_bounds() -> None:
    link = make_esme(limits=Limits(window=5, response_timeout=10, most_late=2))
    for tag in "abc":
        link.submit(HELLO, tag, 0)
    link.tick(10)
    found = [feed_pdu(link, SubmitSmResp(), sequence)[0] for sequence in (2, 3, 4)]
    assert [type(event) for event in found] == [Anomaly, LateResponse, LateResponse]


def test_nothing_is_late_on_a_link_that_is_gone() -> None:
    link = make_esme(limits=Limits(response_timeout=10))
    link.submit(HELLO, "a", 0)
    link.tick(10)
    assert link.lose() == []
    assert link.window.match(2, c.SUBMIT_SM) == ("unknown", None)


def test_sequences_wrap_and_skip_those_in_use() -> None:
    link = make_esme(limits=Limits(response_timeout=100))
    first = [link.submit(HELLO, tag, 0) for tag in "ab"]
    link.submit(HELLO, "late", 0, timeout=1)
    link.tick(1)
    link.window._sequence = LAST_SEQUENCE - 1
    assert first == [2, 3]
    assert [link.submit(HELLO, tag, 2) for tag in "cde"] == [LAST_SEQUENCE, 1, 5]  # 2 and 3 are open, 4 may still come
    assert link.lose() == ["a", "b", "c", "d", "e"]


def test_the_window_may_be_changed() -> None:
    link = make_esme(limits=Limits(window=1))
    link.submit(HELLO, "a", 0)
    link.window.size = 2
    assert link.room == 1
    link.window.size = 0
    assert (link.room, link.can_send) == (0, False)


# --- the peer's requests


def test_a_delivery_is_answered_when_the_driver_says_so() -> None:
    link = make_esme()
    pdu = DeliverSm(short_message=b"hi")
    assert feed_pdu(link, pdu, 70) == [Request(70, pdu)]
    assert (link.take(), link.unanswered) == (b"", 1)
    assert link.answer(70)
    assert link.take() == encode(DeliverSmResp(), 70)
    assert not link.answer(70)
    assert link.take() == b""


def test_a_delivery_that_cannot_be_stored_is_answered_with_a_status() -> None:
    link = make_esme()
    feed_pdu(link, DeliverSm(), 70)
    link.answer(70, 0x64)
    assert link.take() == make_frame(0x8000_0005, b"\0", 0x64, 70)


def test_a_peer_that_uses_one_number_twice_is_answered_twice() -> None:
    link = make_esme()
    feed_pdu(link, DeliverSm(), 1)
    feed_pdu(link, pdus.DataSm(), 1)
    assert link.unanswered == 2
    assert link.answer(1)
    assert link.answer(1)
    assert not link.answer(1)
    assert [header.command for header, _ in read_frames(link.take())] == [0x8000_0005, 0x8000_0103]


def test_an_answer_that_cannot_be_written_leaves_the_request() -> None:
    link = make_smsc()
    feed_pdu(link, HELLO, 2)
    with pytest.raises(ValueError, match=r"^message_id: "):
        link.answer(2, 0, SubmitSmResp("x" * 65))
    assert link.answer(2, 0, SubmitSmResp("x"))


def test_enquiries_are_answered_by_the_machine() -> None:
    for link in (Link("esme", Limits(), 0), make_esme(), make_smsc()):
        assert feed_pdu(link, EnquireLink(), 0xFFFF_FFFF) == []
        assert link.take() == encode(EnquireLinkResp(), 0xFFFF_FFFF)


def test_what_has_no_response_is_told_and_not_answered() -> None:
    link = make_esme()
    alert = pdus.AlertNotification(source_addr="1")
    assert feed_pdu(link, alert, 5) == [Request(5, alert)]
    assert not link.answer(5)
    fresh = Link("esme", Limits(), 0)
    assert feed_pdu(fresh, pdus.Outbind("S", "p"), 5) == [Request(5, pdus.Outbind("S", "p"))]
    smsc = make_smsc()
    smsc.notify(alert)
    assert read_frames(smsc.take()) == [(Header(0x102, 0, 1), alert)]


_BINDS = (pdus.BindTransmitter, pdus.BindReceiver, pdus.BindTransceiver)
_SUBMITS = (SubmitSm, pdus.SubmitMulti, pdus.DataSm, pdus.QuerySm, pdus.CancelSm, pdus.ReplaceSm)
_DELIVERIES = (DeliverSm, pdus.DataSm)
_ALL: set[Any] = {*_BINDS, *_SUBMITS, *_DELIVERIES}

# Table 2-1: our role, our bind (None: none yet), the peer's requests that are taken.
ALLOWED: list[tuple[str, pdus.Bind | None, set[Any]]] = [
    ("esme", None, set()),
    ("esme", pdus.BindTransmitter(), set()),
    ("esme", pdus.BindReceiver(), set(_DELIVERIES)),
    ("esme", pdus.BindTransceiver(), set(_DELIVERIES)),
    ("smsc", None, set(_BINDS)),
    ("smsc", pdus.BindTransmitter(), set(_SUBMITS)),
    ("smsc", pdus.BindReceiver(), set()),
    ("smsc", pdus.BindTransceiver(), set(_SUBMITS)),
]


@pytest.mark.parametrize(("role", "bind", "taken"), ALLOWED)
@pytest.mark.parametrize("kind", sorted(_ALL, key=repr), ids=lambda kind: str(kind.__name__))
def test_who_may_ask_what_when(role: str, bind: pdus.Bind | None, taken: set[Any], kind: type[Pdu]) -> None:
    if bind is None:
        link = Link("esme" if role == "esme" else "smsc", Limits(), 0)
    else:
        link = make_esme(bind) if role == "esme" else make_smsc(bind)
    [event] = feed_pdu(link, kind(), 9)
    if kind in taken:
        assert event == Request(9, kind())
        assert link.take() == b""
        return
    [(header, _)] = read_frames(link.take())
    assert isinstance(event, Anomaly)
    if kind in (_DELIVERIES if role == "esme" else (*_BINDS, *_SUBMITS)):
        status = 0x05 if kind in _BINDS else 0x04
        assert (event.kind, header) == ("state", Header(kind.COMMAND | c.RESPONSE, status, 9))
    else:
        assert (event.kind, header) == ("unknown_command", Header(c.GENERIC_NACK, 0x03, 9))


def test_a_peer_that_delivers_before_its_bind_resp_is_heard() -> None:
    link = Link("esme", Limits(), 0)
    link.bind(BIND, 0)
    link.take()
    assert feed_pdu(link, DeliverSm(), 5) == [Request(5, DeliverSm())]
    glued = encode(pdus.BindTransceiverResp("S"), 1) + encode(DeliverSm(), 6)
    assert [type(event) for event in link.feed(glued, 0)] == [Bound, Request]


def test_an_unknown_command_is_nacked() -> None:
    link = make_esme()
    assert feed_pdu(link, RawPdu(0x12, b"abc"), 5) == [Anomaly("unknown_command", 0x12, 5)]
    assert link.take() == encode(GenericNack(), 5, 0x03)


@pytest.mark.parametrize(
    ("body", "command", "status"),
    [
        (b"", c.GENERIC_NACK, 0x02),
        (bytes(16) + b"\x05a", 0x8000_0005, 0x01),
        (bytes(3) + b"x" * 300 + bytes(14), 0x8000_0005, 0x0A),
        (bytes(17) + b"\x04\x24\x00\x05ab", 0x8000_0005, 0xC0),
    ],
)
def test_a_request_that_cannot_be_read_is_answered(body: bytes, command: int, status: int) -> None:
    link = make_esme()
    assert link.feed(make_frame(5, body, sequence=8), 0) == [Anomaly("malformed", 5, 8)]
    assert [header for header, _ in read_frames(link.take())] == [Header(command, status, 8)]
    assert not link.answer(8)


def test_a_notification_that_cannot_be_read_is_not_answered() -> None:
    link = make_esme()
    assert link.feed(make_frame(0x102, b"", sequence=8), 0) == [Anomaly("malformed", 0x102, 8)]
    assert link.take() == b""


@pytest.mark.parametrize(("link", "pdu"), [(make_esme(), pdus.Outbind("S")), (Link("esme", Limits(), 0), pdus.AlertNotification())])
def test_what_has_no_response_is_not_answered_in_a_wrong_state_either(link: Link, pdu: Pdu) -> None:
    assert feed_pdu(link, pdu, 8) == [Anomaly("state", pdu.COMMAND, 8)]
    assert link.take() == b""
