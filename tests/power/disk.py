"""A disk that forgets what was not synced: an SQLite VFS in memory, whose power can be cut in the middle of any write or sync.

What survives a cut: everything up to each file's last sync, and of the writes after it any choice, in any sector: whole, torn or not
at all. That is what a drive with a write cache may do (SQLite: "Atomic Commit", 2.0).
"""

import random
from typing import Any

import apsw

SECTOR = 512


class PowerCut(Exception):
    """The power went."""


class Image:
    """One file: what is on the platter for certain, what a reader sees, and the writes in between."""

    def __init__(self, data: bytes = b"") -> None:
        self.synced = bytearray(data)
        self.seen = bytearray(data)
        self.loose: list[tuple[int, bytes]] = []

    def write(self, at: int, data: bytes) -> None:
        """Write into the cache."""
        _put(self.seen, at, data)
        self.loose.append((at, data))

    def truncate(self, size: int) -> None:
        """Cut the file: at once in the cache, and on the platter with the next sync."""
        del self.seen[size:]
        self.loose.append((size, b""))

    def sync(self) -> None:
        """Everything written so far is on the platter."""
        self.synced, self.loose = bytearray(self.seen), []

    def survive(self, rng: random.Random) -> bytes:
        """The file after a cut."""
        data = bytearray(self.synced)
        for at, written in self.loose:
            if not written:
                if rng.random() < 0.5:
                    del data[at:]
                continue
            for start in range(0, len(written), SECTOR):
                if rng.random() < 0.5:
                    _put(data, at + start, written[start : start + SECTOR])
        return bytes(data)


def _put(data: bytearray, at: int, written: bytes) -> None:
    if len(data) < at:
        data.extend(bytes(at - len(data)))
    data[at : at + len(written)] = written


class Disk(apsw.VFS):
    """The VFS `name`. After `cut_after` writes and syncs the power goes; `files` holds what there is."""

    def __init__(self, name: str) -> None:
        self.files: dict[str, Image] = {}
        self.cut_after = -1
        self.is_lying = False
        self.vfs_name = name
        super().__init__(name, "")

    def spend(self) -> None:
        """One write or sync. Raises PowerCut when it is the last."""
        if self.cut_after == 0:
            raise PowerCut
        self.cut_after -= 1

    def lose_power(self, rng: random.Random) -> None:
        """Keep what survives."""
        self.files = {name: Image(image.survive(rng)) for name, image in self.files.items() if not name.endswith("-shm")}
        self.cut_after = -1

    def xOpen(self, name: Any, flags: list[int]) -> "File":  # type: ignore[override]  # noqa: N802  # apsw's name, and any object with a file's methods will do
        path = name.filename() if hasattr(name, "filename") else str(name)
        flags[1] = flags[0]
        return File(self, self.files.setdefault(path, Image()))

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802  # as above
        self.files.pop(name, None)

    def xAccess(self, name: str, flags: int) -> bool:  # noqa: N802  # as above
        return name in self.files

    def xFullPathname(self, name: str) -> str:  # noqa: N802  # as above
        return name


class File:
    """An open file of a Disk. One process, one connection: locks are always granted."""

    def __init__(self, disk: Disk, image: Image) -> None:
        self._disk, self._image = disk, image

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802  # apsw's names, all of these
        return bytes(self._image.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.spend()
        self._image.write(offset, bytes(data))

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.spend()
        if not self._disk.is_lying:
            self._image.sync()

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.spend()
        self._image.truncate(size)

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._image.seen)

    def xLock(self, level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def xClose(self) -> None:  # noqa: N802
        pass
