"""Holds the code to the picture in DESIGN.md, "Floors": a room imports only the floors below it.

The picture stands here as a table; every import is read with `ast`, those inside functions and under
TYPE_CHECKING too, and nothing is executed. The bad snippets at the end show that each rule can fail.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"words"}),
    frozenset({"text", "routing", "policy", "smpp"}),
    frozenset({"config", "provider", "store", "ops"}),
    frozenset({"delivery"}),
    frozenset({"api"}),
    frozenset({"cli", "daemon"}),
)
SIDEWAYS = {
    ("cli", "daemon"),  # `run` builds the daemon; never the other way
    # The pure floor has steps: ranking looks at a sender's form, a decision takes a Route. A copy of either would be a second truth.
    ("routing", "text"),
    ("policy", "routing"),
}
FREE = {"broker", "broker.__main__"}  # the version and the entry point belong to no floor

PURE = FLOORS[0] | FLOORS[1]
# Plugins see the pure floors and the form they must have; never another plugin.
PLUGINS_MAY = {"broker.provider.contract", "broker.provider.smpp", "broker.provider.smpp_twin"}

# module → the only places that may import it (a room, or one module)
KEPT_IN: dict[str, tuple[str, ...]] = {
    "httpx": ("broker.provider.http",),
    "sqlite3": ("broker.store",),
    "sqlite_utils": ("broker.store",),
}
# A session plugin keeps its own connection, so it waits.
SESSIONS = {"plugins.loopback"}
# Functions of values wait for nothing and talk to nobody.
NOT_IN_PURE = {"trio", "trio_websocket", "asyncio", "threading", "socket", "ssl", "subprocess"}

MONEY = ("broker.words.money", "broker.routing", "broker.delivery.ledger")
BANNED_NAMES = {
    *("manager", "managers", "helper", "helpers", "util", "utils", "utility", "utilities"),
    *("common", "base", "misc"),
}
MOST_LINES = 400

Sources = Mapping[str, str]  # path from the repository's root → text


class Import(NamedTuple):
    module: str
    target: str
    line: int
    is_relative: bool
    is_typing: bool = False


def module_of(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_within(module: str, place: str) -> bool:
    return module == place or module.startswith(place + ".")


def room_of(module: str) -> str | None:
    """`text` for broker.text.gsm7, `plugins.mitake` for a plugin's module, None outside the house."""
    parts = module.split(".")
    if parts[0] == "plugins" and len(parts) > 1:
        return f"plugins.{parts[1]}"
    return parts[1] if parts[0] == "broker" and len(parts) > 1 and module not in FREE else None


def floor_of(room: str) -> int | None:
    return next((n for n, rooms in enumerate(FLOORS) if room in rooms), None)


def find_targets(node: ast.AST, module: str, is_package: bool, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        start = module.split(".")
        if node.level:  # one dot is the package itself, which for an __init__ is the module
            start = start[: len(start) - node.level + is_package]
            origin = ".".join([*start, *([node.module] if node.module else [])])
        else:
            origin = node.module or ""
        for alias in node.names:  # `from broker.provider import contract` means the module contract
            inner = f"{origin}.{alias.name}"
            yield inner if inner in known else origin
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
            yield node.args[0].value


def find_typing_only(tree: ast.AST) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING:`: a name for a type, which never runs."""
    ifs = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    return {
        inner
        for node in ifs
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for outer in node.body
        for inner in ast.walk(outer)
    }


def find_imports(sources: Sources) -> Iterator[Import]:
    known = PLUGINS_MAY | {f"broker.{room}" for floor in FLOORS for room in floor}
    known |= {module_of(path) for path in sources}
    for path, text in sources.items():
        module = module_of(path)
        tree = ast.parse(text, path)
        typing_only = find_typing_only(tree)
        for node in ast.walk(tree):
            for target in find_targets(node, module, path.endswith("__init__.py"), known):
                is_relative = bool(getattr(node, "level", 0))
                yield Import(module, target, getattr(node, "lineno", 0), is_relative, node in typing_only)


def explain_package(module: str, room: str | None, top: str) -> str | None:
    """Why a module of `room` may not import somebody else's package `top`; None if it may."""
    keepers = KEPT_IN.get(top)
    if keepers and not any(is_within(module, keeper) for keeper in keepers):
        return f"only {' '.join(keepers)} may import {top}"
    if top in NOT_IN_PURE and room is not None and room not in SESSIONS and (room in PURE or room.startswith("plugins.")):
        return f"{room} is pure: no {top}"
    return None


def explain_edge(edge: Import) -> str | None:
    """Why `edge` is none of the picture; None if it is."""
    module, target = edge.module, edge.target
    room, other = room_of(module), room_of(target)
    top = target.split(".")[0]
    if top not in ("broker", "plugins"):
        return explain_package(module, room, top)
    if room is None or (room == other and (edge.is_relative or top == "broker")):
        return None
    if top == "plugins" or is_within(target, "broker.plugins"):
        return "no plugin is imported by name; inside one, imports are relative (the wheel has no `plugins`)"
    if other is None:
        return None
    if room.startswith("plugins."):
        allowed = other in PURE or target in PLUGINS_MAY
        return None if allowed else f"a plugin sees floors 0 and 1 and {' '.join(sorted(PLUGINS_MAY))}"
    here, there = floor_of(room), floor_of(other)
    if here is None or there is None:
        return f"{room if here is None else other} is no room of the picture"
    if there < here or (room, other) in SIDEWAYS:
        return None
    return f"floor {here} may not import {'its own floor' if there == here else f'floor {there}'}"


def check_edges(sources: Sources) -> Iterator[str]:
    for edge in find_imports(sources):
        reason = explain_edge(edge)
        if reason:
            yield f"{edge.module}:{edge.line}: imports {edge.target}: {reason}"


def check_rooms(sources: Sources) -> Iterator[str]:
    for path in sources:
        room = room_of(module_of(path))
        if path.startswith("broker/") and room is not None and floor_of(room) is None:
            yield f"{path}: {room} is no room of the picture (DESIGN.md, Floors)"


def find_cycle(graph: Mapping[str, Iterable[str]]) -> list[str] | None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as problem:
        return list(problem.args[1])
    return None


def check_cycles(sources: Sources) -> Iterator[str]:
    modules: dict[str, set[str]] = {module_of(path): set() for path in sources}
    rooms: dict[str, set[str]] = {}
    for edge in find_imports(sources):
        # Two modules of one room may name each other's types; they may not need each other to run.
        if edge.target in modules and edge.target != edge.module and not edge.is_typing:
            modules[edge.module].add(edge.target)
        room, other = room_of(edge.module), room_of(edge.target)
        if room and other and room != other:
            rooms.setdefault(room, set()).add(other)
    for kind, graph in (("modules", modules), ("rooms", rooms)):
        cycle = find_cycle(graph)
        if cycle:
            yield f"{kind} import each other: {' -> '.join(cycle)}"


def check_form(sources: Sources) -> Iterator[str]:
    for path, text in sources.items():
        lines = len(text.splitlines())
        if lines > MOST_LINES:
            yield f"{path}: {lines} lines, at most {MOST_LINES}"
        for part in path.removesuffix(".py").split("/"):
            if BANNED_NAMES & set(part.lower().split("_")):
                yield f"{path}: `{part}` says nothing of its job"
        for node in ast.walk(ast.parse(text, path)):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                yield f"{path}:{node.lineno}: bare except"


def check_money(sources: Sources) -> Iterator[str]:
    for path, text in sources.items():
        if not any(is_within(module_of(path), place) for place in MONEY):
            continue
        for node in ast.walk(ast.parse(text, path)):
            is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            is_call = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "float"
            if is_literal or is_call:
                yield f"{path}:{getattr(node, 'lineno', 0)}: a float near money"


CHECKS = {
    "edges": check_edges,
    "rooms": check_rooms,
    "cycles": check_cycles,
    "form": check_form,
    "money": check_money,
}


def read_sources(*folders: str) -> dict[str, str]:
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


HOUSE = read_sources("broker", "plugins")


@pytest.mark.parametrize("name", CHECKS)
def test_the_house_stands(name: str) -> None:
    assert list(CHECKS[name](HOUSE)) == []


def test_tests_keep_the_form() -> None:
    assert list(check_form(read_sources("tests"))) == []


def test_the_house_was_read() -> None:
    assert {"broker/__init__.py", "broker/__main__.py"} <= HOUSE.keys()
    assert any(edge.target == "broker.cli" for edge in find_imports(HOUSE))


# (what is wrong, the files, the check that finds it, a word of its complaint)
BAD: list[tuple[str, dict[str, str], str, str]] = [
    ("upward", {"broker/text/gsm7.py": "import broker.store.journal"}, "edges", "floor 1 may not"),
    ("upward, lazily", {"broker/words/a.py": "def f():\n    from broker import api"}, "edges", "floor 0"),
    ("upward, relative", {"broker/policy/a.py": "from ..delivery import lanes"}, "edges", "floor 3"),
    ("upward, package", {"broker/policy/__init__.py": "from ..api.x import y"}, "edges", "floor 4"),
    ("upward, by string", {"broker/ops/a.py": "importlib.import_module('broker.api')"}, "edges", "floor 4"),
    ("upward, types", {"broker/words/a.py": "if TYPE_CHECKING:\n import broker.cli"}, "edges", "floor 5"),
    ("sideways", {"broker/text/a.py": "from broker.routing.rank import rank"}, "edges", "its own floor"),
    ("daemon to cli", {"broker/daemon.py": "import broker.cli.run"}, "edges", "its own floor"),
    ("stranger", {"broker/cli/a.py": "import broker.cellar"}, "edges", "no room"),
    ("new room", {"broker/cellar/a.py": ""}, "rooms", "no room"),
    ("plugin by name", {"broker/cli/a.py": "from plugins.mitake import plugin"}, "edges", "by name"),
    ("the wheel's plugin", {"broker/cli/a.py": "import broker.plugins.mitake"}, "edges", "by name"),
    ("plugin to plugin", {"plugins/a/plugin.py": "from plugins.b import plugin"}, "edges", "by name"),
    ("plugin next door", {"plugins/a/plugin.py": "from ..b import plugin"}, "edges", "by name"),
    ("own plugin, absolute", {"plugins/a/twin.py": "from plugins.a import plugin"}, "edges", "relative"),
    ("plugin too deep", {"plugins/a/plugin.py": "from broker.provider import http"}, "edges", "a plugin"),
    ("plugin to store", {"plugins/a/plugin.py": "from broker.store import journal"}, "edges", "a plugin"),
    ("plugin with trio", {"plugins/a/plugin.py": "import trio"}, "edges", "pure"),
    ("rule with trio", {"broker/routing/rank.py": "from trio import sleep"}, "edges", "pure"),
    ("httpx elsewhere", {"broker/provider/registry.py": "import httpx"}, "edges", "only broker.provider"),
    ("httpx in a plugin", {"plugins/a/plugin.py": "from httpx import URL"}, "edges", "only broker.provider"),
    ("sqlite above", {"broker/cli/a.py": "import sqlite3"}, "edges", "only broker.store"),
    ("sqlite-utils", {"broker/delivery/a.py": "import sqlite_utils.db"}, "edges", "only broker.store"),
    (
        "cycle",
        {"broker/text/a.py": "from . import b", "broker/text/b.py": "def f(): import broker.text.a"},
        "cycles",
        "modules import each other",
    ),
    (
        "cycle of rooms",
        {"broker/text/a.py": "import broker.ops.b", "broker/ops/c.py": "import broker.text.d"},
        "cycles",
        "rooms import each other",
    ),
    ("long", {"broker/text/a.py": "\n" * 401}, "form", "401 lines"),
    ("bare except", {"plugins/a/plugin.py": "try:\n    f()\nexcept:\n    pass"}, "form", "bare except"),
    ("name of a file", {"broker/text/text_utils.py": ""}, "form", "says nothing"),
    ("name of a folder", {"broker/store/common/rows.py": ""}, "form", "says nothing"),
    ("float literal", {"broker/words/money.py": "PRICE = 0.5"}, "money", "float near money"),
    ("float call", {"broker/routing/price/table.py": "p = float('1')"}, "money", "float near money"),
    ("float in the ledger", {"broker/delivery/ledger.py": "x = 1e6"}, "money", "float near money"),
]


@pytest.mark.parametrize(("files", "check", "word"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_bad_house_falls(files: dict[str, str], check: str, word: str) -> None:
    found = list(CHECKS[check](files))
    assert len(found) == 1
    assert word in found[0]


GOOD: list[dict[str, str]] = [
    {"broker/text/a.py": "from broker.words import message\nimport re", "broker/words/message.py": ""},
    {"broker/cli/a.py": "def f():\n    from broker import daemon, __version__", "broker/daemon.py": ""},
    {"plugins/a/plugin.py": "from broker.provider.contract import Call\nfrom broker.policy import x"},
    {"plugins/a/b.py": "from broker.provider import contract\nfrom broker.words.money import to_micros"},
    {"plugins/a/twin.py": "from . import plugin\nfrom .plugin import CODES", "plugins/a/plugin.py": ""},
    {"broker/provider/http.py": "import httpx, trio", "broker/store/a.py": "import sqlite_utils, sqlite3"},
    {
        "broker/text/__init__.py": "from .a import f",
        "broker/text/a.py": "from . import b",
        "broker/text/b.py": "",
    },
    {"broker/text/a.py": "X = 0.5", "broker/words/money.py": "X = 10**6\nisinstance(X, float)"},
    {"broker/text/commonwealth.py": "try:\n    f()\nexcept ValueError:\n    pass"},
]


@pytest.mark.parametrize("files", GOOD, ids=[" ".join(files) for files in GOOD])
def test_a_good_house_stands(files: dict[str, str]) -> None:
    assert [complaint for check in CHECKS.values() for complaint in check(files)] == []


def test_the_picture_is_that_of_the_table() -> None:
    """Every room stands on one floor, and every kept or named module has its room in the picture."""
    rooms = [room for floor in FLOORS for room in floor]
    assert len(rooms) == len(set(rooms))
    named = [*PLUGINS_MAY, *MONEY, *(keeper for keepers in KEPT_IN.values() for keeper in keepers)]
    assert {room_of(module) for module in named} <= set(rooms)
    assert all(re.fullmatch(r"[a-z]+", room) for room in rooms)
