"""End to end over SMPP: the plugin `smpp` towards an SMSC on loopback, one link, window 100, receipts on.

From the first submit to the last message's arrival at the SMSC, the clock of performance.md; CPU until the last message is delivered.
And once more with an SMSC that answers after 50 ms: how much of what the window allows (2,000/s) is used. A window of a quarter (500/s)
beside it shows what the way from answer to refill takes where the processor is not the limit.
"""

from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import Load, Smsc, submit
from tests.bench.rig import Daemon, Trouble, running, wait_until

WINDOW = 100
DELAY = 50
IN_FLIGHT = 4
"""Windows: one is with the SMSC, one waits to follow it, and two are on their way through the journal, out and back."""
SETTINGS = """
[providers.smsc]
plugin = "smpp"
host = "127.0.0.1"
port = {port}
username = "bench"
password = "bench"
sender = "ACME"
window = {window}
max_in_flight = {in_flight}
"""
LIVE = ("queued", "sending", "held", "in_doubt", "sent")


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    count, warm = bench.size(100_000, 200), bench.size(1_000, 20)
    runs = [run(bench, count, warm) for _ in bench.count_runs(3)]
    yield Figure(
        name="smpp", title="end to end, SMPP, receipts on", unit="msg/s", must=8_000, aim=12_000, scales=1,
        values=[each[0] for each in runs],
    )  # fmt: skip
    yield Figure(
        name="smpp.cpu", title="  CPU per message", unit="µs", must=110, aim=80, is_more_better=False, scales=-1,
        values=[each[1] for each in runs],
    )  # fmt: skip
    count = bench.size(20_000, 200)
    shares = [run(bench, count, warm, delay=DELAY)[0] / (WINDOW * 1000 / DELAY) for _ in bench.count_runs(3)]
    yield Figure(name="window", title="  answers after 50 ms: share of the window's limit", unit="x", must=0.95, aim=0.98, values=shares)
    count, window = bench.size(5_000, 200), WINDOW // 4
    shares = [run(bench, count, warm, delay=DELAY, window=window)[0] / (window * 1000 / DELAY) for _ in bench.count_runs(3)]
    yield Figure(name="window.25", title="  the same with a window of 25", unit="x", values=shares)


def run(bench: Bench, count: int, warm: int, *, delay: int = 0, window: int = WINDOW) -> tuple[float, float]:
    """(messages a second, CPU µs per message)"""
    bench.stage.clear()
    smsc = Smsc(bench.stage, bench.tools, 2 * (count + warm), delay=delay)
    daemon = Daemon(bench.stage, SETTINGS.format(port=smsc.port, window=window, in_flight=IN_FLIGHT * window), feed=True)
    with running(daemon):
        submit(bench.stage, bench.tools, daemon, Load(warm))
        wait_until(lambda: not daemon.count(*LIVE), "the first messages' receipts")
        cpu = daemon.cpu
        report = submit(bench.stage, bench.tools, daemon, Load(count))
        smsc.wait(warm + count)
        wait_until(lambda: not daemon.count(*LIVE), "the last messages' receipts", every=0.05)
        used = (daemon.cpu - cpu) / count * 1e6
        arrivals = smsc.read(warm)
        if len({stamp for _, stamp in arrivals}) != count or len(arrivals) != count:
            raise Trouble(f"{len(arrivals)} messages came of {count}")
        wait_until(lambda: smsc.acknowledged >= warm + count, "the last receipts' acknowledgements, which leave after their commit")
        if smsc.acknowledged != warm + count:
            raise Trouble(f"{smsc.acknowledged} receipts of {warm + count} were acknowledged")
    # Where the window is the limit, its first ones come at once and say nothing of the rate.
    begun, counted = (arrivals[0][0], count - window) if delay else (report.first, count)
    rate = counted / (arrivals[-1][0] - begun) * 1e9
    bench.say(f"{rate:,.0f} msg/s, {used:.0f} µs CPU; acknowledged at {count / report.seconds:,.0f}/s")
    return rate, used
