"""Power-loss trials: the store's own writer on a disk that forgets, cut at a random write or sync, and looked at afterwards.

The writer, its statements and its schema are the daemon's; only the binding is apsw's, because nothing else lets a test own the disk.
"""

import random
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from broker.store.contract import Accept, Change, Entry, Shut, Step
from broker.store.sqlite import Writer, open_connection
from broker.words.attempt import Attempt
from broker.words.event import Happening
from broker.words.message import Message
from tests.power.disk import Disk, Image, PowerCut

NAME = "/broker.db"
BATCHES = 12
_HAPPENING = Happening("2026-11-22T00:00:00.000Z", "test", "t1")


class Cursor:
    """What sqlite3's cursor gives, over apsw's."""

    def __init__(self, rows: Any, changed: int) -> None:
        self._rows, self.rowcount = rows, changed

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Any:
        return iter(self._rows)


class Binding:
    """The few calls that Writer makes of a sqlite3 connection, over apsw."""

    def __init__(self, disk: Disk, synchronous: str) -> None:
        self.raw = apsw.Connection(NAME, vfs=disk.vfs_name)
        # Without shared memory WAL needs the file for itself, which it has.
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", f"synchronous = {synchronous}", "wal_autocheckpoint = 0"):
            self.execute(f"PRAGMA {pragma}").fetchall()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Cursor:
        before = self.raw.total_changes()
        try:
            rows = self.raw.cursor().execute(sql, values)
        except apsw.ConstraintError as error:
            raise sqlite3.IntegrityError(str(error)) from None
        return Cursor(rows, self.raw.total_changes() - before)

    def executemany(self, sql: str, values: Iterable[Sequence[Any]]) -> Cursor:
        before = self.raw.total_changes()
        rows = self.raw.cursor().executemany(sql, values)
        return Cursor(rows, self.raw.total_changes() - before)

    def close(self) -> None:
        self.raw.close(True)


@dataclass
class Tally:
    """What came of trials. `lost`: acknowledged and not there after the cut."""

    trials: int = 0
    acked: int = 0
    lost: int = 0
    damaged: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another's too."""
        self.trials += other.trials
        self.acked += other.acked
        self.lost += other.lost
        self.damaged += other.damaged
        self.findings += other.findings

    def show(self, seed: int) -> str:
        """One line."""
        return f"trials={self.trials} acked={self.acked} lost={self.lost} damaged={self.damaged} seed={seed}"


def make_template(folder: Path) -> bytes:
    """A new store as the daemon makes it, one file."""
    path = folder / "template.db"
    conn = open_connection(path)
    conn.execute("PRAGMA journal_mode = DELETE")
    conn.close()
    return path.read_bytes()


_disks: dict[str, Disk] = {}


def _make_disk(template: bytes, *, is_lying: bool) -> Disk:
    disk = _disks.get("power")
    if disk is None:
        disk = _disks["power"] = Disk("power")
    disk.files = {NAME: Image(template)}
    disk.cut_after, disk.is_lying = -1, is_lying
    return disk


def run_trial(template: bytes, seed: int, synchronous: str = "FULL", *, is_lying: bool = False) -> Tally:
    """One trial: batches of messages and attempts, a cut somewhere, and a look at what is left."""
    rng = random.Random(seed)
    disk = _make_disk(template, is_lying=is_lying)
    tally = Tally(trials=1)
    known: dict[str, tuple[str, int]] = {}  # id → status and attempts, as acknowledged
    binding = Binding(disk, synchronous)
    try:
        writer = Writer(binding)  # type: ignore[arg-type]  # as far as Writer goes
        disk.cut_after = rng.randrange(1, 160)
        for at in range(BATCHES):
            wanted = dict(known)
            batch = list(_draw_batch(rng, at, wanted))
            writer.begin()
            writer.write(batch, at + 1)
            binding.execute("COMMIT")
            known = wanted
            if rng.random() < 0.3:
                binding.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except (PowerCut, apsw.Error, sqlite3.Error):
        pass
    finally:
        disk.cut_after = 0  # nothing of the closing reaches the disk
        try:
            binding.close()
        except (PowerCut, apsw.Error):
            pass
    tally.acked = len(known)
    disk.lose_power(rng)
    _judge(disk, known, tally, seed)
    return tally


def _draw_batch(rng: random.Random, at: int, known: dict[str, tuple[str, int]]) -> Iterable[Accept | Step]:
    for n in range(rng.randint(1, 4)):
        id_ = f"{at:03}-{n}"
        message = Message(id_, "c", "+886912345678", "TW", "x" * rng.randint(1, 300), "gsm7", 1, 1, 99, lane="a", next_at=1)
        known[id_] = ("queued", 0)
        yield Accept(message, _entry(id_), lambda _answer, _value: None)
    for id_, (status, attempts) in list(known.items()):
        draw = rng.random()
        if status == "queued" and draw < 0.4 and not id_.startswith(f"{at:03}"):
            known[id_] = ("sending", attempts + 1)
            attempt = Attempt(id_, attempts + 1, "a", "", 1)
            yield Step(id_, ("queued",), Change("sending", None, "a", 9, None, None, attempts + 1), (_entry(id_),), attempt)
        elif status == "sending" and draw < 0.4:
            known[id_] = ("sent", attempts)
            shut = Shut(attempts, ("open",), "accepted", 5, "accepted")
            yield Step(id_, ("sending",), Change("sent", None, "a", 9), (_entry(id_),), None, (shut,))


def _entry(id_: str) -> Entry:
    return Entry(_HAPPENING, id_, b'"type":"test"}')


def _judge(disk: Disk, known: dict[str, tuple[str, int]], tally: Tally, seed: int) -> None:
    try:
        binding = Binding(disk, "FULL")
        [check] = binding.execute("PRAGMA integrity_check").fetchone()
        rows = {row[0]: (row[1], row[2]) for row in binding.execute("SELECT id, status, attempts FROM message")}
        held = {(row[0], row[1]) for row in binding.execute("SELECT message, n FROM attempt")}
        binding.close()
    except apsw.Error as error:
        tally.damaged += 1
        tally.lost += len(known)
        tally.findings.append(f"seed {seed}: {type(error).__name__}")
        return
    if check != "ok":
        tally.damaged += 1
        tally.findings.append(f"seed {seed}: {check}")
    order = ("queued", "sending", "sent")
    for id_, (status, attempts) in known.items():
        # A batch whose COMMIT was cut may stand as well: then a message is further than was acknowledged, never less far.
        found = rows.get(id_)
        is_there = found is not None and found[0] in order and order.index(found[0]) >= order.index(status) and found[1] >= attempts
        if not is_there or any((id_, n) not in held for n in range(1, attempts + 1)):
            tally.lost += 1
            tally.findings.append(f"seed {seed}: {id_} was {status}, is {found}")
