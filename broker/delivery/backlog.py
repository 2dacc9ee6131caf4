"""A backlog: the part of an endpoint's queue that is in memory, in chains. Only the first of a chain may go, and each waits for its time.

Knows no store and no clock. What has failed once is `stuck` with all behind it: it must not keep the rest from being read.
"""

import heapq
from collections import deque
from collections.abc import Iterable

from broker.store.contract import Hook


class Item:
    """One row of the queue. `due` is when to hand it over next, 0 before the first time; `is_out`: it is being handed over."""

    __slots__ = ("due", "hook", "is_dropped", "is_out", "tries")

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.due = 0
        self.tries = 0
        self.is_out = False
        self.is_dropped = False

    def __lt__(self, other: "Item") -> bool:
        return (self.due, self.hook.n) < (other.due, other.hook.n)


class Backlog:
    """`size` rows, `stuck` of them behind a failure or failed themselves."""

    def __init__(self) -> None:
        self.size = 0
        self.stuck = 0
        self._chains: dict[str, deque[Item]] = {}
        self._heads: list[Item] = []

    def add(self, hook: Hook) -> None:
        """The next row: it goes behind those of its chain."""
        item, chain = Item(hook), self._chains.get(hook.chain)
        self.size += 1
        if chain is None:
            self._chains[hook.chain] = deque((item,))
            heapq.heappush(self._heads, item)
            return
        chain.append(item)
        self.stuck += chain[0].tries > 0

    def find_due(self) -> int | None:
        """When the first of all may go; None where nothing can."""
        return self._heads[0].due if self._heads else None

    def take(self) -> Item:
        """That one, to be handed over: `put_off` or `drop` follows. What was never tried comes before what has failed."""
        item = heapq.heappop(self._heads)
        item.is_out = True
        return item

    def put_off(self, item: Item, due: int) -> None:
        """It has failed: again at `due`."""
        if not item.tries:
            self.stuck += len(self._chains[item.hook.chain])
        item.tries += 1
        item.due = due
        item.is_out = False
        heapq.heappush(self._heads, item)

    def drop(self, items: Iterable[Item]) -> None:
        """Forget rows: the next of their chains may go."""
        is_stale = False
        for item in items:
            chain = self._chains[item.hook.chain]
            first = chain[0]
            if first.tries:
                self.stuck -= len(chain) if item is first else 1
            chain.remove(item)
            self.size -= 1
            item.is_dropped = True
            is_stale = is_stale or (item is first and not item.is_out)
            if not chain:
                del self._chains[item.hook.chain]
            elif item is first:
                heapq.heappush(self._heads, chain[0])
        if is_stale:
            self._heads = [item for item in self._heads if not item.is_dropped]
            heapq.heapify(self._heads)

    def find_older(self, oldest: int) -> list[Item]:
        """Rows of `oldest` or before that are not under way."""
        return [item for chain in self._chains.values() for item in chain if item.hook.since <= oldest and not item.is_out]

    def find_refused(self, count: int) -> list[Item]:
        """Up to `count` rows that have failed and are not under way, those that came first."""
        return sorted((item for item in self._heads if item.tries), key=lambda item: item.hook.n)[:count]

    def hurry(self) -> None:
        """Whatever waits for its time may go now."""
        for item in self._heads:
            item.due = 0
        heapq.heapify(self._heads)
