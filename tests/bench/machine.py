"""The machine that a bench runs on: how fast it is beside the reference machine, so that a reader can judge absolute figures."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import trio

from tests.bench.figure import REFERENCE_PARSE
from tests.bench.rig import Trouble

REFERENCE_SYNC = 97.0
"""µs of a write of 4 KiB with fdatasync on the reference machine (performance.md, B2)."""
REFERENCE_HOP = 92.0
"""µs of a trio.to_thread round trip there (the same place): half of it is the kernel's."""
NUMBER = "+886912345678"


class Machine(NamedTuple):
    """`parse`: µs of CPU of phonenumbers.parse; `sync`: µs of a write of 4 KiB with fdatasync in the folder of the stores; `hop`:
    µs of a trio.to_thread round trip."""

    parse: float
    sync: float
    hop: float
    language: str

    def __str__(self) -> str:
        return (
            f"calibration: phonenumbers.parse('{NUMBER}') takes {self.parse:.1f} µs here, {REFERENCE_PARSE} µs on the reference"
            f" machine ({self.parse / REFERENCE_PARSE:.2f} x);\n"
            f"a to_thread round trip {self.hop:.0f} µs here, {REFERENCE_HOP:.0f} µs there ({self.hop / REFERENCE_HOP:.2f} x);"
            f" a write with fdatasync {self.sync:.0f} µs here, {REFERENCE_SYNC:.0f} µs there.\n"
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, peers in {self.language}."
        )


def look_at_machine(folder: Path, language: str) -> Machine:
    """Measure it, in half a second."""
    return Machine(time_parse(), _time_sync(folder), _time_hop(), language)


def time_parse() -> float:
    """µs of CPU of one phonenumbers.parse now: it doubles on a shared machine whose neighbours are at work."""
    try:
        from phonenumbers import parse
    except ImportError:
        raise Trouble("phonenumbers is not installed; run `make bench`, which sees to it") from None
    parse(NUMBER)  # loads what it needs
    return median(_time(lambda: parse(NUMBER), 500, time.process_time_ns) for _ in range(7))


def _time_sync(folder: Path) -> float:
    file = os.open(folder / "sync", os.O_WRONLY | os.O_CREAT, 0o600)
    page = b"x" * 4096

    def write() -> None:
        os.pwrite(file, page, 0)
        os.fdatasync(file)

    try:
        return median(_time(write, 50, time.perf_counter_ns) for _ in range(5))
    finally:
        os.close(file)
        (folder / "sync").unlink()


def _time_hop() -> float:
    async def measure() -> float:
        only = trio.CapacityLimiter(1)
        begun = time.perf_counter_ns()
        for _ in range(300):
            await trio.to_thread.run_sync(int, limiter=only)
        return (time.perf_counter_ns() - begun) / 300 / 1000

    return median(trio.run(measure) for _ in range(3))


def _time(act: Callable[[], object], count: int, clock: Callable[[], int]) -> float:
    begun = clock()
    for _ in range(count):
        act()
    return (clock() - begun) / count / 1000
