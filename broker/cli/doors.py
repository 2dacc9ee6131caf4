"""Talks to the daemon's sockets: one line out, one line in, plain and blocking.

Looks where CONTRACT §3 says and takes the first where a daemon answers. Never sends a request twice: a submit whose answer is lost
may have been taken.
"""

import errno
import json
import os
import socket
import struct
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from broker.cli.places import Places, find_places
from broker.cli.trouble import FAILED, NO_DAEMON, NOT_KNOWN, Trouble, refusal_of

CONNECT_S = 5.0
ANSWER_S = 60.0
LONGEST_PATH = 107
"""Bytes of a Unix socket's path, unix(7)."""


class Line:
    """A connection to one of the daemon's doors."""

    def __init__(self, path: str, stream: socket.socket) -> None:
        self.path = path
        self._stream = stream
        self._file = stream.makefile("rb")

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._stream.close()

    def ask(self, request: dict[str, Any], seconds: float = ANSWER_S) -> dict[str, Any]:
        """The daemon's answer, a refusal too. Raises Trouble where none comes within `seconds`."""
        line = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._stream.settimeout(seconds)
        try:
            self._stream.sendall(line)
            raw = self._file.readline()
        except TimeoutError:
            raise Trouble(f"the broker at {self.path} gave no answer within {seconds:g} s", NO_DAEMON, "no_answer") from None
        except OSError as error:
            raise Trouble(f"the broker at {self.path} went away: {error.strerror}", NO_DAEMON, "no_answer") from None
        if not raw.endswith(b"\n"):
            raise Trouble(f"the broker at {self.path} ended the connection without an answer", NO_DAEMON, "no_answer")
        return _read_answer(raw, self.path)

    def demand(self, request: dict[str, Any], seconds: float = ANSWER_S) -> dict[str, Any]:
        """The daemon's answer; a refusal is raised as Trouble."""
        answer = self.ask(request, seconds)
        if answer.get("ok") is not True:
            raise refusal_of(answer)
        return answer


def _read_answer(raw: bytes, path: str) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Trouble(f"what answers at {path} is no broker: its line is no JSON object", FAILED, "bad_answer")
    return answer


def open_line(args: Namespace, *doors: str) -> Line:
    """A connection to the first of `doors` (control, submit) where a daemon answers. Raises Trouble where none does."""
    places = find_places(args.config)
    looked: list[str] = []
    refused: list[str] = []
    for path in (path for door in doors for path in places.find_sockets(door)):
        try:
            return Line(path, _connect(path))
        except PermissionError:
            refused.append(path)
        except OSError as error:
            looked.append(_explain(path, error))
    if refused:
        raise Trouble(_explain_permission(refused[0]), FAILED, "permission")
    raise Trouble(_explain_silence(doors[0], looked, places), NO_DAEMON, "no_daemon")


def _connect(path: str) -> socket.socket:
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, "the path is longer than the 107 bytes of a socket's")
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Not settimeout: it makes the socket non-blocking, and then a daemon that is busy for a moment refuses at once (EAGAIN).
    seconds, rest = divmod(int(CONNECT_S * 1_000_000), 1_000_000)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, rest))
    try:
        stream.connect(path)
    except OSError:
        stream.close()
        raise
    return stream


def _explain(path: str, error: OSError) -> str:
    """A place that was looked at, with what is wrong there beside its being empty."""
    if error.errno == errno.ECONNREFUSED:
        return f"{path} (left behind by a broker that has ended)"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return path
    if error.errno == errno.EAGAIN:
        return f"{path} (takes no connection within {CONNECT_S:g} s)"
    return f"{path} ({error.strerror})"


def _explain_silence(door: str, looked: Sequence[str], places: Places) -> str:
    where = ", ".join(looked) + (f"; {places.note}" if places.note else "")
    return f"no broker answers on its {door} socket (looked at {where}); start one with `broker run{places.option}`"


def _explain_permission(path: str) -> str:
    """Who may use the socket, or the folder before it, that kept us out."""
    place = path
    while True:
        try:
            found = os.stat(place)
            break
        except OSError:
            place = os.path.dirname(place)
    mode = found.st_mode
    user, group = _name_user(found.st_uid), _name_group(found.st_gid)
    bit = 0o020 if place == path else 0o010
    allowed = f"user {user} and group {group}" if mode & bit else f"user {user} alone"
    someone = user if user == "root" else f"{user} or root"
    remedy = f"join group {group}, or run this as {someone}" if mode & bit else f"run this as {someone}"
    what = "the socket" if place == path else f"the folder {place}"
    return f"you may not connect to {path}: {what} is for {allowed}; {remedy}"


def _name_user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _name_group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def ask(args: Namespace, request: dict[str, Any], *doors: str, seconds: float = ANSWER_S) -> dict[str, Any]:
    """One request to the first of `doors` (default: control) that answers. Raises Trouble for a refusal."""
    with open_line(args, *(doors or ("control",))) as line:
        return line.demand(request, seconds)


def as_lost(trouble: Trouble, key: str | None) -> Trouble:
    """A submit's answer that did not come: it may have been taken, and a repetition without its key may be a second message."""
    again = "send it again with the same --key" if key else "see `broker tail` or your own records before you send it again"
    return Trouble(f"{trouble.message}; whether the message was taken is not known: {again}", NOT_KNOWN, "outcome_unknown")
