"""A crowd of subscribers at the feed of a real daemon: quick, slow, dead, and cut at random, who go on with `from` (reliability F20).

In the end each has heard exactly the events of the table, once and in order. The daemon's memory is looked at meanwhile.
"""

import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import trio

from tests.api.test_feed_slow import split_frames
from tests.crash.verdict import Tally
from tests.machine.trial import Size, Trial, require

FEED = """
[feed]
listen = "unix:{folder}/feed.sock"
"""
ASK = (
    "GET /v1/events?from={last}&batch=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PONG = b"\x8a\x80\0\0\0\0"
MOST_MEMORY = 160 << 20
"""Bytes beyond what it had before they came: a thousand connections of a websocket library, and no queue for any of them."""


class Subscriber:
    """One of the crowd. `kind`: quick, slow (rests between reads), cut (breaks the line), or dead (reads nothing for a while)."""

    def __init__(self, socket: Path, kind: str, rng: random.Random) -> None:
        self.kind = kind
        self.seqs: list[int] = []
        self._socket = socket
        self._rng = rng

    async def run(self) -> None:
        """Subscribe, again from where it stopped whenever the line ends, until cancelled."""
        while True:
            try:
                async with await trio.open_unix_socket(self._socket) as stream:
                    await self._read(stream)
            except (OSError, trio.BrokenResourceError):
                pass  # cut, or refused in the crowd
            await trio.sleep(0.2)

    async def _read(self, stream: trio.SocketStream) -> None:
        last = self.seqs[-1] if self.seqs else 0
        await stream.send_all(ASK.format(last=last).encode())
        data = b""
        until = self._rng.randint(20_000, 200_000) if self.kind == "cut" else 1 << 60
        taken = 0
        if self.kind == "dead":
            await trio.sleep(self._rng.uniform(1, 5))
        while more := await stream.receive_some(65_536):
            data += more
            taken += len(more)
            if b"\r\n\r\n" not in data:
                continue
            frames, rest = split_frames(data)
            data = b"\r\n\r\n" + rest
            for opcode, payload in frames:
                if opcode == 9:
                    await stream.send_all(PONG)
                elif opcode == 1:
                    self.seqs += find_seqs(payload)
            if taken > until:
                return
            if self.kind == "slow":
                await trio.sleep(self._rng.uniform(0, 0.3))


def find_seqs(payload: bytes) -> Iterator[int]:
    """The events of a frame; `hello` is none."""
    frame = json.loads(payload)
    return iter([event["seq"] for event in frame] if isinstance(frame, list) else [])


async def crowd_feed(folder: Path, seed: int, size: Size) -> Tally:
    """`size.count` subscribers, while messages come and go."""
    trial, rng = Trial(folder, seed, FEED.format(folder=folder)), random.Random(seed)
    crowd = [Subscriber(folder / "feed.sock", rng.choice(["quick", "slow", "cut", "dead"]), rng) for _ in range(size.count)]

    async def hurt() -> None:
        process = await trial.start()
        await trial.wait_acked(50)
        before = measure_memory(process.pid)
        async with trio.open_nursery() as nursery:
            for subscriber in crowd:
                nursery.start_soon(subscriber.run)
            await trial.wait_acked(200)
            for client in trial.clients:
                client.is_over = True
            await wait_heard(trial, crowd)
            extra = measure_memory(process.pid) - before
            require(trial.tally, extra < MOST_MEMORY, f"{extra >> 20} MB for {size.count} subscribers")
            nursery.cancel_scope.cancel()
        table = read_table(trial.data / "broker.db")
        for n, subscriber in enumerate(crowd):
            heard = subscriber.seqs
            expected = [seq for seq in table if seq <= (heard[-1] if heard else 0)]
            require(trial.tally, heard == expected, f"subscriber {n} ({subscriber.kind}) heard {len(heard)} events of {len(expected)}")
            trial.tally.trials += 1
        await trial.stop(process)

    return await trial.run_with(hurt)


async def wait_heard(trial: Trial, crowd: list[Subscriber]) -> None:
    """Return when everybody has heard what is in the table by now."""
    until = read_table(trial.data / "broker.db")[-1]
    with trio.move_on_after(120 + len(crowd)):  # all of them are read by this one process
        while True:
            if all(subscriber.seqs and subscriber.seqs[-1] >= until for subscriber in crowd):
                return
            await trio.sleep(0.2)
    late = sum(not subscriber.seqs or subscriber.seqs[-1] < until for subscriber in crowd)
    trial.tally.find("stuck", f"{late} subscribers had not heard everything in time")


def read_table(path: Path) -> list[int]:
    """The `seq` of every event."""
    conn = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [row[0] for row in conn.execute("SELECT seq FROM event ORDER BY seq")]
    finally:
        conn.close()


def measure_memory(pid: int) -> int:
    """Bytes resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))
