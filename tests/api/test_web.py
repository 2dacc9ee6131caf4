"""The HTTP server: what it serves, and what it refuses."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.api.web_rig import Client, Said, get, open_rig, post, send_anyway

K = 1024


async def test_requests_one_after_the_other(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        async with client.stream:
            for n in range(3):
                said = await client.ask(get(f"/a{n}?q=1"))
                assert said == Said(
                    200, {"content-type": "text/plain; charset=utf-8", "content-length": str(len(f"GET /a{n} "))}, f"GET /a{n} ".encode()
                )
                assert rig.service.heads[-1].query == "q=1"
            said = await client.ask(post("/b", b"\x00\xffbody"))
            assert said is not None
            assert said.body == b"POST /b \x00\xffbody"
            assert rig.door.counts.taken == 1


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        async with client.stream:
            await client.send(b"".join([get("/1"), post("/2", b"two"), get("/3"), get("/no"), get("/never")]))
            bodies = [said.body for _ in range(4) if (said := await client.read()) is not None]
            assert bodies == [b"GET /1 ", b"POST /2 two", b"GET /3 ", b"no\n"]
            assert await client.is_closed()
    assert [head.path for head in rig.service.heads] == ["/1", "/2", "/3"]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_a_request_in_pieces(tmp_path: Path, autojump_clock: MockClock, size: int) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        async with client.stream:
            data = post("/p", b"x" * 20, "X-Y: z") + get("/q")
            for at in range(0, len(data), size):
                await client.send(data[at : at + size])
            said = await client.read()
            assert said is not None
            assert said.body == b"POST /p " + b"x" * 20
            said = await client.read()
            assert said is not None
            assert said.body == b"GET /q "


async def test_chunked_and_expected_bodies(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        async with client.stream:
            head = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            said = await client.ask(head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n")
            assert said is not None
            assert said.body == b"POST /c abcde"
            await client.send(b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            said = await client.read()
            assert said is not None
            assert said.status == 100
            said = await client.ask(b"ok")
            assert said is not None
            assert said.body == b"POST /e ok"
            assert not await closes_after(client, get("/f"))


async def closes_after(client: Client, data: bytes) -> bool:
    """True where the answer says that it is the last one, and it is."""
    said = await client.ask(data)
    assert said is not None
    if said.headers.get("connection") != "close":
        return False
    assert await client.is_closed()
    return True


@pytest.mark.parametrize(
    "data", [get("/a", "Connection: close"), get("/no"), b"GET /a HTTP/1.0\r\n\r\n", get("/a", "Upgrade: websocket", "Connection: upgrade")]
)
async def test_the_last_answer_says_so(tmp_path: Path, autojump_clock: MockClock, data: bytes) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        async with client.stream:
            assert await closes_after(client, data)


async def test_a_head_request_gets_a_head(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        async with client.stream:
            await client.send(get().replace(b"GET", b"HEAD") + get("/b"))
            said = await client.read("HEAD")
            assert said is not None
            assert said.headers["content-length"] == "8"
            said = await client.read()
            assert said is not None
            assert said.body == b"GET /b "


# What is no request, or one beyond a limit before anybody is known: what the door is asked to refuse it as.
BAD: list[tuple[str, bytes, int]] = [
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),
    ("NULs", bytes(100), 400),
    ("text", b"hello?\r\n\r\n", 400),
    ("SMTP", b"EHLO x\r\nMAIL FROM:<a@b>\r\n\r\n", 400),
    ("HTTP/0.9", b"GET /a\r\n\r\n", 400),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("no Host", b"GET /a HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", b"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ("a NUL in the path", get("/a\x00"), 400),
    ("a NUL in a header", get("/a", "X: \x00"), 400),
    ("bytes that are no ASCII in the path", get("/\xe9"), 400),
    ("a blank before the colon", get("/a", "X : y"), 400),
    ("a length that is none", get("/a", "Content-Length: +5"), 400),
    ("two lengths", get("/a", "Content-Length: 5", "Content-Length: 6"), 400),
    ("a length beyond all", get("/a", f"Content-Length: {'9' * 5000}"), 400),
    ("another coding", get("/a", "Transfer-Encoding: gzip"), 501),
    ("a head of 16 KiB and a bit", get("/a", "X: " + "x" * (16 * K)), 431),
    ("a path of 16 KiB", get("/" + "x" * (16 * K)), 431),
    ("many headers", get("/a", *(f"X{n}: y" for n in range(3000))), 431),
    ("a head without an end", b"GET /a HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, 431),
]


@pytest.mark.parametrize(("what", "data", "status"), BAD, ids=[row[0] for row in BAD])
async def test_what_is_no_request_is_refused_by_the_door(
    tmp_path: Path, autojump_clock: MockClock, what: str, data: bytes, status: int
) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        async with client.stream, trio.open_nursery() as nursery:
            nursery.start_soon(send_anyway, client, data)
            said = await client.read()
            assert said is not None
            assert (said.status, said.body, said.headers["connection"]) == (404, b"nobody\n", "close")
            nursery.cancel_scope.cancel()
        assert rig.service.refused == [status]
        assert rig.service.heads == []
        good = await rig.ask(get())  # and nobody else is the worse for it
        assert good is not None
        assert good.status == 200


async def test_the_largest_head_that_is_taken(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path) as rig:
        data = get("/a", "X: ")
        data = data.replace(b"X: ", b"X: " + b"x" * (16 * K - len(data)))
        assert len(data) == 16 * K
        said = await rig.ask(data)
        assert said is not None
        assert said.status == 200


# A body beyond its limit, or broken: (what, request, status)
BODIES: list[tuple[str, bytes, int]] = [
    ("as long as allowed", post("/b", b"x" * 64 * K), 200),
    ("one byte more", post("/b", b"x" * (64 * K + 1)), 413),
    ("said to be huge", b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nx", 413),
    (
        "chunked and too long",
        b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (64 * K + 1) + b"x" * (64 * K + 1),
        413,
    ),
    (
        "in chunks of a byte",
        b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (50 * K) + b"0\r\n\r\n",
        413,
    ),
    ("a bad chunk", b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
]


@pytest.mark.parametrize(("what", "data", "status"), BODIES, ids=[row[0] for row in BODIES])
async def test_bodies(tmp_path: Path, autojump_clock: MockClock, what: str, data: bytes, status: int) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        async with client.stream, trio.open_nursery() as nursery:
            nursery.start_soon(send_anyway, client, data)
            said = await client.read()
            assert said is not None
            assert said.status == status
            nursery.cancel_scope.cancel()
        assert len(rig.service.bodies) == (status == 200)
