"""A slow subscriber is only a later one: it costs nobody else anything and loses nothing; a stuck one is told so, or cut (promise 14)."""

import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.api.feed_pages import Pages, make_frame, make_frames
from broker.api.wire import SEND_BUFFER, Wire
from broker.store.contract import Entry
from broker.store.ring import Ring
from tests.api.feed_rig import Gate, connect_slowly, make_unix, open_raw, open_rig, read, read_close, read_to_end

MANY = 3000  # events of 400 bytes: far more than the two socket buffers hold


@pytest.mark.parametrize("batch", [0, 1])
async def test_a_slow_reader_gets_everything_later_and_the_others_now(tmp_path: Path, autojump_clock: MockClock, batch: int) -> None:
    async with open_rig(tmp_path, settings=make_unix(tmp_path), ring=50) as rig, trio.open_nursery() as nursery:
        slow, tap = await connect_slowly(nursery, rig, f"from=0&batch={batch}")
        async with tap.stream, rig.connect("batch=1") as quick:
            await read(slow)
            await read(quick)
            tap.shut()
            quick_seen = 0
            for start in range(0, MANY, 500):
                await rig.publish([rig.tell(n) for n in range(start, start + 500)])
                while quick_seen < start + 500:
                    quick_seen += len(await read(quick))
            assert trio.current_time() < 5  # virtual seconds: nobody waited for the slow one
            tap.gate.set()
            seen: list[int] = []
            while len(seen) < MANY:
                frame = await read(slow)
                seen += [event["seq"] for event in (frame if batch else [frame])]
            assert seen == list(range(1, MANY + 1))
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("pause", [20, 29])
async def test_who_takes_a_frame_in_time_stays(tmp_path: Path, autojump_clock: MockClock, pause: int) -> None:
    async with open_rig(tmp_path, settings=make_unix(tmp_path)) as rig, trio.open_nursery() as nursery:
        ws, tap = await connect_slowly(nursery, rig, "from=0")
        async with tap.stream:
            await read(ws)
            tap.shut()
            await rig.publish_many(MANY)
            await trio.sleep(pause)
            tap.gate.set()
            assert [(await read(ws))["seq"] for _ in range(MANY)] == list(range(1, MANY + 1))
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("batch", [0, 1])
async def test_who_takes_a_frame_just_too_late_is_told_so(tmp_path: Path, autojump_clock: MockClock, batch: int) -> None:
    async with open_rig(tmp_path, settings=make_unix(tmp_path)) as rig, trio.open_nursery() as nursery:
        ws, tap = await connect_slowly(nursery, rig, f"from=0&batch={batch}")
        async with tap.stream:
            await read(ws)
            tap.shut()
            await rig.publish_many(MANY)
            await trio.sleep(32)
            tap.gate.set()
            code, reason = await read_close(ws)
            assert (code, "30 s" in reason) == (4408, True)
            # Whole frames, then the close and nothing else: what the client's own parser has accepted, byte for byte.
            seqs = [event["seq"] for event in split_events(tap.taken)]
            assert seqs == list(range(1, len(seqs) + 1))
            assert 0 < len(seqs) < MANY
            async with rig.connect(f"from={seqs[-1]}") as again:
                await read(again)
                assert (await read(again))["seq"] == seqs[-1] + 1
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("batch", [0, 1])
async def test_who_takes_nothing_is_cut_without_a_word_in_a_frame(tmp_path: Path, autojump_clock: MockClock, batch: int) -> None:
    async with open_rig(tmp_path, settings=make_unix(tmp_path)) as rig, trio.open_nursery() as nursery:
        ws, tap = await connect_slowly(nursery, rig, f"from=0&batch={batch}")
        async with tap.stream:
            await read(ws)
            tap.shut()
            await rig.publish_many(MANY)
            await trio.sleep(30)
            assert rig.door.show_subscribers()
            await trio.sleep(6)
            assert not rig.door.show_subscribers()
            tap.gate.set()
            assert (await read_close(ws))[0] == 1006  # the line went dead
            frames, rest = split_frames(tap.taken)
            assert {opcode for opcode, _ in frames} <= {1, 9}
            assert rest  # it ends in the midst of a frame
            nursery.cancel_scope.cancel()


def split_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """(opcode, payload) of every whole frame that the server sent, and what is left of one that is not."""
    frames = []
    data = data.partition(b"\r\n\r\n")[2]
    while len(data) >= 2:
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            break
        frames.append((data[0] & 15, data[start : start + size]))
        data = data[start + size :]
    return frames, data


def split_events(data: bytes) -> list[dict[str, Any]]:
    frames, rest = split_frames(data)
    assert rest == b""
    assert frames[-1][0] == 8
    found = [json.loads(payload) for opcode, payload in frames[1:] if opcode == 1]
    return [event for frame in found for event in (frame if isinstance(frame, list) else [frame])]


async def test_who_does_not_answer_a_ping_is_gone(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_rig(tmp_path, settings=make_unix(tmp_path)) as rig, rig.connect() as lively:
        silent = await open_raw(rig, "")
        async with silent:
            await trio.sleep(49)
            assert len(rig.door.show_subscribers()) == 2
            await trio.sleep(8)
            assert len(rig.door.show_subscribers()) == 1
            frames, rest = split_frames(await read_to_end(silent))
            assert [opcode for opcode, _ in frames] == [1, 9, 8]
            assert frames[-1][1].startswith((4408).to_bytes(2, "big"))  # there was room to say it
            assert rest == b""
        await read(lively)
        await rig.publish([rig.tell(1)])
        assert (await read(lively))["seq"] == 1


async def test_a_dead_line_costs_the_journal_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Commits go on at their own pace while a hundred subscribers are stuck."""
    async with open_rig(tmp_path, settings=make_unix(tmp_path)) as rig, trio.open_nursery() as nursery:
        for _ in range(20):
            ws, tap = await connect_slowly(nursery, rig, "from=0&batch=1")
            nursery.start_soon(hold_open, tap)
            await read(ws)
            tap.shut()
        start = trio.current_time()
        await rig.publish_many(MANY)
        assert trio.current_time() - start < 1
        nursery.cancel_scope.cancel()


async def hold_open(tap: Gate) -> None:
    async with tap.stream:
        await trio.sleep_forever()


class Pair:
    """A wire over a pair of connected sockets."""

    def __init__(self) -> None:
        near, far = socket.socketpair()
        self.near = near
        self.wire = Wire(trio.SocketStream(trio.socket.from_stdlib_socket(near)))
        self.far = trio.SocketStream(trio.socket.from_stdlib_socket(far))
        self.late = 0
        self.wire.on_late = self._count

    def _count(self) -> None:
        self.late += 1

    async def take(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            got += await self.far.receive_some(size - len(got))
        return got

    async def close(self) -> None:
        await self.wire.aclose()
        await self.far.aclose()


BIG = SEND_BUFFER * 8


async def test_cancelling_leaves_no_half_frame(autojump_clock: MockClock) -> None:
    pair = Pair()
    frame = make_frame(b"x" * BIG)
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(3) as scope:
            nursery.start_soon(take_later, pair, len(frame) + 2)
            await pair.wire.send_frames(frame, (len(frame),))
        assert scope.cancelled_caught is False  # it was asked to stop in the midst, and ended the frame first
        assert trio.current_time() >= 10
        await pair.wire.send_all(b"\x88\x00")
    with pytest.raises(trio.ClosedResourceError):
        await pair.wire.send_frames(frame, (len(frame),))
    await pair.close()


async def take_later(pair: Pair, size: int) -> None:
    await trio.sleep(10)
    await pair.take(size)


async def test_each_frame_has_its_own_time(autojump_clock: MockClock) -> None:
    """Many frames in one piece may take long, as long as each of them does not."""
    pair = Pair()
    frames = make_frames([b"x" * 100_000] * 40, batch=False)

    async def take_slowly() -> None:
        for _ in range(40):
            await trio.sleep(20)
            await pair.take(100_010)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_slowly)
        await pair.wire.send_frames(*frames)
        assert trio.current_time() > 300
    assert pair.late == 0
    await pair.close()


async def test_a_late_frame_is_ended_and_the_next_is_not_begun(autojump_clock: MockClock) -> None:
    pair = Pair()
    frames = make_frames([b"a" * BIG, b"b" * BIG], batch=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.wire.send_frames, *frames)
        await trio.sleep(31)
        got = await pair.take(frames.ends[0])
    assert got == frames.data[: frames.ends[0]]
    assert pair.late == 1
    await pair.wire.send_all(b"\x88\x00")
    assert await pair.take(2) == b"\x88\x00"
    await pair.close()


async def test_after_a_half_frame_nothing_follows(autojump_clock: MockClock) -> None:
    pair = Pair()
    frame = make_frame(b"x" * BIG)
    with pytest.raises(trio.BrokenResourceError):
        await pair.wire.send_frames(frame, (len(frame),))
    assert trio.current_time() == pytest.approx(35)
    with pytest.raises(trio.BrokenResourceError):
        await pair.wire.send_all(b"\x88\x00")
    got = await read_to_end(pair.far)
    assert len(got) < len(frame)
    assert got == frame[: len(got)]
    await pair.close()


async def test_a_close_that_finds_no_room_does_not_wait_for_long(autojump_clock: MockClock) -> None:
    pair = Pair()
    with suppress(BlockingIOError):
        while True:
            pair.near.send(make_frame(b"x" * 100))
    with pytest.raises(trio.BrokenResourceError):
        await pair.wire.send_all(b"\x88\x00")
    assert trio.current_time() == pytest.approx(10)
    await pair.close()


async def test_two_who_speak_at_once_do_not_mix(autojump_clock: MockClock) -> None:
    pair = Pair()
    frame = make_frame(b"x" * BIG)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(pair.wire.send_frames, frame, (len(frame),))
            nursery.start_soon(pair.wire.send_all, b"\x89\x00")
        got = await pair.take(3 * len(frame) + 6)
    frames, rest = split_frames(b"\r\n\r\n" + got)
    assert rest == b""
    assert sorted((opcode, len(payload)) for opcode, payload in frames) == [(1, BIG)] * 3 + [(9, 0)] * 3
    await pair.close()


async def test_the_bell_rings_at_once_and_then_not_too_often(autojump_clock: MockClock) -> None:
    ring = Ring(100_000, 0)
    pages = Pages(ring, None)  # type: ignore[arg-type]  # the ring reaches back to the beginning
    heard: list[tuple[float, int]] = []

    async def listen() -> None:
        while True:
            await pages.wait_beyond(heard[-1][1] if heard else 0)
            heard.append((trio.current_time(), pages.rung))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pages.run_bell, lambda: 100)
        nursery.start_soon(listen)
        await trio.sleep(1)
        for seq in range(1, 1001):
            ring.push([Entry({}, None, b"{}", seq)])  # type: ignore[arg-type]  # only seq is read
            await trio.sleep(0.001)
        await trio.sleep(1)
        assert heard[0] == (1.0, 1)
        assert heard[-1][1] == 1000
        assert heard[-1][0] < 2.1
        assert len(heard) < 30
        nursery.cancel_scope.cancel()
