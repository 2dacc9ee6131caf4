"""Where the report's lines come from: each fault is run, here or by the program that tests it, and what that counted becomes a line."""

import json
import os
import random
import re
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

from tests.faults.lines import COUNTS, Line
from tests.faults.mutation import ROOT

Source = Callable[[Namespace], Iterator[Line]]


def _run(module: str, *options: object, **environment: str) -> tuple[str, int]:
    """What `python -m module` prints, and its exit code. What it says of trouble goes to stderr as it comes."""
    command = [sys.executable, "-m", module, *map(str, options)]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            print(line, end="", file=sys.stderr, flush=True)
    return "".join(lines), process.returncode


def read_total(fault: str, text: str, code: int, *, must_lose: bool = False) -> Line:
    """The line of a program that ends with `total: name=count …`; without one it did not come to its end, and that is no success."""
    found = re.search(r"^total: (.*)$", text, re.MULTILINE)
    line = Line(fault, must_lose=must_lose)
    if found is None:
        line.note = f"DID NOT END (exit {code})"
        return line
    counts = dict(re.findall(r"(\w+)=(\d+)", found[1]))
    for name in (*COUNTS, "seed"):
        setattr(line, name, int(counts.get(name, 0)))
    line.msgs = line.msgs or line.acked
    line.illegal += int(counts.get("damaged", 0))
    told = re.search(r"\bcommit=(\S+)", found[1])
    line.commit = told[1] if told is not None else ""
    if not must_lose and code and line.is_right:
        line.note = f"FAILED (exit {code})"
    return line


def _find_first(options: Namespace) -> int:
    return int(options.seed) if options.seed is not None else random.SystemRandom().randrange(1_000_000)


def _run_or_read(options: Namespace, word: str, module: str, *more: object) -> tuple[str, int]:
    """The same, or what it printed when it ran by itself: `--log word=FILE`."""
    file = options.log.get(word)
    return (file.read_text(), 0) if file is not None else _run(module, *more)


def run_crash(options: Namespace) -> Iterator[Line]:
    """`kill -9` at random times under load, at steps of the journal and in recovery."""
    text, code = _run_or_read(options, "crash", "tests.crash", "--trials", options.crash, "--seed", _find_first(options))
    yield read_total("kill -9: under load, in recovery, at random", text, code)


def run_points(options: Namespace) -> Iterator[Line]:
    """`kill -9` at every failpoint, so many times each."""
    text, code = _run_or_read(options, "points", "tests.crash.points", "--seeds", options.points, "--seed", _find_first(options))
    found = re.search(r"points=(\d+) of=(\d+) least=(\d+)", text)
    what = f" ({found[1]} of {found[2]}, {found[3]} times at least)" if found else ""
    yield read_total(f"kill -9: at each failpoint{what}", text, code)


def run_power(options: Namespace) -> Iterator[Line]:
    """The power goes; and goes where commits are not synced, which must lose."""
    first = _find_first(options)
    text, code = _run("tests.power", "--trials", options.power, "--seed", first)
    yield read_total("power cut under the writer", text, code)
    text, code = _run("tests.power", "--trials", max(options.power // 10, 40), "--seed", first, "--synchronous", "NORMAL")
    yield read_total("the same with synchronous=NORMAL", text, code, must_lose=True)


def run_replies(options: Namespace) -> Iterator[Line]:
    """Replies that get lost, under each policy."""
    from tests.faults.doubts import POLICIES, lose_replies  # what needs only a child's output need not load the daemon

    for name in POLICIES:
        yield lose_replies(name, options.replies)


def run_sim(options: Namespace) -> Iterator[Line]:
    """Simulated worlds by seed."""
    text, code = _run("tests.sim", "--json", "--seeds", options.sim, "--first", _find_first(options))
    line = Line("simulated worlds")
    try:
        totals: dict[str, Any] = json.loads(text)
    except ValueError:
        line.note = f"DID NOT END (exit {code})"
    else:
        line.trials, line.msgs, line.acked = totals["seeds"], totals["msgs"], totals["msgs"]
        line.illegal, line.seed, line.unknown = totals["failed"], totals["first"], totals["statuses"].get("unknown", 0)
    yield line


def run_machine(options: Namespace) -> Iterator[Line]:
    """Faults of the disk, the machine and the network, on the real daemon."""
    text, code = _run("tests.machine", "--json", *(("--short",) if options.short else ()))
    told = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    for each in told:
        if "skipped" in each:
            yield Line(each["fault"], note=f"skipped: {each['skipped']}", is_skipped=True)
        else:
            yield Line(**{name: each[name] for name in ("fault", *COUNTS, "seed")})
    if not told:
        yield Line("disk and machine", note=f"DID NOT END (exit {code})")


def read_tests(fault: str, text: str, code: int) -> Line:
    """The line of a run of pytest: a trial is a test, by its last line's counts; without one it did not come to its end."""
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|error)", text.rpartition("\n")[0].rpartition("\n")[2])}
    line = Line(fault, trials=sum(counts.values()), illegal=counts.get("failed", 0) + counts.get("error", 0))
    if not counts:
        line.note = f"DID NOT END (exit {code})"
    elif code and line.is_right:
        line.note = f"FAILED (exit {code})"
    return line


def run_proxy(_options: Namespace) -> Iterator[Line]:
    """Every fault of a proxy at every plugin: a trial is a test, and one that fails is illegal."""
    fault, folder = "fault proxy: fault × plugin × policy", ROOT / "tests" / "proxy"
    if not list(folder.glob("test_*.py")):
        yield Line(fault, note="not in this tree", is_skipped=True)
        return
    # One case is seconds of work, and a busy machine makes minutes of them: pytest's own bound is that of CI, where few are played.
    text, code = _run("pytest", "-n", 0, "-o", "timeout=900", "-p", "no:cacheprovider", str(folder), FAULT_MATRIX="whole")
    yield read_tests(fault, text, code)


SOURCES: dict[str, Source] = {
    "replies": run_replies,
    "power": run_power,
    "sim": run_sim,
    "proxy": run_proxy,
    "machine": run_machine,
    "points": run_points,
    "crash": run_crash,
}
"""By the word that chooses them, the long ones last."""
