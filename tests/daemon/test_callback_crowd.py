"""A crowd at the callbacks of a real daemon that has few descriptors: nobody else is the worse for it."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import trio

from tests.api.web_rig import Client, get, post
from tests.daemon.house import TO, rule
from tests.daemon.site import PUSHY
from tests.daemon.test_process import PATIENCE
from tests.daemon.test_process import Site as Grounds

DESCRIPTORS = 200
CROWD = 120


class Crowd:
    """Connections that say nothing, little by little, or nonsense."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: list[trio.SocketStream] = []

    async def gather(self) -> None:
        sayings = (b"", b"GET / HT", b"POST /cb/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", b"\x16\x03\x01", get("/cb/a/b"))
        for n in range(CROWD):
            stream = await trio.open_tcp_stream("127.0.0.1", self.port)
            self.streams.append(stream)
            try:
                await stream.send_all(sayings[n % len(sayings)])
            except trio.BrokenResourceError:
                pass  # it had to make room already

    async def leave(self) -> None:
        for stream in self.streams:
            await trio.aclose_forcefully(stream)


async def test_a_crowd_keeps_nobody_out(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path)
    grounds.write({"callbacks": {"listen": "127.0.0.1:0"}, "providers": {"a": {"plugin": PUSHY}}, "rules": [rule("a")]})
    run = f'ulimit -n {DESCRIPTORS}; exec "{sys.executable}" -m broker run --config "{grounds.config}"'
    with grounds.log.open("ab") as log:
        process = await trio.lowlevel.open_process(["sh", "-c", run], stdout=log, stderr=log, cwd=tmp_path)
    try:
        with trio.fail_after(2 * PATIENCE):
            while not (tmp_path / "c").exists():
                assert process.poll() is None, grounds.log.read_text()
                await trio.sleep(0.02)
            await look_on(grounds)
    finally:
        process.kill()
        await process.wait()
    assert "Traceback" not in grounds.log.read_text()
    assert "no connection can be taken" not in grounds.log.read_text()  # a quarter of the descriptors is the door's


async def wait_sent(grounds: Grounds, id_: str) -> None:
    """Return when the provider has the message."""
    while True:
        if grounds.find(id_)[0] == "sent":
            return
        await trio.sleep(0.01)


async def look_on(grounds: Grounds) -> None:
    """Send and hear of messages while the crowd stands at the door."""
    url = urlsplit((await grounds.ask("c", {"op": "callbacks"}))["callbacks"]["a"])
    crowd = Crowd(url.port or 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.gather)
        for n in range(10):
            id_ = (await grounds.ask("s", {"to": TO, "text": f"hello {n}"}))["id"]
            await wait_sent(grounds, id_)
            client = Client(await trio.open_tcp_stream("127.0.0.1", url.port or 0))
            async with client.stream:
                said = await client.ask(post(url.path, f"ref=P{n + 1}&status=delivered".encode()))
                assert said is not None
                assert said.status == 200
            assert grounds.find(id_)[0] == "delivered"
    counts = (await grounds.ask("c", {"op": "stats"}))["callbacks"]
    assert counts["connections"] <= DESCRIPTORS // 4
    assert counts["answered"] == 10
    assert counts["taken"] >= CROWD
    await crowd.leave()
