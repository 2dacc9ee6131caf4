"""One link in time: enquiries, PDUs that do not end, leaving from either side, and what a bad peer may do. Times are made up."""

from typing import Any

import pytest

from broker.smpp import commands as c
from broker.smpp import pdu as pdus
from broker.smpp.codec import Header, encode
from broker.smpp.events import Anomaly, Bound, Doubt, LateResponse, Leaving, Lost, Refused, Request, Response
from broker.smpp.limits import Limits
from broker.smpp.link import Link, NotSendable
from broker.smpp.pdu import DeliverSm, EnquireLink, EnquireLinkResp, GenericNack, Pdu, SubmitSmResp
from tests.smpp.rig import BIND, HELLO, feed_pdu, make_esme, make_smsc, read_frames

# --- time


def test_silence_is_enquired_into() -> None:
    link = make_esme(limits=Limits(enquire_every=1_000, enquire_timeout=300))
    assert link.next_deadline() == 1_000
    assert link.tick(999) == []
    assert link.take() == b""
    assert link.tick(1_000) == []
    assert read_frames(link.take()) == [(Header(c.ENQUIRE_LINK, 0, 2), EnquireLink())]
    assert link.next_deadline() == 1_300
    assert feed_pdu(link, EnquireLinkResp(), 2, now=1_100) == []
    assert link.next_deadline() == 2_000


def test_a_silent_peer_is_left_and_all_is_in_doubt() -> None:
    link = make_esme(limits=Limits(enquire_every=1_000, enquire_timeout=300))
    link.submit(HELLO, "a", 500)
    assert link.next_deadline() == 1_000  # we spoke, it did not
    link.tick(1_000)
    assert link.tick(1_299) == []
    assert link.tick(1_300) == [Lost("enquire_timeout", ("a",))]
    assert link.lose() == []


def test_a_peer_that_says_other_things_is_alive() -> None:
    link = make_esme(limits=Limits(enquire_every=1_000, enquire_timeout=300))
    link.tick(1_000)
    feed_pdu(link, DeliverSm(), 1, now=1_200)
    assert link.tick(1_300) == []
    assert link.next_deadline() == 2_000
    assert link.tick(2_000) == []
    assert link.tick(2_300) == [Lost("enquire_timeout")]


def test_a_nack_to_an_enquiry_is_a_sign_of_life() -> None:
    link = make_esme(limits=Limits(enquire_every=1_000, enquire_timeout=300))
    link.tick(1_000)
    assert feed_pdu(link, GenericNack(), 2, 3, now=1_001) == []
    assert link.tick(1_300) == []
    assert not link.is_over


def test_the_number_of_an_open_enquiry_is_not_given_to_a_request() -> None:
    link = make_esme(limits=Limits(enquire_every=1_000))
    link.tick(1_000)
    assert read_frames(link.take())[0][0].sequence == 2
    link.window._sequence = 1
    assert link.submit(HELLO, "a", 1_000) == 3


def test_no_enquiries_where_none_are_wanted() -> None:
    link = make_esme(limits=Limits(enquire_every=0))
    assert link.next_deadline() is None


def test_a_pdu_must_arrive_in_time() -> None:
    link = make_esme(limits=Limits(pdu_timeout=1_000))
    frame = encode(DeliverSm(short_message=b"hello"), 1)
    assert link.feed(frame[:3], 100) == []
    for now in range(200, 1_100, 100):  # an octet now and then does not help
        assert link.feed(frame[now // 100 + 1 : now // 100 + 2], now) == []
    assert link.next_deadline() == 1_100
    link.submit(HELLO, "a", 1_000)
    assert link.tick(1_100) == [Lost("dribble", ("a",))]


def test_each_pdu_has_its_own_time() -> None:
    link = make_esme(limits=Limits(pdu_timeout=1_000))
    frame = encode(DeliverSm(), 1)
    link.feed(frame[:5], 0)
    link.feed(frame[5:] + frame[:5], 900)
    assert link.tick(1_500) == []
    assert link.next_deadline() == 1_900
    link.feed(frame[5:], 1_800)
    assert link.next_deadline() == 60_000


# --- leaving


def test_our_unbind_waits_for_what_is_outstanding() -> None:
    link = make_esme(limits=Limits(unbind_wait=2_000))
    link.submit(HELLO, "a", 0)
    feed_pdu(link, DeliverSm(), 50)
    link.take()
    link.unbind(100)
    assert (link.can_send, link.is_leaving, link.take()) == (False, True, b"")
    with pytest.raises(NotSendable):
        link.submit(HELLO, "b", 100)
    assert link.next_deadline() == 2_100
    assert feed_pdu(link, SubmitSmResp("x"), 2, now=200) == [Response("a", 0, SubmitSmResp("x"), 2)]
    assert link.take() == b""  # a delivery still waits for us
    link.answer(50)
    assert link.next_deadline() == 0
    assert link.tick(300) == []
    assert [header.command for header, _ in read_frames(link.take())] == [0x8000_0005, c.UNBIND]
    assert feed_pdu(link, pdus.UnbindResp(), 3, now=400) == [Lost("unbound")]
    assert (link.state, link.is_over) == ("unbound", True)


def test_our_unbind_does_not_wait_for_ever() -> None:
    link = make_esme(limits=Limits(unbind_wait=2_000))
    link.submit(HELLO, "a", 0)
    link.take()
    link.unbind(0)
    assert link.tick(2_000) == []
    assert [header.command for header, _ in read_frames(link.take())] == [c.UNBIND]
    assert feed_pdu(link, SubmitSmResp("x"), 2, now=2_100) == [Response("a", 0, SubmitSmResp("x"), 2)]
    assert link.next_deadline() == 4_000
    assert link.tick(4_000) == [Lost("unbind_timeout")]


def test_what_had_no_response_before_unbind_resp_is_in_doubt() -> None:
    link = make_esme(limits=Limits(unbind_wait=10))
    link.submit(HELLO, "a", 0)
    link.unbind(0)
    link.tick(10)
    assert feed_pdu(link, pdus.UnbindResp(), 3, now=11) == [Lost("unbound", ("a",))]


def test_the_peers_unbind_is_answered_when_all_is_said() -> None:
    link = make_esme(limits=Limits(peer_wait=500))
    link.submit(HELLO, "a", 0)
    link.take()
    assert feed_pdu(link, pdus.Unbind(), 60, now=0) == [Leaving()]
    assert (link.can_send, link.take()) == (False, b"")
    events = feed_pdu(link, SubmitSmResp("x"), 2, now=100)
    assert events == [Response("a", 0, SubmitSmResp("x"), 2), Lost("peer_unbind")]
    assert link.take() == encode(pdus.UnbindResp(), 60)


def test_the_peers_unbind_waits_no_longer_than_is_polite() -> None:
    link = make_esme(limits=Limits(peer_wait=500))
    link.submit(HELLO, "a", 0)
    link.take()
    feed_pdu(link, pdus.Unbind(), 60, now=0)
    assert link.next_deadline() == 500
    assert link.tick(500) == [Lost("peer_unbind", ("a",))]
    assert link.take() == encode(pdus.UnbindResp(), 60)


def test_the_peers_unbind_does_not_lengthen_ours() -> None:
    link = make_esme(limits=Limits(unbind_wait=200, peer_wait=500))
    link.submit(HELLO, "a", 0)
    link.unbind(0)
    assert feed_pdu(link, pdus.Unbind(), 60, now=100) == [Leaving()]
    assert link.next_deadline() == 200
    assert link.tick(200) == [Lost("peer_unbind", ("a",))]


def test_the_peers_unbind_with_nothing_outstanding() -> None:
    link = make_esme()
    assert feed_pdu(link, pdus.Unbind(), 60, now=0) == [Leaving(), Lost("peer_unbind")]
    assert link.take() == encode(pdus.UnbindResp(), 60)


def test_both_unbind_at_once() -> None:
    link = make_esme()
    link.unbind(0)
    link.tick(0)
    link.take()
    assert feed_pdu(link, pdus.Unbind(), 60, now=1) == []
    assert link.take() == encode(pdus.UnbindResp(), 60)
    assert feed_pdu(link, pdus.UnbindResp(), 2, now=2) == [Lost("unbound")]


def test_unbinding_before_being_bound() -> None:
    link = Link("esme", Limits(), 0)
    link.bind(BIND, 0)
    link.take()
    link.unbind(5)
    assert link.tick(5) == [Lost("unbound")]
    assert link.take() == b""
    other = Link("smsc", Limits(), 0)
    assert feed_pdu(other, pdus.Unbind(), 1) == [Leaving(), Lost("peer_unbind")]


# --- bad peers


@pytest.mark.parametrize("junk", [bytes(4), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 20, (65_537).to_bytes(4, "big")])
def test_a_stream_out_of_step_costs_no_response_before_it(junk: bytes) -> None:
    link = make_esme()
    link.submit(HELLO, "a", 0)
    link.submit(HELLO, "b", 0)
    link.take()
    events = link.feed(encode(SubmitSmResp("x"), 2) + junk, 1)
    assert events == [Response("a", 0, SubmitSmResp("x"), 2), Lost("framing", ("b",))]
    assert link.take() == encode(GenericNack(), 0, 0x02)
    assert link.feed(encode(SubmitSmResp("x"), 3), 2) == []
    assert (link.next_deadline(), link.tick(10**9)) == (None, [])


def test_a_request_that_was_not_taken_before_the_end_is_never_sent() -> None:
    """Its sender is told that it was lost, and may send it another way; what answers the peer still goes."""
    link = make_esme()
    feed_pdu(link, DeliverSm(), 50)
    link.submit(HELLO, "a", 0)
    link.answer(50)
    assert link.feed(bytes(16), 1) == [Lost("framing", ("a",))]
    assert [header.command for header, _ in read_frames(link.take())] == [0x8000_0005, c.GENERIC_NACK]
    other = make_esme()
    other.submit(HELLO, "a", 0)
    assert (other.lose(), other.take()) == (["a"], b"")


def test_a_peer_that_only_talks_nonsense_is_left() -> None:
    link = make_esme(limits=Limits(most_anomalies=5))
    octets = b"".join(encode(SubmitSmResp("x"), 1_000 + n) for n in range(20))
    events = link.feed(octets, 0)
    assert [type(event) for event in events] == [Anomaly] * 6 + [Lost]
    assert events[-1] == Lost("anomalies")


def test_a_little_nonsense_in_each_minute_is_borne() -> None:
    link = make_esme(limits=Limits(most_anomalies=5, enquire_every=0))
    for minute in range(10):
        for n in range(5):
            feed_pdu(link, SubmitSmResp("x"), 1_000 + n, now=minute * 60_000 + 1)
    assert not link.is_over


@pytest.mark.parametrize(("link", "pdu", "status"), [(make_esme, DeliverSm(), 0x64), (make_smsc, HELLO, 0x58)])
def test_more_requests_than_are_kept_are_put_off(link: Any, pdu: Pdu, status: int) -> None:
    made = link(limits=Limits(most_unanswered=2))
    events = [event for sequence in (5, 6, 7) for event in feed_pdu(made, pdu, sequence)]
    assert events == [Request(5, pdu), Request(6, pdu), Anomaly("flood", pdu.COMMAND, 7)]
    assert [header for header, _ in read_frames(made.take())] == [Header(pdu.COMMAND | c.RESPONSE, status, 7)]
    made.answer(5)
    assert feed_pdu(made, pdu, 8) == [Request(8, pdu)]


def test_a_peer_that_asks_and_does_not_read_is_left() -> None:
    link = make_esme(limits=Limits(most_unread=160))
    octets = b"".join(encode(EnquireLink(), n) for n in range(1, 11))
    assert link.feed(octets, 0) == []
    assert link.feed(octets[:16], 0) == [Lost("unread")]


def test_nothing_is_answered_or_sent_on_a_link_that_is_over() -> None:
    link = make_esme()
    feed_pdu(link, DeliverSm(), 5)
    link.lose()
    assert not link.answer(5)
    with pytest.raises(NotSendable):
        link.submit(HELLO, "a", 0)
    link.notify(pdus.AlertNotification())
    link.unbind(0)
    assert (link.take(), link.next_deadline(), link.tick(10**9), link.room) == (b"", None, [], 0)


def test_no_value_is_shown() -> None:
    secret = "886912345678 hello secret"
    shown = repr(
        [
            *(Response(secret, 0, HELLO, 1), LateResponse(secret, 0, HELLO, 1), Doubt(secret, "timeout", 1), Lost("eof", (secret,))),
            *(Request(1, HELLO), Bound(secret, None), Refused(0x0E), Anomaly("nack", 1, 2, 3, secret), Leaving()),
        ]
    )
    assert "88691" not in shown
    assert "hello" not in shown
    assert "secret" not in shown
    assert "Refused(status=14)" in shown
