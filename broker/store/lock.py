"""The lock of a data folder: one daemon per store, on a local disk. The lock ends with the process, so a crash leaves none behind."""

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

from broker.store.contract import StoreError

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "fuse.glusterfs", "lustre"}
_is_octal = re.compile(r"\\([0-7]{3})")  # proc(5): blanks, tabs, line ends and backslashes in a path are written so


class FolderLock:
    """Holds `data_dir/lock` until `close`."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "lock"
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            kind = find_file_system(data_dir)
            if kind in _NETWORK:
                raise StoreError(
                    f"{data_dir} is on a network file system ({kind}), where SQLite cannot keep its promises; "
                    "set [broker].data_dir to a folder on a local disk"
                )
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot write in {data_dir}: {error.strerror}; make the folder writable for this user or set [broker].data_dir"
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreError(
                f"another broker (pid {pid}) already runs on {data_dir}; stop it, or give this one its own [broker].data_dir"
            ) from None
        except OSError as error:
            os.close(self._file)
            raise StoreError(
                f"cannot lock {self.path}: {error.strerror}; set [broker].data_dir to a folder on a local disk that knows locks"
            ) from None
        with suppress(OSError):  # a full disk: the lock holds all the same, only its holder's number is not told
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._file)


def find_file_system(folder: Path, mounts: str = "/proc/self/mountinfo") -> str:
    """The type of the file system that holds `folder`, "" where the system does not say."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.readlines()
    except OSError:
        return ""
    best, kind = "", ""
    where = os.path.realpath(folder)
    for line in lines:
        fields = line.split()
        point = _is_octal.sub(lambda found: chr(int(found[1], 8)), fields[4])
        is_inside = where == point or where.startswith(point.rstrip("/") + "/")
        if is_inside and len(point) >= len(best):
            best, kind = point, fields[fields.index("-") + 1]
    return kind
