"""The report: what was run is kept with its commit and its time, and shown as text and as README's tables. Makes up nothing."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.lines import COUNTS, HEAD, Line, find_commit, show_line
from tests.faults.mutation import Row
from tests.faults.promises import HALF, PROMISES

BEGIN, END = "<!-- faults: written by `make faults`, not by hand -->", "<!-- end of faults -->"


class Report:
    """Results by the word that chose them, in the file `path`; a later run replaces an earlier one of the same word."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    def _keep(self, word: str, what: dict[str, Any]) -> None:
        self.kept[word] = {"commit": find_commit(), "at": time.strftime("%Y-%m-%d", time.gmtime()), **what}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.kept, indent=1))

    def keep_lines(self, word: str, lines: Iterable[Line]) -> None:
        """Keep the lines of one source."""
        self._keep(word, {"lines": [asdict(line) for line in lines]})

    def keep_rows(self, rows: Iterable[Row]) -> None:
        """Keep what came of the mutants."""
        told = [(row.mutant.promise, row.mutant.name, row.mutant.what, row.mutant.guard, row.verdict) for row in rows]
        self._keep("promises", {"rows": told})

    def list_lines(self) -> list[tuple[dict[str, Any], Line]]:
        """Every line, with where it comes from."""
        return [(kept, Line(**line)) for kept in self.kept.values() for line in kept.get("lines", ())]

    def list_rows(self) -> list[list[Any]]:
        """Every mutant's: promise, name, what, guard, verdict."""
        rows: list[list[Any]] = self.kept.get("promises", {}).get("rows", [])
        return rows

    def show(self) -> str:
        """The whole as text."""
        out = [HEAD, *(f"{show_line(line)}  {line.commit or kept['commit']}" for kept, line in self.list_lines()), ""]
        for promise, words in PROMISES.items():
            rows = [row for row in self.list_rows() if row[0] == promise]
            out.append(f"{promise:>2} {words}{f' ({HALF[promise]})' if promise in HALF else ''}")
            out += [f"     {verdict:<12}{name:<32}{guard.removeprefix('tests/')}" for _, name, _, guard, verdict in rows]
        return "\n".join(out)

    def show_markdown(self) -> str:
        """The whole as README has it."""
        found = self.list_lines()
        out = ["| fault | " + " | ".join(COUNTS) + " | seed | | commit, date |", "|---|" + "---|" * (len(COUNTS) + 3)]
        for kept, line in found:
            counts = " | ".join(f"{getattr(line, name):,}" for name in COUNTS)
            out.append(f"| {line.fault} | {counts} | {line.seed} | {line.verdict} | {line.commit or kept['commit']}, {kept['at']} |")
        kept = self.kept.get("promises", {"commit": "?", "at": "?"})
        caught = sum(row[4] == "caught" for row in self.list_rows())
        out += ["", f"Each promise with protections switched off, one at a time ({kept['commit']}, {kept['at']}): {caught} of"]
        out[-1] += f" {len(self.list_rows())} were caught by the test that guards them."
        out += ["", "| | promise | switched off | caught by |", "|---|---|---|---|"]
        for promise, words in PROMISES.items():
            rows = [row for row in self.list_rows() if row[0] == promise]
            names = "; ".join(f"{name}{'' if verdict == 'caught' else f' **{verdict}**'}" for _, name, _, _, verdict in rows)
            guards = ", ".join(dict.fromkeys(f"`{guard.rpartition('::')[2]}`" for *_, guard, _ in rows))
            out.append(f"| {promise} | {words}{f' ({HALF[promise]})' if promise in HALF else ''} | {names} | {guards} |")
        return "\n".join(out)

    def write_readme(self, readme: Path) -> None:
        """Put the tables in the place of README's old ones. Raises ValueError where it has no such place."""
        text = readme.read_text()
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"{readme} has no place for the report: it begins with {BEGIN} and ends with {END}")
        readme.write_text(f"{before}{BEGIN}\n{self.show_markdown()}\n{END}{after}")
