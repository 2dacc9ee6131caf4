"""The server that twins live in: what reaches the twin, what comes back, delay and cut, and who is harmed by whom."""

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import msgspec
import pytest
import trio
import trio.testing

from broker.provider.contract import Call, Outcome, Reply, TwinReply, TwinRequest
from broker.provider.http import Account
from broker.provider.twin import MAX_BODY, MAX_HEAD, TwinPlace, aim, place_twin, run_calls, serve_twin
from tests.provider.wire import make_call

NOW = 1_800_000_000_000


class EchoTwin:
    """Notes what it is asked and answers as `plan` says."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.seen: list[TwinRequest] = []
        self.plan: Callable[[TwinRequest], TwinReply] = lambda request: TwinReply(body=request.body)

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        assert now == NOW
        self.seen.append(request)
        return self.plan(request)


class Scene:
    def __init__(self, twin: EchoTwin, port: int) -> None:
        self.twin = twin
        self.url = f"http://127.0.0.1:{port}"
        self.port = port

    async def call(self, account: Account | None = None, **changes: object) -> Reply | Outcome:
        account = account or Account(max_connections=1, timeout=5_000)
        reply = await account.call(make_call(**{"url": f"{self.url}/a/b?c=%20d", **changes}))
        await account.aclose()
        return reply

    async def say(self, data: bytes) -> bytes:
        """Raw bytes in, all that comes back until the twin closes."""
        seen = b""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            try:
                await stream.send_all(data)
                await stream.send_eof()
            except trio.BrokenResourceError:
                pass  # the twin has read enough: what it said can still be read
            with suppress(trio.BrokenResourceError):
                async for part in stream:
                    seen += part
        return seen


@pytest.fixture
async def scene(nursery: trio.Nursery) -> AsyncIterator[Scene]:
    twin = EchoTwin()

    async def start(*, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        await serve_twin(twin, clock=lambda: NOW, task_status=task_status)

    port = await nursery.start(start)
    yield Scene(twin, port)
    nursery.cancel_scope.cancel()


async def test_a_request_whole(scene: Scene) -> None:
    scene.twin.plan = lambda request: TwinReply(202, (("X-Y", "z"), ("Content-Length", "99")), b"taken")
    reply = await scene.call(headers=(("X-Key", "k"),), body=b"\xff\x00")
    assert isinstance(reply, Reply)
    assert (reply.status, reply.headers, reply.body) == (202, {"x-y": "z", "content-length": "5"}, b"taken")
    [request] = scene.twin.seen
    assert (request.method, request.path, request.query, request.body) == ("POST", "/a/b", "c=%20d", b"\xff\x00")
    assert request.headers["x-key"] == "k"


async def test_connections_are_kept(scene: Scene) -> None:
    account = Account(max_connections=1, timeout=5_000)
    for n in range(20):
        reply = await account.call(make_call(url=f"{scene.url}/{n}", body=b"%d" % n))
        assert isinstance(reply, Reply)
        assert reply.body == b"%d" % n
    await account.aclose()
    seen = await scene.say(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert seen.count(b"HTTP/1.1 200") == 2


async def test_a_client_that_asks_first(scene: Scene) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", scene.port) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        with trio.fail_after(5):
            assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 100")
        await stream.send_all(b"hi")
        assert (await stream.receive_some(1000)).endswith(b"\r\n\r\nhi")


async def test_delay(scene: Scene, autojump_clock: trio.testing.MockClock) -> None:
    scene.twin.plan = lambda request: TwinReply(body=b"late", delay=2_500)
    start = trio.current_time()
    assert isinstance(await scene.call(), Reply)
    assert trio.current_time() - start == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize("cut", [0, 1, 4, 9])
async def test_cut(cut: int, scene: Scene) -> None:
    scene.twin.plan = lambda request: TwinReply(body=b"0123456789", cut=cut)
    seen = await scene.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    if cut == 0:
        assert seen == b""
    else:
        assert seen.endswith(b"Content-Length: 10\r\n\r\n" + b"0123456789"[:cut])
    outcome = await scene.call()
    assert isinstance(outcome, Outcome)
    assert (outcome.class_, outcome.evidence) == ("in_doubt", "cut")


BAD: list[tuple[str, bytes, bytes]] = [
    ("noise", b"\x00\xff\x16\x03\r\n\r\n", b"HTTP/1.1 400"),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
    ("giant head", b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * MAX_HEAD, b"HTTP/1.1 431"),
    ("half a head", b"GET / HTTP/1.1\r\nHo", b"HTTP/1.1 400"),
    ("half a body", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", b"HTTP/1.1 400"),
    ("nothing", b"", b""),
]


@pytest.mark.parametrize(("data", "answer"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_a_bad_client_harms_only_itself(data: bytes, answer: bytes, scene: Scene) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", scene.port) as neighbour:
        await neighbour.send_all(b"GET /slow HTTP/1.1\r\n")
        assert (await scene.say(data))[:12] == answer
        await neighbour.send_all(b"Host: x\r\n\r\n")
        assert (await neighbour.receive_some(1000)).startswith(b"HTTP/1.1 200")
    assert [request.path for request in scene.twin.seen] == ["/slow"]


async def test_a_giant_body_is_refused(scene: Scene) -> None:
    outcome = await scene.call(body=b"x" * (MAX_BODY + 1))
    assert isinstance(outcome, Reply)
    assert outcome.status == 413
    assert scene.twin.seen == []


async def test_a_client_that_resets(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.twin.plan = lambda request: TwinReply(body=b"x" * 3_000_000)
    stream = await trio.open_tcp_stream("127.0.0.1", scene.port)
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await stream.receive_some(10)
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()
    scene.twin.plan = lambda request: TwinReply()
    assert isinstance(await scene.call(), Reply)
    assert caplog.records == []  # a client may go when it likes


async def test_a_twin_that_fails(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: TwinRequest) -> TwinReply:
        raise ValueError("a secret")

    scene.twin.plan = fail
    outcome = await scene.call()
    assert isinstance(outcome, Outcome)
    assert outcome.evidence == "cut"
    assert [record.getMessage() for record in caplog.records] == ["a twin failed: ValueError"]
    scene.twin.plan = lambda request: TwinReply()
    assert isinstance(await scene.call(), Reply)


async def test_an_idle_connection_ends(scene: Scene, autojump_clock: trio.testing.MockClock) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", scene.port)
    await stream.send_all(b"GET / HT")
    with trio.fail_after(100):
        assert await stream.receive_some(10) == b""
    await stream.aclose()


class ParrotTwin(EchoTwin):
    """Says again on a stream what it hears there, and fails at a swear word."""

    async def converse(self, stream: trio.abc.Stream, now: Callable[[], int]) -> None:
        async for data in stream:
            assert b"damn" not in data
            await stream.send_all(b"%d " % now() + data)


async def test_both_sides_of_a_twin(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    place = await place_twin(nursery, ParrotTwin(), lambda: NOW)
    assert place.port is not None
    assert (await Scene(EchoTwin(), int((place.url or "").rpartition(":")[2])).call(body=b"polly")).body == b"polly"  # type: ignore[union-attr]
    async with await trio.open_tcp_stream("127.0.0.1", place.port) as one, await trio.open_tcp_stream("127.0.0.1", place.port) as other:
        await one.send_all(b"damn")
        assert await one.receive_some() == b""
        await other.send_all(b"polly")
        assert await other.receive_some() == b"%d polly" % NOW
    assert [record.getMessage() for record in caplog.records] == ["a twin failed: AssertionError"]
    assert (await place_twin(nursery, EchoTwin(), lambda: NOW)).port is None


class Keys(msgspec.Struct):
    host: str = "far"
    port: int = 1
    tls: bool = True
    http_url: str = "https://far"


def test_aim_turns_every_address() -> None:
    assert aim(Keys(), TwinPlace("http://near", 7)) == Keys("127.0.0.1", 7, False, "http://near")
    assert aim(Keys(), TwinPlace("http://near", None)) == Keys(http_url="http://near")
    assert aim(Keys(), TwinPlace(None, 7)) == Keys("127.0.0.1", 7, False)


class CallingTwin(EchoTwin):
    """One that calls back until it is heard."""

    def __init__(self, *urls: str) -> None:
        super().__init__()
        self.owed = [Call("GET", url) for url in urls]
        self.heard: list[tuple[str, int]] = []
        self.is_heard = trio.Event()

    def calls(self, now: int) -> list[Call]:
        return list(self.owed)

    def hear(self, call: Call, reply: Reply) -> None:
        self.heard.append((call.url, reply.status))
        if reply.status == 200:
            self.owed.remove(call)
            self.is_heard.set()


async def test_a_twin_calls_until_it_is_heard_and_only_here(
    scene: Scene, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.provider.twin.CALL_EVERY", 0.01)
    answers = [TwinReply(503), TwinReply(404), TwinReply(200)]
    scene.twin.plan = lambda request: answers.pop(0)
    twin = CallingTwin(f"{scene.url}/cb?x=1", "http://sms.example.org/cb", "http://192.0.2.1/cb")
    nursery.start_soon(run_calls, twin, lambda: NOW)
    with trio.fail_after(5):
        await twin.is_heard.wait()
    await trio.sleep(0.05)
    assert twin.heard == [(f"{scene.url}/cb?x=1", status) for status in (503, 404, 200)]
    assert [call.url for call in twin.owed] == ["http://sms.example.org/cb", "http://192.0.2.1/cb"]
