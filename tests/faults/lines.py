"""The report's lines: one for each fault, all of them with the same counts."""

import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(kw_only=True)
class Counts:
    """What is counted of every trial. `lost`: acknowledged and gone; `duplicated`: more than one copy; `stuck`: no end; `illegal`: whatever
    else breaks a promise. `unknown` is legal, and honest."""

    trials: int = 0
    msgs: int = 0
    acked: int = 0
    lost: int = 0
    duplicated: int = 0
    unknown: int = 0
    stuck: int = 0
    illegal: int = 0

    @property
    def is_clean(self) -> bool:
        """True when nothing is wrong."""
        return not (self.lost or self.duplicated or self.stuck or self.illegal)


COUNTS = tuple(each.name for each in fields(Counts))


@dataclass
class Line(Counts):
    """What was counted under one fault. `must_lose`: a protection is off in it, so it is right only where something is lost.

    `note`: why it did not run, where it did not; `is_skipped`: it cannot here. `commit`: of what ran, where that was not this run.
    """

    fault: str
    seed: int = 0
    must_lose: bool = False
    note: str = ""
    is_skipped: bool = False
    commit: str = ""

    @property
    def is_right(self) -> bool:
        """True where it ran, and came to what it has to."""
        if self.note or not self.trials:
            return False
        return self.lost > 0 if self.must_lose else self.is_clean

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.note:
            return self.note
        if self.must_lose:
            return "loses, as it must" if self.is_right else "DID NOT LOSE"
        return "kept" if self.is_right else "BROKEN"


HEAD = f"{'fault':<58} " + " ".join(f"{name:>10}" for name in COUNTS) + f" {'seed':>8}  verdict"


def show_line(line: Line) -> str:
    """One line of the report."""
    counts = " ".join(f"{getattr(line, name):>10,}" for name in COUNTS)
    return f"{line.fault:<58} {counts} {line.seed:>8}  {line.verdict}"


def find_commit() -> str:
    """The commit that runs, with a `+` where the tree differs from it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return said.stdout.strip() or "unknown"
