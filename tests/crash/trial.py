"""One round of the crash test: a daemon under load, killed a few times, restarted, drained, and judged.

Owns the processes of the round (the daemon, the handsets) and its folder. What was right and wrong is `verdict`'s.
"""

import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT

import trio

from broker.words.status import LIVE
from tests.crash.clients import Client
from tests.crash.verdict import Tally, judge, read_ledger

ROOT = Path(__file__).parents[2]
CANARIES = ("c4n4ry-crash", "text c", "+88690")
POINTS = {
    "commit.before": 60,
    "commit.after": 60,
    "commit.told": 60,
    "attempt.opened": 150,
    "attempt.answered": 150,
    "poll.answered": 8,
    "sweep.page": 2,
    "router.page": 4,
}
"""Failpoints that load reaches, and up to how many passes are let go by before the kill."""
RECOVERY_POINTS = {"recover.page": 1, "recover.done": 1, "commit.before": 2, "commit.after": 2, "commit.told": 2}
PATIENCE = 20.0
DRAIN = 25.0

CONFIG = """
[broker]
name = "crash"
data_dir = "data"
default_country = "TW"
drain = "2s"
log = "warning"
[submit]
socket = "{folder}/submit.sock"
[control]
socket = "{folder}/control.sock"
[providers.north]
plugin = "tatango"
key = "c4n4ry-crash-key"
password = "c4n4ry-crash-north"
url = "http://127.0.0.1:{port}/north"
prices = {{ "*" = "0.01" }}
{shared}
[providers.south]
plugin = "subito"
username = "crash"
password = "c4n4ry-crash-south"
url = "http://127.0.0.1:{port}/south"
batch = 4
sender = "ACME"
query = ["150ms", "300ms"]
receipt_wait = "4s"
{shared}
[providers.east]
plugin = "tatango"
key = "c4n4ry-crash-key"
password = "c4n4ry-crash-east"
url = "http://127.0.0.1:{port}/east"
{shared}
[[rules]]
name = "all"
use = ["north", "south", "east"]
order = "weighted"
weights = {{ north = 2, south = 2, east = 1 }}
validity = "4s"
doubt_deadline = "300ms"
on = {{ unavailable = "next", no_credit = "next", unreachable = "next" }}
"""
SHARED = """max_in_flight = 10
timeout = "1s"
breaker = { failures = 20, window = "5s", open = "100ms", max_open = "400ms" }"""


@dataclass(frozen=True)
class Kill:
    """How a daemon ends: at the `n`th pass of failpoint `point`, or (None) `after` seconds from its start or from its first answer.

    `early`: counted from the process's start, so that it may hit the recovery.
    """

    point: str | None = None
    n: int = 1
    after: float = 0.5
    early: bool = False


def draw_kills(rng: random.Random, count: int) -> list[Kill]:
    """`count` kills: half at random times, half at the steps of the journal's protocol; after the first, some in recovery."""
    kills: list[Kill] = []
    for at in range(count):
        if at and rng.random() < 0.4:
            point = rng.choice([None, *RECOVERY_POINTS])
            kills.append(Kill(point, rng.randint(1, RECOVERY_POINTS[point]) if point else 1, rng.uniform(0.15, 0.7), True))
        elif rng.random() < 0.5:
            kills.append(Kill(after=rng.uniform(0.05, 0.8)))
        else:
            point = rng.choice(list(POINTS))
            kills.append(Kill(point, rng.randint(1, POINTS[point]), 1.5))
    return kills


class Round:
    """One data folder from its first start to its verdict."""

    def __init__(self, folder: Path, seed: int, mutant: str | None = None) -> None:
        self.folder = folder
        self.mutant = mutant
        self.config = folder / "broker.toml"
        self.ledger = folder / "ledger"
        self.tally = Tally()
        self._seed = seed
        self._port = 0
        self._log = folder / "daemon.log"

    async def run(self, kills: Sequence[Kill]) -> Tally:
        """Kill the daemon as `kills` say under load, start it once more, let it drain, and judge."""
        clients = [Client(f"c{n}", self.folder / "submit.sock", self._seed * 10 + n) for n in range(3)]
        async with self._serve_handsets(), trio.open_nursery() as nursery:
            self.config.write_text(CONFIG.format(folder=self.folder, port=self._port, shared=SHARED))
            for client in clients:
                nursery.start_soon(client.run)
            for kill in kills:
                await self._kill_one(kill)
                self.tally.trials += 1
            with trio.CancelScope(deadline=trio.current_time() + PATIENCE + DRAIN):
                await self._drain(clients)
            nursery.cancel_scope.cancel()
        acked = {key: value for client in clients for key, value in client.acked.items()}
        for client in clients:
            if not client.is_answered:
                self.tally.find("stuck", f"{client.name} waits for answers")
            for trouble in client.trouble:
                self.tally.find("illegal", trouble)
        self.tally.add(judge(self.folder / "data" / "broker.db", acked, read_ledger(self.ledger)))
        self._read_log()
        return self.tally

    @asynccontextmanager
    async def _serve_handsets(self) -> AsyncIterator[None]:
        command = [sys.executable, "-m", "tests.crash.handset", str(self.ledger), str(self._seed)]
        process = await trio.lowlevel.open_process(command, stdout=PIPE, cwd=ROOT)
        assert process.stdout is not None
        try:
            self._port = int(await process.stdout.receive_some(16))
            yield
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()

    async def _start(self, failpoints: str = "") -> trio.Process:
        command = [sys.executable, "-m", "broker", "run", "--config", str(self.config)]
        if self.mutant:
            command = [sys.executable, "-m", "tests.crash.subject", str(self.config), self.mutant]
        with self._log.open("ab") as log:
            return await trio.lowlevel.open_process(
                command, stdout=log, stderr=STDOUT, cwd=ROOT, env={**os.environ, "BROKER_FAILPOINTS": failpoints}
            )

    async def _kill_one(self, kill: Kill) -> None:
        process = await self._start(f"{kill.point}=kill@{kill.n}" if kill.point else "")
        if not kill.early:
            await self._wait_answer(process)
        with trio.move_on_after(kill.after):
            await process.wait()
        process.kill()  # nothing where the failpoint did it
        await process.wait()
        if process.returncode != -signal.SIGKILL:
            self.tally.find("illegal", f"the daemon ended by itself with {process.returncode} before {kill}")

    async def _wait_answer(self, process: trio.Process) -> None:
        """Return when the daemon answers, or has been killed by its failpoint."""
        with trio.move_on_after(PATIENCE):
            while process.poll() is None:
                if await self._ask("ping") is not None:
                    return
                await trio.sleep(0.02)
            return
        self.tally.find("stuck", "the daemon did not come up")

    async def _ask(self, op: str) -> dict[str, object] | None:
        try:
            async with await trio.open_unix_socket(self.folder / "control.sock") as stream:
                await stream.send_all(json.dumps({"op": op}).encode() + b"\n")
                data = b""
                while not data.endswith(b"\n"):
                    more = await stream.receive_some(65536)
                    if not more:
                        return None
                    data += more
        except (OSError, trio.BrokenResourceError):
            return None
        answer: dict[str, object] = json.loads(data)
        return answer

    async def _drain(self, clients: Sequence[Client]) -> None:
        process = await self._start()
        try:
            await self._wait_answer(process)
            await self._calm()
            for client in clients:
                client.is_over = True
            with trio.move_on_after(DRAIN):
                while True:
                    if all(client.is_answered for client in clients) and await self._is_drained():
                        break
                    await trio.sleep(0.1)
            if process.poll() is None:
                process.terminate()
            with trio.move_on_after(5):
                await process.wait()
            if process.poll() != 0:
                self.tally.find("illegal", f"the daemon ended with {process.poll()} after SIGTERM")
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()

    async def _calm(self) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
            await stream.send_all(b"POST /calm HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            await stream.receive_some(100)

    async def _is_drained(self) -> bool:
        stats = await self._ask("stats")
        statuses = stats.get("statuses") if stats is not None else None
        return isinstance(statuses, dict) and not LIVE & statuses.keys()

    def _read_log(self) -> None:
        """A crash leaves no traceback, and no log line holds a secret, a text or a number (promise 16)."""
        log = self._log.read_text()
        if "Traceback" in log:
            self.tally.find("illegal", f"a traceback in {self._log}")
        for canary in CANARIES:
            if canary in log:
                self.tally.find("illegal", f"{canary!r} in {self._log}")
