"""Cuts a stream of octets into frames, one PDU each. Reads nothing of a frame but its length; holds less than one frame.

The truth is the manual, section 3.2: command_length comes first and counts itself.
"""

from typing import Final

LEAST: Final = 16
"""The size of a header, which is the whole of the smallest PDU."""
MOST: Final = 65_536
"""The largest command_length that is taken: beyond it a stream is out of step, or its sender means harm."""


class FramingError(ValueError):
    """The stream says a command_length that no PDU has: what comes behind cannot be read, so the link is to be dropped.

    `frames` are the whole ones before it, `length` is what was said.
    """

    def __init__(self, length: int, frames: list[bytes]) -> None:
        super().__init__(f"a command_length of {length}: it is {LEAST} to {MOST}")
        self.length = length
        self.frames = frames


class Framer:
    """One stream. `feed` gives the same frames however the octets are cut."""

    __slots__ = ("_rest", "_wrong")

    def __init__(self) -> None:
        self._rest = b""
        self._wrong: int | None = None

    @property
    def is_partial(self) -> bool:
        """True while a frame has begun and not ended."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole now. Raises FramingError at a length that cannot be, and ever after."""
        if self._wrong is not None:
            raise FramingError(self._wrong, [])
        if self._rest:
            data = self._rest + data
        frames: list[bytes] = []
        start, end = 0, len(data)
        while end - start >= 4:
            length = int.from_bytes(data[start : start + 4], "big")
            if not LEAST <= length <= MOST:
                self._rest, self._wrong = b"", length
                raise FramingError(length, frames)
            if end - start < length:
                break
            frames.append(data[start : start + length])
            start += length
        self._rest = data[start:]
        return frames
