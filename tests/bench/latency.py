"""Submit to `ok` at 1,000 a second from 4 clients, p99: an open schedule, each answer timed from when its submit was due.

Everything behind the acceptance goes on meanwhile: to a loopback provider with receipts, and in a figure of its own over HTTP.
"""

from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import US, US_DIGITS, Load, Sink, submit
from tests.bench.rig import Daemon, running

LOOPBACK = """
[providers.loop]
plugin = "loopback"
max_in_flight = 256
"""
HTTP = """
[providers.us]
plugin = "tatango"
key = "bench-key"
password = "bench-password"
url = "http://127.0.0.1:{port}"
max_in_flight = 64
"""


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    yield from _measure(bench, "latency", "submit to ok at 1,000/s, p99", is_http=False)
    if not bench.is_quick:
        yield from _measure(bench, "latency.http", "  the same, provider over HTTP", is_http=True)


def _measure(bench: Bench, name: str, title: str, *, is_http: bool) -> Iterator[Figure]:
    runs = [_run(bench, is_http=is_http) for _ in bench.count_runs(5)]
    late = max(run[2] for run in runs)
    yield Figure(
        name=name, title=title, unit="ms", must=10, aim=5, is_more_better=False, scales=-1, values=[run[0] for run in runs],
        note=f"the client itself was up to {late:.1f} ms late (p99), which is in the figure",
    )  # fmt: skip
    yield Figure(
        name=f"{name}.cpu", title="  CPU per message then", unit="µs", is_more_better=False, scales=-1, values=[run[1] for run in runs]
    )


def _run(bench: Bench, *, is_http: bool) -> tuple[float, float, float]:
    """(p99 ms, CPU µs per message, the client's own lateness ms)"""
    bench.stage.clear()
    rate, seconds = 1_000, bench.size(10, 0)
    count = rate * seconds or 300
    settings, to, digits = LOOPBACK, "+8869", 8
    if is_http:
        sink = Sink(bench.stage, bench.tools, 2 * count)
        settings, to, digits = HTTP.format(port=sink.port), US, US_DIGITS
    daemon = Daemon(bench.stage, settings)
    with running(daemon):
        submit(bench.stage, bench.tools, daemon, Load(bench.size(1_000, 20), 4, rate=rate, to=to, digits=digits))
        cpu = daemon.cpu
        report = submit(bench.stage, bench.tools, daemon, Load(count, 4, rate=rate, to=to, digits=digits))
        used = (daemon.cpu - cpu) / count * 1e6
    bench.say(f"p50 {report.p50:.2f} p99 {report.p99:.2f} ms, {used:.0f} µs CPU, client late {report.late:.2f} ms")
    return report.p99, used, report.late
