"""Chance in a simulated run: one seed decides the scheduler, ids, tokens and every actor, and the same seed decides them the same way.

Each part of a world draws from a stream of its own, so that one more draw in one of them does not move the others.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trio._core import _run as scheduler

from broker.delivery import callbacks
from broker.provider import smpp
from broker.words import identity


def stream(seed: int, name: str) -> random.Random:
    """The stream of one part of the world."""
    return random.Random(f"{seed}/{name}")


class _Urandom:
    """Stands in for `os` where the broker draws tokens."""

    def __init__(self, seed: int) -> None:
        self.urandom = stream(seed, "urandom").randbytes


class _Random:
    """Stands in for `random` where an SMPP session draws its pauses and the numbers of its long messages."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def Random(self) -> random.Random:  # noqa: N802  # the name it has there
        """The next session's."""
        self._count += 1
        return stream(self._seed, f"smpp{self._count}")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """While entered, the order in which trio runs what is ready, message ids and callback tokens follow from `seed`.

    trio has no public name for its scheduler's randomness; it keeps this switch for hypothesis, which needs the same.
    """
    places: list[tuple[Any, str, Any]] = [
        (scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
        (identity, "_bits", stream(seed, "ids").getrandbits),
        (identity, "_last", 0),
        (callbacks, "os", _Urandom(seed)),
        (smpp, "random", _Random(seed)),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in places]
    state = scheduler._r.getstate()
    scheduler._r.seed(seed)
    try:
        for place, name, value in places:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
        scheduler._r.setstate(state)
