"""Restart after kill -9 with 100,000 live messages, 1,000 of them with an attempt open: from the start until the first attempt leaves.

A sink takes 1,000 requests and answers none; then the daemon is killed. Each run starts one on a copy of that store and waits for the
next request at the same sink. The thousand are in doubt from then on, and none of them is sent again.
"""

import shutil
from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import US, US_DIGITS, Load, Sink, submit
from tests.bench.rig import Daemon, Trouble

SETTINGS = """
[providers.us]
plugin = "tatango"
key = "bench-key"
password = "bench-password"
url = "http://127.0.0.1:{port}"
max_in_flight = {window}
timeout = "10m"
"""


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    count, window, runs = bench.size(100_000, 200), bench.size(1_000, 20), bench.count_runs(5)
    bench.stage.clear()
    sink = Sink(bench.stage, bench.tools, window * (len(runs) + 1), holds=True)
    settings = SETTINGS.format(port=sink.port, window=window)
    daemon = Daemon(bench.stage, settings)
    daemon.start()
    submit(bench.stage, bench.tools, daemon, Load(count, to=US, digits=US_DIGITS))
    sink.wait(window)
    daemon.kill()
    values = []
    for _ in runs:
        copy = Daemon(bench.stage, settings)
        shutil.copytree(daemon.folder / "data", copy.folder / "data")
        values.append(_run(copy, sink, count, window))
        bench.say(f"{values[-1]:.3f} s")
        shutil.rmtree(copy.folder)
    yield Figure(
        name="restart", title="restart: until the first attempt leaves", unit="s", must=2, aim=1, is_more_better=False, scales=-1,
        values=values,
    )  # fmt: skip


def _run(daemon: Daemon, sink: Sink, count: int, window: int) -> float:
    live, still_open = daemon.count("queued", "sending"), daemon.count("sending")
    if live != count or still_open != window:
        raise Trouble(f"the killed daemon left {live} messages live, {still_open} of them with an attempt open")
    before, seen = sink.count, {stamp for _, stamp in sink.read()[:window]}
    begun = daemon.spawn()
    sink.wait(before + window)
    arrived, _ = sink.read(before)[0]
    if seen & {stamp for _, stamp in sink.read(before)}:
        raise Trouble("a message in doubt was sent again")
    daemon.kill()
    return (arrived - begun) / 1e9
