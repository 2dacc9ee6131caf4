"""A desk for every test of the command line: a folder of its own, no environment, and nothing of the machine's own broker."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.cli import places
from broker.words.clock import read_time
from tests.cli.office import Desk

NOON = "2026-11-21T12:00:00.000Z"


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    # pytest's own folders are too deep for the 107 bytes of a socket's path
    home = Path(tempfile.mkdtemp(prefix="desk-")).resolve()
    monkeypatch.chdir(home)
    for name in ("BROKER_CONFIG", "BROKER_TOKEN", "RUNTIME_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(places, "SYSTEM_FILE", str(home / "etc" / "broker.toml"))
    monkeypatch.setattr(places, "SYSTEM_FOLDER", str(home / "run"))
    yield Desk(home, capsys)
    shutil.rmtree(home)


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make it noon for whoever asks."""
    monkeypatch.setattr(time, "time_ns", lambda: read_time(NOON) * 1_000_000)
    return NOON
