"""A world made from a seed: the daemon's code, its providers, its clients, and everything that goes wrong between them.

`Safety` is looked at all the while by the audit. For liveness the faults stop at a moment, and everything has to end within BOUND
virtual seconds. The same seed gives the same events and the same phones.
"""

import atexit
import gc
import logging
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import trio

import broker.daemon
from broker.delivery import bell, endpoints, fleet, polls, schedule
from broker.delivery.ledger import Ledger
from broker.provider import smpp_binding
from broker.provider.contract import Call, Reply
from broker.provider.http import Account
from broker.provider.transport import Pool
from broker.store import journal
from broker.store.contract import Operation
from broker.store.failpoints import name_kinds
from broker.store.sqlite import open_connection
from tests.daemon.house import EPOCH
from tests.sim import actors
from tests.sim.actors import ACTS
from tests.sim.audit import Audit
from tests.sim.chance import seeded, stream
from tests.sim.clock import make_clock
from tests.sim.front import KINDS, Front
from tests.sim.life import Disk, Fuse, Life
from tests.sim.network import Ledger as Phones
from tests.sim.network import Line, forget_lines
from tests.sim.outside import Outside
from tests.sim.setups import FAMILIES, VARIANTS, has_hooks, list_names, load_prepared, name_config
from tests.sim.smsc import Smsc
from tests.sim.verdict import Verdict
from tests.sim.wire import post

BOUND = 600.0
"""Virtual seconds after the last fault: validity, the end of a doubt, the wait for a receipt, the longest pauses of a webhook."""


_UNDER_WAY = (
    "SELECT (SELECT count(*) FROM message WHERE status IN ('scheduled', 'queued', 'held', 'sending', 'in_doubt', 'sent'))"
    " + (SELECT count(*) FROM hook)"
)


class Size(NamedTuple):
    """How much there is in a world: the most of programs, of turns for each, of messages in a turn, of blows; and its storm in seconds."""

    programs: int
    turns: int
    crowd: tuple[int, ...]
    blows: int
    storm: tuple[float, float]


SIZES = (
    Size(1, 2, (1, 1, 2), 2, (1.0, 8.0)),
    Size(2, 4, (1, 1, 2, 6), 4, (3.0, 16.0)),
    Size(3, 5, (1, 1, 2, 6), 6, (3.0, 16.0)),
)
"""Most worlds are small: what goes wrong needs few messages, and many small worlds have more of it than a few large ones."""


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
        self.ledger = Phones(self.now)
        self.audit = Audit(self.ledger)
        self.kills = 0
        self.is_calm = False
        self.life: Life | None = None
        self.fuse = Fuse()
        self.is_slow = self.rng.random() < 0.5
        self.size = SIZES[self.rng.choices((0, 1, 2), (16, 3, 1))[0]]
        self.disk = Disk(stream(seed, "disk"))
        if self.is_slow:
            self.disk.waits = (0.0, 0.002, 0.03, 0.3)
        self.drift = 0
        acts = stream(seed, "acts")
        self.acts = [act for act in ACTS if acts.random() < 0.45]
        self.disk.may_fill, self.sets_clock = "full" in self.acts, "clock" in self.acts
        self._draw = stream(seed, "draw").randrange
        self._point = 0
        self._names = iter(range(1_000_000))

    def now(self) -> int:
        """The time, milliseconds: providers and the daemon's own waits go by it."""
        return EPOCH + round(trio.current_time() * 1000)

    def wall(self) -> int:
        """The clock on the daemon's wall, which somebody may set."""
        return self.now() + self.drift

    async def run(self) -> None:
        """From the first start to the verdict."""
        async with trio.open_nursery() as self.nursery:
            self._make_providers()
            await self.start()
            async with trio.open_nursery() as acting:
                actors.start_all(self, acting)
                await trio.sleep(self.rng.uniform(*self.size.storm))
                self.calm()
                acting.cancel_scope.cancel()
            if self.life is None or self.life.is_dead:
                await self.revive()
            await self._wait_ends()
            if has_hooks(self.family):  # the last events go into the queue of those who are told of them
                await trio.sleep(1)
                await self._wait_ends()
            assert self.life is not None
            Verdict(self.audit, self.life.query._conn, self.providers, self.outside).give(has_hooks=has_hooks(self.family))
            await self.life.end()
            self.nursery.cancel_scope.cancel()

    def _make_providers(self) -> None:
        self.outside = Outside(stream(self.seed, "outside"), self.nursery)
        self.providers: dict[str, Line | Front | Smsc] = {}
        forget_lines()
        for name in list_names(self.family):
            rng = stream(self.seed, name)
            if name in KINDS:
                self.providers[name] = Front(name, self.ledger, rng, self.nursery, self.call_back)
            elif name in ("x", "y"):
                self.providers[name] = Smsc(name, self.ledger, rng, self.nursery)
            else:
                self.providers[name] = Line(name, self.ledger, rng, self.nursery)

    async def start(self) -> None:
        """Start the daemon, again where it died."""
        while True:
            life = Life(self.config, self.store, self.now, lambda: self._draw(1_000_000), disk=self.disk, wall=self.wall)
            life.look = lambda life=life: self.audit.look_at(life)  # type: ignore[misc]  # a default is how it is bound
            life.gone = self.audit.close
            self.life = self.fuse.life = life
            try:
                await self.nursery.start(life.run, self.audit.open)
                return
            except RuntimeError:
                if not life.is_dead:
                    raise
                self.kills += 1
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
        self.life.kill()
        await self.revive()

    async def revive(self) -> None:
        """Start again what is dying."""
        assert self.life is not None
        self.kills += 1
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
        self.fuse.left = self.drift = 0
        self.disk.is_full, self.disk.waits = False, (0.0,)
        self.outside.calm()
        for provider in self.providers.values():
            provider.calm()
            if provider.is_down:
                provider.flip()

    async def _wait_ends(self) -> None:
        """Until everything has ended, at most BOUND."""
        with trio.move_on_after(BOUND):
            while await self._is_under_way():  # noqa: ASYNC110  # a look at the store
                await trio.sleep(1 if trio.current_time() < 60 else 5)

    async def _is_under_way(self) -> bool:
        """True while a message has not ended. Where a disk's failure of before is only felt now, the daemon is started again."""
        assert self.life is not None
        if self.life.is_dead or self.life.journal.is_broken:
            with trio.CancelScope(shield=True):
                await self.revive()
        return bool(self.life.journal.waiting or self.life.query._conn.execute(_UNDER_WAY).fetchone()[0])

    def pass_batch(self, batch: Sequence[Operation], when: str) -> None:
        """Stands in for the journal's points of one batch."""
        self.disk.check(batch, when)
        for kind in sorted(name_kinds(batch)):
            self.fuse.reach(f"{kind}.{when}")

    async def open_stream(self, host: str, _port: int) -> trio.abc.Stream:
        """What HTTP accounts and SMPP sessions connect with."""
        front = self.providers[host]
        assert not isinstance(front, Line)
        return await front.open_stream()

    async def call_back(self, call: Call) -> Reply | None:
        """A provider's call to the callback door: the answer, None where there was none."""
        life = self.life
        try:
            assert life is not None
            stream = life.connect_web("callbacks")
        except OSError:
            await trio.lowlevel.checkpoint()
            return None
        try:
            with trio.move_on_after(20):
                return await post(stream, call)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            stream.socket.close()
        return None

    def stall(self) -> None:
        """End a world that goes round and round while no time passes."""
        self.audit.find("the scheduler goes round and round, and no time passes")
        self.nursery.cancel_scope.cancel()

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


class _Clock:
    """Stands in for `time` where the journal measures its disk."""

    def monotonic(self) -> float:
        """Virtual seconds."""
        return trio.current_time()


@cache
def _find_modules() -> list[Any]:
    """The modules that have failpoints."""
    return [module for name, module in sorted(sys.modules.items()) if name.startswith("broker.") and hasattr(module, "failpoint")]


@contextmanager
def _in_place(world: World) -> Iterator[None]:
    """While entered, the daemon's own seams lead into the world."""

    def make(*, max_connections: int, timeout: int) -> Account:
        return Account(max_connections=max_connections, timeout=timeout, open_stream=world.open_stream)

    reach = world.fuse.reach
    places: list[tuple[Any, str, Any]] = [
        (broker.daemon, "load_settings", load_prepared),
        (fleet, "HttpAccount", make),
        (smpp_binding, "open_tcp", world.open_stream),
        (broker.daemon, "changes", lambda _old, _new: []),  # what an operator is shown: dearer than all else in a reload
        (broker.daemon, "needs_restart", lambda _old, _new: []),
        (journal, "time", _Clock()),
        (journal, "QUICK", -1.0 if world.is_slow else journal.QUICK),
        (journal, "batch_point", world.pass_batch),
        (endpoints, "Pool", lambda **keys: Pool(**{**keys, "open_stream": world.outside.open_stream})),
        (bell, "LOOK", 3600.0),  # no machine here is suspended
        (schedule, "LOOK", 1.0 if world.sets_clock else 3600.0),
        *((module, "failpoint", reach) for module in _find_modules()),
        (Ledger, "reserve", lambda ledger, attempt, now: world.audit.money.reserve(ledger, attempt, now)),
        (polls, "STRAY_WAIT", 10_000),  # 72 h, for receipts of a provider that is no more: longer than a world lasts
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in places]
    try:
        for place, name, value in places:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def _explain(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} at {Path(at.filename).name}:{at.lineno}"


@contextmanager
def _without_collections() -> Iterator[None]:
    """While entered, garbage is looked for seldom: a world leaves little, and each look passes by all that the tests have loaded."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def run_seed(seed: int) -> Run:
    """Run one world."""
    world = World(seed, make_folder())
    with ExitStack() as stack:
        stack.enter_context(_without_collections())
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)  # a world's trouble is no news
        stack.enter_context(seeded(seed))
        stack.enter_context(_in_place(world))
        try:
            trio.run(world.run, clock=make_clock(world.stall))
        except Exception as error:  # whatever the daemon dies of, but for the deaths that it is dealt, is found
            world.audit.find(f"the daemon died: {_explain(error)}")
    return world.show()
