"""What a subscriber asks for: the parameters of /v1/events, and the filter that they make (CONTRACT §6).

Functions of values: no socket, no store. A parameter that cannot be read is refused by its name and never ignored; a reason shows
no value, since a value may be a token in the wrong place.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from broker.words.event import FAMILIES, TYPES

_NAME = re.compile(r"[a-z][a-z_]*")
_ANY_TYPE = TYPES | {f"{family}.*" for family in FAMILIES}
_LARGEST = 2**63 - 1
_MOST = 200


class BadAsk(Exception):
    """A parameter that cannot be obeyed; the text names it and says how it is written."""


class Facts(msgspec.Struct):
    """What filters look at in an event. Whatever else it holds is left unread."""

    type: str
    provider: Any = None
    client: Any = None
    id: Any = None
    tags: Any = None


read_facts = msgspec.json.Decoder(Facts).decode


class Filter(msgspec.Struct, frozen=True):
    """Any of the values of a key, all keys; an empty one is not asked. `families` are prefixes: "message." for `message.*`."""

    types: frozenset[str] = frozenset()
    families: tuple[str, ...] = ()
    provider: frozenset[str] = frozenset()
    client: frozenset[str] = frozenset()
    tag: frozenset[str] = frozenset()
    id: frozenset[str] = frozenset()

    def takes(self, facts: Facts) -> bool:
        """True for an event that the subscriber asked for."""
        if (self.types or self.families) and not (facts.type in self.types or facts.type.startswith(self.families)):
            return False
        if self.provider and facts.provider not in self.provider:
            return False
        if self.client and facts.client not in self.client:
            return False
        if self.id and facts.id not in self.id:
            return False
        return not self.tag or (isinstance(facts.tags, list) and not self.tag.isdisjoint(facts.tags))


class Ask(msgspec.Struct, frozen=True):
    """A subscriber's wishes. `after` None: what comes from now on. `filter` None: everything."""

    after: int | None = None
    batch: bool = False
    filter: Filter | None = None


def read_ask(query: str) -> Ask:
    """The wishes in a query string. An empty filter (`provider=`) is not asked. Raises BadAsk."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MOST)
    except UnicodeDecodeError:
        raise BadAsk("the query is not UTF-8") from None
    except ValueError:
        raise BadAsk(f"the query has more than {_MOST} parameters") from None
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    for name in given:
        if name not in ("from", "batch", "type", "provider", "client", "tag", "id"):
            shown = f"`{name}`" if _NAME.fullmatch(name) and len(name) <= 30 else "a parameter"
            raise BadAsk(f"{shown} is unknown; there are from, type, provider, client, tag, id and batch")
    after, batch = _read_once(given, "from"), _read_once(given, "batch")
    if after is not None and not (after.isascii() and after.isdigit() and len(after) < 20 and int(after) <= _LARGEST):
        raise BadAsk("`from` is no sequence number: write the `seq` of the last event seen, or 0 for all")
    if batch not in (None, "0", "1"):
        raise BadAsk("`batch` is 1 or 0")
    return Ask(None if after is None else int(after), batch == "1", _read_filter(given))


def _read_once(given: dict[str, list[str]], name: str) -> str | None:
    values = given.get(name, [None])
    if len(values) > 1:
        raise BadAsk(f"`{name}` is given twice")
    return values[0]


def _read_filter(given: dict[str, list[str]]) -> Filter | None:
    wanted = {name: frozenset(filter(None, given.get(name, ()))) for name in ("type", "provider", "client", "tag", "id")}
    if not wanted["type"] <= _ANY_TYPE:
        raise BadAsk(f"`type` is no event's: try {' '.join(f'{family}.*' for family in FAMILIES)}")  # a close has room for 123
    if not any(wanted.values()):
        return None
    families = tuple(sorted(kind[:-1] for kind in wanted["type"] if kind.endswith("*")))
    types = frozenset(kind for kind in wanted["type"] if not kind.endswith("*"))
    return Filter(types, families, wanted["provider"], wanted["client"], wanted["tag"], wanted["id"])
