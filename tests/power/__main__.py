"""`python -m tests.power`: cuts the power under the store's writer again and again. Exit 1 if anything acknowledged was lost.

With --synchronous NORMAL, or --lying (a disk that says it synced), it must lose: that the trials can fail is shown so.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.power.trial import Tally, make_template, run_trial


def main() -> int:
    """Run the trials; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.power", description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None, help="of the first trial; the next ones count up")
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL"), default="FULL")
    parser.add_argument("--lying", action="store_true", help="a disk whose syncs do nothing")
    options = parser.parse_args()
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    with tempfile.TemporaryDirectory(prefix="broker-power-") as folder:
        template = make_template(Path(folder))
    total, begun = Tally(), time.monotonic()
    for seed in range(first, first + options.trials):
        total.add(run_trial(template, seed, options.synchronous, is_lying=options.lying))
        if total.trials % 1000 == 0:
            print(total.show(first), flush=True)
    for finding in total.findings[:10]:
        print(f"  {finding}")
    print(f"total: {total.show(first)} synchronous={options.synchronous} seconds={time.monotonic() - begun:.0f}")
    return 1 if total.lost or total.damaged else 0


if __name__ == "__main__":
    sys.exit(main())
