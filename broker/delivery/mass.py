"""The mass-terminal guard: one account that says `blocked` of everybody says something of itself (PROVIDERS.md, rules for every provider).

A firewall's 403 must not opt people out. Knows nothing of what an answer means; the lane keeps one of these per account.
"""

from collections import deque

from broker.words.clock import MINUTE

MOST = 5
"""So many different messages in a row, within WITHIN milliseconds, are the account's trouble."""
WITHIN = MINUTE

Entry = tuple[str, str]
"""A suppression: (recipient, scope)."""


class BlockedRow:
    """The `blocked` answers that came in a row, and the suppressions that were made for them."""

    __slots__ = ("_entries", "_row")

    def __init__(self) -> None:
        self._row: deque[tuple[int, str]] = deque()
        self._entries: list[tuple[int, Entry]] = []

    def note(self, message: str, now: int) -> bool:
        """A message was answered with `blocked`. True when it is one too many."""
        while self._row and self._row[0][0] <= now - WITHIN:
            self._row.popleft()
        self._entries = [entry for entry in self._entries if entry[0] > now - WITHIN]
        if all(each != message for _, each in self._row):
            self._row.append((now, message))
        return len(self._row) >= MOST

    def add(self, entry: Entry, now: int) -> None:
        """A suppression was made for such an answer."""
        self._entries.append((now, entry))

    def take_entries(self) -> list[Entry]:
        """The suppressions of the row, which are not to stand."""
        entries, self._entries = [entry for _, entry in self._entries], []
        return entries

    def end(self) -> None:
        """The provider answered otherwise: the row is over, and what was made for it stands."""
        self._row.clear()
        self._entries.clear()
