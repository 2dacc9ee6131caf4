"""The mass-terminal guard: one account that says `blocked` of everybody says something of itself (PROVIDERS.md, rules for every provider).

A firewall's 403 must not opt people out; a row of `rejected` is counted and told, no more. Knows nothing of what an answer means; the lane
keeps one of these per account and class.
"""

from collections import deque

from broker.words.clock import MINUTE

MOST = 5
"""So many different messages in a row, within WITHIN milliseconds, are the account's trouble."""
WITHIN = MINUTE

Entry = tuple[str, str]
"""A suppression: (recipient, scope)."""


class BlockedRow:
    """The answers of one kind that came in a row, and the suppressions that were made for them; `rows`: how many such rows there were."""

    __slots__ = ("_entries", "_is_counted", "_row", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self._is_counted = False
        self._row: deque[tuple[int, str]] = deque()
        self._entries: list[tuple[int, Entry]] = []

    def note(self, message: str, now: int) -> bool:
        """A message was answered so. True when it is one too many."""
        while self._row and self._row[0][0] <= now - WITHIN:
            self._row.popleft()
        self._entries = [entry for entry in self._entries if entry[0] > now - WITHIN]
        if all(each != message for _, each in self._row):
            self._row.append((now, message))
        is_row = len(self._row) >= MOST
        self.rows += is_row and not self._is_counted
        self._is_counted |= is_row
        return is_row

    def add(self, entry: Entry, now: int) -> None:
        """A suppression was made for such an answer."""
        self._entries.append((now, entry))

    def take_entries(self) -> list[Entry]:
        """The suppressions of the row, which are not to stand."""
        entries, self._entries = [entry for _, entry in self._entries], []
        return entries

    def end(self) -> None:
        """The provider answered otherwise: the row is over, and what was made for it stands."""
        self._is_counted = False
        self._row.clear()
        self._entries.clear()
