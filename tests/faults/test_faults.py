"""The fault report in short: one mutant of each promise is caught, lost replies make no copies but their policy's, the harness can fail.

`make faults` is the long one.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.doubts import POLICIES, lose_replies
from tests.faults.lines import Line, show_line
from tests.faults.mutation import ROOT
from tests.faults.promises import PROMISES, pick_first
from tests.faults.report import BEGIN, END, Report
from tests.faults.sources import read_tests, read_total

GOOD = "tests/words/test_secret.py::test_the_value_is_there_for_the_wire"
HARNESS = f"""
import sys
from broker.words.secret import Secret
from tests.faults.mutation import Mutant, after, swap, try_mutants

def without_effect(reach):
    swap(Secret, "reveal", lambda was: lambda self: after(reach, was(self)))

def with_effect(reach):
    swap(Secret, "reveal", lambda was: lambda self: after(reach, "***"))

def never_reached(reach):
    swap(Secret, "__format__", lambda was: lambda self, spec: after(reach, ""))

def breaks(reach):
    raise RuntimeError

rows = []
try_mutants([Mutant(1, each.__name__, "", each, "{GOOD}") for each in (without_effect, with_effect, never_reached, breaks)], rows.append)
print(*(f"{{row.mutant.name}}={{row.verdict}}" for row in rows), sep=";", file=sys.__stderr__)
"""


@pytest.mark.timeout(240)
def test_each_promise_is_guarded(tmp_path: Path) -> None:
    """In a process of its own: it forks, and what it imports is imported before any mutant."""
    command = [sys.executable, "-m", "tests.faults", "--only", "promises", "--mutants", "first", "--kept", str(tmp_path / "kept.json")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = Report(tmp_path / "kept.json").list_rows()
    assert [row[0] for row in rows] == list(PROMISES)
    assert {row[4] for row in rows} == {"caught"}


def test_the_harness_says_what_it_saw() -> None:
    ran = subprocess.run([sys.executable, "-c", HARNESS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines()[-1:] == ["without_effect=NOT CAUGHT;with_effect=caught;never_reached=NOT REACHED;breaks=NOT SOUND"], (
        ran.stderr
    )


def test_every_promise_has_a_mutant() -> None:
    assert [mutant.promise for mutant in pick_first()] == list(PROMISES)


@pytest.mark.parametrize("name", sorted(POLICIES, reverse=True))
def test_replies_that_get_lost(name: str) -> None:
    line = lose_replies(name, 6)
    assert (line.is_right, line.msgs) == (True, 6), show_line(line)
    assert ("extra copies: 6" if name == "failover" else "extra copies: 0") in line.fault
    assert line.unknown == (6 if "nothing" in name else 0)


def test_a_line_is_right_only_by_what_ran() -> None:
    assert not Line("never ran").is_right
    assert Line("ran", trials=1, unknown=5).is_right
    for name in ("lost", "duplicated", "stuck", "illegal"):
        assert not Line("broke", **{"trials": 1, name: 1}).is_right  # type: ignore[arg-type]  # the counts are integers
    assert Line("loses", trials=1, lost=1, must_lose=True).is_right
    assert not Line("does not", trials=1, must_lose=True).is_right


def test_a_total_is_read_as_it_was_printed() -> None:
    text = "trials=1 acked=3 seed=4\ntotal: trials=2 acked=7 lost=0 damaged=1 seed=4 synchronous=FULL seconds=1\n"
    line = read_total("power", text, 1)
    assert (line.trials, line.acked, line.msgs, line.illegal, line.seed, line.is_right) == (2, 7, 7, 1, 4, False)
    assert read_total("power", "Killed\n", -9).note == "DID NOT END (exit -9)"
    assert read_total("power", "total: trials=2\n", 1).note == "FAILED (exit 1)"


def test_a_run_of_tests_is_read_by_its_last_line() -> None:
    assert read_tests("proxy", "....\n4 passed in 1.02s\n", 0).is_right
    broken = read_tests("proxy", "..F\nFAILED x - 9 passed\n1 failed, 2 passed, 1 error in 1s\n", 1)
    assert (broken.trials, broken.illegal, broken.is_right) == (4, 2, False)
    assert read_tests("proxy", "....  [100%]\n", 0).note == "DID NOT END (exit 0)"  # said too quietly to be counted
    assert read_tests("proxy", "1 passed in 1s\n", 2).note == "FAILED (exit 2)"


def test_readme_gets_what_is_kept(tmp_path: Path) -> None:
    report, readme = Report(tmp_path / "kept.json"), tmp_path / "README.md"
    report.keep_lines("power", [Line("power cut", trials=3, acked=1_000, seed=7)])
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    Report(tmp_path / "kept.json").write_readme(readme)
    text = readme.read_text()
    assert "| power cut | 3 | 0 | 1,000 | 0 | 0 | 0 | 0 | 0 | 7 | kept |" in text
    assert (text.startswith("before\n"), text.endswith("\nafter\n"), "old" in text) == (True, True, False)
    readme.write_text("nothing")
    with pytest.raises(ValueError, match="no place for the report"):
        report.write_readme(readme)
