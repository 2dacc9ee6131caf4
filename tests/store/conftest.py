"""A store for every test of the suite, on virtual time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.store.rig import STORES, Sqlite


@pytest.fixture(params=STORES)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> AsyncIterator[Sqlite]:
    """An open store of each kind."""
    made = STORES[request.param](tmp_path, nursery)
    await made.open()
    yield made
    await made.close()
