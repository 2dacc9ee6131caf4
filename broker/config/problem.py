"""A problem of the configuration: where it is, what is wrong, what to do; and the exception that carries all of them.

Never holds a secret: whoever writes a message quotes no value that may be one.
"""

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

Path = tuple[str | int, ...]
"""The way to a value: ("rules", 0, "use")."""

_is_bare = re.compile(r"[A-Za-z0-9_-]+").fullmatch


def dotted(path: Path) -> str:
    """The path as people write it: `rules[0].use`, `clients."unix:shop".rate`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        quoted = step if _is_bare(step) else '"' + step.replace("\\", "\\\\").replace('"', '\\"') + '"'
        text += f".{quoted}" if text else quoted
    return text


class Problem(msgspec.Struct, frozen=True):
    """One finding. `key` is dotted, empty for the file as a whole; `line` counts from 1, None where no line is to blame.

    An `error` refuses the file; a `warning` is printed by `check` and logged by `run`.
    """

    key: str
    line: int | None
    message: str
    file: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = [self.file, str(self.line)] if self.line is not None else [self.file]
        parts = [":".join(filter(None, place)), self.key, self.message]
        return ": ".join(filter(None, parts))


class ConfigError(Exception):
    """The configuration is refused whole. `problems` are all that was found, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems: list[Problem] = list(problems)
