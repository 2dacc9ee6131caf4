"""The peer's requests on one link that wait for our response. Knows sequence numbers and commands alone."""


class Asked:
    """Requests by their sequence; a peer that uses one number for several gets its responses in the order of asking."""

    __slots__ = ("_commands", "_count")

    def __init__(self) -> None:
        self._commands: dict[int, list[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, sequence: int, command: int) -> None:
        """Remember a request."""
        self._commands.setdefault(sequence, []).append(command)
        self._count += 1

    def find(self, sequence: int) -> int | None:
        """The command of the first request with this number; None without one."""
        waiting = self._commands.get(sequence)
        return waiting[0] if waiting else None

    def remove(self, sequence: int) -> None:
        """Forget the first request with this number: it is answered."""
        waiting = self._commands[sequence]
        del waiting[0]
        if not waiting:
            del self._commands[sequence]
        self._count -= 1

    def clear(self) -> None:
        """Forget all: nobody is there to be answered."""
        self._commands.clear()
        self._count = 0
