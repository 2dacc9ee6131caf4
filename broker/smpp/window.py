"""Our requests on one link that have no response yet: each with its tag, its command and the time when it is given up.

Knows sequence numbers and commands, no PDUs and no octets. Each tag leaves exactly once: matched, mismatched, expired or drained; one
that left without proof is remembered for a while, so that a response too late still finds it.
"""

from typing import Final, Literal

LAST_SEQUENCE: Final = 0x7FFF_FFFF
"""The highest sequence number of a request (5.1.4); 1 follows it."""

Fit = Literal["response", "late", "mismatch", "unknown"]


Match = tuple[Fit, object]
"""What a response belongs to, and its tag: None for an unknown one."""

_UNKNOWN: Final[Match] = ("unknown", None)


class Window:
    """At most `size` requests; `size` may be changed at any time and is the driver's to respect: `room`."""

    __slots__ = ("_late", "_most_late", "_open", "_sequence", "size", "soonest")

    def __init__(self, size: int, most_late: int) -> None:
        self.size = size
        self.soonest: int | None = None
        """Never later than the first time at which one expires; None: none is open."""
        self._open: dict[int, tuple[object, int, int]] = {}
        self._late: dict[int, tuple[object, int]] = {}
        self._most_late = most_late
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def room(self) -> int:
        """How many more fit."""
        return max(self.size - len(self._open), 0)

    def next_sequence(self) -> int:
        """A number for the next request: one after another, none that is open or late."""
        number = self._sequence
        while True:
            number = number + 1 if number < LAST_SEQUENCE else 1
            if number not in self._open and number not in self._late:
                self._sequence = number
                return number

    def add(self, sequence: int, tag: object, command: int, due: int) -> None:
        """Remember a request that was sent."""
        self._open[sequence] = (tag, command, due)
        if self.soonest is None or due < self.soonest:
            self.soonest = due

    def match(self, sequence: int, command: int | None) -> Match:
        """What a response to `command` belongs to; None fits any command (a generic_nack).

        A response of another command ends an open request as a mismatch, and leaves one that is late as it is.
        """
        found = self._open.pop(sequence, None)
        if found is not None:
            tag, asked, _ = found
            if command is None or command == asked:
                return "response", tag
            self._remember(sequence, tag, asked)
            return "mismatch", tag
        late = self._late.get(sequence)
        if late is not None and command in (None, late[1]):
            del self._late[sequence]
            return "late", late[0]
        return _UNKNOWN

    def give_up(self, sequence: int) -> Match:
        """End an open request whose response is there and cannot be read."""
        found = self._open.pop(sequence, None)
        if found is None:
            return _UNKNOWN
        self._remember(sequence, found[0], found[1])
        return "mismatch", found[0]

    def expire(self, now: int) -> list[tuple[int, object]]:
        """End the requests whose time is over: sequence and tag, in the order of sending."""
        if self.soonest is None or now < self.soonest:
            return []
        over = [(sequence, tag, command) for sequence, (tag, command, due) in self._open.items() if due <= now]
        for sequence, tag, command in over:
            del self._open[sequence]
            self._remember(sequence, tag, command)
        self.soonest = min((due for _, _, due in self._open.values()), default=None)
        return [(sequence, tag) for sequence, tag, _ in over]

    def drain(self) -> list[object]:
        """End all: the tags in the order of sending. Nothing is remembered: no response can come any more."""
        tags = [tag for tag, _, _ in self._open.values()]
        self._open.clear()
        self._late.clear()
        self.soonest = None
        return tags

    def _remember(self, sequence: int, tag: object, command: int) -> None:
        self._late[sequence] = (tag, command)
        if len(self._late) > self._most_late:
            del self._late[next(iter(self._late))]
