"""The faults by name, how large each is in CI and otherwise, and how one is run."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from trio.testing import MockClock

from tests.crash.verdict import Tally
from tests.machine import disk, flow, poison, process, subscribers
from tests.machine.trial import NotHere, Size

__all__ = ["FAULTS", "LONG", "SHORT", "NotHere", "Size", "run_fault"]

Fault = Callable[[Path, int, Size], Awaitable[Tally]]

FAULTS: dict[str, Fault] = {
    "full-disk": disk.fill_disk,
    "fsync-error": disk.fail_syncs,
    "damaged-page": disk.damage_pages,
    "busy-store": disk.hold_store,
    "removed-log": disk.remove_log,
    "read-only": disk.forbid_writing,
    "sigterm": process.terminate,
    "memory": process.starve_memory,
    "descriptors": process.crowd_doors,
    "backup": process.back_up_online,
    "poison": poison.poison,
    "subscribers": subscribers.crowd_feed,
    "flapping": flow.flap,
    "dry": flow.run_dry,
    "dead-primary": flow.die,
}
VIRTUAL = frozenset({"flapping", "dry", "dead-primary"})
"""On a clock that goes as fast as there is nothing to do."""
LONG = dict.fromkeys(FAULTS, Size(rounds=5, count=1_000, seconds=30.0, is_timed=True)) | {
    "full-disk": Size(rounds=10, is_timed=True),
    "fsync-error": Size(rounds=40, is_timed=True),
    "damaged-page": Size(rounds=4),
    "busy-store": Size(rounds=2, seconds=30.0),
    "sigterm": Size(rounds=45),
    "memory": Size(rounds=20, seconds=5.0),
    "descriptors": Size(rounds=5, count=300),
    "poison": Size(rounds=2, is_timed=True),
    "subscribers": Size(count=1_000),
    "flapping": Size(count=20, seconds=120.0),
    "dry": Size(count=5_000),
    "dead-primary": Size(count=50_000, seconds=300.0),
}
IN_CI = ("full-disk", "fsync-error", "damaged-page", "removed-log", "flapping", "dry", "dead-primary")
"""`poison` is not: its watchdog goes by real seconds, which a busy machine stretches."""
SHORT = dict.fromkeys(FAULTS, Size(rounds=1)) | {
    "sigterm": Size(rounds=3),
    "flapping": Size(count=5, seconds=20.0),
    "dry": Size(count=300),
    "dead-primary": Size(count=600, seconds=60.0),
}


def run_fault(name: str, folder: Path, seed: int, size: Size) -> Tally:
    """One fault's trials in a folder of its own. Raises NotHere where this machine does not let it happen."""
    try:
        clock = MockClock(autojump_threshold=0) if name in VIRTUAL else None
        return trio.run(FAULTS[name], folder, seed, size, clock=clock)
    except* NotHere as groups:
        reason: BaseException = groups
        while isinstance(reason, BaseExceptionGroup):
            reason = reason.exceptions[0]
    raise NotHere(str(reason))
