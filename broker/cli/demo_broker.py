"""The demo's broker: the real daemon as a process of its own, and its two sockets. Starts it, kills it, asks it; prints nothing."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import trio

import broker

START_S = 20.0
ANSWER_S = 10.0
_FOREIGN = ("BROKER_CONFIG", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID")
"""Variables that would lead the daemon to another broker's places."""


class DemoFailed(Exception):
    """The demo cannot go on; the text says what did not happen."""


class Broker:
    """The daemon of the configuration in `file`. Its log goes to `broker.log` beside it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.log = file.with_name("broker.log")
        self._process: trio.Process | None = None

    @property
    def pid(self) -> int:
        """The process id of the daemon that runs now."""
        return self._process.pid if self._process is not None else 0

    async def start(self, nursery: trio.Nursery) -> None:
        """Start it, in a session of its own so that Ctrl-C is ours alone, and wait until it answers. Raises DemoFailed."""
        command = [sys.executable, "-P", "-m", "broker", "run", "--config", str(self.file)]
        with self.log.open("ab") as log:
            # It ends with the nursery: SIGTERM, and SIGKILL after five seconds.
            run = partial(trio.run_process, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
            self._process = await nursery.start(partial(run, start_new_session=True, env=_make_environment()))
        with trio.move_on_after(START_S):
            while self._process.poll() is None:
                try:
                    await self.ask("submit", {"op": "ping"})
                    return
                except DemoFailed:  # not there yet
                    await trio.sleep(0.02)
        raise DemoFailed(f"the broker did not start; its last words:\n{self._read_last_words()}")

    def _read_last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-5:]) or "  (none)"

    async def kill(self) -> None:
        """SIGKILL: no goodbye, nothing written down."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def ask(self, door: str, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        """The answers of the socket `door` to all requests, written at once. Raises DemoFailed."""
        received = bytearray()
        try:
            async with await trio.open_unix_socket(str(self.file.with_name(f"{door}.sock"))) as stream:
                await stream.send_all(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
                await stream.send_eof()
                with trio.move_on_after(ANSWER_S):
                    async for part in stream:
                        received += part
        except (OSError, trio.BrokenResourceError):
            raise DemoFailed(f"nobody answers on the {door} socket; the broker's last words:\n{self._read_last_words()}") from None
        answers = [json.loads(line) for line in received.splitlines()]
        if len(answers) != len(requests):
            raise DemoFailed(f"the {door} socket gave {len(answers)} answers to {len(requests)} requests")
        return answers


def _make_environment() -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    home = Path(broker.__file__).resolve().parent.parent
    if (home / "pyproject.toml").is_file():  # a checkout, which -P alone would not find
        environ["PYTHONPATH"] = str(home)
    return environ
