"""A connection that fails as scripted, and a store opened on it."""

import sqlite3
from typing import Any

from tests.store.rig import Sqlite


def failure(name: str) -> sqlite3.OperationalError:
    """An error as SQLite raises it."""
    error = sqlite3.OperationalError("as scripted")
    error.sqlite_errorname = name
    return error


class Flaky:
    """A connection that fails as `script` says: a word that a statement begins with, and what to raise, before or after doing it."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn
        self.script: dict[str, tuple[str, bool]] = {}
        self.seen: list[str] = []

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self.seen.append(sql)
        for word, (name, is_done) in self.script.items():
            if sql.startswith(word):
                if is_done:
                    self.conn.execute(sql, *values)
                raise failure(name)
        return self.conn.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conn, name)


async def flaky(store: Sqlite, **script: tuple[str, bool]) -> Flaky:
    """The store opened again on a connection that fails."""
    await store.close()
    made: list[Flaky] = []

    def wrap(conn: sqlite3.Connection) -> Flaky:
        made.append(Flaky(conn))
        return made[0]

    store.wrap = wrap
    await store.open()
    made[0].script.update(script)
    return made[0]
