"""The seventeen promises of DESIGN.md, and for each the tests that guard it, as seen to fail with its protection off.

The rows are made of what running showed; nothing here says that a mutant was caught.
"""

from collections.abc import Iterable

from tests.faults import mutants_sent, mutants_told
from tests.faults.mutation import MUTANTS, Mutant, Row

PROMISES = {
    1: "durable accept",
    2: "no silent loss",
    3: "idempotent submit",
    4: "intent before wire",
    5: "one attempt at a time",
    6: "bounded copies",
    7: "negative before failover",
    8: "monotone statuses",
    9: "receipts durable, in any order",
    10: "receipts authentic",
    11: "feed without gaps",
    12: "no send after validity",
    13: "money conserved",
    14: "containment",
    15: "fencing",
    16: "secrecy",
    17: "idempotent recovery",
}
HALF = {15: "one node: several are not in this version"}
"""Promises of which only a part can be broken yet, and why."""
FILES = (mutants_sent, mutants_told)


def pick(names: Iterable[str] = ()) -> list[Mutant]:
    """The mutants of these names, all where there are none, by promise. Raises KeyError naming one that is not there."""
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    chosen = [by_name[name.replace("-", " ")] for name in names] or MUTANTS
    return sorted(chosen, key=lambda mutant: mutant.promise)


def pick_first() -> list[Mutant]:
    """One mutant of each promise: its first."""
    first: dict[int, Mutant] = {}
    for mutant in pick():
        first.setdefault(mutant.promise, mutant)
    return list(first.values())


def show_row(row: Row) -> str:
    """The line of one mutant."""
    mutant, guard = row.mutant, row.mutant.guard.removeprefix("tests/")
    return f"{mutant.promise:>2}  {PROMISES[mutant.promise]:<31}{mutant.name:<33}{row.verdict:<12}{guard}"
