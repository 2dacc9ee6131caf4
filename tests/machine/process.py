"""Faults of the process: signals, descriptors, memory, and a copy of the store taken meanwhile (reliability F19, F27, F28)."""

import random
import resource
import signal
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import trio

from broker.store.keeping import inspect
from tests.crash.verdict import Tally, read_ids
from tests.machine.disk import run_verb
from tests.machine.trial import Size, Trial, require

QUICK = 5.0
"""Seconds in which a daemon is gone that was told twice to stop: its drain would take two, its farewell next to nothing."""
CROWDED = 256
UPGRADE = (
    b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HALF = b"GET /v1/events HTTP/1.1\r\n"
DOORS = """
[feed]
listen = "unix:{folder}/feed.sock"
[callbacks]
listen = "unix:{folder}/cb.sock"
public_url = "https://sms.example.org"
"""


async def terminate(folder: Path, seed: int, size: Size) -> Tally:
    """SIGTERM under load, a second one, SIGKILL while it drains: the same as a kill, only with less in doubt."""
    trial, rng = Trial(folder, seed), random.Random(seed)

    async def hurt() -> None:
        for n in range(size.rounds):
            process = await trial.start()
            await trial.wait_acked(50)
            await trio.sleep(rng.uniform(0, 0.3))
            process.send_signal(signal.SIGTERM)
            if n % 3 == 0:
                await trial.end(process, 0)
            elif n % 3 == 1:
                await trio.sleep(rng.uniform(0, 0.05))
                process.send_signal(signal.SIGTERM)
                with trio.move_on_after(QUICK):
                    await process.wait()
                await trial.end(process, 0, -signal.SIGTERM)
            else:
                await trio.sleep(rng.uniform(0, 0.5))
                process.kill()
                await trial.end(process, 0, -signal.SIGKILL)
            trial.tally.trials += 1

    return await trial.run_with(hurt)


async def starve_memory(folder: Path, seed: int, size: Size) -> Tally:
    """No more memory than it has: whatever that does to the daemon, it is no worse than a kill."""
    trial, rng = Trial(folder, seed), random.Random(seed)

    async def hurt() -> None:
        for _ in range(size.rounds):
            process = await trial.start()
            await trial.wait_acked(50)
            limit = measure_space(process.pid) + rng.choice([0, 1 << 16, 1 << 20, 4 << 20])
            resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
            with trio.move_on_after(size.seconds):
                await process.wait()
            process.kill()
            await trial.end(process, 1, -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT)
            trial.tally.trials += 1

    return await trial.run_with(hurt)


def measure_space(pid: int) -> int:
    """Bytes of address space."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmSize"))


async def crowd_doors(folder: Path, seed: int, size: Size) -> Tally:
    """More connections than descriptors at the feed and at the callbacks: submits are taken all the same, and all is well afterwards."""
    trial = Trial(folder, seed, DOORS.format(folder=folder))
    trial.prefix = ["prlimit", f"--nofile={CROWDED}:{CROWDED}"]

    async def hurt() -> None:
        process = await trial.start()
        for n in range(size.rounds):
            await trial.wait_acked(50)
            async with AsyncExitStack() as stack:
                for name, head in (("feed.sock", UPGRADE), ("feed.sock", HALF), ("cb.sock", HALF)):
                    for _ in range(size.count):
                        stream = await stack.enter_async_context(await trio.open_unix_socket(folder / name))
                        with suppress(trio.BrokenResourceError):  # there is no room for it
                            await stream.send_all(head)
                await trial.wait_acked(50)
                with trio.move_on_after(10):
                    answer = await trial.submit(f"crowd{n}")
                    require(trial.tally, answer["ok"], f"refused in a crowd: {answer}")
                    trial.tally.trials += 1
            await greet_feed(trial)
        require(trial.tally, trial.tally.trials == size.rounds, "no new connection to the submit socket was taken in a crowd")
        await trial.stop(process)

    return await trial.run_with(hurt)


async def greet_feed(trial: Trial) -> None:
    """The crowd is gone: the next one to come to the feed is served."""
    with trio.move_on_after(20):
        while True:
            async with await trio.open_unix_socket(trial.folder / "feed.sock") as stream:
                try:
                    await stream.send_all(UPGRADE)
                    if b" 101 " in await stream.receive_some(4096):
                        return
                except trio.BrokenResourceError:
                    pass  # closed before it was read
            await trio.sleep(0.1)
    trial.tally.find("stuck", "the feed takes nobody after the crowd has gone")


async def back_up_online(folder: Path, seed: int, size: Size) -> Tally:
    """`broker backup` under load: a whole copy, with everything that was acknowledged before it began; `verify` passes on it."""
    trial = Trial(folder, seed)

    async def hurt() -> None:
        process = await trial.start()
        for n in range(size.rounds):
            await trial.wait_acked(100)
            acked = {id_ for client in trial.clients for id_, _ in client.acked.values()}
            dest = folder / f"copy{n}.db"
            done = await run_verb("backup", str(dest), "--config", str(trial.config))
            require(trial.tally, done.returncode == 0, f"backup ended with {done.returncode}: {done.stderr.decode()}")
            for problem in inspect(dest):
                trial.tally.find("illegal", f"in the copy: {problem}")
            missing = acked - read_ids(dest)
            for id_ in missing:
                trial.tally.find("lost", f"{id_} was acknowledged before the copy, and is not in it")
            trial.tally.trials += 1
        verified = await run_verb("verify", "--config", str(trial.config))
        require(trial.tally, verified.returncode == 0, f"verify under load: {verified.stdout.decode()}")
        await trial.stop(process)

    return await trial.run_with(hurt)

