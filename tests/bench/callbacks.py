"""Callbacks made durable and answered: receipts for messages that a provider has, each by the URL that it was told for it.

As many a second as one core of the daemon takes over kept connections, each with one call on its way; and the time that an answer
takes at 1,000 a second. The daemon is held to one core, its committing thread included.
"""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import Load, Report, call_back, submit
from tests.bench.rig import Daemon, Trouble, find_port, running, wait_until

SETTINGS = """
[callbacks]
listen = "127.0.0.1:{port}"
[providers.push]
plugin = "{plugin}"
max_in_flight = 256
"""
PLUGIN = __file__.replace("callbacks.py", "pushed.py")
QUERY = "msgid={ref}&dstaddr=0{number}&dlvtime=20261121200000&donetime=20261121200010&statuscode=0&statusstr=DELIVRD&StatusFlag=4"
CONNECTIONS = 64


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    runs = [_run(bench, bench.size(20_000, 100), 0) for _ in bench.count_runs(5)]
    yield Figure(
        name="callbacks", title="callbacks, one core", unit="/s", must=3_000, scales=1, values=[run[0] for run in runs]
    )  # fmt: skip
    yield Figure(
        name="callbacks.cpu", title="  CPU per callback", unit="µs", is_more_better=False, scales=-1, values=[run[1] for run in runs]
    )
    runs = [_run(bench, bench.size(10_000, 100), 1_000) for _ in bench.count_runs(5)]
    late = max(run[3] for run in runs)
    yield Figure(
        name="callbacks.p99", title="callback to answer at 1,000/s, p99", unit="ms", must=20, is_more_better=False, scales=-1,
        values=[run[2] for run in runs], note=f"the caller itself was up to {late:.1f} ms late (p99), which is in the figure",
    )  # fmt: skip


def _run(bench: Bench, count: int, rate: int) -> tuple[float, float, float, float]:
    """(callbacks a second, CPU µs of each, p99 ms, the caller's own lateness ms)"""
    bench.stage.clear()
    port, warm = find_port(), bench.size(1_000, 20)
    daemon = Daemon(bench.stage, SETTINGS.format(port=port, plugin=PLUGIN))
    with running(daemon):
        os.sched_setaffinity(daemon.pid, {max(os.sched_getaffinity(0))})
        submit(bench.stage, bench.tools, daemon, Load(count + warm))
        wait_until(lambda: daemon.count("sent") == count + warm, "the messages to be sent", every=0.2)
        targets = _find_targets(daemon)
        call_back(bench.stage, bench.tools, port, targets[:warm], CONNECTIONS, rate)
        cpu = daemon.cpu
        report: Report = call_back(bench.stage, bench.tools, port, targets[warm:], CONNECTIONS, rate)
        used = (daemon.cpu - cpu) / count * 1e6
        if daemon.count("delivered") != count + warm:
            raise Trouble(f"{daemon.count('delivered')} messages are delivered")
    bench.say(f"{count / report.seconds:,.0f}/s, {used:.0f} µs CPU, p50 {report.p50:.2f} p99 {report.p99:.2f} ms")
    return count / report.seconds, used, report.p99, report.late


def _find_targets(daemon: Daemon) -> list[str]:
    """The call for each message, as its provider would make it."""
    base = urlsplit(daemon.ask("callbacks")["callbacks"]["push"]).path
    rows = daemon.query("SELECT token, recipient, json_extract(refs, '$[0]') FROM attempt JOIN message ON id = message ORDER BY token")
    return [f"{base}/{token.partition('.')[0]}?{QUERY.format(ref=ref, number=to.removeprefix('+886'))}" for token, to, ref in rows]
