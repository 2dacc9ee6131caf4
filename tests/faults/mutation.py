"""Mutation: one protection switched off, and the test that guards it run in a process of its own, where it has to fail.

A mutant patches named functions of the broker from outside; nothing in the broker knows of it. What it counts for is seen, never assumed:
the guard passes without it, fails with it, and the patched function was reached.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).parents[2]
OPTIONS = ["-p", "no:cacheprovider", "-p", "no:xdist", "-qq", f"--rootdir={ROOT}"]

Reach = Callable[[], None]


@dataclass(frozen=True)
class Mutant:
    """`apply(reach)` switches the protection off, and has `reach` called where that shows; `guard` is the test that must fail then.

    `promise` is DESIGN's number.
    """

    promise: int
    name: str
    what: str
    apply: Callable[[Reach], None]
    guard: str


MUTANTS: list[Mutant] = []
"""All of them, in the order of their files."""


def guarded(promise: int, guard: str) -> Callable[[Callable[[Reach], None]], Callable[[Reach], None]]:
    """Make a mutant of the function below: named as it is, and described by its docstring."""

    def enter(apply: Callable[[Reach], None]) -> Callable[[Reach], None]:
        assert apply.__doc__ is not None
        MUTANTS.append(Mutant(promise, apply.__name__.replace("_", " "), apply.__doc__.rstrip("."), apply, guard))
        return apply

    return enter


@dataclass(frozen=True)
class Seen:
    """What came of a guard: which of its tests failed, whether any could not be set up, how often a patched function was reached."""

    failed: tuple[str, ...]
    broken: bool
    reached: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """One mutant and what came of it: `whole` is its guard with nothing switched off."""

    mutant: Mutant
    whole: Seen
    seen: Seen

    @property
    def verdict(self) -> str:
        """`caught` where the guard passes without the mutant, reaches it, and fails with it; else what is wrong."""
        if self.whole.failed or self.whole.broken or self.seen.broken:
            return "NOT SOUND"
        if not self.seen.reached:
            return "NOT REACHED"
        return "caught" if self.seen.failed else "NOT CAUGHT"

    @property
    def is_caught(self) -> bool:
        """True where all is as it has to be."""
        return self.verdict == "caught"


def swap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put `make(what is there)` in the place of `owner.name`."""
    setattr(owner, name, make(getattr(owner, name)))


def after(reach: Reach, value: Any) -> Any:
    """`value`, once `reach` was called."""
    reach()
    return value


def instead(reach: Reach, value: Any = None) -> Callable[[Any], Any]:
    """A maker for `swap`: whatever is called, nothing is done but `value` given."""

    def make(_was: Any) -> Any:
        def nothing(*_args: Any, **_named: Any) -> Any:
            reach()
            return value

        return nothing

    return make


class Trials:
    """A pytest plugin that runs, in place of the tests collected, each mutant's guard in a child forked for it: without it, and with it."""

    def __init__(self, mutants: Sequence[Mutant], tell: Callable[[Row], None]) -> None:
        self._mutants = mutants
        self._tell = tell
        self._whole: dict[str, Seen] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run them all."""
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # one folder for all children
        for mutant in self._mutants:
            items = [item for item in session.items if item.nodeid.partition("[")[0] == mutant.guard]
            if mutant.guard not in self._whole:
                self._whole[mutant.guard] = _run_forked(items, None)
            self._tell(Row(mutant, self._whole[mutant.guard], _run_forked(items, mutant)))
        return True


def try_mutants(mutants: Sequence[Mutant], tell: Callable[[Row], None]) -> None:
    """Run each mutant's guard without it and with it; `tell` each row as it is there. Raises RuntimeError where a guard cannot be found."""
    guards = dict.fromkeys(str(ROOT / mutant.guard) for mutant in mutants)
    code = pytest.main([*OPTIONS, *guards], plugins=[Trials(mutants, tell)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"pytest ended with {code!r}: is a guard named that is not there?")


def _run_forked(items: Sequence[pytest.Item], mutant: Mutant | None) -> Seen:
    begun = time.monotonic()
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        _run_child(items, mutant, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    failed, broken, reached = json.loads(told) if told else ([], True, 0)
    return Seen(tuple(failed), broken, reached, time.monotonic() - begun)


def _run_child(items: Sequence[pytest.Item], mutant: Mutant | None, write: int) -> None:
    """In the child: run until one fails, tell by the pipe, and end without a word more."""
    reached, failed, broken = [0], list[str](), not items

    def reach() -> None:
        reached[0] += 1

    try:
        if mutant is not None:
            mutant.apply(reach)
        for item in items:
            reports = runtestprotocol(item, log=False, nextitem=None)
            broken = broken or any(report.failed and report.when == "setup" for report in reports)
            failed += [item.nodeid for report in reports if report.failed and report.when != "setup"]
            if failed:
                break
        os.write(write, json.dumps([failed, broken, reached[0]]).encode())
    finally:
        os._exit(0)
