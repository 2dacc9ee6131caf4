"""What people and programs read: JSON documents, tables, and values made safe to show on a terminal.

A table is drawn by rich on a terminal and aligned with spaces anywhere else. Whatever came from outside is shown without
control characters, so that no text or tag can steer the reader's terminal.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

NONE = "-"

_COLOURS = {
    "red": ("suspended", "failed", "undelivered", "blocked", "refused", "misconfigured", "rejected", "dry"),
    "yellow": ("paused", "draining", "breaker", "spend", "probing", "held", "in_doubt", "unknown", "expired", "canceled"),
    "green": ("up", "delivered", "accepted", "sent", "unconfirmed"),
    "dim": ("disabled", NONE),
}
_STYLES = {word: colour for colour, words in _COLOURS.items() for word in words}


class Column:
    """A table's column; numbers stand at the right."""

    def __init__(self, title: str, is_number: bool = False) -> None:
        self.title = title
        self.is_number = is_number


Columns = Sequence[Column | str]


def show(value: object) -> str:
    """A value for a person: `-` for none, lists by commas, nothing that a terminal would obey."""
    if value is None or value == "" or value == [] or value == ():
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(show(item) for item in value)
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def say(line: str = "") -> None:
    """One line on standard output, there at once: whoever reads a pipe should not wait."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def print_json(document: object, *, is_line: bool = False) -> None:
    """One JSON document; `is_line`: on a line of its own. Spread out only for a terminal."""
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    spread = 2 if sys.stdout.isatty() and not is_line else None
    say(json.dumps(document, ensure_ascii=not is_unicode, indent=spread))


def print_table(columns: Columns, rows: Sequence[Sequence[object]]) -> None:
    """The rows under the columns' titles; a column that is empty in every row is left away."""
    heads = [column if isinstance(column, Column) else Column(column) for column in columns]
    cells = [[show(value) for value in row] for row in rows]
    kept = [n for n in range(len(heads)) if n == 0 or any(row[n] != NONE for row in cells)]
    heads, cells = [heads[n] for n in kept], [[row[n] for n in kept] for row in cells]
    if sys.stdout.isatty():
        _draw(heads, cells)
    else:
        _align(heads, cells)


def _align(heads: list[Column], cells: list[list[str]]) -> None:
    lines = [[head.title for head in heads], *cells]
    widths = [max(len(line[n]) for line in lines) for n in range(len(heads))]
    for line in lines:
        parts = [cell.rjust(width) if head.is_number else cell.ljust(width) for cell, width, head in zip(line, widths, heads, strict=True)]
        say("  ".join(parts).rstrip())


def _draw(heads: list[Column], cells: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head in heads:
        table.add_column(head.title, justify="right" if head.is_number else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style=style_of(cell)) for cell in row))  # Text: square brackets are no markup
    Console().print(table)


def style_of(cell: str) -> str:
    """The colour of a cell that begins with a state's word."""
    return _STYLES.get(cell.partition(" ")[0].rstrip(",:"), "")


def show_status(status: str) -> str:
    """A status, coloured on a terminal."""
    word = show(status)
    colour = {"red": 31, "yellow": 33, "green": 32, "dim": 2}.get(style_of(word))
    return f"\x1b[{colour}m{word}\x1b[0m" if colour and sys.stdout.isatty() and is_coloured() else word


def is_coloured() -> bool:
    """False where the reader asked for no colours (https://no-color.org)."""
    import os

    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def name_candidate(row: dict[str, Any]) -> str:
    """`smscru:voice`: the provider, and the channel where the row names one."""
    return ":".join(show(row[name]) for name in ("provider", "channel") if row.get(name)) or NONE


def show_count(count: int, thing: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def show_price(price: object, currency: object) -> str:
    """`0.90 TWD`, or `-`."""
    return NONE if price is None else f"{show(price)} {show(currency)}".removesuffix(f" {NONE}")


def read_strings(answer: dict[str, Any], name: str) -> list[str]:
    """A list of strings in an answer, empty where it is absent."""
    return [str(item) for item in answer.get(name) or []]
