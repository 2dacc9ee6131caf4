"""The feed to 100 subscribers with `batch=1`: events a second, each of them sent to all, while the broker makes them.

From the first submit to the last byte at the last subscriber, over a loopback provider with receipts (four events a message). The
second figure is the feed alone: 100 who come late and read from the first event on.
"""

from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import Load, Subscribers, submit
from tests.bench.rig import Daemon, running

SETTINGS = """
[providers.loop]
plugin = "loopback"
max_in_flight = 256
"""
EVENTS = 4
"""queued, sending, sent, delivered."""
WORD = '"type":"message.'


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    runs = [_run(bench) for _ in bench.count_runs(5)]
    yield Figure(
        name="feed", title="feed, 100 subscribers", unit="events/s", must=5_000, aim=15_000, scales=1, values=[run[0] for run in runs]
    )
    yield Figure(name="feed.late", title="  the same, all of it read later", unit="events/s", scales=1, values=[run[1] for run in runs])


def _run(bench: Bench) -> tuple[float, float]:
    """Events a second (as they happen, from the store)"""
    count, subscribers = bench.size(10_000, 50), bench.size(100, 5)
    bench.stage.clear()
    daemon = Daemon(bench.stage, SETTINGS, feed=True)
    with running(daemon):
        readers = Subscribers(bench.stage, bench.tools, daemon, subscribers, WORD, EVENTS * count)
        cpu = daemon.cpu
        report = submit(bench.stage, bench.tools, daemon, Load(count))
        _, last = readers.wait()
        used = daemon.cpu - cpu
        late = Subscribers(bench.stage, bench.tools, daemon, subscribers, WORD, EVENTS * count, after=0)
        begun, ended = late.wait()
    live, later = (EVENTS * count / max(span, 1) * 1e9 for span in (last - report.first, ended - begun))
    bench.say(f"{live:,.0f} events/s live, {used / EVENTS / count * 1e6:.0f} µs CPU an event; {later:,.0f} events/s later")
    return live, later
