"""What an account's provider said that a message costs, where broker.toml has no price: by the number's first digits, channel and size.

A table that remembers what was looked for in vain, so that it can be asked for; it asks nobody, and keeps neither a number nor a text.
Never on the way of a message: who finds nothing goes on without.
"""

from collections.abc import Callable

import msgspec

DIGITS = 7
"""How much of a number makes its price: + and six digits, which name a country and mostly the network that gave the number out."""
MOST = 10_000


class Place(msgspec.Struct, frozen=True, gc=False):
    """What one price is for: the number's beginning and length, how a text is written and how many segments it has."""

    prefix: str
    length: int
    channel: str
    encoding: str
    segments: int


class Quote(msgspec.Struct, frozen=True, gc=False):
    """`price` in micro-units of the account's currency for the whole message, None where the provider says none; said at `at`."""

    price: int | None
    at: int


class Quotes:
    """One account's, for messages by `channels`. `on_wanted` is called for the first of those that are wanted and not known."""

    __slots__ = ("_known", "channels", "on_wanted", "used", "wanted")

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        self.on_wanted: Callable[[], None] = lambda: None
        self.wanted: dict[Place, None] = {}
        self.used: set[Place] = set()
        self._known: dict[Place, Quote] = {}

    def find(self, to: str, channel: str, encoding: str, segments: int) -> Quote | None:
        """What is known; None for what is wanted from now on."""
        place = Place(to[:DIGITS], len(to), channel, encoding, segments)
        found = self._known.get(place)
        if found is not None:
            self.used.add(place)
        elif place not in self.wanted and len(self.wanted) < MOST:
            self.wanted[place] = None
            if len(self.wanted) == 1:
                self.on_wanted()
        return found

    def learn(self, place: Place, quote: Quote) -> None:
        """The provider has said it, or that it says nothing."""
        self.wanted.pop(place, None)
        self._known.pop(place, None)
        self._known[place] = quote
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def review(self, fresh: int, good: int) -> None:
        """Want again what was said before `fresh` and used since the last time; let go of what was said before `good`."""
        for place, quote in list(self._known.items()):
            if quote.at < fresh and place in self.used:
                self.wanted.setdefault(place)
            if quote.at < good:
                del self._known[place]
        self.used.clear()
