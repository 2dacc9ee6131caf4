"""What lookups found: the newest networks of numbers in memory, and who is being asked about whom. The truth is the store's table."""

from broker.store.contract import Found
from broker.store.query import SqliteQuery

SIZE = 50_000

Key = tuple[str, str]


class Lookups:
    """The networks of numbers, newest last, and the lookups under way: (provider, number) -> (the message that asks, until when)."""

    def __init__(self) -> None:
        self._networks: dict[str, tuple[str, int]] = {}
        self._is_whole = True
        self.asked: dict[Key, tuple[str, int]] = {}
        self.waiting: dict[Key, list[str]] = {}

    def load(self, query: SqliteQuery, limit: int) -> None:
        """At start: the newest of what the store knows, found after `limit`."""
        rows = query.read_networks(limit, SIZE)
        self._is_whole = len(rows) < SIZE
        for number, network, at in reversed(rows):
            self._networks.pop(number, None)
            self._networks[number] = (network, at)

    def find_network(self, query: SqliteQuery, number: str, limit: int) -> str | None:
        """The network (MCCMNC) that a number was last found in, None where nobody looked, or none was found after `limit`."""
        found = self._networks.get(number)
        if found is None:
            found = None if self._is_whole else query.find_network(number)
            if found is None:
                return None
        network, at = found
        return network if at > limit else None

    def learn(self, found: Found) -> None:
        """Keep what was found; that a number is in no network now says nothing of the one that it belongs to."""
        network = found.lookup.network
        if network is None:
            return
        self._networks.pop(found.number, None)
        self._networks[found.number] = (network, found.at)
        if len(self._networks) > SIZE:
            del self._networks[next(iter(self._networks))]
            self._is_whole = False

    def erase(self, number: str) -> None:
        """Let go of a number."""
        self._networks.pop(number, None)

    def forget(self, before: int) -> None:
        """Let go of what was found before `before`."""
        networks = self._networks
        while networks:
            number = next(iter(networks))
            if networks[number][1] >= before:
                return
            del networks[number]
