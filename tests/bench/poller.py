"""What it costs that 100,000 messages await their receipts: none of them due, and asked for on the default schedule, 100 ids a query.

They are put into the store before the daemon starts, at a provider that is asked. The schedule is at its busiest in the first two hours
after a message was sent: four queries. So as many are due in the measured time as 100,000 messages in those two hours make; every answer
says that the message is on its way. CPU is the daemon's, all threads, everything that it does meanwhile included.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from broker.store.rows import INSERT_ATTEMPT, INSERT_MESSAGE, pack_attempt, pack_message
from broker.store.sqlite import open_connection
from broker.words.attempt import Attempt
from broker.words.clock import HOUR, MINUTE, SECOND
from broker.words.identity import make_id
from broker.words.message import Message
from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.peers import HERE
from tests.bench.rig import Daemon, Trouble, running

SETTINGS = """
[providers.tw]
plugin = "mitake"
username = "bench"
password = "bench-password"
url = "http://127.0.0.1:{port}"
long_url = "http://127.0.0.1:{port}"
"""
QUICKLY = 'query = ["6s", "5m", "30m", "2h"]\n'
"""For a quick run: what falls due within half a second is asked for together, and not within five."""
QUERIES, WITHIN = 4, 2 * HOUR
SETTLED = 2.0
"""Seconds after which a daemon that just started is at rest."""


def measure(bench: Bench) -> Iterator[Figure]:
    """The figures."""
    many, few, seconds = bench.size(100_000, 400), bench.size(1_000, 40), bench.size(30, 2)
    bench.stage.clear()
    process = bench.stage.start(sys.executable, "-P", "-S", "-E", HERE / "fates.py")
    assert process.stdout is not None
    settings = SETTINGS.format(port=int(process.stdout.readline())) + (QUICKLY if bench.is_quick else "")
    runs = [_run(bench, settings, many, few, seconds) for _ in bench.count_runs(3)]
    yield Figure(
        name="poller.idle", title=f"{many:,} await receipts, none due", unit="% of a core", must=1, aim=0.3, is_more_better=False,
        scales=-1, values=[run[0] for run in runs],
    )  # fmt: skip
    yield Figure(
        name="poller.asked", title="  asked on the default schedule", unit="% of a core", must=3, aim=1, is_more_better=False, scales=-1,
        values=[run[1] for run in runs],
        note=f"{median([run[3] for run in runs]):,.0f} µs of CPU for each message asked for, the idle time's share taken off",
    )  # fmt: skip
    yield Figure(
        name="poller.memory", title=f"  extra memory against {few:,}", unit="MB", must=60, aim=20, is_more_better=False,
        values=[run[2] for run in runs],
    )  # fmt: skip


def _run(bench: Bench, settings: str, many: int, few: int, seconds: int) -> tuple[float, float, float, float]:
    """(% of a core when none is due, % when they are asked for, MB more than with few, µs for each asked for)"""
    asked = max(many * QUERIES * seconds * SECOND // WITHIN, 20)
    small, large = Daemon(bench.stage, settings), Daemon(bench.stage, settings)
    _fill(small.folder, few, 0, 0)
    with running(small):
        time.sleep(SETTLED)
        memory = small.read_memory()
    _fill(large.folder, many, asked, seconds)
    with running(large):
        time.sleep(SETTLED)
        idle = _watch(large, seconds)
        wait = large.query("SELECT min(next_at) FROM message")[0][0] / 1000 - time.time()
        if wait < 0:
            raise Trouble("the first fell due before the idle time was over")
        time.sleep(wait + 0.2)
        before = large.query("SELECT count(*) FROM attempt WHERE receipt IS NOT NULL")[0][0]
        busy = _watch(large, seconds)
        told = large.query("SELECT count(*) FROM attempt WHERE receipt IS NOT NULL")[0][0] - before
        if told < asked // 2:
            raise Trouble(f"{told} of {asked} messages were asked for")
        more = large.read_memory() - memory
    each = (busy - idle) / 100 * seconds / told * 1e6
    bench.say(f"{idle:.2f} % idle, {busy:.2f} % asked for {told:,} ({each:.0f} µs each), {more:+.1f} MB")
    return idle, busy, more, each


def _watch(daemon: Daemon, seconds: int) -> float:
    """The share of a core that it takes for so long, in percent."""
    cpu, begun = daemon.cpu, time.monotonic()
    time.sleep(seconds)
    return (daemon.cpu - cpu) / (time.monotonic() - begun) * 100


def _fill(folder: Path, count: int, asked: int, seconds: int) -> None:
    """A store with `count` messages sent; from after as long a time as `seconds` on, `asked` fall due in each such time."""
    (folder / "data").mkdir()
    conn = open_connection(folder / "data" / "broker.db")
    now = time.time_ns() // 1_000_000
    messages, attempts, due = [], [], []
    for n in range(count):
        id_ = make_id(now - 2 * MINUTE)
        sent = Message(
            id_, "unix:bench", f"+8869{n:08}", "TW", "a text of some length, for its size in the store", "gsm7", 1, now - 2 * MINUTE,
            now + 24 * HOUR, tags=("bench",), status="sent", lane="tw", next_at=now + 24 * HOUR + n, attempts=1,
        )  # fmt: skip
        attempt = Attempt(
            id_, 1, "tw", "", now - 2 * MINUTE, "accepted", f"{id_}n1", closed_at=now - MINUTE, class_="accepted", code="1",
            refs=(f"{n:010}",), price=900_000, currency="EUR", bucket="points", credit=1_000_000,
        )  # fmt: skip
        messages.append(pack_message(sent, None))
        attempts.append(pack_attempt(attempt))
        if n < 2 * asked:
            due.append((n * seconds * SECOND // asked, id_))
    conn.execute("BEGIN")
    conn.executemany(INSERT_MESSAGE, messages)
    conn.executemany(INSERT_ATTEMPT, attempts)
    first = time.time_ns() // 1_000_000 + round((2 * SETTLED + 3) * SECOND) + seconds * SECOND
    conn.executemany("UPDATE message SET next_at = ? WHERE id = ?", [(first + after, id_) for after, id_ in due])
    conn.execute("COMMIT")
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
