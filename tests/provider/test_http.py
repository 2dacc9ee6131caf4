"""What can go wrong on the way, and what it proves: a table of faults before the first byte and one of faults after it."""

import errno
import socket
from collections.abc import Callable

import httpx
import pytest
import trio
import trio.testing

from broker.provider import http
from broker.provider.contract import Outcome, Reply
from broker.provider.http import Account, H11Transport, quiet_loggers
from broker.provider.reading import MAX_BODY, MAX_HEAD, Answer, Fault
from broker.provider.transport import Pool
from tests.provider.wire import CANARY, OK, Opener, Script, Wire, check_silence, make_call, read_request, say


def fail(error: Exception) -> Opener:
    async def open_stream(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise error

    return open_stream


async def hang(host: str, port: int) -> trio.abc.Stream:
    await trio.sleep_forever()
    raise AssertionError


BEFORE: list[tuple[str, Opener, str, str]] = [
    ("refused", fail(ConnectionRefusedError(errno.ECONNREFUSED, CANARY)), "unreachable", "refused"),
    ("no such name", fail(socket.gaierror(socket.EAI_NONAME, CANARY)), "unreachable", "dns"),
    ("no name server", fail(socket.gaierror(socket.EAI_AGAIN, CANARY)), "unreachable", "dns"),
    ("no host's name", fail(UnicodeEncodeError("idna", CANARY, 0, 1, "label too long")), "unreachable", "dns"),
    ("no route", fail(OSError(errno.EHOSTUNREACH, CANARY)), "unreachable", "connect"),
    ("no descriptor left", fail(OSError(errno.EMFILE, CANARY)), "unreachable", "connect"),
    ("no answer to a connect", hang, "unreachable", "connect"),
    ("a fault of our own", fail(RuntimeError(CANARY)), "unreachable", "fault"),
]


@pytest.mark.parametrize(("opener", "class_", "evidence"), [row[1:] for row in BEFORE], ids=[row[0] for row in BEFORE])
async def test_before_the_first_byte(
    opener: Opener, class_: str, evidence: str, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account(max_connections=1, timeout=30_000, open_stream=opener)
    for _ in range(3):  # the place in the pool comes back each time
        outcome = await account.call(make_call())
        assert isinstance(outcome, Outcome)
        assert (outcome.class_, outcome.evidence, outcome.code) == (class_, evidence, None)
        check_silence(caplog, outcome)


def say_200(*headers: bytes, body: bytes = b"ok", length: int | None = None) -> bytes:
    head = b"\r\n".join((b"HTTP/1.1 200 OK", *headers))
    return head + b"\r\nContent-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


async def close_at_once(stream: trio.abc.Stream) -> None:
    await trio.lowlevel.checkpoint()


async def drip(stream: trio.abc.Stream) -> None:
    await read_request(stream)
    for byte in say_200(body=b"x" * 100):
        await stream.send_all(bytes([byte]))
        await trio.sleep(1)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CUT = "cut"

AFTER: list[tuple[str, Script, str]] = [
    ("closed unread", close_at_once, "write"),
    ("closed without a word", say(), CUT),
    ("half a status line", say(b"HTTP/1.1 20"), CUT),
    ("half a head", say(b"HTTP/1.1 200 OK\r\nContent-Ty"), CUT),
    ("half a body", say(say_200(body=b"half", length=8)), CUT),
    ("no last chunk", say(CHUNKED + b"4\r\nhalf\r\n"), CUT),
    ("only a promise", say(b"HTTP/1.1 100 Continue\r\n\r\n"), CUT),
    ("silence", say(ends=False), "timeout"),
    ("half and silence", say(say_200(body=b"half", length=8), ends=False), "timeout"),
    ("drip", drip, "timeout"),
    ("other protocol", say(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), "protocol"),
    ("noise", say(bytes(range(256)) + b"\r\n\r\n"), "protocol"),
    ("two lengths", say(say_200(b"Content-Length: 5")), "protocol"),
    ("a length that is none", say(say_200(b"Content-Length: x")), "protocol"),
    ("bad chunk", say(CHUNKED + b"zz\r\nxx\r\n"), "protocol"),
    ("endless promises", say(b"HTTP/1.1 102 Processing\r\n\r\n" * 50 + OK), "protocol"),
    ("giant header", say(say_200(b"X: " + b"x" * 2 * MAX_HEAD)), "too large"),
    ("endless header", say(*[b"HTTP/1.1 200 OK\r\n"] + [b"X: y\r\n" * 1000] * 20), "too large"),
    ("giant body", say(say_200(body=b"x" * (MAX_BODY + 1))), "too large"),
    ("giant body by chunks", say(CHUNKED, *[b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 17), "too large"),
    ("giant body to the end", say(b"HTTP/1.0 200 OK\r\n\r\n", b"x" * (MAX_BODY + 1)), "too large"),
    ("gzip", say(say_200(b"Content-Encoding: gzip")), "encoding"),
    ("two encodings", say(say_200(b"Content-Encoding: identity, br")), "encoding"),
]


@pytest.mark.parametrize(("script", "evidence"), [row[1:] for row in AFTER], ids=[row[0] for row in AFTER])
async def test_after_the_first_byte(
    script: Script,
    evidence: str,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire(nursery, script)
    account = wire.make_account(max_connections=1)
    for count in (1, 2):  # what failed is never used again, and its place comes back
        outcome = await account.call(make_call())
        assert isinstance(outcome, Outcome)
        assert (outcome.class_, outcome.evidence, outcome.code) == ("in_doubt", evidence, None)
        assert wire.opened == count
        check_silence(caplog, outcome)
    await trio.testing.wait_all_tasks_blocked()
    assert wire.open == 0 or evidence == "timeout"  # a script that waits for ever sees nothing of our end


WHOLE: list[tuple[str, Script, int, bytes]] = [
    ("plain", say(OK, ends=False), 200, b"ok"),
    ("one byte at a time", say(*[OK[n : n + 1] for n in range(len(OK))], ends=False), 200, b"ok"),
    ("after promises", say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK), 200, b"ok"),
    ("chunks", say(CHUNKED + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\nX-Trailer: 1\r\n\r\n"), 200, b"ok"),
    ("to the end", say(b"HTTP/1.1 200 OK\r\n\r\no", b"k"), 200, b"ok"),
    ("1.0", say(b"HTTP/1.0 200 OK\r\n\r\nok"), 200, b"ok"),
    ("empty", say(b"HTTP/1.1 204 No Content\r\n\r\n", ends=False), 204, b""),
    ("identity", say(say_200(b"Content-Encoding: Identity"), ends=False), 200, b"ok"),
    ("as large as may be", say(say_200(body=b"x" * MAX_BODY)), 200, b"x" * MAX_BODY),
    ("redirect, not followed", say(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), 302, b""),
    ("an upgrade nobody asked for", say(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n"), 101, b""),
    ("an error", say(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n"), 503, b""),
    ("just in time", say(OK, pause=29.9), 200, b"ok"),
]


@pytest.mark.parametrize(("script", "status", "body"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE])
async def test_a_whole_answer(
    script: Script, status: int, body: bytes, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    reply = await Wire(nursery, script).make_account().call(make_call())
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (status, body)
    nursery.cancel_scope.cancel()


async def test_headers_of_the_answer(nursery: trio.Nursery) -> None:
    script = say(say_200(b"X-Name: caf\xe9", b"Set-Cookie: a", b"SET-COOKIE: b"))
    reply = await Wire(nursery, script).make_account().call(make_call())
    assert isinstance(reply, Reply)
    assert reply.headers == {"x-name": "café", "set-cookie": "a, b", "content-length": "2"}


async def test_a_tunnel_is_no_answer(nursery: trio.Nursery) -> None:
    outcome = await Wire(nursery, say(b"HTTP/1.1 200 OK\r\n\r\n")).make_account().call(make_call(method="CONNECT"))
    assert isinstance(outcome, Outcome)
    assert (outcome.class_, outcome.evidence) == ("in_doubt", "protocol")


class Late(trio.abc.ReceiveStream):
    """Gives a whole answer, and by then the deadline has passed."""

    async def receive_some(self, max_bytes: int | None = None) -> bytearray:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)
        return bytearray(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_late_answer_counts(autojump_clock: trio.testing.MockClock) -> None:
    async def open_stream(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return trio.StapledStream(trio.testing.MemorySendStream(), Late())

    account = Account(max_connections=1, timeout=30_000, open_stream=open_stream)
    assert isinstance(await account.call(make_call()), Reply)


async def test_a_connection_that_comes_too_late_is_not_written_to(autojump_clock: trio.testing.MockClock) -> None:
    async def open_stream(host: str, port: int) -> trio.abc.Stream:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)
        return trio.testing.memory_stream_pair()[0]

    outcome = await Account(max_connections=1, timeout=30_000, open_stream=open_stream).call(make_call())
    assert isinstance(outcome, Outcome)
    assert (outcome.class_, outcome.evidence) == ("unreachable", "connect")


@pytest.mark.parametrize("ends", [True, False])
async def test_an_answer_before_the_request_was_read(
    ends: bool, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A server that answers 413 and reads no more: its answer is read, whether it closes or stays."""

    async def script(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        if not ends:
            await trio.sleep_forever()

    async def open_stream(host: str, port: int) -> trio.abc.Stream:
        ours, theirs = trio.testing.lockstep_stream_pair()  # a write ends only as it is read
        nursery.start_soon(run, theirs)
        await trio.lowlevel.checkpoint()
        return ours

    async def run(stream: trio.abc.Stream) -> None:
        await script(stream)
        await stream.aclose()

    account = Account(max_connections=1, timeout=30_000, open_stream=open_stream)
    for size in (100_000, 10) if ends else (100_000,):
        reply = await account.call(make_call(body=b"x" * size))
        assert isinstance(reply, Reply)
        assert reply.status == 413
    nursery.cancel_scope.cancel()


BAD_CALLS: list[tuple[str, dict[str, object], str]] = [
    ("no scheme", {"url": f"gateway.test/{CANARY}"}, "url"),
    ("other scheme", {"url": f"ftp://gateway.test/{CANARY}"}, "url"),
    ("no host", {"url": f"http:///{CANARY}"}, "url"),
    ("no port", {"url": f"http://gateway.test:{CANARY}/"}, "url"),
    ("port out of range", {"url": f"http://gateway.test:99999/{CANARY}"}, "url"),
    ("port zero", {"url": f"http://gateway.test:0/{CANARY}"}, "url"),
    ("credentials in the address", {"url": f"http://user:{CANARY}@gateway.test/"}, "url"),
    ("control character in the path", {"url": f"http://gateway.test/{CANARY}\r\nX: y"}, "url"),
    ("line end in the query", {"url": f"http://gateway.test/?{CANARY}\r\nX: y"}, "request"),
    ("blank in the query", {"url": f"http://gateway.test/?{CANARY} HTTP/1.1"}, "request"),
    ("letter in the query", {"url": f"http://gateway.test/?{CANARY}é"}, "request"),
    ("line end in a header", {"headers": (("X", f"{CANARY}\r\nY: z"),)}, "request"),
    ("line end in a header's name", {"headers": ((f"X\r\n{CANARY}", "y"),)}, "request"),
    ("letter in a header", {"headers": (("X", f"{CANARY}Ω"),)}, "request"),
    ("bad method", {"method": f"PO ST{CANARY}"}, "request"),
]


@pytest.mark.parametrize(("changes", "evidence"), [row[1:] for row in BAD_CALLS], ids=[row[0] for row in BAD_CALLS])
async def test_a_call_that_cannot_be_sent(
    changes: dict[str, object], evidence: str, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire(nursery)
    outcome = await wire.make_account().call(make_call(**changes))
    assert isinstance(outcome, Outcome)
    assert (outcome.class_, outcome.evidence, wire.opened) == ("misconfigured", evidence, 0)
    check_silence(caplog, outcome)


@pytest.mark.parametrize(
    ("opener", "error", "offered"),
    [(hang, httpx.ConnectError, False), (None, httpx.RemoteProtocolError, True)],
    ids=["before", "after"],
)
async def test_the_face_of_httpx_says_what_was_offered(
    opener: Opener | None,
    error: type[Exception],
    offered: bool,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    quiet_loggers()
    wire = Wire(nursery, say(b"HTTP/1.1 2"))
    transport = H11Transport(Pool(max_connections=1, timeout=1_000, open_stream=opener or wire.open_stream))
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        request = client.build_request("POST", f"http://gateway.test/{CANARY}?k={CANARY}", content=CANARY)
        with pytest.raises(error) as caught:
            await client.send(request)
    assert request.extensions["offered"] is offered
    check_silence(caplog, caught.value)


async def test_the_face_of_httpx_carries_a_stream(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    quiet_loggers()
    caplog.set_level(0)
    seen = []

    async def script(stream: trio.abc.Stream) -> None:
        seen.append(await read_request(stream))
        await stream.send_all(OK)

    transport = H11Transport(Pool(max_connections=1, timeout=1_000, open_stream=Wire(nursery, script).open_stream))
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        response = await client.put(f"http://gateway.test/a%20b?k={CANARY}", files={"f": CANARY.encode()})
    assert (response.status_code, response.text) == (200, "ok")
    assert seen[0].startswith(f"PUT /a%20b?k={CANARY} HTTP/1.1\r\nHost: gateway.test\r\n".encode())
    assert seen[0].count(b"ccept-") == 1
    assert b"Accept-Encoding: identity\r\n" in seen[0]
    check_silence(caplog, response.status_code)


@pytest.mark.parametrize("show", [repr, str], ids=["repr", "str"])
def test_values_of_the_transport_say_nothing(show: Callable[[object], str]) -> None:
    request = httpx.Request("POST", f"http://gateway.test/?k={CANARY}", content=CANARY)
    exchange = http.make_exchange(request, CANARY.encode())
    answer = Answer(200, [(b"x", CANARY.encode())], CANARY.encode())
    assert CANARY not in show(exchange) + show(answer) + show(Fault("cut")) + show(make_call())
