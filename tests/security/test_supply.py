"""What the broker is made of (S19): pinned with hashes, and told at its start."""

import re
import sys
from pathlib import Path

import pytest
import trio

from broker.ops.versions import show_versions
from broker.store.sqlite import SQLITE

ROOT = Path(__file__).parents[2]


def read_requirements(text: str) -> list[str]:
    """Each requirement with its hashes, on a line of its own."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_with_its_hashes(name: str) -> None:
    lines = read_requirements((ROOT / name).read_text())
    assert len(lines) > 5
    for line in lines:
        if not line.startswith("-r "):
            assert re.fullmatch(r"[A-Za-z0-9_.-]+==[^\s=]+( *;[^-]*)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line), line


def test_nothing_else_is_installed() -> None:
    """pip runs with --require-hashes wherever it runs, and no code of ours runs it."""
    makefile = (ROOT / "Makefile").read_text()
    assert [line for line in makefile.splitlines() if " pip " in line and "--require-hashes" not in line and "import pip" not in line] == []
    for file in (*(ROOT / "broker").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")):
        assert not re.search(r"\bpip\b.*\binstall\b|\bensurepip\b", file.read_text()), file


def test_the_versions_are_those_in_use() -> None:
    python = ".".join(map(str, sys.version_info[:3]))
    assert show_versions(sqlite=SQLITE) == f"python={python} trio={trio.__version__} sqlite={SQLITE}"
