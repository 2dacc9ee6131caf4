"""A world made from a seed: the daemon's code, its providers, its clients, and everything that goes wrong between them.

`Safety` is looked at all the while by the audit. For liveness the faults stop at a moment, and everything has to end within BOUND
virtual seconds. The same seed gives the same events and the same phones.
"""

import atexit
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import trio
from trio.testing import MockClock

import broker.daemon
from broker.delivery import fleet, polls
from broker.provider.http import Account
from broker.store.sqlite import open_connection
from plugins.mitake.twin import Twin as MitakeTwin
from plugins.subito.twin import Twin as SubitoTwin
from tests.daemon.house import EPOCH, SECRET
from tests.sim import actors
from tests.sim.audit import Audit
from tests.sim.chance import seeded, stream
from tests.sim.life import Life
from tests.sim.network import Front, Ledger, Line
from tests.sim.setups import FAMILIES, LINES, VARIANTS, load_prepared, name_config

STORM = (10.0, 40.0)
BOUND = 240.0
"""Virtual seconds after the last fault: validity, then the end of a doubt, then the wait for a receipt, and something over."""


class Run(NamedTuple):
    """What one seed came to."""

    seed: int
    findings: tuple[str, ...]
    digest: str
    msgs: int
    copies: int
    events: int
    checks: int
    kills: int
    statuses: dict[str, int]


@cache
def make_folder() -> Path:
    """The folder of this process's worlds, in memory where there is one, with an empty store to copy."""
    there = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="broker-sim-", dir=there if there.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_connection(folder / "empty.db").close()
    return folder


class World:
    """One seed's world."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.rng = stream(seed, "world")
        self.family = seed % FAMILIES
        self.store = folder / "broker.db"
        for path in folder.glob("broker.db*"):
            path.unlink()
        shutil.copyfile(folder / "empty.db", self.store)
        self.ledger = Ledger(self.now)
        self.audit = Audit(self.ledger)
        self.kills = 0
        self.is_calm = False
        self.life: Life | None = None
        self._draw = stream(seed, "draw").randrange
        self._point = 0
        self._names = iter(range(1_000_000))

    def now(self) -> int:
        """The wall clock, milliseconds."""
        return EPOCH + round(trio.current_time() * 1000)

    async def run(self) -> None:
        """From the first start to the verdict."""
        async with trio.open_nursery() as self.nursery:
            self._make_providers()
            await self.start()
            async with trio.open_nursery() as acting:
                actors.start_all(self, acting)
                await trio.sleep(self.rng.uniform(*STORM))
                self.calm()
                acting.cancel_scope.cancel()
            await self._wait_ends()
            assert self.life is not None
            self.audit.look_at_end(is_calm=True)
            await self.life.end()
            self.nursery.cancel_scope.cancel()

    def _make_providers(self) -> None:
        self.providers: dict[str, Line | Front] = {name: Line(name, self.ledger, stream(self.seed, name), self.nursery) for name in LINES}
        mitake = MitakeTwin(password=SECRET, balance=self.rng.choice((3, 1000)))
        subito = SubitoTwin(password=SECRET, balance=self.rng.choice((3, 1000)), settle=self.rng.choice((0, 3000)))
        self.providers["m"] = Front(
            "m", mitake, lambda request: "Query" not in request.path, self.ledger, stream(self.seed, "m"), self.nursery
        )
        self.providers["s"] = Front(
            "s", subito, lambda request: request.query == "action=send", self.ledger, stream(self.seed, "s"), self.nursery
        )

    async def start(self) -> None:
        """Start the daemon, again where it died."""
        while True:
            life = Life(self.config, self.store, self.now, lambda: self._draw(1_000_000))
            life.look = self.audit.look
            self.life = life
            try:
                await self.nursery.start(life.run, self.audit.open)
                return
            except RuntimeError:
                if not life.is_dead:
                    raise
                self.audit.close()  # killed while it recovered: once more

    @property
    def config(self) -> Path:
        """The configuration that a start would read."""
        return name_config(self.family, self._point)

    def pick_config(self) -> None:
        """Another configuration is in the file now."""
        self._point = self.rng.randrange(VARIANTS)
        assert self.life is not None
        self.life.daemon.config = self.config

    async def crash(self) -> None:
        """The process dies, and is started again."""
        assert self.life is not None
        self.kills += 1
        self.life.kill()
        await self.life.ended.wait()
        self.audit.close()
        await self.start()

    async def restart(self) -> None:
        """The process is told to end, and is started again."""
        assert self.life is not None
        await self.life.end()
        self.audit.close()
        await self.start()

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.is_calm = True
        for provider in self.providers.values():
            provider.luck.is_calm = True
            if isinstance(provider, Line):
                provider.credit = None
            if provider.is_down:
                provider.flip()

    async def _wait_ends(self) -> None:
        """Until everything has ended, at most BOUND."""
        life = self.life
        assert life is not None
        sql = "SELECT count(*) FROM message WHERE status IN ('scheduled', 'queued', 'held', 'sending', 'in_doubt', 'sent')"
        with trio.move_on_after(BOUND):
            while life.query._conn.execute(sql).fetchone()[0] or life.journal.waiting:  # noqa: ASYNC110  # a look at the store
                await trio.sleep(1)

    async def open_stream(self, host: str, _port: int) -> trio.abc.Stream:
        """What HTTP accounts connect with."""
        front = self.providers[host]
        assert isinstance(front, Front)
        return await front.open_stream()

    def show(self) -> Run:
        """What it came to."""
        audit = self.audit
        counts: dict[str, int] = {}
        for status in audit.status.values():
            counts[status] = counts.get(status, 0) + 1
        return Run(
            self.seed, tuple(audit.findings), audit.digest, len(audit.status), len(self.ledger.taken), audit.last_seq, audit.checks,
            self.kills, counts,
        )  # fmt: skip


@contextmanager
def _in_place(world: World) -> Iterator[None]:
    """While entered, the daemon's own seams lead into the world."""

    def make(*, max_connections: int, timeout: int) -> Account:
        return Account(max_connections=max_connections, timeout=timeout, open_stream=world.open_stream)

    places: list[tuple[Any, str, Any]] = [
        (broker.daemon, "load_settings", load_prepared),
        (fleet, "HttpAccount", make),
        (polls, "STRAY_WAIT", 30_000),  # 72 h, for receipts of a provider that is no more: longer than a world lasts
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in places]
    try:
        for place, name, value in places:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def run_seed(seed: int) -> Run:
    """Run one world."""
    world = World(seed, make_folder())
    with ExitStack() as stack:
        stack.enter_context(seeded(seed))
        stack.enter_context(_in_place(world))
        trio.run(world.run, clock=MockClock(autojump_threshold=0))
    return world.show()


def quiet() -> None:
    """A world's trouble is no news."""
    logging.getLogger("broker").setLevel(logging.CRITICAL + 1)
