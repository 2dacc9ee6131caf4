"""Statements that name only what has a value. Python's sqlite3 looks for an adapter at every None that it binds, which costs more than
writing the column: so a None is spelled in the statement, or its column is left out. Holds no value; the statements are few.
"""

from collections.abc import Callable, Sequence
from functools import partial
from operator import is_, is_not
from typing import Any

_is_none = partial(is_, None)
_is_some = partial(is_not, None)

MOST = 500
Blanks = tuple[bool, ...]


class Statement:
    """A statement by which of its values are None: `spell` is asked once for each pattern of them."""

    __slots__ = ("_known", "_spell")

    def __init__(self, spell: Callable[[Blanks], str]) -> None:
        self._spell = spell
        self._known: dict[Blanks, str] = {}

    def bind(self, values: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
        """The statement for `values`, and those of them that it takes."""
        blanks = tuple(map(_is_none, values))
        sql = self._known.get(blanks)
        if sql is None:
            if len(self._known) >= MOST:
                self._known.clear()
            sql = self._known[blanks] = self._spell(blanks)
        return sql, tuple(filter(_is_some, values))


def insert_into(table: str, columns: Sequence[str], rest: str = "") -> Statement:
    """INSERT of a row. A None is left out, as NULL is what such a column has then."""

    def spell(blanks: Blanks) -> str:
        named = [column for column, is_blank in zip(columns, blanks, strict=True) if not is_blank]
        return f"INSERT INTO {table} ({', '.join(named)}) VALUES ({', '.join('?' * len(named))}){rest}"

    return Statement(spell)


def update(table: str, columns: Sequence[str], keeps: Sequence[str], where: str) -> Statement:
    """UPDATE of `columns`, and of `keeps`, each of which stays as it is where it is None. `where` has values of its own, after these."""

    def spell(blanks: Blanks) -> str:
        named = [f"{column} = {'NULL' if is_blank else '?'}" for column, is_blank in zip(columns, blanks, strict=False)]
        named += [f"{column} = ?" for column, is_blank in zip(keeps, blanks[len(columns) :], strict=True) if not is_blank]
        return f"UPDATE {table} SET {', '.join(named)} WHERE {where}"  # names of this module's callers

    return Statement(spell)
