"""`python -m tests.machine [FAULT…]`: does one fault of the machine, the network or a provider after the other, and prints what was left.

A line for each: `fault trials msgs acked lost duplicated unknown stuck illegal seed`; `--json`: an object for each. Exit 1 if a promise
broke. A fault that this machine does not let happen is told as skipped, with the reason.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.machine.faults import FAULTS, LONG, SHORT, NotHere, run_fault

SHOWN = ("trials", "msgs", "acked", "lost", "duplicated", "unknown", "stuck", "illegal")


def main() -> int:
    """Run the trials; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}; none: all")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--short", action="store_true", help="as small as in CI")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--keep", action="store_true", help="keep the folders of trials that failed")
    options = parser.parse_args()
    unknown = [name for name in options.faults if name not in FAULTS]
    if unknown:
        parser.error(f'there is no fault "{unknown[0]}"; there are {", ".join(FAULTS)}')
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    is_clean = True
    for name in options.faults or FAULTS:
        folder = Path(tempfile.mkdtemp(prefix="broker-machine-"))
        try:
            tally = run_fault(name, folder, seed, (SHORT if options.short else LONG)[name])
        except NotHere as reason:
            print(json.dumps({"fault": name, "skipped": str(reason)}) if options.json else f"{name} skipped: {reason}", flush=True)
            continue
        line = {"fault": name, **{each: getattr(tally, each) for each in SHOWN}, "seed": seed}
        if options.json:
            print(json.dumps({**line, "findings": tally.findings[:20]}), flush=True)
        else:
            print(" ".join([name, *(f"{each}={value}" for each, value in list(line.items())[1:])]), flush=True)
            for finding in tally.findings[:20]:
                print(f"  {finding}", flush=True)
        is_clean = is_clean and tally.is_clean
        if tally.is_clean or not options.keep:
            shutil.rmtree(folder)
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
