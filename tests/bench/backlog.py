"""Throughput and memory with 1,000,000 messages queued against 10,000.

Filled behind a rate of one a minute, so that the rows are `queued` for their lane (behind a pause they would be `held`); a reload takes
the rate off, and 20,000 messages are timed by the store's own events. Without receipts and without a subscriber: the queue is what
differs. The small queue is filled to 30,000 before each drain and ends at 10,000. Both daemons live through the whole run and drain in
turn, the other one frozen, so that each pair meets the same machine.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import Load, submit
from tests.bench.rig import Daemon, running, wait_until

SETTINGS = """
[providers.loop]
plugin = "loopback"
receipt = "none"
max_in_flight = 256
"""
STOPPED = SETTINGS + 'rate = "1/m"\n'
EVENTS = 3
"""sending, sent, unconfirmed."""


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    drained = bench.size(20_000, 60)
    bench.stage.clear()
    with ExitStack() as stack:
        small = _fill(bench, stack, bench.size(10_000, 40))
        large = _fill(bench, stack, bench.size(1_000_000, 600))
        rates: dict[Daemon, list[float]] = {small: [], large: []}
        memory = dict.fromkeys(rates, 0.0)
        for turn in bench.count_runs(3):
            for daemon in (small, large) if turn % 2 else (large, small):
                rate, seen = _run(bench, daemon, drained, is_refilled=daemon is small)
                rates[daemon].append(rate)
                memory[daemon] = max(memory[daemon], seen)
                bench.say(f"{rate:,.0f} msg/s behind the {'small' if daemon is small else 'large'} queue, {seen:.0f} MB")
        for daemon in rates:
            daemon.thaw()
    yield Figure(
        name="backlog", title="1,000,000 queued against 10,000: throughput", unit="x", must=0.9, aim=0.98,
        values=[full / empty for empty, full in zip(rates[small], rates[large], strict=True)],
        note=f"{median(rates[large]):,.0f} msg/s behind the large queue, {median(rates[small]):,.0f} behind the small one",
    )  # fmt: skip
    yield Figure(
        name="backlog.memory", title="  extra memory", unit="MB", must=100, aim=40, is_more_better=False,
        values=[memory[large] - memory[small]],
        note=f"PSS, the most seen: {memory[large]:.0f} MB against {memory[small]:.0f} MB",
    )  # fmt: skip


def _fill(bench: Bench, stack: ExitStack, count: int) -> Daemon:
    """A daemon with `count` messages queued, frozen."""
    daemon = stack.enter_context(running(Daemon(bench.stage, STOPPED, max_queued=2_000_000)))
    begun = time.monotonic()
    submit(bench.stage, bench.tools, daemon, Load(count))
    bench.say(f"{count:,} queued in {time.monotonic() - begun:.0f} s")
    daemon.freeze()
    return daemon


def _run(bench: Bench, daemon: Daemon, drained: int, *, is_refilled: bool) -> tuple[float, float]:
    """(messages a second, memory in MB), the other daemon frozen."""
    daemon.thaw()
    if is_refilled:
        submit(bench.stage, bench.tools, daemon, Load(drained))
    else:
        daemon.ask("ping")
    memory = daemon.read_memory()
    rate = _drain(daemon, drained)
    memory = max(memory, daemon.read_memory())
    daemon.freeze()
    return rate, memory


def _drain(daemon: Daemon, count: int) -> float:
    start = daemon.seq
    daemon.write_config(SETTINGS)
    daemon.ask("reload")
    wait_until(lambda: daemon.seq >= start + EVENTS * count + 1, f"{count} messages' ends")
    daemon.write_config(STOPPED)
    daemon.ask("reload")
    # The first event is the reload's own. Their times are those of the commits.
    (begun,) = daemon.query("SELECT at FROM event WHERE seq = ?", start + 2)[0]
    (ended,) = daemon.query("SELECT at FROM event WHERE seq = ?", start + 1 + EVENTS * count)[0]
    wait_until(lambda: not daemon.ask("providers")["providers"][0]["in_flight"], "what is in flight")
    return float(count / max(ended - begun, 1) * 1000)
