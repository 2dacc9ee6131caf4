"""An idle broker: its memory (PSS), and how long it takes from its start until `ping` answers.

With feed, an HTTP provider and a loopback one. The start is one on a store that exists, all files in the page cache; the first start of
all, which makes the store, has a figure of its own.
"""

import time
from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.rig import Daemon

SETTINGS = """
[providers.us]
plugin = "tatango"
key = "bench-key"
password = "bench-password"
url = "http://127.0.0.1:1"
[providers.loop]
plugin = "loopback"
"""
SETTLED = 0.2
"""Seconds: a daemon listens to signals a moment after its doors are open."""
IDLE = 2.0
"""Seconds after which a daemon is what it is when idle."""


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    runs = [_run(bench) for _ in bench.count_runs(7)]
    whole = max(run[3] for run in runs)
    yield Figure(
        name="idle.memory", title="idle memory, PSS", unit="MB", must=60, aim=45, is_more_better=False, values=[run[0] for run in runs],
        note=f"{whole:.0f} MB resident: what it shares with other Python processes of this moment counts by its share",
    )  # fmt: skip
    yield Figure(
        name="idle.start", title="start until ping answers", unit="s", must=0.8, aim=0.4, is_more_better=False, scales=-1,
        values=[run[1] for run in runs],
    )  # fmt: skip
    yield Figure(
        name="idle.first", title="  the very first start", unit="s", is_more_better=False, scales=-1, values=[run[2] for run in runs]
    )


def _run(bench: Bench) -> tuple[float, float, float, float]:
    """(PSS MB, start s, first start s, RSS MB)"""
    bench.stage.clear()
    daemon = Daemon(bench.stage, SETTINGS, feed=True)
    first = daemon.start()
    time.sleep(SETTLED)
    daemon.stop()
    again = daemon.start()
    time.sleep(SETTLED if bench.is_quick else IDLE)
    memory, whole = daemon.read_memory(), daemon.read_memory("Rss")
    daemon.stop()
    bench.say(f"PSS {memory:.1f} MB, start {again:.3f} s, first start {first:.3f} s")
    return memory, again, first, whole
