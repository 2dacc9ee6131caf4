"""Whatever stands in the file, in whatever place: at most a problem, never another exception."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from broker.config.effective import tree_of
from broker.words.settings import Match, Settings
from tests.config.desk import CONTRACT, PostConfig, faults, read

ODD = [
    *("5", "-1", '""', '"x"', '"\\u0000"', "[]", "{}", "[{}]", "true", "nan", "1979-05-27", "{ a = 1 }", '{ env = "NO" }'),
    *('{ env = "E" }', '["x", "x"]', f'"{"x" * 5000}"', "9" * 400),
]
RULE = '[providers.a]\nplugin="free"\n[[rules]]\nuse=["a"]\n'


def keys_of(settings: Settings) -> Iterator[str]:
    """Every key of the file, as the text to which a value can be put."""
    tree = tree_of(settings)
    yield from tree
    yield from (RULE + key for key in tree["rules"][0] if key != "use")
    yield from (f"{RULE}match.{key}" for key in Match.__struct_fields__)
    yield '[providers.a]\nplugin="free"\n[[rules]]\nuse'
    yield from (f'[providers.a]\nplugin="post"\n{key}' for key in tree["providers"]["mitake"] if key != "plugin")
    yield from (f'[providers.a]\nplugin="post"\n{key.encode_name}' for key in msgspec.structs.fields(PostConfig))
    yield "[providers.a]\nplugin"
    for section in ("tokens", "clients"):
        yield from (f"[{section}.a]\n{key}" for table in tree[section].values() for key in table)
    for section in ("broker", "store", "submit", "control", "feed", "suppress", "currencies", "groups"):
        yield from (f"[{section}]\n{key}" for key in tree[section])


def test_no_value_anywhere_is_more_than_a_problem(tmp_path: Path) -> None:
    keys = list(keys_of(read(tmp_path, CONTRACT)))
    assert len(keys) > 90
    told = 0
    for key in keys:
        for value in ODD:
            problems = faults(tmp_path, f"{key} = {value}\n", environ={"E": "1"})
            assert all(problem.message and problem.line for problem in problems), (key, value)
            told += bool(problems)
    assert told > len(keys) * len(ODD) / 2


@pytest.mark.parametrize("depth", [40, 200, 300, 330, 480, 900])
def test_nesting_without_end_is_a_problem(tmp_path: Path, depth: int) -> None:
    lists, tables, dots = "[" * depth + "]" * depth, "{a=" * depth + "1" + "}" * depth, "a." * depth
    for text in (f"a = {lists}", f"[broker]\na = {tables}", f"[broker]\n{dots}b = 1"):
        assert faults(tmp_path, text), text[:20]
    assert os.listdir(tmp_path) == ["broker.toml"]
