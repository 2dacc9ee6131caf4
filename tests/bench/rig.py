"""The bench's rig: the folder and the processes of one run, the real daemon as a process of its own, and what the system says of it.

Measures nothing by itself. Whatever is started here ends with the bench, however it ends: by leaving the stage, by the kernel where
the bench itself is killed; and a folder left behind by a killed bench is removed by the next one.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parent.parent.parent
PREFIX = "broker-bench-"
PATIENCE = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
PORTS = range(20_000, 32_000)  # below those that the kernel gives to outgoing connections

_libc = ctypes.CDLL(None)


class Trouble(Exception):
    """A figure cannot come out; the text says why."""


class Skip(Trouble):
    """What a figure needs is not on this machine."""


def _end_with_parent() -> None:
    """In a child: be killed when the bench is (prctl PR_SET_PDEATHSIG)."""
    _libc.prctl(1, signal.SIGKILL)


class Stage:
    """Where a bench runs: one folder, and every process started. Leaving it ends and removes all of it."""

    def __init__(self, where: str | None = None) -> None:
        _remove_leftovers(Path(where or tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where))
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """End every process, and empty the folder but for what was built there."""
        for process in reversed(self._processes):  # the daemon last: its peers have no ends of connections to tell of
            end(process)
        self._processes.clear()
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)

    def make_folder(self) -> Path:
        """A new folder for one daemon. Its name is short: a socket's path has at most 107 bytes."""
        return Path(tempfile.mkdtemp(prefix="", dir=self.folder))

    def start(self, *command: str | Path, errors: IO[str] | int | None = None) -> subprocess.Popen[str]:
        """Start a process whose standard output is read by the caller."""
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT,
            preexec_fn=_end_with_parent,  # no thread runs in the bench
        )  # fmt: skip
        self._processes.append(process)
        return process


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process that still runs, and wait for its end."""
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def read_cpu(process: subprocess.Popen[str]) -> float:
    """Seconds of CPU that a process has used so far, user's and system's, all threads."""
    fields = Path("/proc", str(process.pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _remove_leftovers(where: Path) -> None:
    for path in where.glob(f"{PREFIX}*"):
        pid = path.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(path, ignore_errors=True)


def find_port() -> int:
    """A TCP port of 127.0.0.1 that is free now."""
    start = int.from_bytes(os.urandom(2), "big")
    for at in range(len(PORTS)):
        port = PORTS[(start + at) % len(PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Trouble("no free port between 20000 and 32000 on 127.0.0.1")


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float = PATIENCE, every: float = 0.01) -> None:
    """Return when `is_so()`. Raises Trouble naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise Trouble(f"waited {seconds:.0f} s for {what}")
        time.sleep(every)


CONFIG = """[broker]
name = "bench"
data_dir = "{folder}/data"
log = "warning"
[submit]
socket = "{folder}/submit.sock"
max_queued = {max_queued}
[control]
socket = "{folder}/control.sock"
"""


class Daemon:
    """The real daemon, `python -P -m broker run`, in a folder of its own. `settings` is TOML: its providers and rules."""

    def __init__(self, stage: Stage, settings: str, *, folder: Path | None = None, feed: bool = False, max_queued: int = 1_000_000) -> None:
        self.folder = folder or stage.make_folder()
        self.feed_port = find_port() if feed else 0
        self._stage = stage
        self._max_queued = max_queued
        self._process: subprocess.Popen[str] | None = None
        self._store: sqlite3.Connection | None = None
        self.submit_socket = self.folder / "submit.sock"
        self.write_config(settings)

    def write_config(self, settings: str) -> None:
        """Write broker.toml; a daemon that runs reads it at `ask("reload")`."""
        text = CONFIG.format(folder=self.folder, max_queued=self._max_queued)
        if self.feed_port:
            text += f'[feed]\nlisten = "127.0.0.1:{self.feed_port}"\n'
        (self.folder / "broker.toml").write_text(text + settings)

    def spawn(self) -> int:
        """Start the process; the time of it, in ns of the monotonic clock."""
        with (self.folder / "log").open("a") as log:
            begun = time.monotonic_ns()
            self._process = self._stage.start(
                sys.executable, "-P", "-m", "broker", "run", "--config", self.folder / "broker.toml", errors=log
            )
        return begun

    def start(self) -> float:
        """Start the process and wait until it answers `ping`; the seconds that took. Raises Trouble with the log's end."""
        begun = self.spawn()
        while True:
            try:
                self.ask("ping")
                return (time.monotonic_ns() - begun) / 1e9
            except OSError:
                if self._running.poll() is not None or time.monotonic_ns() - begun > PATIENCE * 1e9:
                    raise Trouble(f"the daemon did not start: {self.read_log()[-500:]}") from None
                time.sleep(0.001)

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise Trouble("the daemon was not started")
        return self._process

    def read_log(self) -> str:
        """What the daemon has said so far."""
        return (self.folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        """SIGTERM, and wait for the end; a daemon that said anything unexpected on the way is Trouble."""
        self._close_store()
        self._running.terminate()
        try:
            self._running.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Trouble("the daemon did not end within a minute of SIGTERM") from None
        if self._running.returncode or "Traceback" in self.read_log():
            raise Trouble(f"the daemon ended with {self._running.returncode}: {self.read_log()[-500:]}")

    def kill(self) -> None:
        """SIGKILL."""
        self._close_store()
        end(self._running)

    def freeze(self) -> None:
        """Let the process take no time at all until `thaw`."""
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._running.send_signal(signal.SIGCONT)

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """One request of the control socket. Raises OSError where nobody answers, Trouble where the answer is a refusal."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(self.folder / "control.sock"))
            sock.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                more = sock.recv(65536)
                if not more:
                    raise ConnectionResetError("the control socket closed")
                data += more
        answer: dict[str, Any] = json.loads(data)
        if not answer["ok"]:
            raise Trouble(f"{op}: {answer['error']}")
        return answer

    # What the system says of the process

    @property
    def pid(self) -> int:
        """The process."""
        return self._running.pid

    @property
    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        return read_cpu(self._running)

    def read_memory(self, kind: str = "Pss") -> float:
        """Megabytes, by smaps_rollup. Pss: what is shared with other processes counts by its share."""
        for line in Path("/proc", str(self._running.pid), "smaps_rollup").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1]) / 1024
        raise Trouble(f"smaps_rollup has no {kind}")

    # What its store says: read beside the daemon, on a connection that cannot write

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a question to the store."""
        if self._store is None:
            self._store = sqlite3.connect(f"file:{self.folder}/data/broker.db?mode=ro", uri=True, isolation_level=None)
        return self._store.execute(sql, values).fetchall()

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def seq(self) -> int:
        """The last event's number."""
        return int(self.query("SELECT coalesce(max(seq), 0) FROM event")[0][0])

    def count(self, *statuses: str) -> int:
        """Messages of these statuses: a scan of the table, not for the time that is measured."""
        marks = ", ".join("?" * len(statuses))
        return int(self.query(f"SELECT count(*) FROM message WHERE status IN ({marks})", *statuses)[0][0])  # noqa: S608  # placeholders only


@contextmanager
def running(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon started, and stopped by SIGTERM at the end; killed where the figure failed."""
    daemon.start()
    try:
        yield daemon
    except BaseException:
        daemon.kill()
        raise
    daemon.stop()
