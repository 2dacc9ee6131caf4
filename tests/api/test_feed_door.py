"""The feed's listener: who is a subscriber and who is told otherwise, how many there may be, what is taken from them."""

from pathlib import Path

import trio

from tests.api.feed_rig import NUMBER, Rig, ask_http, make_settings, open_raw, open_rig, read, read_close, read_to_end


async def test_a_feed_on_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "feed.sock")
    async with open_rig(tmp_path, settings=make_settings(f"unix:{path}"), before=1) as rig:
        assert rig.addresses == [f"unix:{path}"]
        stream = await trio.open_unix_socket(path)
        key = "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        await stream.send_all(f"GET /v1/events?from=0 HTTP/1.1\r\nHost: anything\r\nUpgrade: websocket\r\n{key}\r\n\r\n".encode())
        got = b""
        with trio.fail_after(5):
            while NUMBER.encode() not in got:  # a local one without a token sees whole numbers
                got += await stream.receive_some()
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in got  # RFC 6455 §1.3
        await stream.aclose()
    assert not await trio.Path(path).exists()


async def test_there_is_room_for_so_many(tmp_path: Path) -> None:
    async with open_rig(tmp_path, most=2) as rig, rig.connect() as one, rig.connect() as two:
        await read(one)
        await read(two)
        status, text = await ask_http(rig, *handshake(rig))
        assert (status, "2 subscribers" in text) == (503, True)
        await two.aclose()
        while len(rig.door.show_subscribers()) > 1:
            await trio.lowlevel.checkpoint()
        async with rig.connect() as three:
            assert (await read(three))["type"] == "hello"


def handshake(rig: Rig, target: str = "/v1/events", **changed: str | None) -> list[str]:
    """The lines of a good request, with headers changed or (None) left out; in names, _ is -."""
    headers: dict[str, str | None] = {
        "Host": f"127.0.0.1:{rig.port}", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    headers.update({name.replace("_", "-"): value for name, value in changed.items()})
    method = headers.pop("method", "GET")
    return [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value is not None)]


# (what is wrong, target, headers changed, status, a word of the answer)
HTTP: list[tuple[str, str, dict[str, str | None], int, str]] = [
    ("nothing", "/v1/events", {}, 101, ""),
    ("another path", "/metrics", {}, 404, "/v1/events"),
    ("a longer path", "/v1/events/", {}, 404, "/v1/events"),
    ("a whole address", "http://evil/v1/events", {}, 404, ""),
    ("not a websocket", "/v1/events", {"Upgrade": None, "Connection": None}, 426, "broker tail"),
    ("another method", "/v1/events", {"method": "POST"}, 405, "GET"),
    ("no key", "/v1/events", {"Sec_WebSocket_Key": None}, 400, ""),
    ("an old version", "/v1/events", {"Sec_WebSocket_Version": "8"}, 426, ""),
    ("bytes that are no ASCII", "/v1/events", {"Sec_WebSocket_Protocol": "bearer.\xff"}, 400, "sec-websocket-protocol"),
    ("a head without end", "/v1/events", {"X": "x" * 40_000}, 431, ""),
    ("no HTTP at all", "\x16\x03\x01", {}, 400, ""),
]


async def test_what_is_no_subscriber_is_told_so(tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig:
        for what, target, changed, status, word in HTTP:
            got, text = await ask_http(rig, *handshake(rig, target, **changed))
            assert (what, got) == (what, status)
            assert word in text
        async with rig.connect() as ws:  # and none of them cost anybody else anything
            await read(ws)


async def test_operators_see_who_reads(tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig, rig.connect() as ws:
        await read(ws)
        assert rig.door.show_subscribers() == [{"token": None, "since": "2026-11-21T20:00:00.123Z", "behind": 0}]
        await ws.aclose()
        while rig.door.show_subscribers():
            await trio.lowlevel.checkpoint()


async def test_a_subscriber_may_speak_and_is_not_heard(tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig, rig.connect() as ws:
        await read(ws)
        for n in range(20):
            await ws.send_message("x" * n)
        with trio.fail_after(5):
            await ws.ping()
        await rig.publish([rig.tell(1)])
        assert (await read(ws))["seq"] == 1
        await ws.send_message("x" * 5000)
        assert (await read_close(ws))[0] == 1009


async def test_who_speaks_too_much_still_hears_why_it_ends(tmp_path: Path) -> None:
    """Closing with bytes unread would reset the connection, and take the last words with it."""
    async with open_rig(tmp_path) as rig:
        stream = await open_raw(rig, "")
        async with stream:
            hello = b""
            while b'"hello"' not in hello:
                hello += await stream.receive_some()
            await stream.send_all(b"\x82\xff" + (1 << 20).to_bytes(8, "big") + bytes(4) + bytes(1 << 20))
            await stream.send_eof()
            got = await read_to_end(stream)
        assert got.partition(b"\x88")[2][1:].startswith((1009).to_bytes(2, "big"))
