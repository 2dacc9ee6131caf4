"""The daemon's peers in the bench: submitting clients, a provider's end, subscribers. Each a process of its own, in C where it can be.

There are two cores as a rule, one of them the daemon's: a peer in Python takes a share that one in C does not. Where there is no C
compiler the same peers run in Python, and the figures say so.
"""

import json
import mmap
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.bench.rig import PATIENCE, Daemon, Stage, Trouble, end

HERE = Path(__file__).parent
SLOWEST = 1_000
"""Acknowledgements a second below which a client is given up."""


class Tools:
    """How to start each kind of peer: compiled when it is first asked for."""

    def __init__(self, stage: Stage, *, python: bool = False) -> None:
        self._folder = stage.folder
        self._compiler = None if python else shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        self._built: set[str] = set()

    @property
    def language(self) -> str:
        """What the peers are written in."""
        return "Python" if self._compiler is None else "C"

    def find(self, kind: str) -> list[str]:
        """The command of a kind, one of `sink` `smsc` `client` `caller` `subscriber` `asker`; there is no `asker` in Python."""
        if self._compiler is None:
            return [sys.executable, "-P", "-S", "-E", str(HERE / f"{kind}.py")]
        target = self._folder / kind
        if kind not in self._built:
            command = [self._compiler, "-O2", "-o", str(target), str(HERE / f"{kind}.c")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Trouble(f"{kind}.c does not compile; --python-peers does without: {done.stderr[:500]}")
            self._built.add(kind)
        return [str(target)]


class Report(NamedTuple):
    """What a client saw: times in ns of the monotonic clock, the rest in milliseconds. `late`: how late it was itself, p99."""

    first: int
    last: int
    p50: float
    p99: float
    late: float

    @property
    def seconds(self) -> float:
        """From the first submit to the last answer."""
        return (self.last - self.first) / 1e9


class Load(msgspec.Struct, frozen=True):
    """What a client is to submit. `rate` 0: as fast as the window allows. `to` is the number's beginning, `digits` the rest."""

    count: int
    connections: int = 1
    window: int = 1000
    rate: int = 0
    to: str = "+8869"
    digits: int = 8
    extra: str = ""


US = "+12025"
US_DIGITS = 6


def start_client(stage: Stage, tools: Tools, daemon: Daemon, load: Load) -> "subprocess.Popen[str]":
    """Begin to submit. `read_report` waits for the end."""
    words = (load.count, load.connections, load.window, load.rate, load.to, load.digits, load.extra)
    return stage.start(*tools.find("client"), daemon.submit_socket, *map(str, words))


def read_report(process: "subprocess.Popen[str]", *, seconds: float) -> Report:
    """Wait for a client's end. Raises Trouble where it failed, or anything was refused."""
    found = json.loads(read_end(process, "the client", seconds))
    if found["refused"]:
        raise Trouble(f"{found['refused']} were refused")
    return Report(found["first"], found["last"], found["p50"] / 1000, found["p99"] / 1000, found["late_p99"] / 1000)


def submit(stage: Stage, tools: Tools, daemon: Daemon, load: Load) -> Report:
    """Submit all of `load`."""
    return read_report(start_client(stage, tools, daemon, load), seconds=PATIENCE + load.count / SLOWEST)


def call_back(stage: Stage, tools: Tools, port: int, targets: Sequence[str], connections: int, rate: int) -> Report:
    """Call all of `targets` on the callback listener at `port`, in order: `rate` a second, 0: as fast as the answers come."""
    path = stage.make_folder() / "targets"
    path.write_text("".join(f"{target}\n" for target in targets))
    process = stage.start(*tools.find("caller"), str(port), str(len(targets)), str(connections), str(rate), path)
    return read_report(process, seconds=PATIENCE + len(targets) / SLOWEST)


def read_end(process: "subprocess.Popen[str]", who: str, seconds: float) -> str:
    """What a process prints until its end. Raises Trouble where it fails or takes longer."""
    try:
        process.wait(timeout=seconds)  # what it prints is short: no pipe fills up meanwhile
    except subprocess.TimeoutExpired:
        end(process)
        raise Trouble(f"{who} was not done within {seconds:.0f} s") from None
    if process.returncode:
        raise Trouble(f"{who} failed")
    assert process.stdout is not None
    return process.stdout.read()  # and not communicate(), which loses what a readline() before it had already buffered


class Sink:
    """A provider's end. `holds`: it takes and never answers."""

    KIND = "sink"

    def __init__(self, stage: Stage, tools: Tools, capacity: int, *, holds: bool = False, body: str = "") -> None:
        self._start(stage, tools, capacity, "hold" if holds else "answer", body)

    def _start(self, stage: Stage, tools: Tools, capacity: int, *words: str) -> None:
        path = stage.make_folder() / "log"
        self._capacity = capacity
        self._process = stage.start(*tools.find(self.KIND), path, str(capacity), *words)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @property
    def count(self) -> int:
        """How many requests have come."""
        return int(struct.unpack_from("q", self._map)[0])

    def read(self, start: int = 0) -> Sequence[tuple[int, int]]:
        """(arrival, stamp) of those from the `start`th on, in ns of the monotonic clock."""
        count = min(self.count, self._capacity)
        return list(struct.iter_unpack("qq", self._map[8 + 16 * start : 8 + 16 * count]))

    def wait(self, count: int) -> None:
        """Return when `count` have come. Raises Trouble when for PATIENCE seconds none does."""
        seen, since = self.count, time.monotonic()
        while seen < count:
            time.sleep(0.005)
            now = time.monotonic()
            if self.count > seen:
                seen, since = self.count, now
            elif now - since > PATIENCE:
                raise Trouble(f"{seen} of {count} requests came to the sink, and none for {PATIENCE:.0f} s")

    def close(self) -> None:
        """End the process."""
        end(self._process)


class Smsc(Sink):
    """An SMSC that answers after `delay` ms, and sends a receipt `receipt` ms after its answer (None: none)."""

    KIND = "smsc"

    def __init__(self, stage: Stage, tools: Tools, capacity: int, *, delay: int = 0, receipt: int | None = 500) -> None:
        self._start(stage, tools, capacity, str(delay), str(-1 if receipt is None else receipt))

    @property
    def acknowledged(self) -> int:
        """Receipts that were acknowledged."""
        return int(struct.unpack_from("q", self._map, 8 + 16 * self._capacity)[0])


class Subscribers:
    """`count` websockets on a daemon's feed, each of which is to see `word` `expect` times."""

    def __init__(self, stage: Stage, tools: Tools, daemon: Daemon, count: int, word: str, expect: int, *, after: int | None = None) -> None:
        target = "/v1/events?batch=1" + ("" if after is None else f"&from={after}")
        self._process = stage.start(*tools.find("subscriber"), str(daemon.feed_port), str(count), target, word, str(expect))
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise Trouble("the feed did not take the subscribers")

    def wait(self, *, seconds: float = 300) -> tuple[int, int]:
        """(first, last): when the first bytes came and when the last subscriber had all, in ns of the monotonic clock."""
        found = json.loads(read_end(self._process, "a subscriber", seconds))
        return found["first"], found["last"]
