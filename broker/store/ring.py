"""The newest committed events in memory, and the bell that says there are more. Who keeps up reads here, who lags reads the table.

Both are read by the same cursor (`seq`), so there is no hand-over between them.
"""

from bisect import bisect_right
from collections.abc import Sequence

import trio

from broker.store.contract import Entry


class Ring:
    """At least the last `size` committed entries, in order of `seq`."""

    def __init__(self, size: int, last: int) -> None:
        self._size = size
        self._seqs: list[int] = []
        self._entries: list[Entry] = []
        self._lot = trio.lowlevel.ParkingLot()
        self.last = last
        self._floor = last

    def push(self, entries: Sequence[Entry]) -> None:
        """Add entries just committed and wake whoever waits."""
        if not entries:
            return
        self._entries.extend(entries)
        self._seqs.extend([entry.seq for entry in entries])
        self.last = entries[-1].seq
        if len(self._entries) > 2 * self._size:
            cut = len(self._entries) - self._size
            self._floor = self._seqs[cut - 1]
            del self._entries[:cut]
            del self._seqs[:cut]
        self._lot.unpark_all()

    def read_after(self, cursor: int, limit: int) -> Sequence[Entry] | None:
        """Up to `limit` entries after `cursor`; None when the ring no longer reaches back that far (then the table does)."""
        if cursor < self._floor:
            return None
        at = bisect_right(self._seqs, cursor)
        return self._entries[at : at + limit]

    async def wait_beyond(self, cursor: int) -> None:
        """Return when an entry after `cursor` is committed."""
        while self.last <= cursor:
            await self._lot.park()
