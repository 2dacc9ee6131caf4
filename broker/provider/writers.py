"""Who may change a plugin: its code runs with the broker's rights, so its files are root's, the broker's own user's, and nobody else's.

Looks at owners and modes of files, of the folders on the way to them, and of what Python keeps compiled beside them. Loads nothing.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import broker

_CODE = Path(broker.__file__)
MOST_FILES = 2_000
"""A plugin's folder holds a plugin. One with more than this in it is somebody's home."""


class Unsafe(Exception):
    """Somebody else could change the plugin. The message says who, where, and what to do."""


def find_trusted() -> frozenset[int]:
    """The users who can have the broker do anything already: root, its own, and whose its code is (in a checkout, who checked it out)."""
    return frozenset({0, os.geteuid(), _CODE.stat().st_uid})


def check_writers(path: Path) -> None:
    """See that only those of `find_trusted` can change the plugin in the file `path`. Raises Unsafe."""
    trusted = find_trusted()
    folder = path.parent
    own = {path, folder, *_list_own(path)}
    ways = {parent for place in own if place.is_symlink() for parent in place.resolve().parents}
    for place in (*sorted(own), *folder.parents, *ways):
        try:
            found = place.stat()
        except FileNotFoundError:
            continue  # a link to nowhere is no danger
        if found.st_uid not in trusted:
            raise Unsafe(f"{_name_user(found.st_uid)} owns {place}; chown root {place}")
        if found.st_mode & stat.S_ISVTX and place not in own:
            continue  # as /tmp: only an owner may rename what is in it
        if found.st_mode & stat.S_IWOTH:
            raise Unsafe(f"anybody can write to {place}; chmod o-w {place}")
        if found.st_mode & stat.S_IWGRP and not _is_trusted_group(found.st_gid, trusted):
            raise Unsafe(f"the group {_name_group(found.st_gid)} can write to {place}; chmod g-w {place}")


def _list_own(path: Path) -> Iterator[Path]:
    """What an import of the plugin may read: everything in a folder of its own, else what is compiled of the one file."""
    is_folder = path.name in ("plugin.py", "twin.py")
    count = 0
    for place, folders, files in os.walk(path.parent if is_folder else path.parent / "__pycache__", followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]  # nothing is imported from a .git
        count += len(folders) + len(files)
        if count > MOST_FILES:
            raise Unsafe(f"{path.parent} holds more than {MOST_FILES:,} files; give the plugin a folder of its own")
        yield from (Path(place, name) for name in ("", *folders, *files))


def _is_trusted_group(gid: int, trusted: frozenset[int]) -> bool:
    """True where nobody else is in the group, such as a user's own (umask 002)."""
    try:
        members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(gid).gr_mem}
    except KeyError:
        return False  # a group or a member that nobody here can name
    return members | {user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid} <= trusted


def _name_user(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"


def _name_group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
