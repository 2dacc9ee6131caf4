"""The broker and Kannel 1.4.5 side by side, in one run: over SMPP with receipts against its two stores, and over HTTP.

The same sinks, messages and clock for both: from the first submit to the last arrival at the sink; CPU until the last receipt is handled.
Ours is durable at each step (FULL), Kannel never calls fsync. Skipped where it is not installed: `make bench-kannel` says so.
"""

from collections.abc import Iterator, Sequence

from tests.bench import over_http, over_smpp
from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.kannel import Kannel, find_missing
from tests.bench.peers import US, US_DIGITS, Sink, Smsc
from tests.bench.rig import Skip, Trouble

IN_FLIGHT = 64
_SMPP = """smsc = smpp
host = 127.0.0.1
port = {port}
smsc-username = bench
smsc-password = bench
system-type = bench
transceiver-mode = true
max-pending-submits = 100
"""
_HTTP = """smsc = http
system-type = generic
send-url = "http://127.0.0.1:{port}/messages?recipient=%P&message=%b"
status-success-regex = "ok"
max-pending-submits = {in_flight}
"""
Run = tuple[float, float]
"""(messages a second, CPU µs per message)"""


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures. Raises Skip where there is no Kannel."""
    missing = find_missing(bench.tools)
    if missing is not None:
        raise Skip(missing)
    yield from _measure_smpp(bench)
    yield from _measure_http(bench)


def _measure_smpp(bench: Bench) -> Iterator[Figure]:
    count, warm = bench.size(100_000, 200), bench.size(1_000, 20)
    ours: list[Run] = []
    file: list[Run] = []
    spool: list[Run] = []
    for _ in bench.count_runs(3):
        ours.append(over_smpp.run(bench, count, warm))
        file.append(_run_smpp(bench, count, warm, "file"))
        spool.append(_run_smpp(bench, count, warm, "spool"))
    yield _rate("kannel.smpp", "SMPP, receipts on: the broker, beside Kannel", ours)
    yield _ratio("kannel.smpp.file", "  against Kannel store=file", ours, file, must=1.5, aim=2.5)
    yield _ratio("kannel.smpp.spool", "  against Kannel's default spool", ours, spool, must=3, aim=5)
    yield Figure(
        name="kannel.smpp.cpu", title="  CPU per message against Kannel file", unit="x", must=0.4, aim=0.25, is_more_better=False,
        values=[mine[1] / its[1] for mine, its in zip(ours, file, strict=True)],
    )  # fmt: skip
    yield _cpu("kannel.smpp.cpu.ours", "  our CPU per message", ours)
    yield _rate("kannel.smpp.file.rate", "  Kannel itself, file", file)
    yield _rate("kannel.smpp.spool.rate", "  Kannel itself, spool", spool)
    yield _cpu("kannel.smpp.file.cpu", "  Kannel's CPU per message, file", file)


def _measure_http(bench: Bench) -> Iterator[Figure]:
    count, warm = bench.size(20_000, 200), bench.size(500, 20)
    ours: list[Run] = []
    file: list[Run] = []
    for _ in bench.count_runs(5):
        ours.append(over_http.run(bench, count, warm))
        file.append(_run_http(bench, count, warm))
    yield _rate("kannel.http", "HTTP: the broker, beside Kannel", ours)
    yield _ratio("kannel.http.file", "  against Kannel store=file", ours, file, must=0.6)
    yield _cpu("kannel.http.cpu", "  our CPU per message", ours)
    yield _rate("kannel.http.file.rate", "  Kannel itself, file", file)
    yield _cpu("kannel.http.file.cpu", "  Kannel's CPU per message, file", file)


def _rate(name: str, title: str, runs: list[Run]) -> Figure:
    return Figure(name=name, title=title, unit="msg/s", scales=1, values=[each[0] for each in runs])


def _cpu(name: str, title: str, runs: list[Run]) -> Figure:
    return Figure(name=name, title=title, unit="µs", is_more_better=False, scales=-1, values=[each[1] for each in runs])


def _ratio(name: str, title: str, ours: list[Run], its: list[Run], *, must: float, aim: float | None = None) -> Figure:
    values = [mine[0] / other[0] for mine, other in zip(ours, its, strict=True)]
    return Figure(name=name, title=title, unit="x", must=must, aim=aim, values=values)


def _run_smpp(bench: Bench, count: int, warm: int, store: str) -> Run:
    """Bound to the same SMSC; every receipt is called back to a sink."""
    bench.stage.clear()
    smsc = Smsc(bench.stage, bench.tools, 2 * (count + warm))
    reports = Sink(bench.stage, bench.tools, 2 * (count + warm))
    kannel = Kannel(bench.stage, _SMPP.format(port=smsc.port), store=store)
    report_to = f"http://127.0.0.1:{reports.port}/receipt"
    kannel.submit(bench.tools, warm, "+8869", 8, report_to)
    reports.wait(warm)
    cpu = kannel.cpu
    first = kannel.submit(bench.tools, count, "+8869", 8, report_to)
    smsc.wait(warm + count)
    reports.wait(warm + count)
    return _judge(bench, f"Kannel over SMPP, {store}", smsc.read(warm), count, first, kannel.cpu - cpu)


def _run_http(bench: Bench, count: int, warm: int) -> Run:
    bench.stage.clear()
    sink = Sink(bench.stage, bench.tools, 2 * (count + warm), body="ok")
    kannel = Kannel(bench.stage, _HTTP.format(port=sink.port, in_flight=IN_FLIGHT))
    kannel.submit(bench.tools, warm, US, US_DIGITS)
    sink.wait(warm)
    cpu = kannel.cpu
    first = kannel.submit(bench.tools, count, US, US_DIGITS)
    sink.wait(warm + count)
    return _judge(bench, "Kannel over HTTP, file", sink.read(warm), count, first, kannel.cpu - cpu)


def _judge(bench: Bench, what: str, arrivals: Sequence[tuple[int, int]], count: int, first: int, cpu: float) -> Run:
    if len(arrivals) != count or len({stamp for _, stamp in arrivals}) != count:
        raise Trouble(f"{len(arrivals)} messages of Kannel came of {count}")
    rate, used = count / (arrivals[-1][0] - first) * 1e9, cpu / count * 1e6
    bench.say(f"{what}: {rate:,.0f} msg/s, {used:.0f} µs CPU")
    return rate, used
