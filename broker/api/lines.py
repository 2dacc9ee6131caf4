"""One JSON object per line in, one per line out, in the order of the requests (CONTRACT §4): the framing of submit and control.

At most 1,000 lines unanswered, then reading stops; a line of at most 64 KiB; a half-closed client still gets every answer. Whole reads
in, whole writes out: no task and no system call of their own for a line. Knows no op.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import trio

LINE_LIMIT = 64 * 1024
UNANSWERED = 1000
READ = 16 * 1024

_encode = msgspec.json.Encoder().encode


class Cell:
    """The place of one answer, in the order of the requests."""

    __slots__ = ("_talk", "data")

    def __init__(self, talk: "Talk") -> None:
        self._talk = talk
        self.data: bytes | None = None

    def fill(self, answer: Any) -> None:
        """Give the answer; it leaves when those before it have left."""
        self.data = _encode(answer) + b"\n"
        talk = self._talk
        if talk.cells and talk.cells[0] is self:
            talk.lot.unpark_all()


Handle = Callable[[bytes, Cell], None]


def make_error(code: str, message: str, field: str | None = None, ref: object = None) -> dict[str, Any]:
    """The body of a refusal, as every door gives it."""
    error: dict[str, Any] = {"code": code}
    if field is not None:
        error["field"] = field
    error["message"] = message
    body: dict[str, Any] = {"ok": False, "error": error}
    if ref is not None:
        body["ref"] = ref
    return body


class Talk:
    """One connection's conversation."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, handle: Handle) -> None:
        self._stream = stream
        self._handle = handle
        self.cells: deque[Cell] = deque()
        self.lot = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._is_over = False

    async def run(self) -> None:
        """Talk until the client has gone or has closed its side and got every answer."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, nursery.cancel_scope)
            try:
                await self._read()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                nursery.cancel_scope.cancel()
            self._is_over = True
            self.lot.unpark_all()

    async def _read(self) -> None:
        rest = b""
        is_skipping = False
        while data := await self._stream.receive_some(READ):
            *lines, rest_of_data = bytes(data).split(b"\n")
            if lines:
                lines[0] = rest + lines[0]
                rest = rest_of_data
            else:
                rest += rest_of_data
            for line in lines:
                if is_skipping:
                    is_skipping = False
                    continue
                while len(self.cells) >= UNANSWERED:
                    await self._room.park()
                self._take(line)
            if len(rest) > LINE_LIMIT:
                if not is_skipping:
                    self._refuse_long()
                is_skipping, rest = True, b""
        if rest.strip() and not is_skipping:
            self._take(rest)

    def _take(self, line: bytes) -> None:
        if len(line) > LINE_LIMIT:
            self._refuse_long()
            return
        if not line or line.isspace():
            return
        cell = Cell(self)
        self.cells.append(cell)
        self._handle(line, cell)

    def _refuse_long(self) -> None:
        cell = Cell(self)
        self.cells.append(cell)
        cell.fill(make_error("too_large", f"a line is at most {LINE_LIMIT} bytes; this one was skipped"))

    async def _write(self, reading: trio.CancelScope) -> None:
        cells = self.cells
        try:
            while True:
                ready: list[bytes] = []
                while cells and cells[0].data is not None:
                    ready.append(cells.popleft().data or b"")
                if ready:
                    self._room.unpark_all()
                    await self._stream.send_all(b"".join(ready))
                elif self._is_over and not cells:
                    await self._stream.send_eof()
                    return
                else:
                    await self.lot.park()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            reading.cancel()  # gone before its answers: changes nothing


def read_refusal(error: msgspec.ValidationError) -> tuple[str, str | None]:
    """(message, field) of what msgspec says of a line of the wrong shape."""
    text = str(error)
    what, _, where = text.partition(" - at `$.")
    field = where.rstrip("`").partition(".")[0].partition("[")[0] or None
    if what.startswith("Object contains unknown field "):
        field = what.rpartition(" ")[2].strip("`")
        return f"unknown field `{field}`", field
    if what.startswith("Object missing required field "):
        field = what.rpartition(" ")[2].strip("`")
        return f"`{field}` is missing", field
    if field is None:
        return f"a request is one JSON object ({what.lower()})", None
    return f"`{field}`: {what[:1].lower()}{what[1:]}", field


def find_ref(line: bytes) -> object:
    """The `ref` of a line that was refused, where it can be read."""
    try:
        body = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    ref = body.get("ref") if isinstance(body, dict) else None
    return ref if isinstance(ref, str | int) else None
