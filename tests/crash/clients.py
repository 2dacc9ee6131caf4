"""The clients of the crash test: programs that pipeline submits, write down what they were answered, and ask again when unanswered."""

import json
import random
from collections import Counter, deque
from pathlib import Path

import trio

WINDOW = 60
PASSING = frozenset({"stopping", "unavailable", "outcome_unknown", "queue_full"})
"""Refusals after which a program submits the same again, with the same key."""


class Client:
    """One program. `acked` is key -> (id, text); `refused` counts the codes that it heard; `trouble` is what no program should ever see;
    `long` the share of texts in two parts, `pace` the longest pause between two bursts, in seconds."""

    def __init__(self, name: str, socket: Path, seed: int) -> None:
        self.name = name
        self.acked: dict[str, tuple[str, str]] = {}
        self.trouble: list[str] = []
        self.refused: Counter[str] = Counter()
        self.is_over = False
        self.long = 0.0
        self.pace = 0.02
        self._socket = socket
        self._rng = random.Random(seed)
        self._count = 0
        self._unanswered: dict[str, str] = {}
        self._asked: deque[str] = deque()

    @property
    def is_answered(self) -> bool:
        """True when every submit has its answer."""
        return not self._unanswered

    async def run(self) -> None:
        """Submit until `is_over`, then until everything is answered; across any number of daemons."""
        while not (self.is_over and self.is_answered):
            try:
                stream = await trio.open_unix_socket(self._socket)
            except OSError:
                await trio.sleep(0.02)
                continue
            try:
                async with stream, trio.open_nursery() as nursery:
                    self._asked.clear()
                    nursery.start_soon(self._read, stream, nursery.cancel_scope)
                    await self._write(stream)
                    nursery.cancel_scope.cancel()
            except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the daemon was killed

    async def _write(self, stream: trio.SocketStream) -> None:
        await self._send(stream, list(self._unanswered))
        while not (self.is_over and self.is_answered):
            keys = self._make_some() if not self.is_over and len(self._asked) < WINDOW else []
            if self.is_over and not self._asked:
                keys = list(self._unanswered)  # refused for a moment: once more
            elif self.acked and self._rng.random() < 0.1:
                keys.append(self._rng.choice(list(self.acked)))
            await self._send(stream, keys)
            await trio.sleep(self._rng.random() * self.pace)

    def _make_some(self) -> list[str]:
        keys = []
        for _ in range(self._rng.randint(1, 8)):
            self._count += 1
            key = f"{self.name}-{self._count}"
            self._unanswered[key] = f"text {key} of {self._rng.getrandbits(40):x}"
            if self.long and self._rng.random() < self.long:
                self._unanswered[key] += " and on" * 20
            keys.append(key)
        return keys

    async def _send(self, stream: trio.SocketStream, keys: list[str]) -> None:
        lines = []
        for key in keys:
            text = self._unanswered.get(key) or self.acked[key][1]
            to = f"+8869{int(key.rpartition('-')[2]) % 10**8:08d}"
            lines.append(json.dumps({"to": to, "text": text, "key": key}) + "\n")
        self._asked += keys
        await stream.send_all("".join(lines).encode())

    async def _read(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        rest = b""
        while data := await stream.receive_some(65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._hear(self._asked.popleft(), json.loads(line))
        scope.cancel()

    def _hear(self, key: str, answer: dict[str, object]) -> None:
        if answer["ok"]:
            text = self._unanswered.pop(key, None)
            known = self.acked.get(key)
            if known is None:
                assert text is not None
                self.acked[key] = (str(answer["id"]), text)
            elif known[0] != answer["id"]:
                self.trouble.append(f"{key} was first {known[0]}, then {answer['id']}")
            elif not answer["duplicate"]:
                self.trouble.append(f"{key} was answered twice as new")
            return
        error = answer["error"]
        assert isinstance(error, dict)
        self.refused[error["code"]] += 1
        if error["code"] not in PASSING:
            self.trouble.append(f"{key} was refused: {error['code']}: {error['message']}")
            self._unanswered.pop(key, None)
