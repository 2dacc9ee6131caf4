"""The migrations of the SQLite store, by sqlite-utils: each transactional, recorded, never changed once released.

Messages and attempts are WITHOUT ROWID: a UUIDv7 key keeps inserts at the end of the tree, and an attempt's key (message, n) saves
an index. One partial index serves every wait (a lane's, a hold's, a doubt's, a receipt's): each further index costs every update.
"""

import sqlite3

from sqlite_utils import Database, Migrations

migrations = Migrations("broker")

_FIRST = """
CREATE TABLE message (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, recipient TEXT NOT NULL, country TEXT, text TEXT, encoding TEXT NOT NULL,
    segments INTEGER NOT NULL, accepted_at INTEGER NOT NULL, valid_until INTEGER NOT NULL, key TEXT, digest BLOB, ref TEXT,
    network TEXT, sender TEXT, channel TEXT NOT NULL, priority INTEGER NOT NULL, tags TEXT, send_at INTEGER,
    max_price INTEGER, pin TEXT, options TEXT, status TEXT NOT NULL, detail TEXT, lane TEXT, next_at INTEGER NOT NULL,
    rule TEXT, attempts INTEGER NOT NULL, progress TEXT, final_at INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX message_key ON message (client, key) WHERE key IS NOT NULL;
CREATE INDEX message_live ON message (status, lane, priority, next_at, valid_until)
    WHERE status IN ('queued', 'sent', 'held', 'in_doubt', 'scheduled');
CREATE TABLE attempt (
    message TEXT NOT NULL, n INTEGER NOT NULL, provider TEXT NOT NULL, token TEXT NOT NULL, opened_at INTEGER NOT NULL,
    state TEXT NOT NULL, key TEXT NOT NULL, sender TEXT, closed_at INTEGER, class TEXT, code TEXT, detail TEXT, refs TEXT,
    parts INTEGER NOT NULL, price INTEGER, currency TEXT, bucket TEXT, credit INTEGER NOT NULL, receipt TEXT,
    doubt TEXT NOT NULL, PRIMARY KEY (message, n)
) WITHOUT ROWID;
CREATE UNIQUE INDEX attempt_open ON attempt (message) WHERE state IN ('open', 'in_doubt');
CREATE TABLE event (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, message TEXT, body TEXT NOT NULL);
CREATE INDEX event_message ON event (message) WHERE message IS NOT NULL;
CREATE TABLE fact (kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE suppression (
    recipient TEXT NOT NULL, scope TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (recipient, scope)
) WITHOUT ROWID;
"""


_RECEIPTS = """
CREATE TABLE ref (
    provider TEXT NOT NULL, ref TEXT NOT NULL, message TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (provider, ref, message, n)
) WITHOUT ROWID;
CREATE TABLE inbox (id INTEGER PRIMARY KEY, provider TEXT NOT NULL, seen_at INTEGER NOT NULL, receipt TEXT NOT NULL);
ALTER TABLE attempt ADD COLUMN pieces TEXT;
"""


@migrations()
def first(db: Database) -> None:
    """Version 1: messages, attempts, events, facts, suppression."""
    for statement in _FIRST.split(";\n"):
        db.conn.execute(statement)


_INBOUND = """
CREATE TABLE inbound (
    id TEXT PRIMARY KEY, provider TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT, text TEXT, ref TEXT, at INTEGER NOT NULL,
    sent_at INTEGER, segments INTEGER NOT NULL, country TEXT, mark BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX inbound_mark ON inbound (mark, at);
CREATE INDEX inbound_text ON inbound (at) WHERE text IS NOT NULL;
CREATE TABLE hook (
    n INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, key TEXT NOT NULL, chain TEXT NOT NULL, since INTEGER NOT NULL
);
CREATE INDEX hook_stream ON hook (stream, n);
"""


@migrations()
def inbound(db: Database) -> None:
    """Inbound messages, and what waits to be handed on to endpoints. A hook's number is never used twice: readers go on after it."""
    for statement in _INBOUND.split(";\n"):
        db.conn.execute(statement)


@migrations()
def attempt_channel(db: Database) -> None:
    """The channel that an attempt goes by in place of the message's own."""
    db.conn.execute("ALTER TABLE attempt ADD COLUMN channel TEXT")


@migrations()
def receipts(db: Database) -> None:
    """Attempts found by their provider's id, receipts that wait for theirs, what is known of each part."""
    for statement in _RECEIPTS.split(";\n"):
        db.conn.execute(statement)


@migrations()
def tokens(db: Database) -> None:
    """Attempts that a callback may name are found by their token; the others have none, and cost this index nothing."""
    db.conn.execute("CREATE INDEX attempt_token ON attempt (token) WHERE token <> ''")


_LOOKUPS = """
CREATE TABLE lookup (
    number TEXT NOT NULL, provider TEXT NOT NULL, at INTEGER NOT NULL, class TEXT NOT NULL, status TEXT NOT NULL, country TEXT,
    network TEXT, operator TEXT, roaming TEXT, code TEXT, PRIMARY KEY (number, provider)
) WITHOUT ROWID;
CREATE INDEX lookup_at ON lookup (at);
"""


@migrations()
def lookups(db: Database) -> None:
    """What providers found of numbers."""
    for statement in _LOOKUPS.split(";\n"):
        db.conn.execute(statement)


_LIVE = """
DROP INDEX message_live;
CREATE INDEX message_live ON message (status, lane, priority, next_at, valid_until)
    WHERE status = 'queued' OR status = 'sent' OR status = 'held' OR status = 'in_doubt' OR status = 'scheduled';
"""


@migrations()
def live_index(db: Database) -> None:
    """The same rows by a plain OR: for an IN of more than two, SQLite builds a table anew in every statement that touches a message."""
    for statement in _LIVE.split(";\n"):
        db.conn.execute(statement)


_AUDIT = """
CREATE TABLE audit (n INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, link BLOB NOT NULL);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only ever added to'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only ever added to'); END;
"""


@migrations()
def audit(db: Database) -> None:
    """What operators ordered, a chain of records. A number is never used twice, so that one that is gone is missed."""
    for statement in _AUDIT.split(";\n"):
        db.conn.execute(statement)


def apply_migrations(conn: sqlite3.Connection) -> None:
    """Apply what the store at `conn` has not had yet."""
    migrations.apply(Database(conn))
