"""`python -m tests.sim`: runs simulated worlds and prints what was found. Exit 1 if a promise broke.

A world is one seed. One that fails is printed with its seed and the commit, and does the same again: `--seeds 1 --first SEED`.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.sim.mutants import MUTANTS, find_mutant
from tests.sim.world import Run, run_seed

SHOWN = 5


def find_commit() -> str:
    """The commit that runs, `-dirty` where the tree differs."""
    root = Path(__file__).parent.parent.parent
    said = subprocess.run(("git", "describe", "--always", "--dirty"), cwd=root, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


class Totals:
    """The sums of many worlds."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.sums: dict[str, int] = dict.fromkeys(("seeds", "msgs", "copies", "events", "checks", "kills", "failed"), 0)
        self.statuses: dict[str, int] = {}
        self.failing: list[int] = []

    def add(self, run: Run) -> None:
        """Count one in."""
        for name in ("msgs", "copies", "events", "checks", "kills"):
            self.sums[name] += getattr(run, name)
        self.sums["seeds"] += 1
        for status, count in run.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        if run.findings:
            self.sums["failed"] += 1
            self.failing.append(run.seed)

    def show(self, seconds: float) -> dict[str, Any]:
        """All of it, with the worlds a minute of one core's time."""
        rate = round(60 * self.sums["seeds"] / seconds) if seconds else 0
        return {
            "first": self.first, **self.sums, "statuses": self.statuses, "failing": self.failing[:100],
            "cpu_seconds": round(seconds, 1), "per_minute": rate,
        }  # fmt: skip


def show_mutants(seeds: range, *, as_json: bool) -> int:
    """Each protection turned off, and the seed that found it; 1 where one was not found."""
    found = {name: find_mutant(name, seeds) for name in MUTANTS}
    if as_json:
        rows = {name: None if hit is None else {"seed": hit[0], "finding": hit[1]} for name, hit in found.items()}
        print(json.dumps({"commit": find_commit(), "mutants": rows}))
    else:
        for name, hit in found.items():
            print(f"{name:22} {'NOT FOUND' if hit is None else f'seed {hit[0]}: {hit[1]}'}")
    return 1 if None in found.values() else 0


def main() -> int:
    """Run the worlds; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="worlds")
    parser.add_argument("--first", type=int, default=0, help="seed of the first; the next ones count up")
    parser.add_argument("--json", action="store_true", help="print the totals as JSON")
    parser.add_argument("--mutants", action="store_true", help="turn protections off instead, one at a time, until a seed finds each")
    options = parser.parse_args()
    if options.mutants:
        return show_mutants(range(options.first, options.first + options.seeds), as_json=options.json)
    totals, commit = Totals(options.first), find_commit()
    begun = time.process_time()
    for seed in range(options.first, options.first + options.seeds):
        run = run_seed(seed)
        totals.add(run)
        if run.findings:
            print(f"seed {seed} of commit {commit}: {len(run.findings)} findings", *run.findings[:SHOWN], sep="\n  ",
                  file=sys.stderr, flush=True)  # fmt: skip
    shown = {"commit": commit, **totals.show(time.process_time() - begun)}
    print(json.dumps(shown) if options.json else " ".join(f"{name}={value}" for name, value in shown.items()))
    return 1 if totals.failing else 0


if __name__ == "__main__":
    sys.exit(main())
