"""Each security control S1 to S20 has the tests that `controls` names, and they are there."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.security.controls import CONTROLS

TESTS = Path(__file__).parents[1]


@cache
def find_tests(file: str) -> frozenset[str]:
    """The names of the tests in a file below tests/."""
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_none_is_left_out() -> None:
    assert list(CONTROLS) == [f"S{number}" for number in range(1, 21)]


@pytest.mark.parametrize("number", CONTROLS)
def test_a_control_has_the_tests_that_prove_it(number: str) -> None:
    control = CONTROLS[number]
    assert control.tests or control.later
    for named in control.tests:
        file, _, name = named.partition("::")
        assert name in find_tests(file), named
