"""`tail`: finding the feed, following it, coming back to it, and what is said when it is refused or not there.

The feed at the other end is a websocket server of the test's own; what the real one sends is CONTRACT §6.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket, wrap_server_stream

from broker.cli import tail
from broker.cli.entry import load_command, make_parser
from broker.cli.tail import Feed, find_feed, follow, print_event
from broker.cli.trouble import Trouble
from tests.cli.office import Desk

FEED = '[feed]\nlisten = "127.0.0.1:8781"\n'
HELLO = {"type": "hello", "seq": 10, "first": 1, "node": "n"}
EVENT = {
    **{"seq": 11, "at": "2026-11-21T20:00:00.123Z", "type": "message.sent", "node": "sms1", "id": "m1", "status": "sent"},
    **{"ref": "r1", "client": "unix:shop", "to": "+8869•••678", "country": "TW", "tags": [], "rule": "otp", "provider": "mitake"},
    **{"attempt": 2, "provider_ref": "09", "class": "accepted", "code": "1", "detail": None, "segments": 1},
    **{"price": "0.90", "currency": "TWD"},
}

Serve = Callable[[WebSocketConnection], Awaitable[None]]


def _find(*words: str) -> Feed:
    args = make_parser("tail", load_command("tail")).parse_args(words)
    return find_feed(args)


class Stage:
    """A feed on a port of its own; `acts` says what each connection gets, one after the other."""

    def __init__(self, *acts: Serve) -> None:
        self._acts = list(acts)
        self.asked: list[str] = []
        self.tokens: list[str | None] = []

    async def serve(self, request: WebSocketRequest) -> None:
        self.asked.append(request.path)
        self.tokens.append(next((value.decode() for name, value in request.headers if name == b"authorization"), None))
        connection = await request.accept()
        try:
            await self._acts.pop(0)(connection)
        except ConnectionClosed:
            pass  # the test is over

    @asynccontextmanager
    async def open(self, after: int | None = None, **facts: Any) -> Any:
        """A Feed that reaches this stage."""
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve_websocket, self.serve, "127.0.0.1", 0, None)
            yield Feed(f"127.0.0.1:{server.port}", [], facts.get("token"), facts.get("wanted", []), after)
            nursery.cancel_scope.cancel()


async def _say(connection: WebSocketConnection, *frames: Any) -> None:
    for frame in frames:
        await connection.send_message(json.dumps(frame))


def show_frames(*frames: Any, close: int = 1001, reason: str = "") -> Serve:
    """An act: these frames, then the end."""

    async def act(connection: WebSocketConnection) -> None:
        await _say(connection, *frames)
        await connection.aclose(close, reason)

    return act


async def _follow(feed: Feed, tell: Callable[[dict[str, Any]], None]) -> Trouble:
    """The trouble that following ends with."""
    with trio.fail_after(5), pytest.raises(Trouble) as caught:
        await follow(feed, tell)
    return caught.value


async def test_events_in_order_and_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    stage = Stage(show_frames(HELLO, {"type": "gap", "first": 5}, [{"seq": 11}, {"seq": 14}], {"seq": 15}, close=4400, reason="the end"))
    async with stage.open(after=3, wanted=[("type", "message.*"), ("tag", "a b")]) as feed:
        trouble = await _follow(feed, seen.append)
    assert [event.get("seq", "gap") for event in seen] == ["gap", 11, 14, 15]
    assert stage.asked == ["/v1/events?from=3&type=message.%2A&tag=a+b&batch=1"]
    assert trouble.exit_code == 1
    assert "does not take these filters or this --from: the end" in trouble.message


async def test_it_comes_back_after_the_last_event(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tail, "RETRY_S", 0)
    seen: list[int] = []
    stage = Stage(
        show_frames(HELLO, close=1001, reason="restart"),
        show_frames({**HELLO, "seq": 12}, [{"seq": 11}, {"seq": 12}], close=4408),
        show_frames({**HELLO, "seq": 12}, {"seq": 13}, close=4401, reason="taken away"),
    )
    async with stage.open() as feed:
        trouble = await _follow(feed, lambda event: seen.append(event["seq"]))
    assert seen == [11, 12, 13]
    assert [path.partition("?")[2] for path in stage.asked] == ["batch=1", "from=10&batch=1", "from=12&batch=1"]
    assert trouble.message == "the feed wants a good token in $BROKER_TOKEN: taken away"
    said = capsys.readouterr().err
    assert "the feed has ended (closed with 1001: restart); trying again for 60 s" in said
    assert "we read too slowly" in said


async def test_it_gives_up_when_the_feed_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "RETRY_S", 0)
    monkeypatch.setattr(tail, "GIVE_UP_S", 0)
    async with Stage(show_frames(HELLO)).open() as feed:
        feed_gone = feed
        trouble = await _follow_until_gone(feed_gone)
    assert trouble.exit_code == 69
    assert "the feed did not come back" in trouble.message
    assert trouble.message.endswith("go on later with --from 10")


async def _follow_until_gone(feed: Feed) -> Trouble:
    """Follow; once the first connection has ended, nobody listens at the feed's address any more."""
    real = tail._shake_hands

    async def shake_hands(feed: Feed, stream: trio.SocketStream, nursery: trio.Nursery) -> WebSocketConnection:
        frames = await real(feed, stream, nursery)
        feed.listen = f"127.0.0.1:{_free_port()}"
        return frames

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "_shake_hands", shake_hands)
        return await _follow(feed, lambda event: None)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_the_token_is_a_header() -> None:
    stage = Stage(show_frames(close=4400))
    async with stage.open(token="t0ken") as feed:
        await _follow(feed, lambda event: None)
    assert stage.tokens == ["Bearer t0ken"]


async def test_nobody_listens() -> None:
    trouble = await _follow(Feed(f"127.0.0.1:{_free_port()}", [], None, [], None), lambda event: None)
    assert trouble.exit_code == 69
    assert "is the broker running, and was it started with this [feed]?" in trouble.message


async def test_what_answers_is_no_websocket() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(b"220 mail.example.org ESMTP\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        trouble = await _follow(Feed(f"127.0.0.1:{listeners[0].socket.getsockname()[1]}", [], None, [], None), lambda event: None)
        nursery.cancel_scope.cancel()
    assert trouble.exit_code == 69
    assert "no websocket" in trouble.message


@pytest.mark.parametrize(("status", "exit_code", "word"), [(403, 1, "HTTP status 403: no such Host"), (503, 69, "no room: no such Host")])
async def test_a_refused_handshake(status: int, exit_code: int, word: str) -> None:
    async def refuse(request: WebSocketRequest) -> None:
        await request.reject(status, body=b"no such Host\n")

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, refuse, "127.0.0.1", 0, None)
        trouble = await _follow(Feed(f"127.0.0.1:{server.port}", [], None, [], None), lambda event: None)
        nursery.cancel_scope.cancel()
    assert trouble.exit_code == exit_code
    assert word in trouble.message


async def test_over_a_unix_socket(desk: Desk) -> None:
    """The first of the paths where somebody answers, as with the other sockets."""
    seen: list[Any] = []
    desk.write('[feed]\nlisten = "unix:feed.sock"\n')
    feed = _find("--from", "0")
    assert feed.unix_paths == [f"{desk.home}/run/feed.sock", f"{desk.home}/var/feed.sock"]
    (desk.home / "var").mkdir()

    async def serve(stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            connection = await wrap_server_stream(nursery, stream)
            accepted = await connection.accept()
            await show_frames(HELLO, {"seq": 11}, close=4400)(accepted)

    async with trio.open_nursery() as nursery:
        socket = trio.socket.socket(trio.socket.AF_UNIX)
        await socket.bind(f"{desk.home}/var/feed.sock")
        socket.listen()
        nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(socket)])
        await _follow(feed, seen.append)
        nursery.cancel_scope.cancel()
    assert seen == [{"seq": 11}]


# ---- finding it


def test_no_feed_says_which_section_to_add(desk: Desk) -> None:
    desk.write('[broker]\nname = "n"\n')
    ran = desk.run("tail")
    assert (ran.code, ran.out) == (1, "")
    assert "there is no [feed] in broker.toml" in ran.err
    assert '\n[feed]\nlisten = "127.0.0.1:8781"\n' in ran.err
    assert "restart the broker" in ran.err


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        (None, 78, "no broker.toml was found"),
        ("[feed\n", 78, "broker.toml is no TOML; see `broker check`"),
        ("[feed]\nlisten = 8781\n", 1, "there is no [feed]"),
        ('[feed]\nlisten = "nonsense"\n', 1, "there is no [feed]"),
        ('feed = "x"\n', 1, "there is no [feed]"),
    ],
)
def test_no_feed_to_be_found(desk: Desk, text: str | None, code: int, word: str) -> None:
    if text is not None:
        desk.write(text)
    ran = desk.run("tail")
    assert ran.code == code
    assert word in ran.err


def test_arguments(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(FEED)
    monkeypatch.setenv("BROKER_TOKEN", "from-env")
    feed = _find("--from", "7", "--type", "message.*", "--type", "node.*", "--provider", "p", "--client", "c", "--tag", "t", "--id", "i")
    wanted = "from=7&type=message.%2A&type=node.%2A&provider=p&client=c&tag=t&id=i&batch=1"
    assert (feed.listen, feed.token, feed.resource) == ("127.0.0.1:8781", "from-env", f"/v1/events?{wanted}")
    assert _find("--token", "given").token == "given"
    monkeypatch.delenv("BROKER_TOKEN")
    assert _find().token is None
    assert _find().after is None


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:8781", "127.0.0.1", "8781"),
        ("0.0.0.0:8781", "127.0.0.1", "8781"),
        ("[::]:1", "[::1]", "1"),
        ("[2001:db8::1]:1", "[2001:db8::1]", "1"),
        ("sms1.example.org:1", "sms1.example.org", "1"),
    ],
)
def test_find_address(listen: str, host: str, port: str) -> None:
    assert tail.find_address(listen) == (host, port)


# ---- showing it


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (EVENT, "11  2026-11-21 20:00:00.123  sent          m1  +8869•••678  mitake#2  accepted  1  0.90 TWD  ref r1\n"),
        (
            {
                "seq": 2,
                "at": "2026-11-21T20:00:00.000Z",
                "type": "provider.down",
                "node": "n",
                "provider": "isms",
                "reason": "x\x1b",
                "until": None,
            },
            "2  2026-11-21 20:00:00  provider.down  provider=isms  reason=x\\x1b\n",
        ),
        (
            {
                **{"seq": 3, "at": "2026-11-21T20:00:00.000Z", "type": "config.refused", "node": "n", "hash": None},
                "problems": [{"key": "rules[0].use", "line": 3, "message": "is empty"}],
            },
            "3  2026-11-21 20:00:00  config.refused  problems=3: rules[0].use: is empty\n",
        ),
        ({"type": "gap", "first": 90}, "(events before 90 are no longer kept)\n"),
    ],
)
def test_print_event(event: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_event(event)
    assert capsys.readouterr().out == line


def test_json_is_one_object_per_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(feed: Feed, tell: Callable[[dict[str, Any]], None]) -> None:
        tell(EVENT)
        tell({"type": "gap", "first": 1})
        raise KeyboardInterrupt

    monkeypatch.setattr(tail, "follow", play)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    desk.write(FEED)
    ran = desk.run("tail", "--json")
    assert ran.code == 0
    assert [json.loads(line) for line in ran.out.splitlines()] == [EVENT, {"type": "gap", "first": 1}]


def test_the_file_named_is_the_file_read(desk: Desk) -> None:
    (desk.home / "etc").mkdir()
    file: Path = desk.write('[feed]\nlisten = "unix:sub/feed.sock"\n', "etc/b.toml")
    assert _find("--config", str(file)).unix_paths == [f"{desk.home}/etc/sub/feed.sock"]


async def test_a_reader_of_ours_that_has_gone_is_not_the_feed_s_fault() -> None:
    """`broker tail | head -1`: trying the feed again would go on for good."""

    def tell(_event: dict[str, Any]) -> None:
        raise BrokenPipeError

    async with Stage(show_frames(HELLO, {"seq": 11})).open() as feed:
        with trio.fail_after(5), pytest.raises(BrokenPipeError):
            await follow(feed, tell)
