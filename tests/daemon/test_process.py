"""The daemon as a process: its signals, its exit codes, its lock and sockets, what it prints, and what a kill leaves."""

import json
import signal
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import trio

from tests.daemon.house import CANARIES, SECRET, TEXT, Toml, Wire, loopback, rule

ROOT = Path(__file__).parents[2]
US = "+12025550143"
PATIENCE = 15.0


class Site:
    """A folder with a broker.toml and the processes started in it; a provider that takes its time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "broker.toml"
        self.log = folder / "daemon.log"
        self.taken: list[bytes] = []
        self.delay = 0.0
        self.port = 0
        self.started: list[trio.Process] = []

    def write(self, settings: Toml | None = None, **broker: Any) -> None:
        """Write broker.toml: by default one Tatango account that our own server answers."""
        account = {"plugin": "tatango", "key": "k", "password": SECRET, "url": f"http://127.0.0.1:{self.port}"}
        own = {
            "broker": {"name": "p1", "data_dir": "data", "default_country": "TW", **broker},
            "submit": {"socket": f"{self.folder}/s"},
            "control": {"socket": f"{self.folder}/c"},
        }
        self.config.write_text(tomli_w.dumps({**own, **(settings or {"providers": {"north": account}})}))

    async def launch(self) -> trio.Process:
        """Start the daemon."""
        command = [sys.executable, "-m", "broker", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            process = await trio.lowlevel.open_process(command, stdout=log, stderr=log, cwd=self.folder)
        self.started.append(process)
        return process

    async def start(self) -> trio.Process:
        """Start the daemon and wait until it answers."""
        process = await self.launch()
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    async with await self.connect("c") as wire:
                        await wire.ask({"op": "ping"})
                    return process
                except OSError:
                    assert process.poll() is None, self.log.read_text()
                    await trio.sleep(0.02)

    async def connect(self, door: str = "s") -> Wire:
        return Wire(await trio.open_unix_socket(self.folder / door))

    async def ask(self, door: str, line: dict[str, Any]) -> dict[str, Any]:
        async with await self.connect(door) as wire:
            return await wire.ask(line)

    async def end(self, process: trio.Process) -> int:
        """Wait for the process's end: its exit code."""
        with trio.fail_after(PATIENCE):
            return await process.wait()

    def find(self, id_: str) -> tuple[str, list[str]]:
        """(status, attempts' states) of a message in the store."""
        conn = sqlite3.connect(f"file:{self.folder}/data/broker.db?mode=ro", uri=True)
        try:
            (status,) = conn.execute("SELECT status FROM message WHERE id = ?", (id_,)).fetchone()
            return status, [row[0] for row in conn.execute("SELECT state FROM attempt WHERE message = ? ORDER BY n", (id_,))]
        finally:
            conn.close()

    async def wait_taken(self, count: int) -> None:
        """Return when the provider has been asked `count` times."""
        with trio.fail_after(PATIENCE):
            while True:
                if len(self.taken) >= count:
                    return
                await trio.sleep(0.01)

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):  # the broker was killed: the provider goes on
                await self._answer(stream)

    async def _answer(self, stream: trio.SocketStream) -> None:
        data = b""
        while more := await stream.receive_some(65536):
            data += more
            if b"\r\n\r\n" in data and b"hash=" in data:
                self.taken.append(data)
                await trio.sleep(self.delay)
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                data = b""


@pytest.fixture
async def site(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    site.port = listeners[0].socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, site.serve, listeners)
    site.write()
    yield site
    for process in site.started:
        if process.poll() is None:
            process.kill()
        await process.wait()
    log = site.log.read_text() if site.log.exists() else ""
    assert "Traceback" not in log
    for canary in (*CANARIES, US, "2025550143"):
        assert canary not in log


SUBMIT = {"to": US, "text": TEXT, "key": "k1"}


async def test_sigterm_waits_for_what_is_under_way(site: Site) -> None:
    site.delay = 1.0
    process = await site.start()
    async with await site.connect() as wire:
        first = await wire.ask(SUBMIT)
        await site.wait_taken(1)
        process.send_signal(signal.SIGTERM)
        await trio.sleep(0.2)
        assert (await wire.ask({"to": US, "text": "late"}))["error"]["code"] == "stopping"
    assert await site.end(process) == 0
    assert site.find(first["id"]) == ("unconfirmed", ["accepted"])
    assert not (site.folder / "s").exists()
    assert not (site.folder / "c").exists()


async def test_what_the_drain_does_not_wait_for_stays_open_and_is_in_doubt(site: Site) -> None:
    site.write(drain="100ms")
    site.delay = 30.0
    process = await site.start()
    first = await site.ask("s", SUBMIT)
    await site.wait_taken(1)
    process.send_signal(signal.SIGTERM)
    assert await site.end(process) == 0
    assert site.find(first["id"]) == ("sending", ["open"])
    await site.start()
    assert site.find(first["id"]) == ("in_doubt", ["in_doubt"])
    assert await site.ask("s", SUBMIT) == {**first, "duplicate": True}
    assert len(site.taken) == 1


async def test_a_second_sigterm_quits_now(site: Site) -> None:
    site.delay = 30.0
    process = await site.start()
    await site.ask("s", SUBMIT)
    await site.wait_taken(1)
    process.send_signal(signal.SIGTERM)
    await trio.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    with trio.fail_after(3):
        assert await process.wait() == 0


async def test_sigterm_under_load_leaves_no_answer_behind(site: Site) -> None:
    """What was taken is answered, also when the stop comes between the commit and the answer."""
    site.write({"providers": {"a": loopback()}})
    process = await site.start()
    answers: list[dict[str, Any]] = []
    async with await site.connect() as wire:

        async def listen() -> None:
            try:
                while True:
                    answers.append(await wire.hear())
            except (EOFError, trio.BrokenResourceError):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            try:
                for n in range(60):
                    await wire.send(*[{"to": US, "text": f"{TEXT} {n} {m}", "key": f"{n}-{m}"} for m in range(25)])
                    if n == 20:
                        process.send_signal(signal.SIGTERM)
                    await trio.sleep(0.005)
            except trio.BrokenResourceError:
                pass  # the daemon has ended
    assert await site.end(process) == 0
    conn = sqlite3.connect(f"file:{site.folder}/data/broker.db?mode=ro", uri=True)
    stored = {row[0] for row in conn.execute("SELECT id FROM message")}
    opened = conn.execute("SELECT count(*) FROM attempt WHERE state = 'open'").fetchone()[0]
    conn.close()
    assert {answer["id"] for answer in answers if answer["ok"]} == stored
    assert {answer["error"]["code"] for answer in answers if not answer["ok"]} <= {"stopping"}
    assert opened == 0


async def test_kill_9_loses_nothing_acknowledged(site: Site) -> None:
    process = await site.start()
    async with await site.connect() as wire:
        await wire.send(*[{**SUBMIT, "key": f"k{n}", "text": f"{TEXT} {n}"} for n in range(200)])
        firsts = [await wire.hear() for _ in range(200)]
    process.kill()
    await process.wait()
    await site.start()  # over the sockets' files and the lock that the dead one left
    async with await site.connect() as wire:
        await wire.send(*[{**SUBMIT, "key": f"k{n}", "text": f"{TEXT} {n}"} for n in range(200)])
        assert [await wire.hear() for _ in range(200)] == [{**first, "duplicate": True} for first in firsts]


async def test_a_second_daemon_names_the_first(site: Site) -> None:
    process = await site.start()
    second = await site.launch()
    assert await site.end(second) == 1
    assert f"pid {process.pid}" in site.log.read_text()
    assert (await site.ask("c", {"op": "ping"}))["ok"]  # the first does not feel it


async def test_the_sockets_are_as_open_as_configured(site: Site) -> None:
    await site.start()
    for name, mode in (("s", 0o660), ("c", 0o600)):
        found = (site.folder / name).stat()
        assert (stat.S_ISSOCK(found.st_mode), stat.S_IMODE(found.st_mode)) == (True, mode)
    for name in ("broker.db", "broker.db-wal", "lock"):
        assert stat.S_IMODE((site.folder / "data" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((site.folder / "data").stat().st_mode) == 0o700


async def test_sighup_reloads_or_goes_on(site: Site) -> None:
    process = await site.start()
    site.write({"providers": {"a": loopback(rat="1/s")}, "rules": [rule("a")]})
    process.send_signal(signal.SIGHUP)
    await _wait_for(lambda: "providers.a.rat" in site.log.read_text())
    assert [each["name"] for each in (await site.ask("c", {"op": "providers"}))["providers"]] == ["north"]
    site.write({"submit": {"socket": f"{site.folder}/other"}, "providers": {"a": loopback()}, "rules": [rule("a")]})
    process.send_signal(signal.SIGHUP)

    async def has_changed() -> bool:
        answer = await site.ask("s", {"op": "explain", "to": US, "text": "x"})
        return bool([each["provider"] for each in answer["candidates"]] == ["a"])

    await _wait_for(has_changed)
    process.send_signal(signal.SIGTERM)
    assert await site.end(process) == 0
    assert not (site.folder / "s").exists()  # the socket that it had all the time, whatever the file says by now


async def _wait_for(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
    with trio.fail_after(PATIENCE):
        while True:
            found = is_so()
            if found if isinstance(found, bool) else await found:
                return
            await trio.sleep(0.02)


BAD: dict[str, tuple[str, tuple[str, ...]]] = {
    "two faults": (
        '[broker]\nnam = "x"\n[providers.a]\nplugin = "loopback"\nrate = 5\n',
        ("broker.toml:2", "broker.nam", "broker.toml:5", "providers.a.rate"),
    ),
    "no TOML": ("[broker\n", ("broker.toml:1",)),
    "of a later version": (
        '[providers.a]\nplugin = "loopback"\n[api]\nlisten = "127.0.0.1:0"\n',
        ("api", "not in this version"),
    ),
    "an empty secret": (
        '[providers.a]\nplugin = "tatango"\nkey = "k"\npassword = { env = "NOBODY_SETS_THIS" }\n',
        ("providers.a.password", "NOBODY_SETS_THIS"),
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_configuration_ends_78(site: Site, name: str) -> None:
    text, facts = BAD[name]
    site.config.write_text(text)
    process = await site.launch()
    assert await site.end(process) == 78
    for fact in facts:
        assert fact in site.log.read_text()
    assert not (site.folder / "data").exists()


async def test_what_cannot_start_says_why_and_ends_1(site: Site) -> None:
    (site.folder / "file").write_text("x")
    site.write(data_dir="file/data")
    assert await site.end(await site.launch()) == 1
    assert "file/data" in site.log.read_text()


async def test_a_socket_that_another_program_serves_is_left_alone(site: Site, nursery: trio.Nursery) -> None:
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(site.folder / "s"))
    listener.listen(5)
    assert await site.end(await site.launch()) == 1
    assert str(site.folder / "s") in site.log.read_text()
    assert (site.folder / "s").exists()
    listener.close()


async def test_json_is_what_a_pipe_speaks(site: Site) -> None:
    """`echo '{…}' | nc -NU submit.sock`, with Python in nc's place."""
    await site.start()
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('s'); s.sendall(sys.stdin.buffer.read());"
        " s.shutdown(1); print(s.makefile().read())"
    )
    done = await trio.run_process([sys.executable, "-c", program], stdin=json.dumps(SUBMIT).encode(), capture_stdout=True, cwd=site.folder)
    assert json.loads(done.stdout)["ok"]
