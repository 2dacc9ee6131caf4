"""A fake daemon for the command line's tests: a thread behind a Unix socket that gives canned answers and keeps the requests."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from broker.cli import main

Answer = dict[str, Any] | bytes
"""A JSON answer, or bytes to write as they are before the connection is closed."""


class Office:
    """`answers`: by op (a submit's is "submit"), each an answer or one after the other, the last for good."""

    def __init__(self, path: Path, answers: Mapping[str, Answer | Sequence[Answer]]) -> None:
        self.requests: list[dict[str, Any]] = []
        self._answers: dict[str, list[Answer]] = {
            op: [answer] if isinstance(answer, dict | bytes) else list(answer) for op, answer in answers.items()
        }
        self._listener = socket.socket(socket.AF_UNIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            with stream, stream.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.requests.append(request)
                    answer = self._choose(request.get("op", "submit"))
                    if isinstance(answer, bytes):
                        stream.sendall(answer)
                        break
                    stream.sendall(json.dumps(answer).encode() + b"\n")

    def _choose(self, op: str) -> Answer:
        answers = self._answers[op]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def close(self) -> None:
        """End the thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()


@contextmanager
def staffed(path: Path, **answers: Answer | Sequence[Answer]) -> Iterator[Office]:
    """An office at `path` for the length of the block."""
    office = Office(path, answers)
    try:
        yield office
    finally:
        office.close()


class Ran(NamedTuple):
    """What a verb left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one document that it must be."""
        return json.loads(self.out)


class Desk(NamedTuple):
    """A working folder, and the way to run a verb in it."""

    home: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str) -> Ran:
        """Run `broker WORDS`."""
        self.capsys.readouterr()
        code = main(words)
        seen = self.capsys.readouterr()
        return Ran(code, seen.out, seen.err)

    def write(self, text: str, name: str = "broker.toml") -> Path:
        """Write a file in the folder."""
        path = self.home / name
        path.write_text(text, encoding="utf-8")
        return path

    def control(self, **answers: Answer | Sequence[Answer]) -> Any:
        """A daemon that answers on the control socket."""
        return staffed(self.home / "var" / "control.sock", **answers)

    def submit(self, **answers: Answer | Sequence[Answer]) -> Any:
        """A daemon that answers on the submit socket."""
        return staffed(self.home / "var" / "submit.sock", **answers)
