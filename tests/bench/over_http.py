"""End to end over HTTP: the Tatango plugin towards a raw sink on loopback, one message a request, 64 in flight.

From the first submit to the last message's arrival at the sink, the clock of performance.md; CPU until the last final status.
"""

from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import US, US_DIGITS, Load, Sink, submit
from tests.bench.rig import Daemon, Trouble, running, wait_until

SETTINGS = """
[providers.us]
plugin = "tatango"
key = "bench-key"
password = "bench-password"
url = "http://127.0.0.1:{port}"
max_in_flight = 64
"""
LIVE = ("queued", "sending", "held", "in_doubt", "sent")


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    count, warm = bench.size(20_000, 200), bench.size(500, 20)
    runs = [run(bench, count, warm) for _ in bench.count_runs(5)]
    yield Figure(name="http", title="end to end, HTTP", unit="msg/s", must=2_500, aim=4_000, scales=1, values=[each[0] for each in runs])
    yield Figure(
        name="http.cpu", title="  CPU per message", unit="µs", must=350, aim=250, is_more_better=False, scales=-1,
        values=[each[1] for each in runs],
    )  # fmt: skip


def run(bench: Bench, count: int, warm: int) -> tuple[float, float]:
    """(messages a second, CPU µs per message)"""
    bench.stage.clear()
    sink = Sink(bench.stage, bench.tools, 2 * (count + warm))
    daemon = Daemon(bench.stage, SETTINGS.format(port=sink.port), feed=True)
    with running(daemon):
        submit(bench.stage, bench.tools, daemon, Load(warm, to=US, digits=US_DIGITS))
        sink.wait(warm)
        wait_until(lambda: not daemon.count(*LIVE), "the first messages' ends")
        cpu = daemon.cpu
        report = submit(bench.stage, bench.tools, daemon, Load(count, to=US, digits=US_DIGITS))
        sink.wait(warm + count)
        wait_until(lambda: not daemon.count(*LIVE), "the last messages' ends", every=0.05)
        used = (daemon.cpu - cpu) / count * 1e6
        arrivals = sink.read(warm)
        if len({stamp for _, stamp in arrivals}) != count or len(arrivals) != count:
            raise Trouble(f"{len(arrivals)} requests came for {count} messages")
    rate = count / (arrivals[-1][0] - report.first) * 1e9
    bench.say(f"{rate:,.0f} msg/s, {used:.0f} µs CPU; acknowledged at {count / report.seconds:,.0f}/s")
    return rate, used
