"""Links: bound, lost, bound again, in good order and not too eagerly."""

import ssl
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair

from broker.provider.contract import Secret
from broker.provider.smpp import SmppSession
from broker.provider.smpp_twin import SmscTwin
from broker.provider.smpp_wire import Wire, find_now
from broker.smpp.codec import encode
from broker.smpp.events import Doubt, Event
from broker.smpp.limits import Limits
from broker.smpp.pdu import BindTransmitter, BindTransmitterResp, SubmitSm
from tests.provider.test_tls import CERTIFICATE, KEY
from tests.smpp_session.rig import PLUGIN, NotingPort, bound, make_keys, make_valid


async def test_a_pair(autojump_clock: MockClock) -> None:
    async with bound(bind="pair") as rig:
        await trio.sleep(1)
        assert sorted(line.link.state for line in rig.twin.lines) == ["bound_rx", "bound_tx"]
        assert (await rig.send()).class_ == "accepted"
        await trio.sleep(1)
        assert [receipt.class_ for receipt in rig.port.receipts] == ["delivered"]


async def test_several_links_share_the_work(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(delay=100), binds=4, window=5) as rig:
        await trio.sleep(1)
        begun = trio.current_time()
        await rig.submit(*(make_valid(n=n) for n in range(40)))
        assert trio.current_time() - begun == pytest.approx(0.2, abs=0.02)


async def test_one_of_several_links_drops(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(delay=1_000), binds=2, window=5) as rig:
        await trio.sleep(1)
        rig.nursery.start_soon(rig.submit, *(make_valid(n=n) for n in range(10)))
        await trio.sleep(0.5)
        rig.twin.lines[0].cut()
        await trio.sleep(0.1)
        assert rig.port.state == "up"
        await trio.sleep(1)
        assert sorted(outcome.class_ for outcome in rig.outcomes.values()) == ["accepted"] * 5 + ["in_doubt"] * 5


@pytest.mark.parametrize(
    ("status", "state", "least"),
    [
        *((status, "misconfigured", 30) for status in ("0x05", "0x0D", "0x0E", "0x0F")),
        *((status, "unreachable", 0.4) for status in ("0x08", "0x58")),
    ],
)
async def test_a_bind_that_is_refused(status: str, state: str, least: float, autojump_clock: MockClock) -> None:
    twin = SmscTwin(binds=[status])
    async with bound(twin, wait=False) as rig:
        await trio.sleep(0.1)
        assert rig.port.state == state
        assert rig.port.reports[-1] is not None
        assert rig.port.reports[-1].code == status
        await rig.wait_bound()
        assert least <= trio.current_time() <= 60


async def test_a_wrong_password_is_not_tried_over_and_over(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(password="other"), wait=False) as rig:
        await trio.sleep(600)
        assert len(rig.streams) <= 20
        assert rig.port.state == "misconfigured"


async def test_a_host_that_is_away_is_asked_less_and_less_often(autojump_clock: MockClock) -> None:
    async with bound(wait=False) as rig:
        rig.is_down = True
        tries: list[float] = []
        open_stream = rig.session._bindings[0]._open_stream

        async def count(host: str, port: int) -> trio.abc.Stream:
            tries.append(trio.current_time())
            return await open_stream(host, port)

        rig.session._bindings[0]._open_stream = count
        await trio.sleep(600)
        gaps = [late - early for early, late in pairwise(tries)]
        assert gaps[0] <= 2
        assert all(30 <= gap <= 60 for gap in gaps[7:])
        assert len({round(gap, 3) for gap in gaps[7:]}) > 3  # jitter


async def test_we_unbind_at_the_end_and_hear_what_is_outstanding(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(delay=300, receipts=None)) as rig:
        rig.nursery.start_soon(rig.submit, make_valid())
        await trio.sleep(0.1)
        line = rig.twin.lines[0]
        begun = trio.current_time()
        rig.scope.cancel()
        await trio.sleep(0.5)
        assert rig.outcomes[0].class_ == "accepted"
        assert line.link.state == "unbound"
        assert trio.current_time() - begun < 2


async def test_an_answer_that_comes_while_we_leave_is_kept(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(delay=300, receipts=None)) as rig:
        with trio.move_on_after(0.1):
            await rig.submit(make_valid())
        rig.scope.cancel()
        await trio.sleep(2)
        assert rig.outcomes[0].class_ == "in_doubt"
        assert [(receipt.token, receipt.ref) for receipt in rig.port.receipts] == [("m1/1", "1000001")]


async def test_an_smsc_that_never_answers_does_not_hold_the_end_up(autojump_clock: MockClock) -> None:
    async with bound(SmscTwin(fault="silent")) as rig:
        rig.nursery.start_soon(rig.submit, make_valid())
        await trio.sleep(0.1)
        rig.scope.cancel()
        with trio.fail_after(3):
            while rig.session._wires:  # noqa: ASYNC110  # a look at what has no event
                await trio.sleep(0.01)


async def test_the_smsc_unbinds(autojump_clock: MockClock) -> None:
    async with bound() as rig:
        rig.twin.unbind()
        await trio.sleep(0.3)
        assert rig.port.state == "unreachable"
        await trio.sleep(5)
        assert (await rig.send()).class_ == "accepted"


async def test_silence_is_asked_about(autojump_clock: MockClock) -> None:
    async with bound(enquire_every=30_000) as rig:
        await trio.sleep(600)
        assert len(rig.streams) == 1
        rig.twin.lines[0].link.take = lambda: b""  # type: ignore[method-assign]  # it says nothing any more
        await trio.sleep(120)
        assert len(rig.streams) == 2


class SecureRig:
    """A session over TLS to a twin that shows the certificate of `gateway.test`."""

    def __init__(self, nursery: trio.Nursery, folder: Path, host: str) -> None:
        pem, self.ca = folder / "server.pem", folder / "ca.pem"
        pem.write_text(KEY + CERTIFICATE)
        self.ca.write_text(CERTIFICATE)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(pem)
        self.nursery = nursery
        self.twin = SmscTwin()
        self.port = NotingPort()
        session = PLUGIN.open_session
        assert session is not None
        self.session: SmppSession = session(make_keys(host=host, tls=True, tls_ca=str(self.ca)), "a")  # type: ignore[assignment]
        self.session._bindings[0]._open_stream = self.open

    async def open(self, host: str, port: int) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.serve, theirs)
        await trio.lowlevel.checkpoint()
        return ours

    async def serve(self, stream: trio.abc.Stream) -> None:
        try:
            await self.twin.converse(trio.SSLStream(stream, self.context, server_side=True), self.port.now)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(("host", "state"), [("gateway.test", "up"), ("elsewhere.test", "misconfigured")])
async def test_tls(host: str, state: str, tmp_path: Path, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        rig = SecureRig(nursery, tmp_path, host)
        await nursery.start(rig.session.run, rig.port)
        await trio.sleep(1)
        assert rig.port.state == state
        nursery.cancel_scope.cancel()


async def test_a_peer_that_speaks_no_tls(autojump_clock: MockClock) -> None:
    async with bound(wait=False, tls=True) as rig:
        await trio.sleep(100)
        assert rig.port.state == "unreachable"


async def test_a_bind_that_cannot_be_written(autojump_clock: MockClock) -> None:
    async with bound(wait=False, password=Secret("p" * 100)) as rig:
        await trio.sleep(1)
        assert rig.port.state == "misconfigured"
        assert "ppp" not in repr(rig.port.reports)


async def test_times_pass_while_there_is_always_something_to_write(autojump_clock: MockClock) -> None:
    """The peer reads slowly and never answers: what is written meanwhile may not hold up the response timers."""
    ours, theirs = memory_stream_pair()
    heard: list[Event] = []
    limits = Limits(window=100, response_timeout=5_000, enquire_every=0)
    wire = Wire("a/1", ours, limits, lambda _, events: heard.extend(events), lambda _: None)
    wire.link.bind(BindTransmitter("demo"), find_now())
    ours.send_stream.send_all_hook = partial(trio.sleep, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.serve)
        await theirs.send_all(encode(BindTransmitterResp("S"), 1))
        await trio.sleep(1.5)
        for n in range(16):
            wire.submit(SubmitSm(destination_addr="306912345678"), n)
            await trio.sleep(0.5)
        assert [event.tag for event in heard if isinstance(event, Doubt)][:5] == list(range(5))
        nursery.cancel_scope.cancel()
