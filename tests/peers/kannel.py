"""Kannel's bearerbox as an ESME bound to our SMSC twin: what it submits, receipts, what a handset writes, throttling, unbinding.

`make peers`; skipped, and saying so, where Kannel is not installed. Not part of `make test`: the name is no test's.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import time
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import trio
from msgspec.structs import replace

from broker.provider.smpp_twin import SmscTwin
from broker.provider.twin import converse
from broker.smpp.pdu import DeliverSm
from tests.bench.kannel import Kannel, find_missing
from tests.bench.peers import Tools
from tests.bench.rig import Stage
from tests.crash.web import Asked, Said, open_door, port_of, serve_web

SMSC = """smsc = smpp
host = 127.0.0.1
{way} = {port}
smsc-username = kannel
smsc-password = secret
system-type = test
transceiver-mode = {transceiver}
reconnect-delay = 1
enquire-link-interval = 1
"""
CORE = "sms-resend-freq = 1"
USER = "concatenation = true\nmax-messages = 10"
SERVICE = """
group = sms-service
keyword = default
get-url = "http://127.0.0.1:{web}/inbound?from=%p&text=%a"
max-messages = 0
"""
PATIENCE = 45


class Site:
    """Kannel, our twin, and whoever Kannel calls: `called` is what came, path and parameters."""

    def __init__(self, twin: SmscTwin, kannel: Kannel, web: int) -> None:
        self.twin, self.kannel, self.web = twin, kannel, web
        self.called: list[tuple[str, dict[str, str]]] = []

    async def hear(self, asked: Asked) -> Said:
        """Kannel calls."""
        parts = urlsplit(asked.target)
        self.called.append((parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}))
        return 200, b"", "whole"

    async def submit(self, to: str, text: str, more: str = "") -> None:
        """One sendsms, with every report called back."""
        report = quote(f"http://127.0.0.1:{self.web}/report?type=%d&id=%F", safe="")
        target = f"/cgi-bin/sendsms?username=bench&password=bench&to={quote(to)}&text={quote(text)}&dlr-mask=31&dlr-url={report}{more}"
        async with await trio.open_tcp_stream("127.0.0.1", self.kannel.submits) as stream:
            await stream.send_all(f"GET {target} HTTP/1.1\r\nHost: kannel\r\nConnection: close\r\n\r\n".encode())
            answer = await stream.receive_some(4096)
        assert answer.split(b" ")[1] == b"202", answer

    def reports(self) -> list[str]:
        """The types of the reports so far: 1 delivered, 2 not delivered, 8 accepted by the SMSC, 16 refused by it."""
        return [fields["type"] for path, fields in self.called if path == "/report"]

    def inbound(self) -> list[dict[str, str]]:
        """What Kannel's service got."""
        return [fields for path, fields in self.called if path == "/inbound"]


def write_group(port: int, *, transceiver: bool = True) -> str:
    """Kannel's group, or two of them where a receiver is bound beside a transmitter."""
    ways = ("port",) if transceiver else ("port", "receive-port")
    return "\ngroup = smsc\nsmsc-id = bench\n".join(SMSC.format(way=way, port=port, transceiver=str(transceiver).lower()) for way in ways)


async def until(is_so: Callable[[], object], what: str) -> None:
    """Return when `is_so()`."""
    with trio.move_on_after(PATIENCE):
        while not is_so():  # noqa: ASYNC110  # another process does it, and tells nobody
            await trio.sleep(0.02)
        return
    pytest.fail(f"waited {PATIENCE} s for {what}")


@asynccontextmanager
async def open_site(twin: SmscTwin, *, transceiver: bool = True) -> AsyncIterator[Site]:
    """Kannel, bound to `twin`."""
    with Stage() as stage:
        missing = find_missing(Tools(stage))
        if missing is not None:
            pytest.skip(missing)
        twin.receipt_delay = 300  # Kannel drops a receipt that overtakes its submit_sm_resp, as on another link it may
        smsc, web = await open_door(), await open_door()
        group, service = write_group(port_of(smsc), transceiver=transceiver), SERVICE.format(web=port_of(web))
        kannel = Kannel(stage, group, core=CORE, user=USER, more=service)
        site = Site(twin, kannel, port_of(web))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, partial(converse, twin, lambda: round(time() * 1000)), [smsc])
            nursery.start_soon(trio.serve_listeners, partial(serve_web, site.hear), [web])
            await until(lambda: len(twin.lines) == 2 - transceiver, "Kannel to bind")
            yield site
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("transceiver", [True, False])
async def test_a_message_is_taken_and_its_receipt_comes_back(transceiver: bool) -> None:
    async with open_site(SmscTwin(username="kannel", password="secret"), transceiver=transceiver) as site:
        await site.submit("+886912345678", "hello from kannel")
        await until(lambda: sorted(site.reports()) == ["1", "8"], "both reports")
        assert [(to, text) for to, text, _ in site.twin.sent] == [("+886912345678", "hello from kannel")]
        assert len(site.twin.acknowledged) == 1


@pytest.mark.parametrize(
    ("text", "more"),
    [("x" * 150 + "[brackets] {braces} €" + "y" * 200, "&charset=utf-8"), ("жизнь " * 30, "&coding=2&charset=utf-8")],
)
async def test_a_long_message_is_joined(text: str, more: str) -> None:
    async with open_site(SmscTwin()) as site:
        await site.submit("+886912345678", text, more)
        await until(lambda: site.twin.sent, "the message")
        assert site.twin.sent[0][1] == text
        assert len(site.twin.taken) == 3
        await until(lambda: "1" in site.reports(), "the report")


async def test_what_a_handset_writes_reaches_its_service() -> None:
    async with open_site(SmscTwin()) as site:
        sender = DeliverSm(source_addr_ton=1, source_addr_npi=1, source_addr="886911111111", destination_addr="55555")
        pdu = replace(sender, short_message=b"BALANCE now")
        site.twin.inject(pdu)
        await until(site.inbound, "the inbound message")
        assert site.inbound() == [{"from": "+886911111111", "text": "BALANCE now"}]
        assert site.twin.acknowledged == [pdu]


async def test_what_is_throttled_comes_again() -> None:
    async with open_site(SmscTwin(answers=["0x58"])) as site:
        await site.submit("+886912345678", "in its time")
        await until(lambda: "1" in site.reports(), "its delivery")
        assert [code for _, code in site.twin.refused] == ["0x58"]
        assert len(site.twin.sent) == 1


async def test_what_is_refused_is_told() -> None:
    async with open_site(SmscTwin(answers=["0x0B"])) as site:
        await site.submit("+886912345678", "never")
        await until(site.reports, "its report")
        assert site.reports() == ["16"]
        assert not site.twin.sent


@pytest.mark.parametrize("how", ["unbind", "cut"])
async def test_it_binds_again(how: str) -> None:
    async with open_site(SmscTwin()) as site:
        old = site.twin.lines[0]
        site.twin.unbind() if how == "unbind" else site.twin.cut()
        await until(lambda: site.twin.lines and site.twin.lines[0] is not old, "a new bind")
        await site.submit("+886912345678", "after")
        await until(lambda: site.twin.sent, "the message")


async def test_a_silent_link_lives_by_enquire_link() -> None:
    async with open_site(SmscTwin()) as site:
        old = site.twin.lines[0]
        await trio.sleep(3.5)  # three of its enquire_links, each of which ends the link where it is not answered
        await site.submit("+886912345678", "still here")
        await until(lambda: site.twin.sent, "the message")
        assert site.twin.lines == [old]


async def test_a_wrong_password_is_refused() -> None:
    twin = SmscTwin(username="kannel", password="another", binds=[])
    with Stage() as stage:
        if (missing := find_missing(Tools(stage))) is not None:
            pytest.skip(missing)
        smsc = await open_door()
        Kannel(stage, write_group(port_of(smsc)))
        async with trio.open_nursery() as nursery:
            seen: list[int] = []
            judge = twin.judge_bind

            def note(pdu: object) -> int:
                seen.append(judge(pdu))  # type: ignore[arg-type]  # a Bind
                return seen[-1]

            twin.judge_bind = note  # type: ignore[method-assign]  # to count them
            nursery.start_soon(trio.serve_listeners, partial(converse, twin, lambda: round(time() * 1000)), [smsc])
            await until(lambda: seen, "a bind")
            nursery.cancel_scope.cancel()
    assert set(seen) == {0x0E}
