"""Opening a store: the lock of its folder, what is refused and in which words, and what version it is (DESIGN, Store)."""

import errno
import fcntl
import os
import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database

from broker.store import lock, schema
from broker.store.contract import StoreError
from broker.store.lock import FolderLock, find_file_system
from broker.store.migrations import migrations
from broker.store.query import SqliteQuery
from broker.store.rows import INSERT_MESSAGE, pack_message
from broker.store.schema import VERSIONS
from broker.store.sqlite import Writer, open_connection
from tests.store.rig import NOW, message


def test_the_second_holder_hears_the_firsts_number(tmp_path: Path) -> None:
    first = FolderLock(tmp_path / "var" / "broker")
    with pytest.raises(StoreError, match=rf"another broker \(pid {os.getpid()}\) already runs on .*var/broker.*data_dir"):
        FolderLock(tmp_path / "var" / "broker")
    first.close()
    assert first.path.stat().st_mode & 0o077 == 0
    FolderLock(tmp_path / "var" / "broker").close()


def test_a_lock_of_before_is_no_lock(tmp_path: Path) -> None:
    """The file stays, the lock ends with the process: a crash leaves nothing to clean up."""
    (tmp_path / "lock").write_text("99999999\nand more")
    held = FolderLock(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    held.close()


def test_nobody_inherits_it(tmp_path: Path) -> None:
    held = FolderLock(tmp_path)
    flags = [fcntl.fcntl(int(name), fcntl.F_GETFD) for name in os.listdir("/proc/self/fd") if is_lock(name, tmp_path)]
    assert flags
    assert all(flag & fcntl.FD_CLOEXEC for flag in flags)
    held.close()


def is_lock(name: str, folder: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{name}") == str(folder / "lock")
    except OSError:
        return False


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EROFS, "Read-only file system"), (errno.EACCES, "Permission denied"), (errno.ENOSPC, "No space")]
)
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    def refuse(*_args: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=rf"cannot write in {tmp_path}: {words}.*data_dir"):
        FolderLock(tmp_path)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write in .*file/broker: Not a directory"):
        FolderLock(tmp_path / "file" / "broker")


def test_a_folder_that_knows_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no other broker, and is not told as one."""

    def refuse(*_args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StoreError, match=r"cannot lock .*lock: No locks available"):
        FolderLock(tmp_path)


def test_a_full_disk_does_not_keep_it_from_being_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", refuse)
    held = FolderLock(tmp_path)
    with pytest.raises(StoreError, match=r"pid unknown"):
        FolderLock(tmp_path)
    held.close()


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"])
def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(lock, "find_file_system", lambda _folder: kind)
    with pytest.raises(StoreError, match=rf"network file system \({kind}\).*data_dir to a folder on a local disk"):
        FolderLock(tmp_path)


MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /srv rw,relatime shared:2 - xfs /dev/sdb1 rw
24 23 0:22 / /srv/share rw,relatime shared:3 master:1 - nfs4 server:/share rw,vers=4.2
25 23 0:23 / /srv/sharedless rw,relatime - btrfs /dev/sdc1 rw
26 22 0:24 / /mnt/my\040disk\134x rw,relatime - cifs //server/x rw
27 22 0:25 / /over rw - ext4 /dev/sdd1 rw
28 27 0:26 / /over rw - tmpfs tmpfs rw
""".lstrip()


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/broker", "ext4"),
        ("/srv", "xfs"),
        ("/srv/broker", "xfs"),
        ("/srv/share/broker", "nfs4"),
        ("/srv/shares", "xfs"),  # not /srv/share
        ("/srv/sharedless/x", "btrfs"),
        ("/mnt/my disk\\x/var", "cifs"),
        ("/mnt/my", "ext4"),
        ("/over/x", "tmpfs"),  # the later one covers the earlier
    ],
)
def test_which_file_system_holds_a_folder(tmp_path: Path, folder: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert find_file_system(Path(folder), str(mounts)) == kind


def test_where_the_system_does_not_say(tmp_path: Path) -> None:
    assert find_file_system(tmp_path, str(tmp_path / "none")) == ""
    (tmp_path / "mountinfo").write_bytes(b"1 0 8:1 / /\xff\xfe rw - ext4 /dev/sda1 rw\n")
    assert find_file_system(tmp_path, str(tmp_path / "mountinfo")) == ""


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:1 / {(tmp_path / 'far').resolve()} rw - nfs4 s:/ rw\n")
    assert find_file_system(tmp_path / "near", str(mounts)) == "nfs4"


def test_a_new_store(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    conn = open_connection(path)
    assert path.stat().st_mode & 0o077 == 0
    assert conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert conn.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert conn.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
    assert Writer(conn).seq == 0
    conn.close()
    open_connection(path).close()  # and again


@pytest.mark.parametrize("folder", ["plain", "a b", "50%", "what?", "a#b", "grün"])
def test_any_folder_can_hold_it(tmp_path: Path, folder: str) -> None:
    """Also one whose name means something in a URI: readers open by one."""
    (tmp_path / folder).mkdir()
    conn = open_connection(tmp_path / folder / "broker.db")
    query = SqliteQuery(tmp_path / folder / "broker.db")
    assert query.count_statuses() == {}
    query.close()
    conn.close()
    assert sorted(name for name in os.listdir(tmp_path)) == [folder]


def test_readers_cannot_write(tmp_path: Path) -> None:
    open_connection(tmp_path / "broker.db").close()
    reader = open_connection(tmp_path / "broker.db", read_only=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM message")
    reader.close()


def test_the_versions_are_the_migrations() -> None:
    assert [each.name for each in migrations._migrations] == list(VERSIONS)


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    conn = open_connection(path)
    conn.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('broker', 'from_tomorrow', '2030')")
    conn.close()
    with pytest.raises(StoreError, match=rf"{path} was made by a newer broker .*'from_tomorrow'.*; run the broker that made it"):
        open_connection(path)


def test_an_older_store_is_brought_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "broker.db"
    conn = open_connection(path)
    conn.execute("INSERT INTO fact (kind, name, value) VALUES ('k', 'n', '{}')")
    conn.close()
    added = list(migrations._migrations)
    monkeypatch.setattr(migrations, "_migrations", added)
    migrations(name="second")(lambda db: db.conn.execute("CREATE TABLE more (x)") and None)
    monkeypatch.setattr(schema, "VERSIONS", (*VERSIONS, "second"))
    conn = open_connection(path)
    assert conn.execute("SELECT * FROM more").fetchall() == []
    assert conn.execute("SELECT name FROM fact").fetchall() == [("n",)]  # what was there is there
    conn.close()


def test_a_store_of_before_the_new_index_is_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    conn = sqlite3.connect(path, isolation_level=None)
    migrations.apply(Database(conn), stop_before="live_index")
    for number, status in enumerate(("queued", "sending", "sent", "held", "in_doubt", "scheduled", "delivered")):
        conn.execute(INSERT_MESSAGE, pack_message(message(f"m{number}", status=status), None))
    conn.close()
    conn = open_connection(path)
    query = SqliteQuery(path)
    assert [each.id for each in query.read_due("a", 1, NOW, 10)] == ["m0"]
    assert query.count_queued() == 3
    assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    query.close()
    conn.close()


def test_no_write_of_a_message_builds_a_table(tmp_path: Path) -> None:
    """SQLite does so for an IN of more than two in an index's condition, in every statement: that was half of an update's cost."""
    conn = open_connection(tmp_path / "broker.db")
    for sql in ("INSERT INTO message (id) VALUES (1)", "UPDATE message SET status = 1 WHERE id = 1", "DELETE FROM message",
                "INSERT INTO attempt (message) VALUES (1)", "UPDATE attempt SET state = 1 WHERE message = 1"):  # fmt: skip
        assert "OpenEphemeral" not in {row[1] for row in conn.execute(f"EXPLAIN {sql}")}
    conn.close()


def test_a_migration_cut_short_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole or not at all: half a schema would keep the broker from ever starting."""

    def cut(db: object) -> None:
        db.conn.execute("CREATE TABLE message (half)")  # type: ignore[attr-defined]  # as sqlite-utils gives it
        raise sqlite3.OperationalError("the power is gone")

    first = migrations._migrations[0]
    monkeypatch.setattr(first, "fn", cut)
    with pytest.raises(StoreError, match="the power is gone"):
        open_connection(tmp_path / "broker.db")
    monkeypatch.undo()
    conn = open_connection(tmp_path / "broker.db")
    assert conn.execute("SELECT id FROM message").fetchall() == []
    conn.close()


def test_what_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    path.write_text("this is no database, it is a text of some length\n" * 200)
    with pytest.raises(StoreError, match=r"cannot open the store .*broker.db: file is not a database; check"):
        open_connection(path)


def test_a_store_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot open the store .*: unable to open database file"):
        open_connection(tmp_path / "nowhere" / "broker.db")
    with pytest.raises(StoreError, match=r"cannot open the store"):
        open_connection(tmp_path / "broker.db", read_only=True)


def test_a_damaged_store_is_left_as_it_is(tmp_path: Path) -> None:
    """Also the part of it that is in the log: whoever closes a store last would move that into the file."""
    path = tmp_path / "broker.db"
    conn = open_connection(path)
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    hold = open_connection(path, read_only=True)
    hold.execute("SELECT count(*) FROM message").fetchone()
    conn.execute("INSERT INTO fact (kind, name, value) VALUES ('k', 'n', '{}')")  # in the log alone
    conn.close()
    for name in ("broker.db", "broker.db-wal"):
        (tmp_path / "found").mkdir(exist_ok=True)
        (tmp_path / "found" / name).write_bytes((tmp_path / name).read_bytes())
    hold.close()
    path = tmp_path / "found" / "broker.db"
    with path.open("r+b") as file:
        file.seek(100)  # the schema, behind the header
        file.write(b"\xff" * 1000)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"cannot open the store .*malformed.*broker verify"):
        open_connection(path)
    assert path.read_bytes() == before
    assert (tmp_path / "found" / "broker.db-wal").stat().st_size
