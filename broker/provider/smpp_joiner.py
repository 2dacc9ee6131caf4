"""The parts of long inbound messages that wait for each other, and what is to be kept of them so that a restart loses none.

Each part is kept before it is acknowledged, for an SMSC may deliver one at a time: the next comes only when the last is acknowledged.
Says what to keep under which name (`contract.Port.keep`); keeps nothing itself. Times are milliseconds UTC, since they outlive us.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from broker.provider.contract import Changes
from broker.provider.smpp_inbound import Piece
from broker.text import Concat
from broker.words.clock import HOUR

KNOWN = HOUR
"""So long a part that comes again is known after its message was whole."""

Key = tuple[str, str, int, int]


def name_part(piece: Piece) -> str:
    """What a part is kept under."""
    assert piece.concat is not None
    return f"{_name(piece.key)}/{piece.concat.part}"


def pack_part(piece: Piece, now: int) -> dict[str, Any]:
    """A part as it is kept; it came at `now`."""
    concat = piece.concat
    assert concat is not None
    return {
        **{"at": now, "sender": piece.sender, "to": piece.to, "octets": piece.octets.hex(), "coding": piece.data_coding},
        **{"tables": list(piece.tables), "reference": concat.reference, "parts": concat.parts, "part": concat.part},
    }


def _unpack_part(kept: Mapping[str, Any]) -> Piece:
    locking, single = kept["tables"]
    concat = Concat(kept["reference"], kept["parts"], kept["part"])
    return Piece(kept["sender"], kept["to"], bytes.fromhex(kept["octets"]), kept["coding"], (locking, single), concat)


def _name(key: Key) -> str:
    return "/".join(map(str, key))


def _digest(piece: Piece) -> str:
    return blake2b(piece.octets, digest_size=8).hexdigest()


class Joiner:
    """One account's parts: at most `most`, since a peer that never sends the rest must not fill the memory; `wait`: for how long."""

    def __init__(self, wait: int, most: int = 1_000) -> None:
        self._wait = wait
        self._most = most
        self._groups: dict[Key, dict[int, Piece]] = {}
        self._until: dict[Key, int] = {}  # in the order of coming
        self._known: dict[str, tuple[int, list[str]]] = {}  # a whole message's name → until when, its parts' digests
        self._count = 0

    def load(self, kept: Mapping[str, Mapping[str, Any]], now: int) -> None:
        """Forget all, and take up what was kept; what waited already waits anew, for the rest may come only now."""
        self._groups, self._until, self._known, self._count = {}, {}, {}, 0
        for name, value in sorted(kept.items(), key=lambda item: int(item[1]["at"])):
            if "digests" in value:
                self._known[name] = (value["at"] + KNOWN, value["digests"])
            else:
                self._hold(_unpack_part(value), now)

    def add(self, piece: Piece, now: int) -> list[Piece] | None:
        """A part came: all parts in order, if it was the last one missing; none, if its message was whole before."""
        assert piece.concat is not None
        _, digests = self._known.get(_name(piece.key), (0, ()))
        if piece.concat.part <= len(digests) and digests[piece.concat.part - 1] == _digest(piece):
            return []
        self._hold(piece, now)
        return self._remove(piece.key) if len(self._groups[piece.key]) == piece.concat.parts else None

    def list_due(self, now: int) -> list[list[Piece]]:
        """The parts of each message that waited long enough, or that make room for others."""
        due = []
        for key, until in list(self._until.items()):
            if until <= now or self._count > self._most:  # the oldest first
                due.append(self._remove(key))
        return due

    def close(self, pieces: Sequence[Piece], now: int) -> Changes:
        """What is to be kept of a message that goes on: none of its parts, and of a whole one what tells its parts when they come again."""
        gone: Changes = tuple((name_part(piece), None) for piece in pieces)
        assert pieces[0].concat is not None
        if len(pieces) < pieces[0].concat.parts:
            return gone
        name, digests = _name(pieces[0].key), [_digest(piece) for piece in pieces]
        self._known[name] = (now + KNOWN, digests)
        return (*gone, (name, {"at": now, "digests": digests}))

    def drop_known(self, now: int) -> Changes:
        """What need not be kept any longer of messages that went on."""
        old = [name for name, (until, _) in self._known.items() if until <= now]
        old += list(self._known)[: max(len(self._known) - self._most - len(old), 0)]
        for name in dict.fromkeys(old):
            del self._known[name]
        return tuple((name, None) for name in dict.fromkeys(old))

    @property
    def next_due(self) -> int | None:
        """When the oldest message has waited long enough."""
        return next(iter(self._until.values()), None)

    def __len__(self) -> int:
        return self._count

    def _hold(self, piece: Piece, now: int) -> None:
        assert piece.concat is not None
        group = self._groups.setdefault(piece.key, {})
        self._until.setdefault(piece.key, now + self._wait)
        self._count += piece.concat.part not in group
        group[piece.concat.part] = piece

    def _remove(self, key: Key) -> list[Piece]:
        group = self._groups.pop(key)
        del self._until[key]
        self._count -= len(group)
        return [group[part] for part in sorted(group)]
