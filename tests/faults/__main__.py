"""`python -m tests.faults`: every fault that the tests know, and every promise with its protections off: one report. Exit 1 if one broke.

What ran is kept in var/faults.json, so that the long ones can run by themselves (`--only crash`); the report shows all that is kept.
"""

import argparse
import os
import sys
from pathlib import Path

from tests.faults.lines import show_line
from tests.faults.mutation import ROOT, Row, try_mutants
from tests.faults.promises import pick, pick_first, show_row
from tests.faults.report import Report
from tests.faults.sources import SOURCES


def main() -> int:
    """Run what was chosen; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    words = ["promises", *SOURCES]
    parser.add_argument("--only", default=",".join(words), help=f"which, of: {', '.join(words)}; or `none`, to show what is kept")
    parser.add_argument("--mutants", default="", help="names of mutants, or `first` for one of each promise (all)")
    parser.add_argument("--crash", type=int, default=1000, help="kills at random")
    parser.add_argument("--points", type=int, default=20, help="kills at each failpoint")
    parser.add_argument("--power", type=int, default=10_000, help="power cuts")
    parser.add_argument("--sim", type=int, default=10_000, help="simulated worlds")
    parser.add_argument("--replies", type=int, default=100, help="replies that get lost, under each policy")
    parser.add_argument("--seed", type=int, default=None, help="of whatever is drawn (any)")
    parser.add_argument("--kept", type=Path, default=ROOT / "var" / "faults.json", help="where results are kept (var/faults.json)")
    parser.add_argument("--short", action="store_true", help="the machine's faults as small as in CI")
    parser.add_argument("--log", type=_read_log, action="append", default=[], help="crash=FILE, points=FILE: what they printed, ran alone")
    parser.add_argument("--readme", action="store_true", help="write the tables into README.md")
    options = parser.parse_args()
    options.log = dict(options.log)
    chosen = [] if options.only == "none" else options.only.split(",")
    for word in chosen:
        if word not in words:
            parser.error(f"there is no {word}; there are {', '.join(words)}")
    report, is_right = Report(options.kept), True
    if "promises" in chosen:
        rows = _try(options.mutants)
        report.keep_rows(rows)
        is_right &= all(row.is_caught for row in rows)
    for word in chosen:
        if word in SOURCES:
            lines = list(SOURCES[word](options))
            report.keep_lines(word, lines)
            is_right &= all(line.is_right or line.is_skipped for line in lines)
            print(*map(show_line, lines), sep="\n", file=sys.stderr, flush=True)
    print(report.show())
    if options.readme:
        report.write_readme(ROOT / "README.md")
    return 0 if is_right else 1


def _read_log(text: str) -> tuple[str, Path]:
    word, _, path = text.partition("=")
    if word not in ("crash", "points") or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"{text} is not crash=FILE or points=FILE")
    return word, Path(path)


def _try(names: str) -> list[Row]:
    """Run mutants; pytest's own output is of no interest, and gets none."""
    mutants = pick_first() if names == "first" else pick(filter(None, names.split(",")))
    rows: list[Row] = []
    said = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:

        def tell(row: Row) -> None:
            rows.append(row)
            os.write(said, f"{show_row(row)}\n".encode())

        try_mutants(mutants, tell)
    finally:
        os.dup2(said, 1)
        os.close(said)
        os.close(null)
    return rows


if __name__ == "__main__":
    sys.exit(main())
