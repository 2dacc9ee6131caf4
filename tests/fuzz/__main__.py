"""`python -m tests.fuzz [STORY…] [--seconds N] [--seed S]`: tells random stories for a while, and prints the seed of one that fails.

The stories stand beside the tests of what they are about (those of many rooms in `inputs`), which
tell a few of each. Exit: 0 when all ended as they should, 1 when one
did not. A seed and a story's name repeat it: `--seed "two 17 4"`.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from random import Random

from tests.api.story import STORIES as CALLS
from tests.fuzz.inputs import STORIES as INPUTS
from tests.smpp.story import STORIES as LINKS
from tests.smpp_session.story import STORIES as SESSIONS
from tests.text.story import STORIES as TEXTS

STORIES = LINKS | SESSIONS | TEXTS | CALLS | INPUTS


def read_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("stories", nargs="*", metavar="STORY", help=f"of {', '.join(STORIES)}; none: all")
    parser.add_argument("--seconds", type=int, default=300, metavar="N", help="how long (default: 300)")
    parser.add_argument("--seed", help="tell this one story, as it was printed")
    args = parser.parse_args(words)
    unknown = [name for name in args.stories if name not in STORIES]
    if unknown:
        parser.error(f'there is no story "{unknown[0]}"; there are {", ".join(STORIES)}')
    return args


def tell(seed: str) -> bool:
    """Tell the story of a seed, whose first word is its name; False, and why, where it does not end well."""
    try:
        STORIES[seed.split()[0]](Random(seed))
    except Exception:  # whatever it is, the seed is what is wanted
        traceback.print_exc()
        print(f'failed: --seed "{seed}"', file=sys.stderr)
        return False
    return True


def main(words: list[str] | None = None) -> int:
    """Tell and count; the exit code."""
    args = read_arguments(words)
    if args.seed:
        return 0 if tell(args.seed) else 1
    names = args.stories or list(STORIES)
    run = time.time_ns()  # no two runs tell the same
    told: Counter[str] = Counter()
    until = time.monotonic() + args.seconds
    while time.monotonic() < until:
        for name in names:
            if not tell(f"{name} {run} {told[name]}"):
                return 1
            told[name] += 1
    print(" ".join(f"{name}={count}" for name, count in told.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
