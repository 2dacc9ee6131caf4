"""End to end over the loopback provider, store and feed on: from the first submit to the last final event at a subscriber.

Two ways: with the receipts that a loopback provider gives of itself, and without (`unconfirmed` at once). CPU is the daemon's, all
threads, from before the first submit until after the last final event.
"""

from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import Load, Subscribers, submit
from tests.bench.rig import Daemon, Trouble, running, wait_until

SETTINGS = """
[providers.loop]
plugin = "loopback"
receipt = "{receipt}"
max_in_flight = 256
"""
EVENTS = 4
"""queued, sending, sent, and the final one."""


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    yield from _measure(bench, "loopback", "end to end, loopback", "delivered", "delivered")
    if not bench.is_quick:
        yield from _measure(bench, "loopback.bare", "  the same, no receipts", "none", "unconfirmed")


def _measure(bench: Bench, name: str, title: str, receipt: str, final: str) -> Iterator[Figure]:
    runs = [_run(bench, receipt, final) for _ in bench.count_runs(5)]
    yield Figure(name=name, title=title, unit="msg/s", must=8_000, aim=12_000, scales=1, values=[run[0] for run in runs])
    yield Figure(
        name=f"{name}.cpu", title="  CPU per message", unit="µs", must=110, aim=80, is_more_better=False, scales=-1,
        values=[run[1] for run in runs],
    )  # fmt: skip


def _run(bench: Bench, receipt: str, final: str) -> tuple[float, float]:
    """(messages a second, CPU µs per message)"""
    count, warm = bench.size(30_000, 200), bench.size(1_000, 20)
    bench.stage.clear()
    daemon = Daemon(bench.stage, SETTINGS.format(receipt=receipt), feed=True)
    with running(daemon):
        submit(bench.stage, bench.tools, daemon, Load(warm))
        wait_until(lambda: daemon.seq >= EVENTS * warm, "the first messages' ends")
        subscriber = Subscribers(bench.stage, bench.tools, daemon, 1, f'"type":"message.{final}"', count)
        cpu = daemon.cpu
        report = submit(bench.stage, bench.tools, daemon, Load(count))
        _, last = subscriber.wait()
        used = (daemon.cpu - cpu) / count * 1e6
        if daemon.count(final) != count + warm:
            raise Trouble(f"{daemon.count(final)} messages are {final}")
    rate = count / (last - report.first) * 1e9
    bench.say(f"{rate:,.0f} msg/s, {used:.0f} µs CPU; acknowledged at {count / report.seconds:,.0f}/s")
    return rate, used
