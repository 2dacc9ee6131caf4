"""`python -m tests.bench [NAME…] [--quick] [--json]`: measures the broker, prints one JSON line per figure and a table at the end.

Exit: 0 when every figure reaches what it must, 1 when one does not or does not come out. Absolute figures are this machine's; the
calibration says how fast it is beside the reference machine, and nothing is adjusted by it but the column that says so.
"""

import argparse
import os
import signal
import sys
import time
from importlib import import_module
from typing import NoReturn

import msgspec

from tests.bench.bench import Bench
from tests.bench.figure import Figure, make_table, show_json
from tests.bench.machine import Machine, look_at_machine, time_parse
from tests.bench.peers import Tools
from tests.bench.rig import Skip, Stage, Trouble

MODULES = {
    "codec": "codec",
    "acks": "acks",
    "latency": "latency",
    "loopback": "loopback",
    "http": "over_http",
    "smpp": "over_smpp",
    "backlog": "backlog",
    "isolation": "isolation",
    "feed": "feed",
    "callbacks": "callbacks",
    "poller": "poller",
    "idle": "idle",
    "restart": "restart",
}
BESIDE = {"kannel": "beside_kannel"}
"""Comparisons, which take another program and their time: only where they are named."""
ALSO = {"cpu": ("loopback", "http", "smpp"), "window": ("smpp",)}
"""Figures that come out of others' runs."""


def read_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    known = [*MODULES, *ALSO, *BESIDE]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; none: all but {', '.join(BESIDE)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and one run: shows that the bench works, and no speed")
    parser.add_argument("--json", action="store_true", help="nothing but the JSON lines")
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="runs of each figure (default: 3 to 7, by figure)")
    parser.add_argument("--dir", help="where to put the stores: the disk that is measured (default: the system's temporary folder)")
    parser.add_argument("--python-peers", action="store_true", help="clients and sinks in Python, though there is a C compiler")
    args = parser.parse_args(words)
    unknown = [name for name in args.names if name not in known]
    if unknown:
        parser.error(f'there is no figure "{unknown[0]}"; there are {", ".join(known)}')
    return args


def measure(bench: Bench, names: list[str]) -> tuple[list[Figure], list[str]]:
    """The figures of these names, and what did not come out."""
    figures: list[Figure] = []
    troubles = []
    for name in names:
        load, parse, begun = os.getloadavg()[0], time_parse(), time.monotonic()
        print(f"{name} (load {load:.1f})", file=sys.stderr, flush=True)
        found = []
        try:
            for figure in import_module(f"tests.bench.{(MODULES | BESIDE)[name]}").measure(bench):
                found.append(figure)
        except Skip as skip:
            print(f"SKIPPED {name}: {skip}", file=sys.stderr, flush=True)
        except Trouble as trouble:
            troubles.append(f"{name}: {trouble}")
            print(f"  {trouble}", file=sys.stderr, flush=True)
        parse = (parse + time_parse()) / 2
        figures += [msgspec.structs.replace(figure, load=round(load, 2), parse=parse) for figure in found]
        bench.say(f"{time.monotonic() - begun:.0f} s")
    return figures, troubles


def show(figures: list[Figure], machine: Machine, *, is_quick: bool, is_json: bool) -> None:
    """Print everything."""
    for figure in figures:
        print(show_json(figure, is_quick=is_quick))
    if not is_json:
        print(f"\n{make_table(figures, is_quick=is_quick)}\n\n{machine}")


def _stop(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # so that the stage is left, and everything on it ends


def main(words: list[str] | None = None) -> int:
    """Measure and print; the exit code."""
    args = read_arguments(words)
    names = [part for name in args.names or MODULES for part in ALSO.get(name, (name,))]
    with Stage(args.dir) as stage:
        bench = Bench(stage, Tools(stage, python=args.python_peers), args.quick, args.runs)
        machine = look_at_machine(stage.folder, bench.tools.language)
        print(machine, file=sys.stderr, flush=True)
        figures, troubles = measure(bench, list(dict.fromkeys(names)))
    show(figures, machine, is_quick=args.quick, is_json=args.json)
    for trouble in troubles:
        print(f"did not come out: {trouble}", file=sys.stderr)
    return int(bool(troubles) or (not args.quick and any(figure.is_ok is False for figure in figures)))


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _stop)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
