"""Random stories of strangers at the HTTP server, and of what they send to the plugins that read callbacks.

The server answers raw octets as one that reads everything by h11 would, in whatever pieces they come, logs no fault and leaves no
connection. A plugin reads any query and any body without a fault, and says nothing that it may not.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from random import Random
from typing import Any
from unittest.mock import patch

import trio
from trio.testing import MockClock

from broker.api import web_session
from broker.api.web import WebDoor
from broker.api.web_answers import Limits, show_head
from broker.api.whole import read_whole
from broker.provider.contract import CallbackRequest, Inbound, Parsed
from broker.provider.registry import Plugin, find_plugins, load_plugin
from broker.words.receipt import RECEIPT_CLASSES
from tests.api.web_rig import Echo, get, post
from tests.plugins.catalog import find_variants

PIECES: tuple[bytes, ...] = (
    *(get(), get("/b?x=%00%ff"), post("/c", b"ref=1&status=delivered"), post("/d", b""), get("/no"), get("/e", "Connection: close")),
    *(get("/f", "connection: Keep-Alive"), get("/g", "X:"), get("/h", "X: \ty \t"), get("/i", "Transfer-Encoding: chunked")),
    post("/j", b"ab", "Transfer-Encoding: chunked"),
    b"POST /k HTTP/1.1\r\nhost:x\r\ntransfer-encoding: chunked\r\n\r\n2;a\r\nxy\r\n0\r\n\r\n",
    *(get("/s", "Host: y"), post("/t", b"ab", "Content-Length: 2"), post("/u", b"ab", "Content-Length: 3"), get("/v", "TE: trailers")),
    *(b"HEAD /l HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /m HTTP/1.0\r\n\r\n", b"PUT /n HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
    *(post("/o", b"x" * 70_000), get("/" + "p" * 20_000), post("/q", b"y" * 600, "Expect: 100-continue"), get("/r", "Upgrade: h2c")),
    *(b"\r\n", b"\n", b" ", b"\0", b"\xff", b":", b"0", b"GET", b"\r\n\r\n", b"Host: y\r\n", b"Content-Length: 5\r\n", b"HTTP/1.1"),
)


def make_octets(rand: Random) -> bytes:
    """Requests and pieces of them, some octets changed."""
    data = bytearray(b"".join(rand.choice(PIECES[: rand.choice((6, 15, len(PIECES)))]) for _ in range(rand.randint(1, 5))))
    for _ in range(rand.choice((0, 0, 1, 3))):
        at = rand.randrange(len(data) + 1)
        how = rand.randrange(3)
        data[at : at + (how > 0) * rand.choice((1, 1, 9))] = b"" if how == 2 else rand.choice((rand.randbytes(1), rand.choice(PIECES)))
    return bytes(data)


class Errors(logging.Handler):
    """Whatever is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


@contextmanager
def no_errors() -> Iterator[None]:
    """Nothing is logged as an error meanwhile."""
    handler, log = Errors(), logging.getLogger("broker.api")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
    assert handler.found == []


Said = tuple[bytes, list[tuple[str, str, list[tuple[bytes, bytes]]]], list[bytes]]


async def talk(pieces: list[bytes]) -> Said:
    """What a server says to these octets, and what its door was asked. The client ends its side after them."""
    service = Echo()
    door = WebDoor("web", service, Limits())
    ours, theirs = trio.socket.socketpair()
    client, got = trio.SocketStream(ours), b""
    async with trio.open_nursery() as nursery:
        connection = web_session.Connection(door, trio.SocketStream(theirs), "")
        assert door._enter(connection)
        nursery.start_soon(connection.run)

        async def send() -> None:
            try:
                for piece in pieces:
                    await client.send_all(piece)
                    await trio.testing.wait_all_tasks_blocked()  # each comes alone
                await client.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # it has heard enough

        nursery.start_soon(send)
        while True:
            try:
                data = await client.receive_some()
            except trio.BrokenResourceError:
                break
            if not data:
                break
            got += bytes(data)
        await client.aclose()
    assert door.size == 0
    return got, [(head.method, f"{head.path}?{head.query}", head.headers) for head in service.heads], service.bodies


def forget_how_it_came(said: Said) -> Said:
    """What may depend on the pieces. A client is asked to go on with its body where none of it has come (RFC 9110, 10.1.1). A chunk whose
    size has no end is too much while it comes, and malformed where it came whole: refused either way, under two names.
    """
    got, heads, bodies = said
    got = got.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    at = got.rfind(b"HTTP/1.1 ")
    return (got[:at] if got[at + 9 : at + 12] in (b"400", b"431") else got), heads, bodies


def tell_server(rand: Random) -> None:
    """The same octets in one piece, in many, and to a server without a short way."""
    data = make_octets(rand)
    cuts = sorted(rand.randrange(len(data) + 1) for _ in range(rand.choice((0, 1, 3, 20))))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]

    async def compare() -> None:
        with trio.fail_after(1000):
            said = await talk(pieces)
            assert forget_how_it_came(await talk([data])) == forget_how_it_came(said)
            with patch("broker.api.web_session.read_whole", lambda _data: None):
                assert await talk(pieces) == said

    with no_errors():
        trio.run(compare, clock=MockClock(autojump_threshold=0))


SAMPLES = (
    "msgid=8091000071&dstaddr=0912345678&dlvtime=20261121200000&donetime=20261121200010&statuscode=0&statusstr=DELIVRD&StatusFlag=4",
    "mid=12&mobile=306912345678&status=Delivered",
    "id=7&status=1&phone=79001234567&time=21.11.2026+20:00:00&err=0&cnt=1&type=0",
    '<?xml version="1.0"?><message><sender>9998887777</sender><content><![CDATA[STOP now]]></content></message>',
    '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><message><sender>&b;</sender><content>x</content></message>',
)
BITS = (
    *("", "%", "%00", "%ff%fe", "%E4%BD%A0", "&", "=", ";", "+", "\x00", "é", "\ud7ff", "DELIVRD", "0", "-1", "9" * 400),
    *("<", "]]>", "&amp;", "\r\n"),
)
FORM = "application/x-www-form-urlencoded"
KINDS = ("", "text/plain", FORM, f"{FORM}; charset=big5", "text/xml; charset=nope", "multipart/form-data; boundary=x", "application/json")


@cache
def find_readers() -> list[tuple[Plugin, Any]]:
    """Every shipped plugin that reads callbacks, in every variant of its settings."""
    named = [name for name in sorted(find_plugins()) if load_plugin(name).receipts is not None]
    return [(variant.plugin, variant.make_config()) for name in named for variant in find_variants(name)]


def spoil(rand: Random, text: str) -> str:
    """The text with a few places changed."""
    for _ in range(rand.choice((0, 1, 1, 2, 6))):
        at = rand.randrange(len(text) + 1)
        text = text[:at] + rand.choice(BITS) + text[at + rand.choice((0, 0, 1, 8)) :]
    return text


def tell_plugins(rand: Random) -> None:
    """One call, read by every plugin."""
    query, body = (spoil(rand, rand.choice(SAMPLES)) if rand.random() < 0.7 else "" for _ in range(2))
    query = "".join(char for char in query if "!" <= char <= "~")[:2048]  # as HTTP lets through
    raw = body.encode(rand.choice(("utf-8", "utf-16", "big5", "latin-1")), "replace") if rand.random() < 0.8 else rand.randbytes(200)
    token = rand.choice((None, "0" * 40, "x"))
    kind = rand.choice(KINDS)
    request = CallbackRequest(rand.choice(("GET", "POST")), query, {"content-type": kind} if kind else {}, raw[:65536], token)
    for plugin, config in find_readers():
        check_parsed(plugin.receipts(config, request, 1_795_000_000_000) if plugin.receipts is not None else None, token)


def check_parsed(parsed: Parsed | None, token: str | None) -> None:
    """All that must hold of what a plugin says of a call."""
    assert isinstance(parsed, Parsed)
    for receipt in parsed.receipts:
        assert receipt.class_ in RECEIPT_CLASSES
        assert receipt.token in (None, token)
        assert receipt.ref is None or 0 < len(receipt.ref) <= 255
        assert receipt.at is None or 0 <= receipt.at < 1 << 53
    for inbound in parsed.inbound:
        assert isinstance(inbound, Inbound)
        inbound.text.encode()  # what cannot be written down must not come in
        inbound.sender.encode()
    answer = parsed.answer
    assert show_head(answer.status, answer.headers, len(answer.body), True)
    assert len(answer.body) <= 4096


def tell_whole(rand: Random) -> None:
    """What the short way takes, it takes as it is: nothing is left over, nothing is made up."""
    data = make_octets(rand)
    whole = read_whole(data)
    if whole is None:
        return
    assert data.startswith(whole.method + b" " + whole.target + b" HTTP/1.1\r\n")
    assert data.endswith(b"\r\n\r\n" + whole.body)
    for name, value in whole.headers:
        assert name == name.lower()
        assert value == value.strip(b" \t\r\n")


STORIES = {"server": tell_server, "whole": tell_whole, "callbacks": tell_plugins}
