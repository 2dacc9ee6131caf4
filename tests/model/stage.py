"""The stage: does to a real daemon what was done to the reference, and compares after each step. Virtual time, any store.

The daemon is the simulator's Life with its real doors; its providers are worked by hand (`tests/daemon/hand`).
"""

import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w
import trio
from trio.testing import MockClock

import broker.daemon
from broker.daemon import load_settings
from broker.provider.contract import Outcome, Receipt
from tests.daemon.house import EPOCH, Toml, rule
from tests.model.reference import DOUBT_DEADLINE, DOUBT_WAIT, MOST_COPIES, RECEIPT_WAIT, STEP, TAGS, Reference
from tests.sim.actors import Talk
from tests.sim.life import Life
from tests.sim.setups import Prepared

HAND = str(Path(__file__).parent.parent / "daemon" / "hand" / "plugin.py")
Shown = Mapping[str, tuple[str, tuple[tuple[str, str, str | None], ...]]]


def _in_memory() -> Path:
    there = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="broker-model-", dir=there if there.is_dir() else None))


STORES: dict[str, Callable[[], Path]] = {
    "sqlite in memory": _in_memory,
    "sqlite on disk": lambda: Path(tempfile.mkdtemp(prefix="broker-model-", dir="/var/tmp")),
}
"""Where each kind of store stands: a folder for it, made anew. PostgreSQL joins here."""


class Deed(NamedTuple):
    """One step: what was done, to which message, how; when it is over, and what all messages are then."""

    name: str
    letter: str
    how: Any
    until: int
    expected: Shown


class Script:
    """A story as it is told: each step to the reference at once, and kept for the daemon. `how` of a tick are milliseconds."""

    def __init__(self) -> None:
        self.reference = Reference()
        self.deeds: list[Deed] = []

    def add(self, name: str, letter: str = "", how: Any = None) -> "Script":
        """One more step."""
        reference = self.reference
        match name:
            case "submit":
                reference.submit(letter, *how)
            case "answer":
                reference.answer(letter, how)
            case "hear":
                reference.hear(letter, how)
            case "refute":
                reference.refute(letter, how)
            case "resolve":
                reference.resolve(letter, is_taken=how == "accepted")
            case "release":
                reference.release(letter)
            case "cancel":
                reference.cancel(letter)
            case "crash":
                reference.crash()
            case "reload":
                reference.reload()
        reference.tick(STEP + (how if name == "tick" else 0))
        self.deeds.append(Deed(name, letter, how, reference.now, {key: each.show() for key, each in reference.letters.items()}))
        return self


@cache
def prepare(is_reversed: bool) -> Prepared:
    """The settings, the providers of each rule in one order or the other."""
    account: Toml = {
        "plugin": HAND,
        "timeout": "10h",
        "max_in_flight": 1000,
        "receipt_wait": f"{RECEIPT_WAIT}ms",
        "breaker": {"failures": 1000, "window": "1s", "open": "1s"},
    }
    order = ("b", "a") if is_reversed else ("a", "b")
    rules = [_make_rule(tag, order) for tag in TAGS]
    with tempfile.TemporaryDirectory(prefix="broker-model-") as folder:
        own = {"broker": {"name": "t1", "data_dir": "/sim", "default_country": "TW"}, "submit": {"socket": "/sim/s"}}
        file = Path(folder) / "broker.toml"
        file.write_text(tomli_w.dumps({**own, "control": {"socket": "/sim/c"}, "providers": {"a": account, "b": account}, "rules": rules}))
        return load_settings(file, twins=False)


def _make_rule(tag: str, order: tuple[str, ...]) -> Toml:
    doubt = {"in_doubt": tag} if tag in ("resend", "failover") else {}
    on = {"unreachable": "fail", "unsuitable": "hold" if tag == "manual" else "next"}
    times = {"doubt_wait": f"{DOUBT_WAIT}ms", "doubt_deadline": f"{DOUBT_DEADLINE}ms", "max_copies": max(2, MOST_COPIES[tag])}
    return rule(*order, name=tag, match={"tag": tag}, on=on, **doubt, **times)


class Stage:
    """One story, told to a daemon."""

    def __init__(self, folder: Path, deeds: Sequence[Deed]) -> None:
        self._folder = folder
        self._deeds = deeds
        self._ids: dict[str, str] = {}
        self._is_reversed = False

    async def play(self) -> None:
        """Do everything, and look after each. Raises AssertionError at the first difference."""
        async with trio.open_nursery() as self._nursery:
            await self._start()
            for count, deed in enumerate(self._deeds):
                await self._do(deed)
                await trio.sleep_until(deed.until / 1000)
                assert self._show() == deed.expected, f"after step {count}, {deed.name} {deed.letter} {deed.how}"
            await self._life.end()

    async def _start(self) -> None:
        self._life = Life(
            Path("/model"), self._folder / "broker.db", lambda: EPOCH + round(trio.current_time() * 1000), lambda: 500_000
        )
        await self._nursery.start(self._life.run, lambda _conn: None)

    def load(self, config: Path, *, twins: bool) -> Prepared:
        """Stands in for the daemon's `load_settings`."""
        settings, plugins = prepare(self._is_reversed)
        return settings, dict(plugins)

    def _show(self) -> Shown:
        query = self._life.query
        found = {}
        for name, id_ in self._ids.items():
            live = query.find_live(id_)
            assert live is not None
            found[name] = live.message.status, tuple((each.provider, each.state, each.receipt) for each in live.attempts)
        return found

    async def _ask(self, door: str, **line: Any) -> dict[str, Any]:
        talk = Talk(self._life.connect(door))
        answer = await talk.ask(**line)
        await talk.close()
        return answer

    def _find_attempt(self, letter: str) -> tuple[str, Any]:
        """The newest attempt's name, and its provider's session."""
        live = self._life.query.find_live(self._ids[letter])
        assert live is not None
        last = live.attempts[-1]
        return last.id, self._life.ex.lanes[last.provider].carrier.session

    async def _do(self, deed: Deed) -> None:
        how = deed.how
        match deed.name:
            case "submit" | "submit again":
                await self._submit(deed.letter, how)
            case "answer":
                attempt, session = self._find_attempt(deed.letter)
                session.answer(attempt, Outcome(how, "x"))
            case "hear":
                attempt, session = self._find_attempt(deed.letter)
                await session.hear(Receipt(how, None, attempt))
            case "refute":
                attempt, session = self._find_attempt(deed.letter)
                await session.port.refute(attempt, Outcome(how, "x"))
            case "resolve" | "release" | "cancel":
                more = {"outcome": how} if how else {}
                answer = await self._ask("control", op=deed.name, id=self._ids[deed.letter], **more)
                assert answer["ok"], answer
            case "crash":
                self._life.kill()
                await self._life.ended.wait()
                await self._start()
            case "reload":
                self._is_reversed = not self._is_reversed
                assert (await self._ask("control", op="reload"))["ok"]

    async def _submit(self, letter: str, how: tuple[str, int]) -> None:
        tag, validity = how
        to = f"+88691{int(letter[1:]):07d}"
        line = {"to": to, "text": letter, "key": letter, "tags": [tag], "validity": f"{validity}ms"}
        answer = await self._ask("submit", **line)
        assert answer["ok"], answer
        assert answer["duplicate"] == (letter in self._ids)
        assert self._ids.setdefault(letter, answer["id"]) == answer["id"]


def play(store: str, deeds: Sequence[Deed]) -> None:
    """Tell a story to a daemon over a fresh store of that kind."""
    folder = STORES[store]()
    stage = Stage(folder, deeds)
    before, was_disabled = broker.daemon.load_settings, logging.root.manager.disable
    broker.daemon.load_settings = stage.load
    logging.disable(logging.CRITICAL)
    try:
        trio.run(stage.play, clock=MockClock(autojump_threshold=0))
    finally:
        broker.daemon.load_settings = before
        logging.disable(was_disabled)
        shutil.rmtree(folder)
