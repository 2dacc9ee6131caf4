"""The chain of orders: it grows alone, and whoever changes it in the file is told by `verify`, whatever was changed (S17)."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.store.audit import GUARDS, add_record, make_link
from broker.store.contract import Answer, Put, StoreError
from broker.store.keeping import inspect, list_orders
from broker.store.sqlite import open_connection
from tests.store.rig import Sqlite, entry

UNGUARDED = "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;"
GUARDED = "".join(
    f"CREATE TRIGGER audit_no_{word.lower()} BEFORE {word} ON audit BEGIN SELECT RAISE(ABORT, 'x'); END;" for word in ("UPDATE", "DELETE")
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "broker.db"
    conn = open_connection(file)
    for n in range(1, 6):
        add_record(conn, {"at": "2026-12-01T00:00:00.000Z", "user": "unix:root", "uid": 0, "pid": n, "op": f"op{n}", "config": "abc"})
    add_record(conn, {"at": "2026-12-01T00:00:01.000Z", "of": 2, "result": "done", "count": 7, "config": "def"})
    conn.close()
    return file


def test_a_chain_that_nobody_touched_is_whole(path: Path) -> None:
    assert list(inspect(path)) == []


@pytest.mark.parametrize("sql", ["UPDATE audit SET body = '{}'", "DELETE FROM audit WHERE n = 6"])
def test_the_store_itself_refuses_a_change(path: Path, sql: str) -> None:
    conn = open_connection(path)
    with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
        conn.execute(sql)
    conn.close()


def forge(conn: sqlite3.Connection) -> None:
    """Another body, with the link that belongs to it."""
    (before,) = conn.execute("SELECT link FROM audit WHERE n = 2").fetchone()
    conn.execute("UPDATE audit SET body = '{}', link = ? WHERE n = 3", (make_link(before, 3, "{}"),))


def put_between(conn: sqlite3.Connection) -> None:
    """The last two change places."""
    conn.executescript("UPDATE audit SET n = 99 WHERE n = 5; UPDATE audit SET n = 5 WHERE n = 6; UPDATE audit SET n = 6 WHERE n = 99")


def cut_and_go_on(conn: sqlite3.Connection) -> None:
    """The last one is gone, and the broker writes another."""
    conn.execute("DELETE FROM audit WHERE n = 6")
    add_record(conn, {"op": "innocent"})


TAMPERINGS: dict[str, tuple[Callable[[sqlite3.Connection], object], str]] = {
    "a word": (lambda conn: conn.execute("UPDATE audit SET body = replace(body, 'op3', 'op4') WHERE n = 3"), "record 3 is not what was"),
    "a link": (lambda conn: conn.execute("UPDATE audit SET link = zeroblob(32) WHERE n = 3"), "record 3 is not what was"),
    "a record with its link": (forge, "record 4 is not what was written, or does not follow"),
    "one taken out": (lambda conn: conn.execute("DELETE FROM audit WHERE n = 3"), "record 3 is gone"),
    "the first taken out": (lambda conn: conn.execute("DELETE FROM audit WHERE n < 3"), "record 1 to 2 is gone"),
    "the last taken out": (lambda conn: conn.execute("DELETE FROM audit WHERE n = 6"), "record 6 was written, and 5 is the last"),
    "all taken out": (lambda conn: conn.execute("DELETE FROM audit"), "record 6 was written, and 0 is the last"),
    "the last in place of another": (cut_and_go_on, "record 6 is gone"),
    "two in each other's place": (put_between, "record 5 is not what was"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_change_is_told(path: Path, name: str) -> None:
    tamper, told = TAMPERINGS[name]
    conn = sqlite3.connect(path)
    conn.executescript(UNGUARDED)
    tamper(conn)
    conn.commit()
    conn.executescript(GUARDED)
    conn.close()
    assert told in next(iter(inspect(path)))


def test_a_guard_that_was_taken_away_is_told(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.executescript(UNGUARDED)
    conn.close()
    assert list(inspect(path)) == [f"the audit's guard {name} was taken away" for name in GUARDS]


def test_the_last_orders_with_what_came_of_them(path: Path) -> None:
    found = list_orders(path, 4)
    assert [(row["n"], row["op"]) for row in found["audit"]] == [(n, f"op{n}") for n in range(2, 6)]
    assert [row["result"] for row in found["audit"]] == ["done", None, None, None]
    assert (found["audit"][0]["count"], found["audit"][0]["config"], found["audit"][0]["config_after"]) == (7, "abc", "def")
    assert found["head"]["n"] == 6
    assert list_orders(path, 1)["audit"][0]["n"] == 5


def test_a_store_of_before_has_none(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "old.db").close()
    with pytest.raises(StoreError, match="no audit"):
        list_orders(tmp_path / "old.db", 1)
    with pytest.raises(StoreError, match="there is no store"):
        list_orders(tmp_path / "none.db", 1)


async def test_a_record_is_written_with_what_it_is_part_of_or_not_at_all(store: Sqlite) -> None:
    assert await store.do("first", Put(audit={"op": "a"})) is Answer.DONE
    assert await store.do("bad", Put(audit={"op": "b"}, suppress=((1 << 70, "all", "r", 1),))) is Answer.FAILED  # type: ignore[arg-type]  # the fault
    assert await store.do("next", Put(audit={"op": "c"}, entries=(entry("e"),))) is Answer.DONE
    assert [store.values[name] and store.values[name].n for name in ("first", "bad", "next")] == [1, None, 2]
    await store.close()
    assert list(inspect(store.path)) == []
    await store.open()
    await store.do("later", Put(audit={"op": "d"}))
    assert store.values["later"].n == 3
