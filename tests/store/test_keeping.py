"""A copy of a store, and what `verify` says of stores that are whole, damaged, of another version, or do not hold together."""

import sqlite3
from pathlib import Path

import pytest

from broker.store.contract import StoreError
from broker.store.keeping import back_up, count_rows, inspect
from broker.store.rows import INSERT_ATTEMPT, INSERT_MESSAGE, pack_attempt, pack_message
from broker.store.sqlite import open_connection
from broker.words.attempt import Attempt
from broker.words.message import Message


def message(id_: str = "m1", status: str = "queued", next_at: int = 5) -> Message:
    return Message(id_, "c", "+886912345678", "TW", "hi", "gsm7", 1, 1, 99, status=status, next_at=next_at)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "broker.db"
    conn = open_connection(file)
    conn.execute(INSERT_MESSAGE, pack_message(message(), None))
    conn.close()
    return file


def change(path: Path, sql: str, *values: object) -> None:
    with sqlite3.connect(path) as conn:
        conn.execute(sql, values)
    conn.close()


def test_a_copy_is_the_store(path: Path, tmp_path: Path) -> None:
    size = back_up(path, tmp_path / "copy.db")
    copy = tmp_path / "copy.db"
    assert copy.stat().st_size == size
    assert copy.stat().st_mode & 0o777 == 0o600
    assert list(inspect(copy)) == []
    assert count_rows(copy) == count_rows(path) == {"message": 1, "attempt": 0, "event": 0, "audit": 0}
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith("copy")) == ["copy.db"]


def test_a_copy_holds_what_is_only_in_the_log_yet(path: Path, tmp_path: Path) -> None:
    conn = open_connection(path)  # its commits stay in the write-ahead log
    conn.execute(INSERT_MESSAGE, pack_message(message("m2"), None))
    back_up(path, tmp_path / "copy.db")
    conn.close()
    assert count_rows(tmp_path / "copy.db")["message"] == 2


def test_a_copy_into_a_folder(path: Path, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    back_up(path, tmp_path / "to")
    assert (tmp_path / "to" / "broker.db").is_file()


def test_nothing_is_written_over(path: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(StoreError, match="is there already"):
        back_up(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_a_place_that_cannot_be_written(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot copy"):
        back_up(path, tmp_path / "nowhere" / "copy.db")


def test_no_store(tmp_path: Path) -> None:
    for work in (lambda: back_up(tmp_path / "no.db", tmp_path / "x"), lambda: list(inspect(tmp_path / "no.db"))):
        with pytest.raises(StoreError, match="there is no store"):
            work()


def test_a_whole_store(path: Path) -> None:
    assert list(inspect(path)) == []


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE message SET status = 'lost'", "no known status"),
        ("UPDATE message SET next_at = 0", "nothing will wake"),
        ("UPDATE message SET status = 'failed'", "without the time of their end"),
        ("UPDATE message SET status = 'sending'", "sending without an open attempt"),
        ("UPDATE message SET status = 'in_doubt'", "without an attempt in doubt"),
    ],
)
def test_what_does_not_hold_together(path: Path, sql: str, told: str) -> None:
    change(path, sql)
    problems = list(inspect(path))
    assert len(problems) == 1
    assert told in problems[0]
    assert "m1" in problems[0]


def test_attempts_that_hang_in_the_air(path: Path) -> None:
    for attempt in (Attempt("gone", 1, "a", "t", 1, "accepted"), Attempt("m1", 1, "a", "t", 1, "open")):
        change(path, INSERT_ATTEMPT, *pack_attempt(attempt))
    assert [problem.partition(":")[0] for problem in inspect(path)] == [
        "attempts open of messages that are not sending",
        "attempts without their message",
    ]


def test_a_damaged_file_is_told_and_left_as_it_is(path: Path) -> None:
    conn = open_connection(path)
    for n in range(2000):
        conn.execute(INSERT_MESSAGE, pack_message(message(f"x{n:05}"), None))
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    data = bytearray(path.read_bytes())
    data[20 * 4096 : 21 * 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    problems = list(inspect(path))
    assert problems
    assert problems[0].startswith("the file is damaged")
    assert path.read_bytes() == data


def test_another_version(path: Path) -> None:
    change(path, "DELETE FROM _sqlite_migrations WHERE name = 'receipts'")
    assert "another version" in next(iter(inspect(path)))
