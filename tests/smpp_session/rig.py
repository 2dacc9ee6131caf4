"""A session and an SMSC in memory, on virtual time: the twin at one end of memory streams, the session at the other, a port that notes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from trio.testing import memory_stream_pair

from broker.provider.contract import Changes, Inbound, Outcome, Receipt, Secret, Send, Unstored
from broker.provider.registry import Plugin, load_plugin
from broker.provider.smpp import SmppKeys, SmppSession
from broker.provider.smpp_twin import SmscTwin
from tests.plugins.samples import make_send

EPOCH = 1_795_000_000_000
PLUGIN = load_plugin("smpp")


def make_keys(plugin: Plugin = PLUGIN, **more: Any) -> Any:
    """An account of a plugin that speaks SMPP."""
    return plugin.config_type(**{"host": "smsc.test", "username": "demo", "password": Secret("demo"), **more})


class NotingPort:
    """A Port that keeps what it is told. `is_full`: it can store nothing; `delay`: seconds that a commit takes; `stored`: ids it knows."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.inbound: list[Inbound] = []
        self.calls: list[int] = []
        self.stored: set[str] = set()
        self.reports: list[Outcome | None] = []
        self.kept: dict[str, dict[str, Any]] = {}
        self.refuted: list[tuple[str, Outcome]] = []
        self.is_up = trio.Event()
        self.is_full = False
        self.delay = 0.0

    async def __call__(self, receipts: Sequence[Receipt], inbound: Sequence[Inbound] = ()) -> Sequence[str | None]:
        await trio.sleep(self.delay)
        if self.is_full:
            raise Unstored
        self.receipts += receipts
        self.inbound += inbound
        for each in inbound:
            self._change(each.changes)
        self.calls.append(len(receipts) + len(inbound))
        known = ((form for form in (receipt.ref, *receipt.forms) if form in self.stored) for receipt in receipts)
        return [next(forms, None) for forms in known]

    async def refute(self, attempt: str, outcome: Outcome) -> None:
        if self.is_full:
            raise Unstored
        self.refuted.append((attempt, outcome))

    async def keep(self, changes: Changes) -> None:
        await trio.sleep(self.delay)
        if self.is_full:
            raise Unstored
        self._change(changes)

    def _change(self, changes: Changes) -> None:
        for name, value in changes:
            self.kept.pop(name, None)
            if value is not None:
                self.kept[name] = value

    def read_kept(self) -> dict[str, dict[str, Any]]:
        return dict(self.kept)

    def wall(self) -> int:
        return self.now()

    def now(self) -> int:
        return EPOCH + int(trio.current_time() * 1000)

    @property
    def state(self) -> str:
        """What was reported last: `up`, or a class."""
        last = self.reports[-1]
        return "up" if last is None else last.class_

    def report(self, outcome: Outcome | None) -> None:
        self.reports.append(outcome)
        if outcome is None:
            self.is_up.set()
        else:
            self.is_up = trio.Event()


class Rig:
    """One account: `session`, `twin`, `port`. `outcomes` has what was settled, by the number of the send."""

    def __init__(self, nursery: trio.Nursery, twin: SmscTwin, keys: SmppKeys, plugin: Plugin = PLUGIN) -> None:
        self.nursery = nursery
        self.twin = twin
        self.port = NotingPort()
        self.outcomes: dict[int, Outcome] = {}
        self.is_down = False
        self.streams: list[trio.abc.Stream] = []
        self.session: SmppSession = plugin.open_session(keys, "a")  # type: ignore[misc, assignment]  # it is there
        for binding in self.session._bindings:
            binding._open_stream = self._open
        self.scope = trio.CancelScope()

    async def _open(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self.is_down:
            raise ConnectionRefusedError
        ours, theirs = memory_stream_pair()
        self.streams.append(ours)
        self.nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            await self.twin.converse(stream, self.port.now)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            await self.session.run(self.port, task_status=task_status)

    async def wait_bound(self) -> None:
        """Until something can be sent."""
        with trio.fail_after(120):
            await self.port.is_up.wait()

    async def submit(self, *sends: Send, first: int = 0) -> list[Outcome]:
        """Hand over and wait for all."""
        await self.session.submit(sends, lambda index, outcome: self.outcomes.__setitem__(first + index, outcome))
        return [self.outcomes[first + n] for n in range(len(sends))]

    async def send(self, text: str = "hi", **more: Any) -> Outcome:
        """One message."""
        return (await self.submit(make_valid(text, **more)))[0]


def make_valid(text: str = "hi", to: str = "+306912345678", **more: Any) -> Send:
    """A message with two days to live: some tests last for one."""
    send = make_send(text, to, **more)
    return msgspec.structs.replace(send, message=msgspec.structs.replace(send.message, valid_until=EPOCH + 2 * 86_400_000))


@asynccontextmanager
async def bound(
    twin: SmscTwin | None = None,
    *,
    wait: bool = True,
    plugin: Plugin = PLUGIN,
    kept: dict[str, dict[str, Any]] | None = None,
    **keys: Any,
) -> AsyncIterator[Rig]:
    """A session that is bound to the twin for the length of the block. `kept`: by the one before it."""
    async with trio.open_nursery() as nursery:
        rig = Rig(nursery, twin or SmscTwin(), make_keys(plugin, **keys), plugin)
        rig.port.kept = kept or {}
        await nursery.start(rig.run)
        if wait:
            await rig.wait_bound()
        try:
            yield rig
        finally:
            rig.scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
            nursery.cancel_scope.cancel()
