"""The limits of the HTTP server: what each does to the one connection that leans on it, and that nobody else is the worse for it."""

import errno
import logging
import os
import resource
from collections import deque
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from broker.api import web
from broker.api.web import find_room, name_peer
from broker.api.web_answers import Answer, Limits, show_head
from tests.api.web_rig import Client, get, open_rig, post, send_anyway

# ---- time: (what is sent at once, what is sent every second after, when the connection ends)
SLOW: list[tuple[str, bytes, bytes, float]] = [
    ("silence", b"", b"", 5),
    ("a head without an end", b"GET /a HTTP/1.1\r\n", b"", 5),
    ("a head byte by byte", b"GET /a HTTP/1.1\r\nX: ", b"x", 5),
    ("no body", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n", b"", 10),
    ("a body byte by byte", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n", b"x", 10),
    ("chunks one by one", b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 10),
    ("a second request that never comes", get(), b"", 75),
    ("a second request byte by byte", get() + b"GET", b"x", 5),
]


@pytest.mark.parametrize(("what", "first", "every", "seconds"), SLOW, ids=[row[0] for row in SLOW])
async def test_whoever_is_slow_is_closed(
    tmp_path: Path, autojump_clock: MockClock, what: str, first: bytes, every: bytes, seconds: float
) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        begun = trio.current_time()
        async with client.stream, trio.open_nursery() as nursery:
            if first:
                await client.send(first)

            async def drip() -> None:
                while every:
                    await trio.sleep(1)
                    await send_anyway(client, every)

            nursery.start_soon(drip)
            while await client.read() is not None:
                pass
            assert trio.current_time() - begun == pytest.approx(seconds, abs=0.01)
            nursery.cancel_scope.cancel()
        assert rig.door.counts.late == 1


async def test_a_second_request_has_its_five_seconds_from_its_first_byte(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path) as rig:
        client = await rig.connect()
        async with client.stream:
            await client.ask(get())
            await trio.sleep(60)
            await client.send(b"GET /b HT")
            begun = trio.current_time()
            assert await client.is_closed()
            assert trio.current_time() - begun == pytest.approx(5, abs=0.01)


async def test_whoever_does_not_read_its_answer_is_closed(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path) as rig:
        rig.service.answer = Answer(200, bytes(4 << 20))
        client = await rig.connect()
        async with client.stream:
            await client.send(get())
            await trio.sleep(11)
            assert (rig.door.size, rig.door.counts.late) == (0, 1)


async def test_work_takes_as_long_as_it_takes(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path) as rig:
        rig.service.work = partial(trio.sleep, 1000)
        said = await rig.ask(get())
        assert said is not None
        assert said.status == 200


async def test_work_that_takes_too_long_is_given_up(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path, Limits(work_wait=7)) as rig:
        rig.service.work = partial(trio.sleep, 8)
        client = await rig.connect()
        begun = trio.current_time()
        async with client.stream:
            said = await client.ask(get())
            assert said is not None
            assert (said.status, said.body, said.headers["connection"]) == (503, b"too long\n", "close")
            assert trio.current_time() - begun == pytest.approx(7, abs=0.5)
            assert await client.is_closed()
        assert rig.door.counts.late == 1
        rig.service.work = partial(trio.sleep, 6)
        said = await rig.ask(get())
        assert said is not None
        assert said.status == 200


# ---- how many


async def test_at_the_limit_the_longest_silent_makes_room(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path, Limits(most=8)) as rig:
        silent = [await rig.connect() for _ in range(7)]
        kept = await rig.connect()
        said = await kept.ask(get())
        assert said is not None
        assert said.status == 200
        for n in range(7):  # one that has brought a request stays before those that never did
            said = await rig.ask(get())
            assert said is not None
            assert said.status == 200, n
        said = await kept.ask(get())
        assert said is not None
        assert said.status == 200
        assert rig.door.counts.evicted == 1  # each that is done leaves room for the next
        assert await silent[0].is_closed()
        for client in [*silent, kept]:
            await client.stream.aclose()


async def test_ten_thousand_silent_ones_keep_nobody_out(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path, Limits(most=50)) as rig:
        held: deque[Client] = deque()
        for n in range(10_000):  # each is as good as the one before
            held.append(await rig.connect())
            if len(held) > 200:
                assert await held[0].is_closed()  # by the door: this side has said and ended nothing
                await held.popleft().stream.aclose()
            if n % 500 == 499:
                said = await rig.ask(get())
                assert said is not None
                assert said.status == 200
                assert rig.door.size <= 50
        for client in held:
            await client.stream.aclose()
        assert rig.door.counts.evicted >= 9_940
        assert rig.door.counts.taken == 10_020


async def test_where_all_are_at_work_the_next_is_turned_away(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path, Limits(most=8)) as rig:
        rig.service.work = partial(trio.sleep, 1)
        clients = [await rig.connect() for _ in range(8)]
        for client in clients:
            await client.send(get())
        await trio.sleep(0.5)
        late = await rig.connect()
        assert await late.is_closed()
        assert rig.door.counts.turned_away == 1
        for client in clients:
            said = await client.read()
            assert said is not None
            assert said.status == 200
            await client.stream.aclose()
        await late.stream.aclose()


async def test_one_peer_makes_room_for_itself(tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    peers = iter(["one", "one", "two", "one", "two"])
    monkeypatch.setattr(web, "find_peer", lambda stream: next(peers))
    async with open_rig(tmp_path, Limits(most=100, most_of_peer=2)) as rig:
        clients = [await rig.connect() for _ in range(5)]
        for client in clients[1:]:
            said = await client.ask(get())
            assert said is not None
            assert said.status == 200
        assert await clients[0].is_closed()
        assert rig.door.counts.evicted == 1
        for client in clients:
            await client.stream.aclose()


class Exhausted(trio.abc.Listener[trio.SocketStream]):
    """A listener that finds no descriptor so often, and then gives its streams."""

    def __init__(self, errors: list[int], streams: list[trio.SocketStream]) -> None:
        self.errors, self.streams = errors, streams

    async def accept(self) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        if self.errors:
            raise OSError(self.errors.pop(0), "no")
        if not self.streams:
            await trio.sleep_forever()
        return self.streams.pop(0)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_the_door_outlives_a_lack_of_descriptors(tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with open_rig(tmp_path) as rig:
        silent = await rig.connect()
        await trio.sleep(0.1)
        ours, theirs = trio.socket.socketpair()
        errors = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE]
        listener = Exhausted(errors, [trio.SocketStream(theirs)])
        async with trio.open_nursery() as nursery:
            await nursery.start(rig.door.serve_listeners, [listener])
            client = Client(trio.SocketStream(ours))
            said = await client.ask(get())
            assert said is not None
            assert said.status == 200
            assert await silent.is_closed()  # its descriptor is of more use elsewhere
            nursery.cancel_scope.cancel()
        await client.stream.aclose()
        await silent.stream.aclose()
    assert [record.message for record in caplog.records] == ["no connection can be taken door=web error=EMFILE"]


def test_room_is_a_quarter_of_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, room in [(1024, 256), (65536, 1000), (16, 8), (-1, 1000)]:
        monkeypatch.setattr(resource, "getrlimit", lambda _which, soft=soft: (soft, soft))
        assert find_room(1000) == room


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", ""), ("::1", ""), ("::ffff:127.0.0.9", ""), ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1:2:3:4", "2001:db8::/64"), ("2001:db8::9", "2001:db8::/64"), ("fe80::1%eth0", "fe80::/64"),
    ],
)  # fmt: skip
def test_names_of_peers(host: str, name: str) -> None:
    assert name_peer(host) == name


# ---- what goes wrong behind the door


async def test_a_fault_of_the_service_costs_the_request_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("canary text 5501")

    async with open_rig(tmp_path) as rig:
        rig.service.work = fail
        said = await rig.ask(get("/canary?canary"))
        assert said is not None
        assert said.status == 503
        rig.service.work = trio.lowlevel.checkpoint
        said = await rig.ask(get())
        assert said is not None
        assert said.status == 200
    assert "RuntimeError" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"", (("X", "a\r\nSet-Cookie: b"),)),
        Answer(200, b"", (("X y", "a"),)),
        Answer(200, b"x", (("Content-Length", "5"),)),
        Answer(200, b"x", (("Transfer-Encoding", "chunked"),)),
        Answer(204, b"x"),
        Answer(42, b""),
    ],
)
async def test_an_answer_that_is_no_http_is_not_sent(tmp_path: Path, answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    async with open_rig(tmp_path) as rig:
        rig.service.answer = answer
        said = await rig.ask(get())
        assert said is not None
        assert said.status == 503
    assert "cannot be sent" in caplog.text


def test_heads_of_answers() -> None:
    assert show_head(204, (), 0, True) == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert show_head(200, (("A", "b"),), 3, False) == b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"


async def test_a_client_that_vanishes_leaves_nothing(tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with open_rig(tmp_path) as rig:
        for data in (b"", b"GET", get()[:-2], get(), post("/b", b"xyz")[:-1]):
            client = await rig.connect()
            await client.send(data)
            client.stream.socket.close()
        await trio.sleep(1)
        assert rig.door.size == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_the_end_closes_everything(tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig:
        clients = [await rig.connect() for _ in range(3)]
        await clients[0].ask(get())
        await clients[1].send(b"GET")
        before = len(os.listdir("/proc/self/fd"))
    for client in clients:
        assert await client.is_closed()
        await client.stream.aclose()
    assert len(os.listdir("/proc/self/fd")) <= before - 6
