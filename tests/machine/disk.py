"""Faults of the disk under a real daemon: full, failing to sync, damaged, held by others, taken away, read-only (reliability F5 to F7)."""

import random
import shutil
import sqlite3
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import trio

from tests.crash.verdict import Tally
from tests.crash.worlds import ROOT
from tests.machine.trial import Size, Trial, require, run_tool, tmpfs

ANSWER, RETURN = 1.0, 10.0
"""Seconds in which intake says `unavailable`, and in which service is back once there is room (CONTRACT §10)."""


async def fill_disk(folder: Path, seed: int, size: Size) -> Tally:
    """The disk is full, and then it is not."""
    trial = Trial(folder, seed)

    async def hurt() -> None:
        process = await trial.start()
        for _ in range(size.rounds):
            await trial.wait_acked(100)
            fill(trial.data)
            slowest = await wait_refused(trial)
            require(trial.tally, not size.is_timed or slowest <= ANSWER, f"`unavailable` took {slowest:.1f} s")
            await wait_closed(trial)
            (trial.data / "filler").unlink()
            begun = trio.current_time()
            await wait_taken(trial)
            require(trial.tally, not size.is_timed or trio.current_time() - begun <= RETURN, "service did not return within 10 s of room")
            trial.tally.trials += 1
        await trial.stop(process)

    async with tmpfs(trial.data, "24m"):
        return await trial.run_with(hurt)


def fill(folder: Path) -> None:
    """Take every byte that is left."""
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass  # no room for a piece of this size


async def wait_closed(trial: Trial) -> None:
    """Return when no attempt is open any more, although the disk is full: that is what the ballast is for."""
    with trio.move_on_after(10):
        while True:
            if not await trial.count("sending"):
                return
            await trio.sleep(0.1)
    trial.tally.find("illegal", "attempts stayed open on a full disk, in spite of the ballast")


async def wait_refused(trial: Trial) -> float:
    """Submit until that is refused with `unavailable`: the longest that any answer took, in seconds."""
    slowest, n = 0.0, 0
    with trio.move_on_after(20):
        while True:
            begun, n = trio.current_time(), n + 1
            answer = await trial.submit(f"full{trial.tally.trials}-{n}")
            slowest = max(slowest, trio.current_time() - begun)
            if not answer["ok"]:
                require(trial.tally, answer["error"]["code"] == "unavailable", f"a full disk is {answer['error']}")
                return slowest
    trial.tally.find("illegal", "a full disk refuses nothing")
    return slowest


async def wait_taken(trial: Trial) -> None:
    """Submit until that is taken again."""
    with trio.move_on_after(30):
        n = 0
        while not (await trial.submit(f"room{trial.tally.trials}-{n}"))["ok"]:
            n += 1
            await trio.sleep(0.1)
        return
    trial.tally.find("stuck", "service did not return with the room")


async def fail_syncs(folder: Path, seed: int, size: Size) -> Tally:
    """The N-th fsync fails with EIO: the daemon stops, whoever was not told `ok` is told `outcome_unknown`, and nothing is lost."""
    trial, rng = Trial(folder, seed), random.Random(seed)
    shim = folder / "fsync.so"
    await run_tool("cc", "-shared", "-fPIC", "-o", str(shim), f"{ROOT}/tests/machine/fsync.c", "-ldl")

    async def hurt() -> None:
        await trial.stop(await trial.start())
        for n in range(size.rounds):
            at = n + 1 if n < size.rounds // 4 else rng.randint(5, 120)
            trial.env = {"LD_PRELOAD": str(shim), "FSYNC_FAILS_AT": str(at)}
            await trial.end(await trial.launch(), 1)
            require(trial.tally, "IOERR" in trial.log.read_text() or "disk I/O" in trial.log.read_text(), f"fsync {at} did not fail")
            trial.tally.trials += 1
        trial.env = {}
        is_enough = size.rounds > 5  # at some of them nobody waits for a commit
        require(trial.tally, not is_enough or trial.refused("outcome_unknown") > 0, "nobody was told outcome_unknown")

    return await trial.run_with(hurt)


async def damage_pages(folder: Path, seed: int, size: Size) -> Tally:
    """A page of the store is noise: the daemon stops, the files stay as they are, `verify` says what to do, a good copy serves on."""
    trial, rng = Trial(folder, seed), random.Random(seed)

    async def hurt() -> None:
        process = await trial.start()
        await trial.wait_acked(300)
        process.kill()
        await process.wait()
        victims = find_victims(trial.data / "broker.db")
        good = folder / "good"
        shutil.copytree(trial.data, good)
        for name in rng.sample(sorted(victims), min(size.rounds, len(victims))):
            overwrite(trial.data / "broker.db", victims[name], rng)
            await look_at_damage(trial, name)
            shutil.rmtree(trial.data)
            shutil.copytree(good, trial.data)
            trial.tally.trials += 1

    return await trial.run_with(hurt)


def find_victims(path: Path) -> dict[str, tuple[int, int]]:
    """(page, its size) of roots that every start reads, the log emptied first so that the file's own pages are what is read."""
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = conn.execute("PRAGMA page_size").fetchone()[0]
    roots = dict(conn.execute("SELECT name, rootpage FROM sqlite_schema WHERE name IN ('message', 'event', 'attempt')"))
    conn.close()
    return {"the header": (1, size)} | {name: (page, size) for name, page in roots.items()}


def overwrite(path: Path, page: tuple[int, int], rng: random.Random) -> None:
    """Noise in place of a page."""
    number, size = page
    with path.open("r+b") as file:
        file.seek((number - 1) * size)
        file.write(rng.randbytes(size))


async def look_at_damage(trial: Trial, name: str) -> None:
    before = digest(trial.data)
    await trial.end(await trial.launch(), 1)
    require(trial.tally, digest(trial.data) == before, f"the file was changed although {name} is noise")
    said = await run_verb("verify", "--config", str(trial.config))
    require(trial.tally, said.returncode == 1, f"verify ends with {said.returncode} although {name} is noise")
    told = said.stdout.decode() + said.stderr.decode()
    require(trial.tally, "damaged" in told and "broker backup" in told, f"verify does not say what to do about {name}: {told!r}")
    require(trial.tally, digest(trial.data) == before, f"verify changed the file ({name})")


def digest(folder: Path) -> str:
    """Of the store's file, byte for byte."""
    return sha256((folder / "broker.db").read_bytes()).hexdigest()


async def run_verb(*words: str) -> "subprocess.CompletedProcess[bytes]":
    """`broker` with these words."""
    command = [sys.executable, "-m", "broker", *words]
    return await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT)


async def hold_store(folder: Path, seed: int, size: Size) -> Tally:
    """Somebody else holds the store: submits wait, nothing is refused, nothing is lost."""
    trial = Trial(folder, seed)

    async def hurt() -> None:
        process = await trial.start()
        for _ in range(size.rounds):
            await trial.wait_acked(100)
            other = sqlite3.connect(trial.data / "broker.db", isolation_level=None, timeout=5)
            other.execute("BEGIN IMMEDIATE")
            before = trial.acked
            await trio.sleep(0.2)  # what was committed before has been answered by now
            middle = trial.acked
            await trio.sleep(size.seconds)
            require(trial.tally, trial.acked == middle, f"{trial.acked - middle} messages were taken while nothing could be written")
            require(trial.tally, await trial._ask("stats") is not None, "the daemon does not answer while the store is held")
            other.execute("ROLLBACK")
            other.close()
            await trial.wait_acked(1)
            require(trial.tally, trial.acked > before, "nothing was taken after the store was free")
            trial.tally.trials += 1
        require(trial.tally, not sum(sum(client.refused.values()) for client in trial.clients), "a busy store refused somebody")
        await trial.stop(process)

    return await trial.run_with(hurt)


async def remove_log(folder: Path, seed: int, size: Size) -> Tally:
    """Somebody deletes the write-ahead log under the daemon: it saves what was taken into the store, and stops."""
    trial = Trial(folder, seed)

    async def hurt() -> None:
        for _ in range(size.rounds):
            process = await trial.start()
            await trial.wait_acked(100)
            await trio.sleep(1.5)
            (trial.data / "broker.db-wal").unlink()
            await trial.end(process, 1)
            trial.tally.trials += 1

    return await trial.run_with(hurt)


async def forbid_writing(folder: Path, seed: int, size: Size) -> Tally:
    """The data folder cannot be written: no start, in words; as soon as it can be, a start as ever."""
    trial = Trial(folder, seed)

    async def hurt() -> None:
        process = await trial.start()
        await trial.wait_acked(50)
        await trial.stop(process)
        for _ in range(size.rounds):
            await run_tool("mount", "-o", "remount,ro", str(trial.data))
            await trial.end(await trial.launch(), 1)
            require(trial.tally, "cannot write in" in trial.log.read_text(), "a read-only folder is not told in words")
            await run_tool("mount", "-o", "remount,rw", str(trial.data))
            trial.tally.trials += 1

    async with tmpfs(trial.data, "40m"):
        return await trial.run_with(hurt)
