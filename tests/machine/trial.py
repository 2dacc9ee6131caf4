"""A trial of a machine's fault: the crash test's round, with the fault in place of the kills.

The clients, the handsets, the drain and the verdict are the crash test's; what is done to the daemon is each fault's.
"""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT
from typing import Any

import trio

from tests.crash.trial import PATIENCE, Round
from tests.crash.verdict import Tally
from tests.crash.worlds import ROOT


class NotHere(Exception):
    """This machine does not let the trial happen; the text says why. Told as skipped, never as passed."""


@dataclass(frozen=True)
class Size:
    """How large a trial is: `rounds` of a fault, `count` of whatever makes a crowd, `seconds` that a state lasts.

    `is_timed`: what CONTRACT promises in seconds is judged; not in CI, whose machine may be busy with other things.
    """

    rounds: int = 2
    count: int = 60
    seconds: float = 1.5
    is_timed: bool = False


class Trial(Round):
    """One data folder, one daemon at a time, and load. `prefix` and `env` are how it is started."""

    def __init__(self, folder: Path, seed: int, more: str = "") -> None:
        super().__init__(folder, seed)
        self.more = more
        self.data = folder / "data"
        self.log = self._log
        self.prefix: list[str] = []
        self.env: dict[str, str] = {}

    async def _start(self, failpoints: str = "") -> trio.Process:
        command = [*self.prefix, sys.executable, "-m", "broker", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            return await trio.lowlevel.open_process(command, stdout=log, stderr=STDOUT, cwd=ROOT, env={**os.environ, **self.env})

    async def launch(self) -> trio.Process:
        """Start the daemon."""
        return await self._start()

    async def start(self) -> trio.Process:
        """Start the daemon and wait until it answers."""
        process = await self._start()
        await self._wait_answer(process)
        return process

    async def end(self, process: trio.Process, *codes: int) -> None:
        """Wait for an end that is due by now: with one of these exit codes."""
        with trio.move_on_after(PATIENCE):
            await process.wait()
        if process.returncode is None:
            self.tally.find("stuck", "the daemon did not end")
            process.kill()
            await process.wait()
        elif process.returncode not in codes:
            self.tally.find("illegal", f"the daemon ended with {process.returncode}, not {codes}")

    async def stop(self, process: trio.Process) -> None:
        """SIGTERM, and an end as it should be."""
        process.send_signal(signal.SIGTERM)
        await self.end(process, 0)

    async def submit(self, key: str) -> dict[str, Any]:
        """One submit on a connection of its own: the answer. Under a key that no client has."""
        line = {"to": "+886900000001", "text": f"text {key}", "key": f"probe-{key}"}
        async with await trio.open_unix_socket(self.folder / "submit.sock") as stream:
            await stream.send_all(json.dumps(line).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                more = await stream.receive_some(65536)
                if not more:
                    return {"ok": False, "error": {"code": "none"}}
                data += more
        answer: dict[str, Any] = json.loads(data)
        return answer

    async def count(self, *statuses: str) -> int:
        """How many messages have one of these statuses, as the daemon says."""
        stats = await self._ask("stats")
        found = stats.get("statuses") if stats is not None else None
        return sum(found.get(status, 0) for status in statuses) if isinstance(found, dict) else 0

    @property
    def acked(self) -> int:
        """Messages that the clients have been told `ok` of."""
        return sum(len(client.acked) for client in self.clients)

    def refused(self, code: str) -> int:
        """How often a client heard this code."""
        return sum(client.refused[code] for client in self.clients)

    async def wait_acked(self, more: int = 100) -> None:
        """Return when the clients have heard `ok` that often again."""
        until = self.acked + more
        with trio.move_on_after(PATIENCE):
            while True:
                if self.acked >= until:
                    return
                await trio.sleep(0.02)
        self.tally.find("stuck", f"no {more} more messages were taken")


async def run_tool(*words: str) -> None:
    """A tool of the system's. Raises NotHere where there is none, or where it may not."""
    try:
        done = await trio.run_process(list(words), capture_stdout=True, capture_stderr=True, check=False)
    except OSError as error:
        raise NotHere(f"no {words[0]} here: {error.strerror}") from None
    if done.returncode:
        raise NotHere(f"{' '.join(words)}: {done.stderr.decode().strip()}")


@asynccontextmanager
async def tmpfs(folder: Path, size: str) -> AsyncIterator[None]:
    """A small disk at `folder`. Raises NotHere."""
    await trio.Path(folder).mkdir(exist_ok=True)
    await run_tool("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder))
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await run_tool("umount", "-l", str(folder))


def require(tally: Tally, is_so: bool, what: str) -> None:
    """Find `what` where it is not so."""
    if not is_so:
        tally.find("illegal", what)
