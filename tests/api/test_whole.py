"""The short way to read a request: what it takes, and what it leaves to the parser."""

import h11
import pytest

from broker.api.whole import Whole, read_whole
from tests.api.web_rig import get, post

HOST = [(b"host", b"x")]

TAKEN = [
    (get("/a?b=%00"), Whole(b"GET", b"/a?b=%00", HOST, b"", True)),
    (post("/p", b"\r\n\r\nxy"), Whole(b"POST", b"/p", [*HOST, (b"content-length", b"6")], b"\r\n\r\nxy", True)),
    (b"POST /p HTTP/1.1\r\nHOST:x\r\n\r\n", Whole(b"POST", b"/p", HOST, b"", True)),
    (get("/a", "X-Y: \t z  w\t "), Whole(b"GET", b"/a", [*HOST, (b"x-y", b"z  w")], b"", True)),
    (get("/a", "X:"), Whole(b"GET", b"/a", [*HOST, (b"x", b"")], b"", True)),
    (get("/a", "Connection: Keep-Alive"), Whole(b"GET", b"/a", [*HOST, (b"connection", b"Keep-Alive")], b"", True)),
    (get("/a", "Connection: close"), Whole(b"GET", b"/a", [*HOST, (b"connection", b"close")], b"", False)),
]

LEFT = [
    b"",
    get()[:-1],
    get() + b"G",
    b"\r\n" + get(),
    get("/a\x00"),
    get("/\xe9"),
    get("a"),
    get("/a b"),
    get().replace(b"GET", b"HEAD"),
    get().replace(b"GET", b"get"),
    get().replace(b"1.1", b"1.0"),
    get().replace(b"1.1", b"2.0"),
    get().replace(b"\r\n", b"\n"),
    b"GET /a HTTP/1.1\r\n\r\n",
    b"GET /a HTTP/1.1\r\nX: y\r\n\r\n",
    get("/a", "Host: y"),
    get("/a", "X : y"),
    get("/a", "X"),
    get("/a", " folded: y"),
    get("/a", "X: \x00"),
    get("/a", "X: \x7f"),
    get("/a", "X: \xe9"),
    get("/a", "X: a\rb"),
    get("/a", "Content-Length: 1"),
    get("/a", "Content-Length: -0"),
    get("/a", "Content-Length: 0, 0"),
    post("/a", b"ab", "Content-Length: 2"),
    post("/a", b"ab", "Content-Length: 3"),
    post("/a", b"ab", "Transfer-Encoding: chunked"),
    post("/a", b"ab")[:-1],
    post("/a", b"ab") + b"c",
    get("/a", "Transfer-Encoding: identity"),
    get("/a", "Expect: 100-continue"),
    get("/a", "Upgrade: websocket"),
    get("/a", "Connection: upgrade"),
    get("/a", "Connection: close, keep-alive"),
    get("/a", "Connection: keep-alive", "Connection: close"),
    get("/a", "TE: trailers"),
]


@pytest.mark.parametrize(("data", "whole"), TAKEN)
def test_what_is_taken_is_what_the_parser_reads(data: bytes, whole: Whole) -> None:
    assert read_whole(data) == whole
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(data)
    request = parser.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target, list(request.headers)) == (whole.method, whole.target, whole.headers)
    body = b""
    while isinstance(event := parser.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert body == whole.body
    assert (parser.their_state is h11.DONE) == whole.is_kept


@pytest.mark.parametrize("data", LEFT, ids=range(len(LEFT)))
def test_what_is_left_to_the_parser(data: bytes) -> None:
    assert read_whole(data) is None


def test_a_hostile_head_costs_no_time() -> None:
    """However it is made, nothing is looked at again and again."""
    for value in (" " * 16_000, "a " * 8_000 + "\x00", "\t \t" * 5_000 + "\x00", ":" * 16_000, "a" + " " * 15_000 + "\x01"):
        assert read_whole(get("/a", f"X: {value}", "Y: \x00")) is None
