"""The version of the SQLite store: is it this broker's, an older one's, a newer one's?

The columns themselves stand in `migrations`, which is loaded only where there is something to apply: sqlite-utils costs more to
import than the rest of a start.
"""

import sqlite3

VERSIONS: tuple[str, ...] = ("first", "inbound", "attempt_channel", "receipts", "tokens", "lookups", "live_index", "audit")
"""The names of all migrations, in order: a store that names others was made by a newer broker."""


def migrate(conn: sqlite3.Connection) -> None:
    """Bring the store at `conn` to this version. Raises ValueError when a newer broker made it."""
    has_table = conn.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone()
    rows = conn.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'broker'") if has_table else ()
    known = {str(row[0]) for row in rows}
    newer = known - set(VERSIONS)
    if newer:
        raise ValueError(f"made by a newer broker (it has migration '{sorted(newer)[0]}')")
    if len(known) < len(VERSIONS):
        from broker.store.migrations import apply_migrations

        apply_migrations(conn)
