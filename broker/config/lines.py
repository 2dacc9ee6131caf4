"""On which line a key stands. Asked only for an error's text; decides nothing, and any failure of its own means "no line".

The reading itself is tomllib's; spanned_toml reads the same text once more to learn the positions.
"""

import re
from typing import Any

import spanned_toml

from broker.config.problem import Path


class Lines:
    """The lines of one TOML text, which is parsed at the first question."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")  # as both parsers do before they count
        self._root: Any = None

    def find(self, path: Path) -> int | None:
        """The line of the key at `path`, or of the nearest table around it that is written; None where nothing is known."""
        try:
            if self._root is None:
                self._root = spanned_toml.loads(self._text)
            position = self._walk(path)
        except Exception:  # a position is a courtesy: whatever its parser thinks, the problem itself is told
            return None
        return None if position is None else self._text.count("\n", 0, position) + 1

    def _walk(self, path: Path) -> int | None:
        node, position, name = self._root, None, ""
        for step in path:
            inner = node.inner()
            if isinstance(step, int) and isinstance(inner, list) and step < len(inner):
                node = inner[step]
                start = _start(node)
                position = start if start is not None else self._find_header(name, step)
            elif isinstance(inner, dict) and step in inner:
                name = str(step)
                key = next(key for key in inner if key == step)
                node = inner[step]
                position = key.span().start
            else:
                break
        return position

    def _find_header(self, name: str, index: int) -> int | None:
        """Where the [[name]] of item `index` stands: such items have no span of their own."""
        header = re.compile(rf"^[ \t]*\[\[[ \t]*[\"']?{re.escape(name)}[\"']?[ \t]*\]\]", re.MULTILINE)
        starts = [found.end() for found in header.finditer(self._text)]
        return starts[index] if index < len(starts) else None


def _start(node: Any) -> int | None:
    span = node.span()
    return span.start if span.stop > span.start else None
