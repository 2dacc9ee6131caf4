"""The far end of an account's connections, in memory: scripts that answer, stall, cut and lie.

Every request carries CANARY in its address, header and body; `check_silence` looks for it where it must not be.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from broker.provider.contract import Call
from broker.provider.http import Account

CANARY = "canary5eCr3t"

Script = Callable[[trio.abc.Stream], Awaitable[None]]
Opener = Callable[[str, int], Awaitable[trio.abc.Stream]]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def make_call(**changes: Any) -> Call:
    """A POST that carries the canary everywhere."""
    values: dict[str, Any] = {
        "method": "POST",
        "url": f"http://gateway.test:9600/send?password={CANARY}",
        "headers": (("Content-Type", "text/plain"), ("Authorization", f"Bearer {CANARY}")),
        "body": f"text={CANARY}".encode(),
        "secrets": (CANARY,),
    }
    return Call(**values | changes)


async def read_request(stream: trio.abc.Stream) -> bytes:
    """One request as it came; less where the client ended it."""
    data = b""
    while b"\r\n\r\n" not in data and (part := await stream.receive_some(65536)):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head.lower())
    while found and len(body) < int(found[1]) and (part := await stream.receive_some(65536)):
        data += part
        body += part
    return data


def say(*parts: bytes, ends: bool = True, pause: float = 0) -> Script:
    """Read a request, answer with `parts`, `pause` seconds before each; then close, or stay silent."""

    async def script(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        for part in parts:
            await trio.sleep(pause)
            await stream.send_all(part)
        if not ends:
            await trio.sleep_forever()

    return script


async def serve(stream: trio.abc.Stream) -> None:
    """Answer OK to every request until the client ends."""
    while await read_request(stream):
        await stream.send_all(OK)


class Wire:
    """Opens streams in memory whose far ends run `script`; `opened` and `open` count them, `most` is the most at once."""

    def __init__(self, nursery: trio.Nursery, script: Script = serve) -> None:
        self.nursery = nursery
        self.script = script
        self.places: list[tuple[str, int]] = []
        self.open = 0
        self.most = 0

    @property
    def opened(self) -> int:
        return len(self.places)

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self.places.append((host, port))
        self.nursery.start_soon(self._run, theirs)
        await trio.testing.wait_all_tasks_blocked()
        return ours

    async def _run(self, stream: trio.abc.Stream) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await self.script(stream)
        except trio.BrokenResourceError:
            pass  # the client has closed: its right
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)

    def make_account(self, max_connections: int = 4, timeout: int = 30_000) -> Account:
        return Account(max_connections=max_connections, timeout=timeout, open_stream=self.open_stream)


def check_silence(caplog: pytest.LogCaptureFixture, *values: object) -> None:
    """The canary is in no repr of `values` and in no log record, its exception included."""
    said = [repr(value) for value in values] + [str(value) for value in values]
    plain = logging.Formatter()
    said += [plain.format(record) for record in caplog.records]
    assert [text for text in said if CANARY in text] == []
