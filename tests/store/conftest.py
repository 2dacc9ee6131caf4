"""A store for every test of the suite. A test that waits asks for `autojump_clock` as well: pytest-trio wants it from the test itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.store.rig import STORES, Sqlite


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Sqlite]:
    """An open store of each kind."""
    made = STORES[request.param](tmp_path, nursery)
    await made.open()
    yield made
    await made.close()
