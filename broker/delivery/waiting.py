"""Who waits in one lane's memory: new messages and pages of due rows, by priority. The truth about rows is the store's.

Whatever is more than a page or `ROOM` waits in the store alone, and is read back when its turn comes.
"""

from collections import deque

from broker.routing import Candidate, Rule
from broker.store.query import SqliteQuery
from broker.words.message import Message

SHARES = (8, 3, 1)
PAGE = 200
ROOM = 1_000  # new messages that may wait in memory: whatever is more is read back from the store and ranked again

Waiting = tuple[Message, Rule | None, Candidate | None, int]
"""A message, and the rule and candidate that it was ranked under in that epoch; -1 where it has to be ranked again."""


class WaitingRoom:
    """`size` messages of one lane, those in flight not among them. `has_more`: due rows may be in the store that are not here."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        self.has_more = True
        self.due_at: int | None = None
        self._queues: tuple[deque[Waiting], ...] = (deque(), deque(), deque())
        self._credits = list(SHARES)
        self._ids: set[str] = set()

    @property
    def has_room(self) -> bool:
        """True while a new message may wait in memory; else it waits in the store alone."""
        return not self.has_more and self.size < ROOM

    def holds(self, id_: str) -> bool:
        """True for a message that waits here or is on its way."""
        return id_ in self._ids

    def add(self, waiting: Waiting) -> bool:
        """One more at the end of its queue; False where it is known already."""
        message = waiting[0]
        if message.id in self._ids:
            return False
        self._ids.add(message.id)
        self._queues[message.priority].append(waiting)
        self.size += 1
        return True

    def put_back(self, waiting: Waiting) -> None:
        """What was taken may not leave yet: it is the next of its queue again."""
        priority = waiting[0].priority
        self._queues[priority].appendleft(waiting)
        self.size += 1
        self._credits[priority] += 1  # its turn was not used: under a rate the low ones would lose theirs every time

    def take(self, query: SqliteQuery, now: int) -> Waiting | None:
        """The next waiting message: high, normal and low in shares of 8:3:1 while all wait."""
        if not self.size and not (self.has_more and self._refill(query, now)):
            return None
        queues, credits_ = self._queues, self._credits
        for _ in (0, 1):
            for priority in (0, 1, 2):
                if queues[priority] and credits_[priority] > 0:
                    credits_[priority] -= 1
                    self.size -= 1
                    return queues[priority].popleft()
            self._credits = credits_ = list(SHARES)
        return None

    def let_go(self, id_: str) -> None:
        """A message that was taken is this lane's no more, or comes back as a row."""
        self._ids.discard(id_)

    def forget(self) -> None:
        """Let go of all: the rows are in the store, and others may take them."""
        for queue in self._queues:
            queue.clear()
        self._ids.clear()
        self.size = 0
        self.has_more = True

    def expect(self, at: int, now: int) -> None:
        """A row is due at `at`: read it from the store then."""
        if at <= now:
            self.has_more = True
        elif self.due_at is None or at < self.due_at:
            self.due_at = at

    def look_at_clock(self, now: int) -> None:
        """The time of what was expected may have come."""
        if self.due_at is not None and self.due_at <= now:
            self.has_more, self.due_at = True, None

    def _refill(self, query: SqliteQuery, now: int) -> bool:
        """Read the next due rows of each priority from the store; True when there were any."""
        more = False
        for priority, share in enumerate(SHARES):
            limit = PAGE * share // SHARES[0] + len(self._ids)
            rows = query.read_due(self.name, priority, now, limit)
            more = more or len(rows) == limit
            for message in rows:
                self.add((message, None, None, -1))
        self.has_more = more
        if not more:
            following = query.find_next_due(self.name, now)  # not one that is due: it may be on its way already
            if following is not None:
                self.expect(following, now)
        return self.size > 0
