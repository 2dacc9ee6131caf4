"""One run of the bench, as every figure gets it: where to run, with which peers, how large and how often."""

import sys
from typing import NamedTuple

from tests.bench.peers import Tools
from tests.bench.rig import Stage


class Bench(NamedTuple):
    """`is_quick`: tiny sizes and one run, which show that a figure comes out and say nothing of speed. `runs`: 0 for each figure's own."""

    stage: Stage
    tools: Tools
    is_quick: bool = False
    runs: int = 0

    def size(self, full: int, quick: int) -> int:
        """How many."""
        return quick if self.is_quick else full

    def count_runs(self, usual: int) -> range:
        """The runs to do."""
        return range(1 if self.is_quick else self.runs or usual)

    def say(self, text: str) -> None:
        """Tell a waiting person what was just seen."""
        print(f"  {text}", file=sys.stderr, flush=True)
