"""Durable acknowledgements a second: one client with 1,000 lines unanswered, the whole accept path, synchronous=FULL.

The provider is paused, so that nothing is sent. A message whose every candidate is paused is `held` by the router right after its
acceptance, and that writing competes with the client; so a second figure leaves the messages `queued`, behind a rate of one a minute.
"""

from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import Load, submit
from tests.bench.rig import Daemon, Trouble, running

SETTINGS = """
[providers.loop]
plugin = "loopback"
receipt = "none"
rate = "1/m"
"""


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    yield Figure(
        name="acks", title="durable acks", unit="/s", must=15_000, aim=30_000, scales=1,
        values=[_run(bench, is_paused=True) for _ in bench.count_runs(5)],
    )  # fmt: skip
    if bench.is_quick:
        return
    yield Figure(
        name="acks.queued", title="  the same, left queued", unit="/s", scales=1,
        values=[_run(bench, is_paused=False) for _ in bench.count_runs(5)],
    )  # fmt: skip
    yield Figure(
        name="acks.keyed", title="  the same, queued, with a key", unit="/s", scales=1,
        values=[_run(bench, is_paused=False, extra=',"key":"order-%"') for _ in bench.count_runs(5)],
    )  # fmt: skip


def _run(bench: Bench, *, is_paused: bool, extra: str = "") -> float:
    count = bench.size(60_000, 300)
    bench.stage.clear()
    daemon = Daemon(bench.stage, SETTINGS)
    with running(daemon):
        if is_paused:
            daemon.ask("pause", name="loop")
        submit(bench.stage, bench.tools, daemon, Load(bench.size(2_000, 50)))  # warm
        report = submit(bench.stage, bench.tools, daemon, Load(count, extra=extra))
        stored = int(daemon.query("SELECT count(*) FROM message")[0][0])
        if stored != count + bench.size(2_000, 50):
            raise Trouble(f"{stored} messages are in the store")
    bench.say(f"{count / report.seconds:,.0f} acks/s, p99 {report.p99:.0f} ms")
    return count / report.seconds
