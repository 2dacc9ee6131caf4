"""A whole broker inside the test: the daemon's own composition on virtual time, with COMMIT on the loop and providers in memory.

Real Unix sockets in the test's folder, so the doors are the real ones; HTTP providers are their plugins' twins at the other end of
memory streams, found by the host's name in their `url`. What waits for signals and processes is in test_process.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import tomli_w
import trio
from trio.testing import memory_stream_pair

from broker.daemon import Daemon
from broker.delivery import fleet
from broker.delivery.clock import Clock
from broker.delivery.exchange import Exchange
from broker.delivery.fleet import make_book
from broker.delivery.schedule import read_drift
from broker.provider import smpp_binding
from broker.provider.contract import TwinReply, TwinRequest
from broker.provider.http import Account
from broker.provider.twin import _serve_connection, converse
from broker.store.journal import Runner, SqliteJournal, run_inline
from broker.store.query import SqliteQuery
from broker.store.ring import Ring
from broker.store.sqlite import Writer, open_connection

EPOCH = 1_795_000_000_000  # 2026-11-18: any fixed moment will do
SECRET = "c4n4ry-9f31-hunter2"
TEXT = "canary text 5501"
TO = "+886912345678"
CANARIES = (SECRET[:8], "canary text", "912345678")

T = TypeVar("T")
Toml = dict[str, Any]


def loopback(*outcomes: str, **more: Any) -> Toml:
    """A loopback account that answers with `outcomes` in turn, and gives no receipts unless `more` says so."""
    return {"plugin": "loopback", "outcomes": list(outcomes), "receipt": "none", **more}


def tatango(host: str, **more: Any) -> Toml:
    """A Tatango account served by the twin of that name: no receipts, no balance."""
    return {"plugin": "tatango", "key": "demo", "password": SECRET, "url": f"http://{host}", **more}


def subito(host: str, **more: Any) -> Toml:
    """A SubitoSMS account served by the twin of that name: a balance, and receipts by query."""
    return {"plugin": "subito", "username": "demo", "password": SECRET, "url": f"http://{host}", "sender": "ACME", **more}


def mitake(host: str, **more: Any) -> Toml:
    """A Mitake account served by the twin of that name: a balance that answers carry, receipts by query, an idempotency key."""
    return {"plugin": "mitake", "username": "demo", "password": SECRET, "url": f"http://{host}", **more}


def smpp(host: str, **more: Any) -> Toml:
    """An account at an SMSC, served by the twin of that name; the password is as much of the secret as SMPP has room for."""
    return {"plugin": "smpp", "host": host, "username": "demo", "password": SECRET[:8], "sender": "ACME", **more}


def rule(*use: str, **more: Any) -> Toml:
    """A rule over those providers."""
    return {"name": "all", "use": list(use), **more}


class Wire:
    """One connection to a socket of the broker."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._rest = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stream.aclose()

    async def send(self, *lines: bytes | Mapping[str, Any]) -> None:
        """Write lines in one go."""
        parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
        await self.stream.send_all(b"".join(part + b"\n" for part in parts))

    async def hear(self) -> dict[str, Any]:
        """The next answer. Raises EOFError when there is none to come."""
        while b"\n" not in self._rest:
            data = await self.stream.receive_some(65536)
            if not data:
                raise EOFError
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def ask(self, line: bytes | Mapping[str, Any]) -> dict[str, Any]:
        """One line and its answer."""
        await self.send(line)
        return await self.hear()


class Frame:
    """What `Daemon._serve` puts together before it starts, for virtual time: COMMIT and scans on the loop, no thread anywhere."""

    def __init__(
        self,
        daemon: Daemon,
        path: Path,
        now: Callable[[], int],
        draw: Callable[[], int],
        *,
        wall: Callable[[], int] | None = None,
        runner: Runner = run_inline,
        writer_type: type[Writer] = Writer,
        ring_type: type[Ring] = Ring,
    ) -> None:
        self.conn = open_connection(path)
        self.query = SqliteQuery(path)
        self.query.scan = self._scan  # type: ignore[method-assign]  # virtual time does not wait for threads
        self.writer = writer_type(self.conn)
        self.journal = SqliteJournal(self.writer, None, runner, now, ring_type(8192, self.writer.seq))
        clock = Clock(now, wall or now, read_drift(self.query))
        self.ex = Exchange(make_book(daemon.settings, daemon.plugins), self.journal, self.query, clock, draw)

    async def _scan(self, read: Callable[[Any], T]) -> T:
        await trio.lowlevel.checkpoint()
        return read(self.query._scanner)

    def close(self) -> None:
        """Close every connection to the store."""
        self.query.close()
        self.conn.close()


class Plug:
    """What a connection leads to: the twin that stands at `host` when a request comes."""

    def __init__(self, house: "House", host: str) -> None:
        self._house = house
        self._host = host

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        reply: TwinReply = self._house.twins[self._host].answer(request, now)
        return reply


class House:
    """One broker on `folder`. `settings` are broker.toml's tables but for those of the house itself; `twins` how each is scripted."""

    def __init__(self, folder: Path, settings: Toml, twins: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.folder = folder
        self.config = folder / "broker.toml"
        self.twins: dict[str, Any] = {}
        self.down: set[str] = set()
        self.draw = 500_000
        self.ahead = 0
        """By how much somebody has set the machine's clock."""
        self._script = twins or {}
        self._scope: trio.CancelScope | None = None
        self._closed = trio.Event()
        self.write(settings)

    def write(self, settings: Toml) -> None:
        """Write broker.toml: `settings` with the house's own."""
        own = {
            "broker": {"name": "t1", "data_dir": "data", "default_country": "TW", **settings.get("broker", {})},
            "submit": {"socket": f"{self.folder}/s", **settings.get("submit", {})},
            "control": {"socket": f"{self.folder}/c"},
        }
        self.config.write_text(tomli_w.dumps({**settings, **own}))

    def now(self) -> int:
        """The time of the house: virtual, in milliseconds."""
        return EPOCH + round(trio.current_time() * 1000) - self._zero

    def wall(self) -> int:
        """The date: what the machine's clock shows."""
        return self.now() + self.ahead

    async def start(self, nursery: trio.Nursery) -> None:
        """Start it, again on the same folder where it was stopped."""
        self._zero = getattr(self, "_zero", round(trio.current_time() * 1000))
        self._nursery = nursery
        self._closed = trio.Event()
        await nursery.start(self._run)

    async def stop(self) -> None:
        """End it at once, as a SIGTERM without a drain would: what is open stays open."""
        if self._scope is not None and not self._closed.is_set():
            self.ex.is_stopping = True
            await self.journal.wait_committed()
            self._scope.cancel()
            await self._closed.wait()

    async def _run(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.daemon = Daemon(self.config)
        path = self.folder / "data" / "broker.db"
        path.parent.mkdir(exist_ok=True)
        frame = Frame(self.daemon, path, self.now, lambda: self.draw, wall=self.wall)
        self.query, self.journal, self.ex, writer = frame.query, frame.journal, frame.ex, frame.writer
        self._make_twins()
        try:
            async with trio.open_nursery() as outer:
                await outer.start(self.journal.run)
                outer.start_soon(self.journal.watch_room)
                async with trio.open_nursery() as nursery:
                    self._scope = nursery.cancel_scope
                    self._twins_nursery = nursery
                    await self.daemon._start(self.ex, writer, nursery, outer)
                    task_status.started()
                await self.journal.wait_committed()
                outer.cancel_scope.cancel()
        finally:
            frame.close()
            self._closed.set()

    def _make_twins(self) -> None:
        for name, settings in self.daemon.settings.providers.items():
            plugin = self.daemon.plugins[name]
            if name not in self.twins and plugin.path.with_name("twin.py").exists():
                # A password of SMPP has eight characters at most, so a session's twin takes any.
                has_session = plugin.open_session is not None and plugin.open_session(settings.config, name) is not None
                own = {} if has_session else {"password": SECRET}
                self.twins[name] = plugin.twin_type(**own, **self._script.get(name, {}))

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        """What the accounts connect with: the twin called `host`, unless it is down."""
        await trio.lowlevel.checkpoint()
        if host in self.down:
            raise ConnectionRefusedError
        ours, theirs = memory_stream_pair()
        serve: Any = _serve_connection  # it says that it needs a socket, and needs any stream
        self._twins_nursery.start_soon(serve, Plug(self, host), self.now, theirs)
        return ours

    async def open_link(self, host: str, port: int) -> trio.abc.Stream:
        """As `open_stream`, to the SMPP side of a twin."""
        await trio.lowlevel.checkpoint()
        if host in self.down:
            raise ConnectionRefusedError
        ours, theirs = memory_stream_pair()
        self._twins_nursery.start_soon(converse, self.twins[host], self.now, theirs)
        return ours

    # What a client and an operator do

    async def connect(self, door: str = "s") -> Wire:
        """A connection to the submit socket (`s`) or the control socket (`c`)."""
        return Wire(await trio.open_unix_socket(self.folder / door))

    async def submit(self, to: str = TO, text: str = TEXT, **more: Any) -> dict[str, Any]:
        """One submit on a connection of its own: the answer."""
        async with await self.connect() as wire:
            return await wire.ask({"to": to, "text": text, **{key.rstrip("_"): value for key, value in more.items()}})

    async def take(self, to: str = TO, text: str = TEXT, **more: Any) -> str:
        """A submit that has to be taken: the message's id."""
        answer = await self.submit(to, text, **more)
        assert answer["ok"], answer
        id_: str = answer["id"]
        return id_

    async def ask(self, op: str, **more: Any) -> dict[str, Any]:
        """One op of the submit socket."""
        async with await self.connect() as wire:
            return await wire.ask({"op": op, **more})

    async def order(self, op: str, **more: Any) -> dict[str, Any]:
        """One op of the control socket."""
        async with await self.connect("c") as wire:
            return await wire.ask({"op": op, **more})

    # What a test looks at

    def find(self, id_: str) -> str:
        """The message's status now, as the store has it."""
        message = self.query.find_message(id_)
        assert message is not None
        return message.status

    async def until(self, id_: str, *statuses: str, within: float = 1.0) -> dict[str, Any]:
        """Wait until the message has one of `statuses`, at most `within` virtual seconds: the reply to `status`."""
        with trio.move_on_after(within):
            while self.find(id_) not in statuses:
                await self.journal.ring.wait_beyond(self.journal.ring.last)
        reply = await self.ask("status", id=id_)
        assert reply["message"]["status"] in statuses, [show(event) for event in reply["events"]]
        return reply

    def told(self, *types: str) -> list[dict[str, Any]]:
        """Every event of these types so far."""
        found = [{"seq": seq, **json.loads(body)} for seq, body in self.query.read_events(0, 100_000)]
        return [event for event in found if event["type"] in types]


def show(event: Mapping[str, Any]) -> tuple[Any, ...]:
    """An event in short: (type without `message.`, provider, class)."""
    return event["type"].removeprefix("message."), event.get("provider"), event.get("class")


def path_of(reply: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """A message's events in short."""
    return [show(event) for event in reply["events"]]


class InMemory:
    """While entered, HTTP accounts and SMPP sessions connect to the house's twins."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._place: Any = fleet
        self._was = self._place.HttpAccount
        self._links: Any = smpp_binding
        self._tcp = self._links.open_tcp

    def __enter__(self) -> None:
        house = self._house

        def make(*, max_connections: int, timeout: int) -> Account:
            return Account(max_connections=max_connections, timeout=timeout, open_stream=house.open_stream)

        self._place.HttpAccount = make  # the two seams that the test needs
        self._links.open_tcp = house.open_link

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._place.HttpAccount = self._was
        self._links.open_tcp = self._tcp
