"""Fixtures of the end-to-end tests: a broker in the test, and the silence that every run has to keep."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.daemon.hookside import Outside, in_memory
from tests.daemon.house import CANARIES, EPOCH, House, InMemory, Toml
from tests.daemon.site import Site, with_callbacks

MakeHouse = Callable[..., Awaitable[House]]
MakeSite = Callable[..., Awaitable[Site]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seeds N`: how many random stories test_liveness tells."""
    parser.addoption("--seeds", type=int, default=6)


@pytest.fixture
async def make_house(tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[MakeHouse]:
    """`await make_house(settings, twins)`: a running broker on virtual time."""
    made: list[House] = []
    with ExitStack() as stack:

        async def make(settings: Toml, twins: dict[str, dict[str, Any]] | None = None) -> House:
            house = House(tmp_path, settings, twins)
            stack.enter_context(InMemory(house))
            await house.start(nursery)
            made.append(house)
            return house

        yield make
        for house in made:
            await house.stop()


@pytest.fixture
def make_site(make_house: MakeHouse, tmp_path: Path) -> MakeSite:
    """`await make_site(names=, providers=)`: the same with [callbacks], its providers such as call back."""

    async def make(**more: Any) -> Site:
        return Site(await make_house(with_callbacks(str(tmp_path), **more)))

    return make


@pytest.fixture
async def outside(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncIterator[Outside]:
    """The other side of every webhook."""
    with in_memory(Outside(nursery, lambda: EPOCH + round(trio.current_time() * 1000))) as all_of_it:
        yield all_of_it


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No secret, text or whole number in the log, on stdout or on stderr, in any test here (promise 16)."""
    caplog.set_level(logging.DEBUG)
    yield
    out, err = capfd.readouterr()
    seen = "\n".join([caplog.text, *(repr(record.args) for record in caplog.records), out, err])
    for canary in CANARIES:
        assert canary not in seen
