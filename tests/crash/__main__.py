"""`python -m tests.crash`: kills the real daemon again and again, and prints what was left. Exit 1 if a promise broke.

A trial is one kill. Each round has a fresh data folder, one to `--kills` kills that carry it over, a drain and a verdict.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import trio

from tests.crash.subject import MUTANTS
from tests.crash.trial import Round, draw_kills
from tests.crash.verdict import Tally
from tests.crash.worlds import WORLDS


def main() -> int:
    """Run the trials; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="kills in all")
    parser.add_argument("--kills", type=int, default=5, help="of one round at most")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; the next ones count up")
    parser.add_argument("--world", choices=sorted(WORLDS), action="append", help="whose rounds; several go in turn; default: all")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="switch one protection off: then the test has to fail")
    parser.add_argument("--keep", action="store_true", help="keep the folders of rounds that failed")
    options = parser.parse_args()
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    worlds = options.world or list(WORLDS)
    total, seed, begun = Tally(), first, time.monotonic()
    while total.trials < options.trials:
        rng = random.Random(seed)
        world = worlds[seed % len(worlds)]
        kills = draw_kills(rng, min(rng.randint(1, options.kills), options.trials - total.trials), world)
        folder = Path(tempfile.mkdtemp(prefix="broker-crash-"))
        tally = trio.run(Round(folder, seed, options.mutant, world).run, kills)
        print(f"{world}: {tally.show(seed)}", flush=True)
        for finding in tally.findings[:20]:
            print(f"  {finding}", flush=True)
        if tally.is_clean or not options.keep:
            shutil.rmtree(folder)
        else:
            print(f"  kept: {folder}", flush=True)
        total.add(tally)
        seed += 1
    print(f"total: {total.show(first)} seconds={time.monotonic() - begun:.0f}")
    return 0 if total.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
