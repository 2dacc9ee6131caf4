"""A spot in the file: a value, the way to it, and the report that gathers whatever is wrong anywhere.

Reading never stops at a fault: it is reported here and the reading goes on. A value that was given as a secret is never quoted.
"""

import difflib
import json
from collections.abc import Iterable

import msgspec

from broker.config.problem import Path
from broker.words.secret import Secret

LATER = "not in this version: "

_WHOLE = object()


class Given(msgspec.Struct, frozen=True):
    """A value that stood in the file as { env }, { file } or { credential }.

    `is_stand_in`: it could not be read and a twin does not need it; `is_lost`: it could not be read, which is already reported.
    """

    text: Secret
    is_stand_in: bool = False
    is_lost: bool = False


UNSHOWN = Given(Secret(""))
"""The item of a Fault whose value must not be quoted."""


class Fault(Exception):
    """A value that cannot be used. `phrase` goes on from the quoted value; None: everything is reported already."""

    def __init__(self, phrase: str | None, item: object = _WHOLE) -> None:
        super().__init__()
        self.phrase = phrase
        self.item = item


class Later(Fault):
    """A value that the contract names and this version leaves out. `phrase` says what to write instead."""


class Report:
    """Whatever was found, as (path, message, path for the line), in the order of finding."""

    def __init__(self) -> None:
        self.found: list[tuple[Path, str, Path]] = []
        self.secret_keys: set[str] = set()

    def add(self, path: Path, message: str, at: Path | None = None) -> None:
        """Report a fault at `path`; `at` is the way to its line where that is a closer one."""
        self.found.append((path, message, path if at is None else at))


class Spot:
    """One value of the file. `key` is what a problem names; `path` may go deeper, to an item's own line."""

    __slots__ = ("given", "key", "path", "report", "value")

    def __init__(self, report: Report, path: Path, value: object, key: Path | None = None) -> None:
        self.report = report
        self.path = path
        self.key = path if key is None else key
        self.given = value if isinstance(value, Given) else None
        self.value = value.text.reveal() if isinstance(value, Given) else value

    def child(self, name: str) -> "Spot":
        """The value of a key of this table."""
        assert isinstance(self.value, dict)
        return Spot(self.report, (*self.path, name), self.value[name])

    def item(self, index: int, value: object) -> "Spot":
        """An item of this list: only a table in a list is named by its number, other items by their list's key."""
        path = (*self.path, index)
        return Spot(self.report, path, value, path if isinstance(value, dict) else self.key)

    def table(self) -> dict[str, object]:
        """The value as a table. Raises Fault."""
        if not isinstance(self.value, dict):
            raise Fault("must be a table of keys and values")
        return self.value

    def add(self, message: str) -> None:
        """Report a fault of this value in a whole sentence."""
        self.report.add(self.key, message, self.path)

    def add_fault(self, fault: Fault) -> None:
        """Report `fault`, quoting the value unless it is a secret. Nothing is said of what a twin does not need."""
        if fault.phrase is None or (self.given is not None and (self.given.is_stand_in or self.given.is_lost)):
            return
        value = self.value if fault.item is _WHOLE else fault.item
        shown = "the value" if self.given is not None else quote(value)
        if isinstance(fault, Later):
            self.add(f"{LATER}{shown}: {fault.phrase}")
        else:
            self.add(f"{shown} {fault.phrase}")


def quote(value: object) -> str:
    """A value as a problem shows it: short, and only its kind where it is no plain one."""
    match value:
        case str():
            text = json.dumps(value if len(value) <= 60 else value[:57] + "...", ensure_ascii=False)
            return text if text.isprintable() else ascii(text)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if abs(value) < 10**20 else "a number so large"
        case dict():
            return "this table"
        case list():
            return "this list"
        case Given():
            return "the value"
        case _:
            text = str(value)
            return text if len(text) <= 60 else "the value"


def nearest(word: str, known: Iterable[str]) -> str:
    """What to do about a word that is none of the known ones: the nearest one, else all of them."""
    words = [name for name in known if name]
    lowered = {name.lower(): name for name in reversed(words)}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{lowered[close[0]]}"?'
    if not words:
        return "there is none to choose from"
    listed = ", ".join(words[:40])
    return f"{'write' if len(words) == 1 else 'known are'} {listed}{', ...' if len(words) > 40 else ''}"
