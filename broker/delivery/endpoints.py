"""Endpoints: one hand-over of one thing, to an address (Standard Webhooks) or to a command's standard input.

Where they lead stands in broker.toml alone, never in a submit. Nothing is followed, nothing is taken from the environment, and nothing of
an answer is kept but its status. Never tries again: `hooks` does. No address, argument or body reaches a log.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

import h11
import msgspec
import trio

from broker import __version__
from broker.provider.answers import judge
from broker.provider.contract import Reply
from broker.provider.transport import Answer, Fault, Origin, Pool
from broker.provider.transport import Exchange as Request
from broker.words.clock import SECOND
from broker.words.secret import Secret
from broker.words.signature import read_key, sign

DEADLINE = 15 * SECOND
"""The whole of a request; longer than this no endpoint may take to say that it has something."""
COMMAND_DEADLINE = 30 * SECOND
KILL_AFTER = 2.0
"""Seconds between a command's SIGTERM and its SIGKILL."""
MOST_COMMANDS = 8
"""Commands that run at once, of all rules together."""

_commands = trio.CapacityLimiter(MOST_COMMANDS)


class Verdict(msgspec.Struct, frozen=True):
    """What a hand-over came to: `taken`; `gone`: never again, says the endpoint; or `failed`, and `wait` (ms) where it asked for time."""

    kind: str
    reason: str = ""
    wait: int | None = None


TAKEN = Verdict("taken")


class Endpoint(Protocol):
    """Whom things are handed to; at most `most` at once."""

    most: int

    async def hand_over(self, id_: str, body: bytes, now: int) -> Verdict:
        """Hand over `body`, a JSON object, under the name `id_`, the same each time. Raises nothing but cancellation."""

    async def aclose(self) -> None:
        """Let go of what is kept open."""


class Webhook:
    """An address. A status of 2xx is taken, whatever its body; 410 is gone; everything else, a redirect included, has failed."""

    most = 8

    def __init__(self, url: str, secret: Secret | None) -> None:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), parts.hostname or ""
        port = parts.port or (443 if scheme == "https" else 80)
        self._origin = Origin(scheme, host, port)
        self._host = parts.netloc
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._key = None if secret is None else read_key(secret.reveal())
        self._pool = Pool(max_connections=self.most, timeout=DEADLINE)

    async def hand_over(self, id_: str, body: bytes, now: int) -> Verdict:
        """One POST."""
        try:
            answer = await self._pool.exchange(Request(self._origin, "POST", self._write_head(id_, body, now), body))
        except Fault as fault:
            if fault.status is None:
                return Verdict("failed", fault.evidence)
            answer = Answer(fault.status, [], b"")  # it has answered, if in a form that nobody reads
        if 200 <= answer.status < 300:
            return TAKEN
        if answer.status == 410:
            return Verdict("gone", "HTTP 410")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        hint = judge(Reply(answer.status, headers), frozenset(), now)
        return Verdict("failed", f"HTTP {answer.status}", None if hint is None else hint.retry_after)

    def _write_head(self, id_: str, body: bytes, now: int) -> bytes:
        second = now // SECOND
        headers = [
            ("Host", self._host),
            ("User-Agent", f"broker/{__version__}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Accept-Encoding", "identity"),
            ("webhook-id", id_),
            ("webhook-timestamp", str(second)),
        ]
        if self._key is not None:
            headers.append(("webhook-signature", sign(self._key, id_, second, body)))
        written = h11.Connection(h11.CLIENT).send(h11.Request(method="POST", target=self._target, headers=headers))
        assert written is not None  # only the end of a connection has no bytes
        return written

    async def aclose(self) -> None:
        """Close the idle connections."""
        await self._pool.aclose()


class Command:
    """A program, started without a shell: the JSON on its standard input, no output, no more of our environment than where programs are.

    Exit code 0 is taken, any other has failed; so has one that lasts too long, and is ended with all that it started.
    """

    most = 4

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)

    async def hand_over(self, id_: str, body: bytes, now: int) -> Verdict:
        """One run."""
        environ = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        code = None
        async with _commands:
            try:
                with trio.move_on_after(COMMAND_DEADLINE / SECOND):
                    done = await trio.run_process(
                        self._words,
                        stdin=body + b"\n",
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        check=False,
                        deliver_cancel=_end_group,
                        cwd="/",
                        env=environ,
                        start_new_session=True,
                    )
                    code = done.returncode
            except OSError as error:
                return Verdict("failed", f"cannot start: {error.strerror}")
        if code is None:
            return Verdict("failed", "timeout")
        return TAKEN if code == 0 else Verdict("failed", f"exit {code}" if code > 0 else f"signal {-code}")

    async def aclose(self) -> None:
        """Nothing is kept open."""


async def _end_group(process: trio.Process) -> None:
    """End the command and whatever it started: they share a session of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        if number == signal.SIGTERM:
            with trio.move_on_after(KILL_AFTER):
                await process.wait()
