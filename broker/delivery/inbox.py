"""The inbox: receipts that cannot be applied yet (promise 9). The store has the truth; this is its index in memory.

A receipt waits here where nothing has its id yet (it came before its submit was answered, or is nobody's), and while an attempt of
its message is under way, which alone may change the message then. Never applies one: `receipts` does.
"""

import logging
from collections.abc import Iterable

from broker.store.contract import Stray
from broker.words.clock import HOUR
from broker.words.receipt import Receipt

log = logging.getLogger("broker.delivery")

KEPT = 72 * HOUR
MOST = 10_000
"""Receipts that one account may have waiting: past it the oldest goes, and is counted."""


class Inbox:
    """The receipts that wait, by what they wait for."""

    def __init__(self) -> None:
        self.strays: dict[int, Stray] = {}
        self.dropped: dict[str, int] = {}
        self._by_key: dict[tuple[str, str], list[int]] = {}
        self._keys: dict[int, tuple[tuple[str, str], ...]] = {}
        self._by_provider: dict[str, dict[int, None]] = {}
        self._last = 0

    def add(self, provider: str, receipt: Receipt, message: str | None, now: int) -> tuple[Stray, tuple[int, ...]]:
        """A receipt waits: for the end of an attempt of `message`, or for its id. It, and those that make room for it."""
        drop = tuple(self._make_room(provider))
        stray = Stray(self._last + 1, provider, now, receipt)
        self.adopt(stray, message)
        return stray, drop

    def adopt(self, stray: Stray, message: str | None = None) -> None:
        """Take up one that is in the store, or will be. Where it waits for `message` by now, for that too."""
        self._last = max(self._last, stray.id)
        keys = list(self._keys.get(stray.id) or _find_keys(stray))
        if message is not None and ("", message) not in keys:
            keys.append(("", message))
        self.strays[stray.id] = stray
        self._keys[stray.id] = tuple(keys)
        self._by_provider.setdefault(stray.provider, {})[stray.id] = None
        for key in keys:
            ids = self._by_key.setdefault(key, [])
            if stray.id not in ids:
                ids.append(stray.id)

    def _make_room(self, provider: str) -> Iterable[int]:
        waiting = self._by_provider.get(provider, {})
        if len(waiting) < MOST:
            return
        oldest = next(iter(waiting))
        self.remove(oldest)
        self.dropped[provider] = self.dropped.get(provider, 0) + 1
        if self.dropped[provider] & (self.dropped[provider] - 1) == 0:  # 1, 2, 4, 8, …: a flood must not fill the log as well
            log.error("inbox full: the oldest receipt without a message goes provider=%s dropped=%d", provider, self.dropped[provider])
        yield oldest

    def remove(self, id_: int) -> None:
        """It waits no longer."""
        stray = self.strays.pop(id_, None)
        if stray is None:
            return
        del self._by_provider[stray.provider][id_]
        for key in self._keys.pop(id_):
            ids = self._by_key[key]
            ids.remove(id_)
            if not ids:
                del self._by_key[key]

    def find_same(self, provider: str, receipt: Receipt) -> Stray | None:
        """One that says the very same and waits already: providers repeat what they were not told to stop."""
        for key in _find_keys(Stray(0, provider, 0, receipt))[:1]:
            for id_ in self._by_key.get(key, ()):
                if self.strays[id_].provider == provider and self.strays[id_].receipt == receipt:
                    return self.strays[id_]
        return None

    def find(self, provider: str, message: str, refs: Iterable[str]) -> list[Stray]:
        """Those that wait for this message, whoever sent them, or at this account for one of these ids, in order of arrival."""
        found = {*self._by_key.get(("", message), ())}
        for ref in refs:
            found.update(self._by_key.get((provider, ref), ()))
        return [self.strays[id_] for id_ in sorted(found)]

    def count(self, provider: str) -> int:
        """How many of an account wait."""
        return len(self._by_provider.get(provider, ()))

    def forget(self, before: int) -> None:
        """Let go of those that came before `before`; retention drops their rows."""
        for stray in list(self.strays.values()):
            if stray.seen_at < before:
                self.remove(stray.id)


def _find_keys(stray: Stray) -> list[tuple[str, str]]:
    receipt = stray.receipt
    keys = [] if receipt.token is None else [("", receipt.token.rpartition("/")[0])]
    if receipt.ref is not None:
        keys += [(stray.provider, form) for form in dict.fromkeys((receipt.ref, *receipt.forms))]
    return keys
