"""One round of the crash test: a daemon under load, killed a few times, restarted, drained, and judged.

Owns the daemon's processes, and the round's folder; the peers are `worlds`'. What was right and wrong is `verdict`'s.
"""

import json
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT

import trio

from broker.words.status import LIVE
from tests.crash.books import count_waiting, judge_book, read_book
from tests.crash.clients import Client
from tests.crash.verdict import Tally, judge, judge_shares, judge_times, read_ledger
from tests.crash.worlds import ROOT, World

CANARIES = ("c4n4ry", "text c", "text mo", "+8869", "YzRuNHJ5")
POINTS = {
    "commit.before": 60,
    "commit.after": 60,
    "commit.told": 60,
    "accept.commit": 20,
    "accept.committed": 20,
    "attempt.commit": 20,
    "attempt.committed": 20,
    "attempt.opened": 150,
    "attempt.answered": 150,
    "outcome.commit": 20,
    "outcome.committed": 20,
    "sweep.page": 2,
    "router.page": 4,
}
"""Failpoints that load reaches in every world, and up to how many passes are let go by before the kill."""
_DELIVERED = {
    "deliver.stored": 20,
    "deliver.kept": 3,
    "receipt.commit": 15,
    "receipt.committed": 15,
    "inbound.commit": 5,
    "inbound.committed": 5,
}
WORLD_POINTS = {
    "http": {"poll.answered": 8, "receipt.commit": 8, "receipt.committed": 8},
    "smpp": _DELIVERED,
    "hooks": {
        **_DELIVERED,
        "callback.stored": 30,
        "web.answered": 30,
        "hook.sending": 100,
        "hook.answered": 100,
        "hook.commit": 30,
        "hook.committed": 30,
    },
}
"""Those that it reaches in one of them."""
RECOVERY_POINTS = {
    "start.opened": 1,
    "recover.page": 1,
    "recover.done": 1,
    "recover.inbox": 1,
    "start.doors": 1,
    "commit.before": 2,
    "commit.after": 2,
    "commit.told": 2,
}
PATIENCE = 120.0
DRAIN, STILL = 180.0, 60.0
"""Seconds: far more than a daemon takes, for machines that have other things to do. A drain in which nothing moves for STILL is stuck."""


@dataclass(frozen=True)
class Kill:
    """How a daemon ends: at the `n`th pass of failpoint `point`, or (None) `after` seconds from its start or from its first answer.

    `early`: counted from the process's start, so that it may hit the recovery.
    """

    point: str | None = None
    n: int = 1
    after: float = 0.5
    early: bool = False


def draw_kills(rng: random.Random, count: int, world: str = "http") -> list[Kill]:
    """`count` kills: some at random times, some at steps of the journal's protocol and of the world; after the first, some in recovery."""
    kills: list[Kill] = []
    points = {**POINTS, **WORLD_POINTS[world]}
    for at in range(count):
        if at and rng.random() < 0.4:
            point = rng.choice([None, *RECOVERY_POINTS])
            kills.append(Kill(point, rng.randint(1, RECOVERY_POINTS[point]) if point else 1, rng.uniform(0.15, 1.5), True))
        elif rng.random() < 0.4:
            kills.append(Kill(after=rng.uniform(0.05, 1.0)))
        else:
            point = rng.choice(list(points))
            kills.append(Kill(point, rng.randint(1, points[point]), 2.5))
    return kills


class Round:
    """One data folder from its first start to its verdict."""

    def __init__(self, folder: Path, seed: int, mutant: str | None = None, world: str = "http") -> None:
        self.folder = folder
        self.mutant = mutant
        self.config = folder / "broker.toml"
        self.world = World(world, folder, seed)
        self.tally = Tally()
        self.clients: list[Client] = []
        self.more = ""
        self._seed = seed
        self._log = folder / "daemon.log"

    async def run(self, kills: Sequence[Kill]) -> Tally:
        """Kill the daemon as `kills` say under load, start it once more, let it drain, and judge."""

        async def hurt() -> None:
            for kill in kills:
                await self._kill_one(kill)
                self.tally.trials += 1

        await self.run_with(hurt)
        judge_shares(self.tally, len(kills))
        if (store := self.folder / "data" / "broker.db").exists():
            judge_times(self.tally, store)
        return self.tally

    async def run_with(self, hurt: Callable[[], Awaitable[None]]) -> Tally:
        """Do `hurt` under load, start the daemon once more, let it drain, and judge."""
        clients = self.clients = [Client(f"c{n}", self.folder / "submit.sock", self._seed * 10 + n) for n in range(3)]
        async with self.world.play(), trio.open_nursery() as nursery:
            self.config.write_text(self.world.config + self.more)
            for client in clients:
                client.long = self.world.long
                nursery.start_soon(client.run)
            await hurt()
            with trio.CancelScope(deadline=trio.current_time() + 2 * PATIENCE + DRAIN):
                await self._drain(clients)
            nursery.cancel_scope.cancel()
        acked = {key: value for client in clients for key, value in client.acked.items()}
        for client in clients:
            if not client.is_answered:
                self.tally.find("stuck", f"{client.name} waits for answers")
            for trouble in client.trouble:
                self.tally.find("illegal", trouble)
        store = self.folder / "data" / "broker.db"
        if store.exists():
            self.tally.add(judge(store, acked, read_ledger(self.world.ledger)))
            self.tally.add(judge_book(store, read_book(self.world.book), has_hooks=self.world.has_hooks))
        else:
            self.tally.find("illegal", f"the daemon never made a store: {self._log.read_text()[-500:]}")
        self._read_log()
        return self.tally

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
            self.world.calm()
            for client in clients:
                client.is_over = True
            is_over, seen, moved = False, None, trio.current_time()
            with trio.move_on_after(DRAIN):
                while not is_over and trio.current_time() < moved + STILL:
                    await trio.sleep(0.1)
                    stats = await self._ask("stats")
                    waiting = count_waiting(self.folder / "data" / "broker.db") if self.world.has_hooks else 0
                    is_over = all(client.is_answered for client in clients) and _is_ended(stats) and not waiting
                    now = stats and (stats["statuses"], stats["seq"], waiting)
                    if now != seen:
                        seen, moved = now, trio.current_time()
            if not is_over:
                still = f"nothing moved for {trio.current_time() - moved:.0f} s"
                self.tally.find("stuck", f"not all has ended within {DRAIN:.0f} s, or is handed on: {still}")
            if process.poll() is None:
                process.terminate()
            with trio.move_on_after(PATIENCE):
                await process.wait()
            if process.poll() != 0:
                self.tally.find("illegal", f"the daemon ended with {process.poll()} after SIGTERM")
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()

    def _read_log(self) -> None:
        """A crash leaves no traceback, and no log line holds a secret, a text or a number (promise 16)."""
        log = self._log.read_text()
        if "Traceback" in log:
            self.tally.find("illegal", f"a traceback in {self._log}")
        for canary in CANARIES:
            if canary in log:
                self.tally.find("illegal", f"{canary!r} in {self._log}")


def _is_ended(stats: dict[str, object] | None) -> bool:
    """True where the daemon says that no message lives."""
    statuses = stats.get("statuses") if stats is not None else None
    return isinstance(statuses, dict) and not LIVE & statuses.keys()
