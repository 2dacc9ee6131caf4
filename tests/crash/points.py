"""`python -m tests.crash.points`: kills the real daemon at every failpoint there is, so many times each. Exit 1 if a promise broke.

Each seed sends every point once to its world; several of a world share a round, which carries its folder over from kill to kill. A point
counts as reached only where the daemon's own last word says so.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import trio

from broker.store.failpoints import POINTS
from tests.crash.trial import Kill, Round
from tests.crash.verdict import Tally
from tests.faults.lines import find_commit

How = Literal["load", "start", "reload", "stop"]
KILLS = {"http": 10, "smpp": 8, "hooks": 4}
"""Of one round at most, by its world: where all is handed on, a long round drains for minutes."""
FAST, SLOW, SLOWEST = 0.02, 0.1, 0.3
"""The clients' pace: what counts here is the kills. SLOWEST where each change is handed on to an endpoint as well."""
BETWEEN = 0.6
"""Seconds of load before a reload or a stop is asked for."""


@dataclass(frozen=True)
class Place:
    """Where a point is passed: in which world, how the daemon is brought there, up to how many passes are let go by, and by when.

    `patience`: in doubt for longer than usual, so that there is time to look for proof; `crowd`: one message at a time, and then a provider
    goes, so that many wait that the router has to place.
    """

    world: str
    how: How = "load"
    most: int = 5
    within: float = 60.0
    patience: bool = False
    crowd: bool = False


_START, _STOP = Place("http", "start", 1), Place("http", "stop", 1)
_SMPP, _HOOKS = Place("smpp"), Place("hooks")
PLACES = {
    "start.opened": _START,
    "recover.page": _START,
    "recover.done": _START,
    "recover.inbox": _START,
    "start.doors": _START,
    "commit.before": Place("smpp", most=20),
    "commit.after": Place("hooks", most=20),
    "commit.told": Place("http", most=20),
    "accept.commit": Place("http"),
    "accept.committed": Place("smpp"),
    "attempt.commit": Place("hooks"),
    "attempt.committed": Place("http"),
    "attempt.opened": Place("smpp", most=20),
    "attempt.answered": Place("http", most=20),
    "outcome.commit": Place("http"),
    "outcome.committed": Place("hooks"),
    "doubt.commit": Place("http", most=5),
    "doubt.committed": Place("http", most=5),
    "replay.sending": Place("hooks", most=2, patience=True),
    "replay.answered": Place("hooks", most=2, patience=True),
    "receipt.commit": _SMPP,
    "receipt.committed": _HOOKS,
    "inbound.commit": Place("hooks", most=4),
    "inbound.committed": Place("smpp", most=4),
    "deliver.kept": Place("smpp", most=2),
    "deliver.stored": _SMPP,
    "callback.stored": _HOOKS,
    "web.answered": _HOOKS,
    "poll.answered": Place("http", most=5),
    "balance.answered": Place("hooks", "start", 1),
    "hook.commit": _HOOKS,
    "hook.committed": _HOOKS,
    "hook.sending": Place("hooks", most=20),
    "hook.answered": Place("hooks", most=20),
    "router.page": Place("http", "reload", 1, crowd=True),
    "sweep.page": Place("http", most=4),
    "checkpoint.before": Place("http", most=2),
    "checkpoint.after": Place("http", most=2),
    "retention.commit": _START,
    "retention.committed": _START,
    "reload.read": Place("http", "reload", 1),
    "reload.lanes": Place("smpp", "reload", 1),
    "reload.applied": Place("hooks", "reload", 1),
    "drain.begun": _STOP,
    "drain.over": _STOP,
}
"""Every point of `broker.store.failpoints`."""


class PointRound(Round):
    """A round whose kills are at points. `reached`: how often each of them ended the daemon."""

    def __init__(self, folder: Path, seed: int, world: str) -> None:
        super().__init__(folder, seed, None, world)
        self.reached: Counter[str] = Counter()

    async def _kill_one(self, kill: Kill) -> None:
        assert kill.point is not None
        place = PLACES[kill.point]
        config = self.world.config
        for client in self.clients:
            client.pace = FAST if place.crowd else SLOWEST if self.world.has_hooks else SLOW
        if place.patience:
            config = config.replace('doubt_deadline = "300ms"', 'doubt_deadline = "9s"')
        if place.crowd:
            config = config.replace("max_in_flight = 10", "max_in_flight = 1")
        self.config.write_text(config)
        before = self._log.stat().st_size if self._log.exists() else 0
        if place.how in ("reload", "stop"):
            await self._kill_at_signal(kill, place, config)
        else:
            await super()._kill_one(kill)
        self.config.write_text(self.world.config)
        if f"failpoint {kill.point}\n" in self._log.read_bytes()[before:].decode():
            self.reached[kill.point] += 1

    async def _kill_at_signal(self, kill: Kill, place: Place, config: str) -> None:
        """As under load; then the daemon is asked for what passes the point."""
        process = await self._start(f"{kill.point}=kill@{kill.n}")
        await self._wait_answer(process)
        await trio.sleep(BETWEEN)
        gone = config.replace('plugin = "tatango"', 'plugin = "tatango"\nenabled = false', 1)
        self.config.write_text(gone if place.crowd else config.replace("max_in_flight = 10", "max_in_flight = 9"))
        process.send_signal(signal.SIGHUP if place.how == "reload" else signal.SIGTERM)
        with trio.move_on_after(place.within):
            await process.wait()
        process.kill()
        await process.wait()
        if process.returncode != -signal.SIGKILL:
            self.tally.find("illegal", f"the daemon ended by itself with {process.returncode} before {kill}")


def draw_rounds(seed: int, points: Sequence[str]) -> Iterator[tuple[str, list[Kill]]]:
    """Every one of `points` once: rounds of (world, kills), each begun under load so that there is something to recover."""
    rng = random.Random(seed)
    for world in sorted({PLACES[point].world for point in points}):
        names = [point for point in points if PLACES[point].world == world]
        rng.shuffle(names)
        names.sort(key=lambda name: PLACES[name].how == "start" and rng.random() < 0.9)
        rounds = -(-len(names) // KILLS[world])
        for at in range(rounds):
            yield world, [_draw_kill(rng, name) for name in names[at::rounds]]


def _draw_kill(rng: random.Random, name: str) -> Kill:
    place = PLACES[name]
    return Kill(name, rng.randint(1, place.most), place.within, early=place.how == "start")


class Trials:
    """All rounds of a run: what was counted, and how often each point was reached."""

    def __init__(self, first: int, jobs: int, folder: Path | None, minutes: float) -> None:
        self.total = Tally()
        self._until = time.monotonic() + 60 * minutes
        self.reached: Counter[str] = Counter()
        self._first = first
        self._jobs = trio.CapacityLimiter(jobs)
        self._keep = folder

    async def run(self, points: Sequence[str], seeds: int) -> None:
        """Every point so often; those that a round did not come to are tried once more, at their first pass."""
        async with trio.open_nursery() as nursery:
            for seed in range(self._first, self._first + seeds):
                for number, (world, kills) in enumerate(draw_rounds(seed, points)):
                    await self._jobs.acquire_on_behalf_of((seed, number))
                    if time.monotonic() > self._until:
                        return
                    nursery.start_soon(self._run_one, (seed, number), world, kills)

    async def _run_one(self, name: tuple[int, int], world: str, kills: list[Kill]) -> None:
        try:
            missed = await self._play(name, world, kills)
            if missed:
                await self._play(name, world, [Kill(kill.point, 1, kill.after, kill.early) for kill in missed])
        finally:
            self._jobs.release_on_behalf_of(name)

    async def _play(self, name: tuple[int, int], world: str, kills: list[Kill]) -> list[Kill]:
        """One round: the kills that did not come to pass."""
        folder = Path(tempfile.mkdtemp(prefix="broker-points-", dir=self._keep))
        round_ = PointRound(folder, name[0] * 100 + name[1], world)
        tally = await round_.run(kills)
        missed = [kill for kill in kills if not round_.reached[kill.point or ""]]
        print(f"{world}: {tally.show(name[0])} missed={','.join(str(kill.point) for kill in missed) or 'none'}", flush=True)
        for finding in tally.findings[:20]:
            print(f"  {finding}", flush=True)
        if tally.is_clean or self._keep is None:
            shutil.rmtree(folder)
        else:
            print(f"  kept: {folder}", flush=True)
        self.total.add(tally)
        self.reached += round_.reached
        return missed


def main() -> int:
    """Run the trials; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.points", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="kills at each point")
    parser.add_argument("--seed", type=int, default=0, help="the first; the next ones count up")
    parser.add_argument("--point", choices=sorted(PLACES), action="append", help="which; default: all")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no round after so long, whatever is left to do")
    parser.add_argument("--jobs", type=int, default=2, help="rounds at once")
    parser.add_argument("--keep", type=Path, help="a folder for what is left of rounds that failed")
    options = parser.parse_args()
    points, begun = options.point or list(POINTS), time.monotonic()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    trials = Trials(options.seed, options.jobs, options.keep, options.minutes)
    trio.run(trials.run, points, options.seeds)
    short = {point: trials.reached[point] for point in points if trials.reached[point] < options.seeds}
    if short:
        print(f"reached less often than {options.seeds} times: {short}")
    reached = [trials.reached[point] for point in points]
    print(f"points={sum(map(bool, reached))} of={len(points)} least={min(reached)} most={max(reached)} there={sum(reached)}")
    print(f"total: {trials.total.show(options.seed)} seconds={time.monotonic() - begun:.0f} commit={find_commit()}")
    return 0 if trials.total.is_clean and not short else 1


if __name__ == "__main__":
    sys.exit(main())
