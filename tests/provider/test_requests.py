"""What a call looks like on the wire: the request line, the headers that are ours, the body, and nothing that was not given."""

import re
from urllib.parse import quote

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import broker
from broker.provider.contract import Call
from broker.provider.http import Account
from tests.provider.wire import OK, Wire, make_call, read_request

AGENT = f"User-Agent: broker/{broker.__version__}".encode()


async def capture(nursery: trio.Nursery, *calls: Call) -> list[bytes]:
    """The bytes of each call as they came over one connection."""
    seen = []

    async def script(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            seen.append(request)
            await stream.send_all(OK)

    wire = Wire(nursery, script)
    account = wire.make_account(max_connections=1)
    for call in calls:
        await account.call(call)
    await account.aclose()
    assert wire.opened <= 1
    return seen


async def test_a_post(nursery: trio.Nursery) -> None:
    headers = (("Content-Type", "text/plain"), ("X-Twice", "a"), ("X-Twice", "b"))
    [request] = await capture(nursery, Call("POST", "http://gateway.test:9600/send?a=1&b=%20#part", headers, b"hello"))
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /send?a=1&b=%20 HTTP/1.1",
        b"Host: gateway.test:9600",
        AGENT,
        b"Accept: */*",
        b"Content-Type: text/plain",
        b"X-Twice: a",
        b"X-Twice: b",
        b"Accept-Encoding: identity",
        b"Content-Length: 5",
    ]
    assert body == b"hello"


@pytest.mark.parametrize(
    ("call", "line", "host", "length"),
    [
        (Call("GET", "http://gateway.test"), b"GET / HTTP/1.1", b"gateway.test", None),
        (Call("GET", "http://gateway.test?a=b"), b"GET /?a=b HTTP/1.1", b"gateway.test", None),
        (Call("GET", "http://GateWay.test:80/A/b/?"), b"GET /A/b/ HTTP/1.1", b"gateway.test", None),
        (Call("GET", "http://gateway.test/a?b?c=/d"), b"GET /a?b?c=/d HTTP/1.1", b"gateway.test", None),
        (Call("GET", "http://gateway.test/%2e%2E?x=%E2%82%AC+%00"), b"GET /%2e%2E?x=%E2%82%AC+%00 HTTP/1.1", b"gateway.test", None),
        (Call("GET", "http://[::1]:81/"), b"GET / HTTP/1.1", b"[::1]:81", None),
        (Call("GET", "http://bücher.test/"), b"GET / HTTP/1.1", b"xn--bcher-kva.test", None),
        (Call("POST", "http://gateway.test/"), b"POST / HTTP/1.1", b"gateway.test", b"0"),
        (Call("DELETE", "http://gateway.test/x"), b"DELETE /x HTTP/1.1", b"gateway.test", b"0"),
        (Call("GET", "http://gateway.test/", body=b"xy"), b"GET / HTTP/1.1", b"gateway.test", b"2"),
    ],
)
async def test_request_line_and_framing(call: Call, line: bytes, host: bytes, length: bytes | None, nursery: trio.Nursery) -> None:
    [request] = await capture(nursery, call)
    headers = dict(re.findall(rb"([\w-]+): (.*)\r\n", request))
    assert request.split(b"\r\n")[0] == line
    assert headers[b"Host"] == host
    assert headers.get(b"Content-Length") == length
    assert b"Transfer-Encoding" not in headers


@pytest.mark.parametrize(
    "header",
    [
        ("Accept-Encoding", "gzip"),
        ("ACCEPT-ENCODING", "br"),
        ("Content-Length", "99"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Host", "other.test"),
        ("Expect", "100-continue"),
        ("Upgrade", "websocket"),
    ],
)
async def test_what_the_transport_says_itself(header: tuple[str, str], nursery: trio.Nursery) -> None:
    plain, other = await capture(nursery, make_call(headers=()), make_call(headers=(header,)))
    assert plain == other


async def test_a_plugin_may_name_itself(nursery: trio.Nursery) -> None:
    [request] = await capture(nursery, make_call(headers=(("user-agent", "x"), ("ACCEPT", "text/xml"))))
    assert request.lower().count(b"user-agent: x\r\n") == request.lower().count(b"user-agent:") == 1
    assert request.lower().count(b"accept: text/xml\r\n") == request.lower().count(b"accept:") == 1


async def test_calls_do_not_mix(nursery: trio.Nursery) -> None:
    """What is kept from call to call (addresses, headers) is kept under its whole key."""
    calls = [
        make_call(url=f"http://gateway.test:9600/{path}?q={n}", headers=(("X", value),), body=b"x" * size)
        for n, (path, value, size) in enumerate((p, v, s) for p in "ab" for v in "cd" for s in (0, 1, 10, 70_000))
    ]
    seen = await capture(nursery, *calls, *calls)
    assert len(seen) == 2 * len(calls)
    for call, request in zip(calls * 2, seen, strict=True):
        assert request.startswith(f"POST {call.url.removeprefix('http://gateway.test:9600')} ".encode())
        assert f"\r\nX: {call.headers[0][1]}\r\n".encode() in request
        assert request.endswith(b"\r\nContent-Length: %d\r\n\r\n" % len(call.body) + call.body)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40), header=st.text(max_size=20), body=st.binary(max_size=200))
def test_nothing_is_injected(text: str, header: str, body: bytes) -> None:
    """Whatever the values hold, one call is one request: its line, its headers, its body."""

    async def run() -> list[bytes]:
        async with trio.open_nursery() as nursery:
            url = f"http://gateway.test:9600/s?text={quote(text, safe='')}"
            return await capture(nursery, make_call(url=url, headers=(("X", header),), body=body))
        raise AssertionError

    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return
    seen = trio.run(run)
    assert len(seen) <= 1
    for request in seen:
        head, _, rest = request.partition(b"\r\n\r\n")
        assert rest == body
        assert len(head.split(b"\r\n")) == 7
        assert head.split(b"\r\n")[0] == f"POST /s?text={quote(text, safe='')} HTTP/1.1".encode()


async def test_the_book_of_addresses_is_bounded(nursery: trio.Nursery) -> None:
    wire = Wire(nursery)
    account = wire.make_account()
    for n in range(300):
        await account.call(make_call(url=f"http://gateway.test/messages/{n}"))
    assert isinstance(account, Account)
    assert len(account._places) <= 64
    await account.aclose()
