"""Fetches the secrets that the file only points to: { env = "NAME" }, { file = "path" }, { credential = "NAME" }.

Goes over the whole file once, before anything is read, and remembers which keys were given so. A message names the place
that was looked at, never what was found there.
"""

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from broker.config.places import Places
from broker.config.problem import Path, dotted
from broker.config.spot import Given, Report
from broker.words.secret import Secret

MOST_BYTES = 65_536
WIDEST_MODE = 0o640
DEEPEST = 32
"""Steps into the file; no key is half as deep, and Python's stack is not without end."""

_KINDS = frozenset({"env", "file", "credential"})
_NAMED = frozenset({"providers", "tokens", "clients", "rules", "inbound"})  # their tables carry a name (or a number) first


class Unreadable(Exception):
    """A secret that cannot be fetched; the text says why and what to do."""


class Source(NamedTuple):
    """Where pointers lead: the file's places, the environment, and whether twins do with less."""

    places: Places
    environ: Mapping[str, str]
    twins: bool


def fetch_secrets(tree: dict[str, object], source: Source, report: Report) -> dict[str, object]:
    """`tree` with every pointer to a secret replaced by what it points to.

    One that cannot be read is reported, or stands in as "twin" for twins.
    """
    return {name: _fetch(value, (name,), source, report) for name, value in tree.items()}


def _fetch(value: object, path: Path, source: Source, report: Report) -> object:
    if len(path) > DEEPEST:
        report.add(path[:2], "is nested deeper than any key: mend its brackets", path[:DEEPEST])
        return None
    if isinstance(value, list):
        return [_fetch(item, (*path, index), source, report) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if not _is_pointer(value, path):
        return {name: _fetch(item, (*path, name), source, report) for name, item in value.items()}
    report.secret_keys.add(dotted(path))
    ((kind, name),) = value.items()
    try:
        return Given(Secret(_FETCHERS[kind](str(name), source)))
    except Unreadable as why:
        if source.twins:
            return Given(Secret("twin"), is_stand_in=True)
        report.add(path, f"the secret cannot be read: {why}")
        return Given(Secret(""), is_lost=True)


def _is_pointer(value: dict[str, object], path: Path) -> bool:
    if len(path) < (3 if path[0] in _NAMED else 2) or len(value) != 1:
        return False
    ((kind, name),) = value.items()
    return kind in _KINDS and isinstance(name, str)


def _fetch_env(name: str, source: Source) -> str:
    text = source.environ.get(name)
    if not text:
        raise Unreadable(f"the environment variable {name} is {'not set' if text is None else 'empty'}; set it")
    return text


def _fetch_file(name: str, source: Source) -> str:
    return _read(source.places.resolve(name), WIDEST_MODE)


def _fetch_credential(name: str, source: Source) -> str:
    folder = source.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise Unreadable(f"$CREDENTIALS_DIRECTORY is not set; start under systemd with LoadCredential={name}:...")
    if not name or "/" in name or name in (".", ".."):
        raise Unreadable("a credential is a bare name, as in LoadCredential=NAME:...")
    return _read(os.path.join(folder, name), None)  # systemd alone decides who may read these


_FETCHERS = {"env": _fetch_env, "file": _fetch_file, "credential": _fetch_credential}


def _read(path: str, widest: int | None) -> str:
    """The text of a secret's file without its last line end. `widest`: the most that its mode may allow. Raises Unreadable."""
    try:
        raw = _read_bytes(path, widest)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no path"
        raise Unreadable(f"{path}: {reason}; put the file there, or mend the path") from None
    if len(raw) > MOST_BYTES:
        raise Unreadable(f"{path} is larger than {MOST_BYTES} bytes, so it is no secret of ours")
    try:
        text = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Unreadable(f"{path} is not UTF-8 text; write the secret as text") from None
    if not text:
        raise Unreadable(f"{path} is empty; write the secret into it")
    return text


def _read_bytes(path: str, widest: int | None) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not make us wait
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(f"{path} is no regular file")
        mode = stat.S_IMODE(status.st_mode)
        if widest is not None and mode & ~widest & 0o777:
            raise Unreadable(f"{path} has mode {mode:04o}, more than {widest:04o} allows; run: chmod {widest:04o} {path}")
        return os.read(handle, MOST_BYTES + 1)
    finally:
        os.close(handle)
