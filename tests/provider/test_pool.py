"""The pool of one account: what is used again, what never is, how many at once, who is next, and what a cancel leaves."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from broker.provider.contract import Outcome, Reply
from broker.provider.http import Account
from tests.provider.wire import OK, Wire, make_call, read_request, say, serve


async def call_ok(account: Account, **changes: object) -> None:
    reply = await account.call(make_call(**changes))
    assert isinstance(reply, Reply)
    assert reply.body == b"ok"


async def call_evidence(account: Account, **changes: object) -> str | None:
    outcome = await account.call(make_call(**changes))
    assert isinstance(outcome, Outcome)
    return outcome.evidence


async def test_a_connection_is_kept(nursery: trio.Nursery) -> None:
    wire = Wire(nursery)
    account = wire.make_account()
    for _ in range(20):
        await call_ok(account)
    assert wire.opened == 1
    await account.aclose()


@pytest.mark.parametrize(("pause", "opened"), [(3.9, 1), (4.0, 2), (3600, 2)])
async def test_an_idle_connection_is_kept_for_four_seconds(
    pause: float, opened: int, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    wire = Wire(nursery)
    account = wire.make_account()
    await call_ok(account)
    await trio.sleep(pause)
    await call_ok(account)
    assert wire.opened == opened
    await trio.testing.wait_all_tasks_blocked()
    assert wire.open == 1
    await account.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"1.1", b"1.0", 1),
        OK + b"more than was promised",
        OK + OK,
    ],
    ids=["close", "1.0", "more", "twice"],
)
async def test_a_connection_that_is_not_kept(answer: bytes, nursery: trio.Nursery) -> None:
    wire = Wire(nursery, say(answer, ends=False))
    account = wire.make_account(max_connections=1)
    await call_ok(account)
    await call_ok(account)
    assert wire.opened == 2
    nursery.cancel_scope.cancel()


async def test_every_origin_has_its_own_connections_within_one_bound(nursery: trio.Nursery) -> None:
    wire = Wire(nursery)
    account = wire.make_account(max_connections=2)
    one, two, three = "http://gateway.test:9600/", "http://gateway.test:7002/x?y=z", "http://[::1]/"
    for url in (one, two, one, two):
        await call_ok(account, url=url)
    assert wire.places == [("gateway.test", 9600), ("gateway.test", 7002)]
    await call_ok(account, url=three)  # the one idle for longest makes room
    await call_ok(account, url=two)
    assert wire.places[2:] == [("::1", 80)]
    await call_ok(account, url=one)
    assert wire.places[3:] == [("gateway.test", 9600)]
    assert wire.most <= 3  # a close is seen a moment after the next open
    await account.aclose()


async def test_fifty_calls_over_five_connections_in_order(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    seen: list[bytes] = []

    async def script(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            seen.append(request.split(b" ", 2)[1])
            await trio.sleep(1)
            await stream.send_all(OK)

    wire = Wire(nursery, script)
    account = wire.make_account(max_connections=5)
    start = trio.current_time()
    async with trio.open_nursery() as calls:
        for n in range(50):
            calls.start_soon(partial(call_ok, account, url=f"http://gateway.test/{n}"))
            await trio.testing.wait_all_tasks_blocked(0.001)
    assert (wire.opened, wire.most) == (5, 5)
    # the five that wake together are served in any order among themselves
    fives = [{int(path[1:]) // 5 for path in seen[n : n + 5]} for n in range(0, 50, 5)]
    assert fives == [{n} for n in range(10)]
    assert trio.current_time() - start == pytest.approx(10, abs=0.1)
    await account.aclose()


async def test_a_wait_for_a_connection_ends_in_time(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    wire = Wire(nursery, say(OK, pause=100))
    account = wire.make_account(max_connections=1, timeout=30_000)
    evidence: dict[str, str | None] = {}

    async def call(name: str) -> None:
        evidence[name] = await call_evidence(account)

    async with trio.open_nursery() as calls:
        calls.start_soon(call, "first")
        await trio.testing.wait_all_tasks_blocked()
        calls.start_soon(call, "second")
        await trio.sleep(10)
        with trio.move_on_after(10):
            await call("third")
    assert evidence == {"first": "timeout", "second": "pool"}  # the third was canceled and left no trace
    wire.script = serve
    await call_ok(account)
    await account.aclose()


@pytest.mark.parametrize("stage", ["pool", "connect", "answer", "body", "write"])
async def test_a_canceled_call_leaves_the_pool_usable(
    stage: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async def script(stream: trio.abc.Stream) -> None:
        if stage != "write":
            await read_request(stream)
        if stage == "body":
            await stream.send_all(OK[:-1])
        await trio.sleep_forever()

    wire = Wire(nursery, script)
    is_stuck = True

    async def open_stream(host: str, port: int) -> trio.abc.Stream:
        if stage == "connect" and is_stuck:
            await trio.sleep_forever()
        return await wire.open_stream(host, port)

    account = Account(max_connections=2, timeout=30_000, open_stream=open_stream)
    for _ in range(3):
        with trio.move_on_after(1) as scope:
            async with trio.open_nursery() as calls:
                for _ in range(3 if stage == "pool" else 2):
                    calls.start_soon(account.call, make_call(body=b"x" * (200_000 if stage == "write" else 10)))
        assert scope.cancelled_caught
    wire.script, is_stuck, wire.most = serve, False, 0
    async with trio.open_nursery() as calls:
        for _ in range(6):
            calls.start_soon(call_ok, account)
    await account.aclose()


async def test_a_closed_account_sends_nothing(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    async def script(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            await trio.sleep(5)
            await stream.send_all(OK)

    wire = Wire(nursery, script)
    account = wire.make_account(max_connections=2)
    await call_ok(account)
    async with trio.open_nursery() as calls:
        calls.start_soon(call_ok, account)  # these have begun: they end as they would
        calls.start_soon(call_ok, account)
        await trio.testing.wait_all_tasks_blocked()
        await account.aclose()
        calls.start_soon(check_pool, account)
    assert wire.opened == 2
    await trio.testing.wait_all_tasks_blocked()
    assert wire.open == 0


async def check_pool(account: Account) -> None:
    assert await call_evidence(account) == "pool"


# From here on over sockets: only they know of resets, and of an end that came while nobody read.


@asynccontextmanager
async def listen(script: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[tuple[str, list[int]]]:
    opened: list[int] = []

    async def run(stream: trio.SocketStream) -> None:
        opened.append(1)
        try:
            await script(stream)
        except trio.BrokenResourceError:
            pass  # the client has gone
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, run, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/", opened
        nursery.cancel_scope.cancel()


async def test_an_end_that_came_while_idle_costs_nothing() -> None:
    async with listen(say(OK)) as (url, opened):
        account = Account(max_connections=1, timeout=5_000)
        for count in (1, 2, 3):
            await call_ok(account, url=url)
            await trio.testing.wait_all_tasks_blocked()  # the far end has closed by now
            assert len(opened) == count
        await account.aclose()


async def test_bytes_that_came_while_idle_are_no_answer() -> None:
    async def script(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep_forever()

    async with listen(script) as (url, opened):
        account = Account(max_connections=1, timeout=5_000)
        for count in (1, 2):
            await call_ok(account, url=url)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(opened) == count
        await account.aclose()


async def test_a_kept_connection_that_stays_silent_is_given_up_in_time() -> None:
    async def script(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await read_request(stream)
        await stream.send_all(OK[:20])
        await trio.sleep_forever()

    async with listen(script) as (url, opened):
        account = Account(max_connections=1, timeout=300)
        with trio.fail_after(30):
            for count in (1, 2, 3):
                await call_ok(account, url=url)
                assert await call_evidence(account, url=url) == "timeout"
                assert len(opened) == count
        await account.aclose()


async def reset(stream: trio.SocketStream) -> None:
    """Close with RST."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def test_a_reset_is_in_doubt() -> None:
    async def script(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await reset(stream)

    async with listen(script) as (url, _):
        account = Account(max_connections=1, timeout=5_000)
        assert await call_evidence(account, url=url) == "reset"


async def test_a_refused_connection() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: the kernel refuses
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        account = Account(max_connections=1, timeout=5_000)
        assert await call_evidence(account, url=url) == "refused"


class Resolver(trio.abc.HostnameResolver):
    """Knows no name."""

    async def getaddrinfo(self, *_: object) -> list[object]:  # type: ignore[override]  # it never returns one
        await trio.lowlevel.checkpoint()
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async def getnameinfo(self, *_: object) -> tuple[str, str]:
        raise NotImplementedError


async def test_a_name_that_does_not_resolve() -> None:
    old = trio.socket.set_custom_hostname_resolver(Resolver())
    try:
        account = Account(max_connections=1, timeout=5_000)
        assert await call_evidence(account) == "dns"
        assert await call_evidence(account, url="http://a..b/") == "dns"
    finally:
        trio.socket.set_custom_hostname_resolver(old)


async def test_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    async with listen(serve) as (url, opened):
        account = Account(max_connections=1, timeout=5_000)
        await call_ok(account, url=url)
        assert len(opened) == 1
        await account.aclose()
