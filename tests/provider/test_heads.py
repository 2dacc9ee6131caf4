"""A plain answer read at once is what h11 would have read of it, to the byte; whatever else comes is left to h11."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.heads import Head, read_head

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def test_a_plain_answer() -> None:
    assert read_head(OK) == Head(200, [(b"content-type", b"text/plain"), (b"content-length", b"2")], len(OK) - 2, 2, True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nto the end",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\n folded\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\x00b\r\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: upgrade\r\n\r\nok",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_what_is_not_plain_is_left_to_h11(data: bytes) -> None:
    assert read_head(data) is None


def test_a_connection_that_closes_carries_nothing_more() -> None:
    head = read_head(OK.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n"))
    assert head is not None
    assert not head.is_kept


_word = st.sampled_from([b"", b" ", b"a", b"X-1", b"Content-Length", b"content-length", b"Connection", b"Transfer-Encoding", b":", b"\t"])
_value = st.one_of(st.sampled_from([b"0", b"2", b" 2 ", b"close", b"keep-alive", b"chunked", b"a b", b"", b"2,2"]), st.binary(max_size=6))
_line = st.builds(lambda name, colon, value: name + colon + value, _word, st.sampled_from([b":", b": ", b" :", b""]), _value)
_answer = st.builds(
    lambda start, lines, eol, body: start + eol + b"".join(line + eol for line in lines) + eol + body,
    st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 503", b"HTTP/1.1 200 ", b"HTTP/1.1 404 \xe9", b"HTTP/1.0 200 OK", b"HTTP/1.1 199 x"]),
    st.lists(_line, max_size=4),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
    st.binary(max_size=4),
)


@given(_answer)
def test_it_never_reads_what_h11_would_not(data: bytes) -> None:
    head = read_head(data)
    if head is None:
        return
    state = h11.Connection(h11.CLIENT)
    state.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    state.send(h11.EndOfMessage())
    state.receive_data(data)
    response = state.next_event()
    assert isinstance(response, h11.Response)
    assert (response.status_code, list(response.headers)) == (head.status, head.headers)
    body = b""
    while isinstance(event := state.next_event(), h11.Data):
        body += event.data
    assert body == data[head.size : head.size + head.length]
    assert isinstance(event, h11.EndOfMessage) == (len(data) >= head.size + head.length)
    assert (state.their_state is h11.MUST_CLOSE) == (not head.is_kept and isinstance(event, h11.EndOfMessage))
