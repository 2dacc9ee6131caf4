"""A healthy provider's p99, from when a submit was due to its arrival at the sink, beside a dead provider and beside none.

The dead one has 100,000 rows waiting for it: filled once behind a rate, then each daemon starts on a copy of that store, and is
measured from its first seconds, in which the dead one's breaker opens and its rows move. Dead in two ways: nobody listens, and
nobody answers (a listener whose queue is full). Pairs in turn, so that both halves meet the same machine.
"""

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import US, US_DIGITS, Load, Sink, submit
from tests.bench.rig import Daemon, Trouble, find_port, running

SETTINGS = """
[providers.healthy]
plugin = "tatango"
key = "bench-key"
password = "bench-password"
url = "http://127.0.0.1:{port}"
max_in_flight = 64
[providers.dead]
plugin = "tatango"
key = "bench-key"
password = "bench-password"
url = "http://127.0.0.1:{dead}"
timeout = "2s"
{rate}
[[rules]]
name = "dead"
match = {{ prefix = "+1303" }}
use = ["dead"]
[[rules]]
name = "healthy"
use = ["healthy"]
"""
DEAD, DEAD_DIGITS = "+13035", 6
MUST_MS = 5.0


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    full = _fill(bench)
    yield _compare(bench, full, "isolation", "healthy p99, beside a dead one (refused)", is_silent=False)
    if not bench.is_quick:
        yield _compare(bench, full, "isolation.silent", "  the same, dead one silent", is_silent=True)


def _compare(bench: Bench, full: Path, name: str, title: str, *, is_silent: bool) -> Figure:
    alone: list[float] = []
    beside: list[float] = []
    for turn in bench.count_runs(5):
        order = (alone, beside) if turn % 2 else (beside, alone)
        for values in order:
            values.append(_run(bench, full if values is beside else None, is_silent=is_silent))
        bench.say(f"{name}: p99 {beside[-1]:.2f} ms beside, {alone[-1]:.2f} ms alone")
    ratios = [late / early for late, early in zip(beside, alone, strict=True)]
    extra = median([late - early for late, early in zip(beside, alone, strict=True)])
    return Figure(
        name=name, title=title, unit="x", must=1.5, aim=1.2, is_more_better=False, values=ratios,
        ok=median(ratios) <= 1.5 or extra <= MUST_MS,
        note=f"p99 {median(alone):.2f} ms alone, {median(beside):.2f} ms beside, {extra:+.2f} ms; must: 1.5 x or +{MUST_MS:.0f} ms",
    )  # fmt: skip


def _fill(bench: Bench) -> Path:
    """A folder with the store of a daemon whose dead provider is waited for."""
    count = bench.size(100_000, 300)
    bench.stage.clear()
    daemon = Daemon(bench.stage, SETTINGS.format(port=1, dead=find_port(), rate='rate = "1/m"'))
    with running(daemon):
        submit(bench.stage, bench.tools, daemon, Load(count, to=DEAD, digits=DEAD_DIGITS))
        queued = daemon.count("queued")
    if queued < count - 2:
        raise Trouble(f"{queued} of {count} messages wait for the dead provider")
    return daemon.folder


def _run(bench: Bench, full: Path | None, *, is_silent: bool) -> float:
    """p99 in ms, of all but the first second."""
    rate, count, warm = 500, bench.size(4_500, 150), bench.size(1_000, 100)
    folder = bench.stage.make_folder()
    if full is not None:
        shutil.copytree(full / "data", folder / "data")
    sink = Sink(bench.stage, bench.tools, 2 * count)
    with ExitStack() as stack:
        dead = stack.enter_context(_silent_port()) if is_silent else find_port()
        daemon = Daemon(bench.stage, SETTINGS.format(port=sink.port, dead=dead, rate=""), folder=folder)
        stack.enter_context(running(daemon))
        submit(bench.stage, bench.tools, daemon, Load(count, 4, rate=rate, to=US, digits=US_DIGITS))
        sink.wait(count)
    arrivals = sink.read()
    sink.close()
    begun = min(stamp for _, stamp in arrivals)
    taken = sorted((at - stamp) / 1e6 for at, stamp in arrivals if stamp >= begun + warm * 1_000_000)
    shutil.rmtree(folder)
    return taken[int(0.99 * (len(taken) - 1))]


@contextmanager
def _silent_port() -> Iterator[int]:
    """A port where a connection is neither taken nor refused: its listener's queue is full."""
    with ExitStack() as stack:
        door = stack.enter_context(socket.socket())
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        for _ in range(4):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(door.getsockname())
        yield door.getsockname()[1]
