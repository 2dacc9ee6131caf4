"""Updates that name only the columns that have a new value; the others stay. Holds no value; the statements are few."""

from collections.abc import Sequence
from itertools import compress
from typing import Any


class Update:
    """UPDATE of `always`, and of those of `columns` that have a value: spelled once for each pattern of them."""

    __slots__ = ("_always", "_columns", "_known", "_table", "_where")

    def __init__(self, table: str, always: str, columns: Sequence[str], where: str) -> None:
        self._table = table
        self._always = always
        self._columns = columns
        self._where = where
        self._known: dict[tuple[bool, ...], str] = {}

    def bind(self, values: Sequence[Any]) -> tuple[str, list[Any]]:
        """The statement for `values` of `columns`, and those of them that it takes: None keeps what is there."""
        given = tuple([value is not None for value in values])
        sql = self._known.get(given)
        if sql is None:
            named = "".join([f", {column} = ?" for column in compress(self._columns, given)])
            sql = self._known[given] = f"UPDATE {self._table} SET {self._always}{named} WHERE {self._where}"
        return sql, [value for value in values if value is not None]
