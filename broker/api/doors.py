"""Opening the sockets that the doors listen on, and removing a Unix socket's file again.

Never takes over a socket that somebody serves, and never removes a file that this process did not make: an inherited socket keeps
its file. Says nothing on a socket; what is spoken there is each door's matter.
"""

import errno
import grp
import ipaddress
import os
import re
import socket
import stat
from pathlib import Path

import trio

BACKLOG = 1024
LONGEST_PATH = 107  # sockaddr_un holds 108 bytes with the NUL: unix(7)

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:\s]+):([0-9]{1,5})")
Identity = tuple[int, int, int, int]
_made: dict[str, Identity] = {}  # the socket files that this process made, by path


class DoorError(Exception):
    """A socket cannot be opened; the text says what, where and what to do."""


async def open_tcp(listen: str) -> list[trio.SocketListener]:
    """Listen on "HOST:PORT" ("[::1]:8781" for IPv6): one listener for each address that the host has. Raises DoorError."""
    match = _ADDRESS.fullmatch(listen)
    if match is None or int(match[2]) > 65_535:
        raise DoorError(f'cannot listen on "{listen}": write HOST:PORT, for example "127.0.0.1:8781" or "[::1]:8781"')
    try:
        return await trio.open_tcp_listeners(int(match[2]), host=match[1].strip("[]"), backlog=BACKLOG)
    except OSError as error:
        raise DoorError(f"cannot listen on {listen}: {_advise(error)}") from None


def _advise(error: OSError) -> str:
    """What is wrong with an address, and what to do about it."""
    if isinstance(error, socket.gaierror):
        return "this host name has no address here; write one of this machine's own addresses in `listen`"
    if error.errno == errno.EADDRINUSE:
        return "another program has this address; stop it (`ss -ltnp` names it), or choose another port in `listen`"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; write one of its own in `listen` (`ip address` lists them)"
    if error.errno == errno.EACCES:
        return "ports below 1024 need CAP_NET_BIND_SERVICE; choose a port above in `listen`"
    return f"{os.strerror(error.errno or 0)}; look at `listen`"


async def open_unix(path: str, mode: int = 0o660, group: str | None = None) -> trio.SocketListener:
    """Listen on the Unix socket `path`, reachable by those whom `mode` and `group` (None: the process's own) let in.

    A file left by a dead process is replaced; one that somebody serves is not. A missing folder is made. Raises DoorError.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise DoorError(f"cannot listen on {path}: longer than the {LONGEST_PATH} bytes of a socket's path; choose a shorter one")
    await trio.lowlevel.checkpoint()
    owner = -1 if group is None else _find_group(path, group)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_folder(Path(path).parent)
        _clear_stale(path)
        _bind(sock, path)
        _made[path] = _identify(path)
        os.chown(path, -1, owner)  # before the mode opens it: nobody of the wrong group comes in between
        os.chmod(path, mode)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        remove_socket(path)
        raise DoorError(f"cannot listen on {path}: {_advise_path(path, group, error)}") from None
    except DoorError:
        sock.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _find_group(path: str, group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise DoorError(f'cannot listen on {path}: there is no group "{group}"; make it (`groupadd --system {group}`)'
                        " or name another in `group`") from None  # fmt: skip


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # whatever the umask: the socket's own mode says who comes in


def _clear_stale(path: str) -> None:
    """Remove the socket file of a dead process. Raises DoorError where somebody serves it or it is no socket."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise DoorError(f"cannot listen on {path}: a file that is no socket is in its place; move it away or choose another path")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.setblocking(False)
    try:
        answer = probe.connect_ex(path)
    finally:
        probe.close()
    if answer == errno.ECONNREFUSED:
        os.unlink(path)
    elif answer == errno.EACCES:
        raise DoorError(f"cannot listen on {path}: another user's socket is in its place; remove it or choose another path")
    elif answer != errno.ENOENT:  # connected, or EAGAIN: its backlog is full
        raise DoorError(f"cannot listen on {path}: another process serves it (`fuser {path}` names it); stop that one first")


def _bind(sock: socket.socket, path: str) -> None:
    before = os.umask(0o177)  # the process's own, so for one system call only: trio's bind would go through a thread
    try:
        sock.bind(path)
    finally:
        os.umask(before)


def _identify(path: str) -> Identity:
    found = os.lstat(path)
    # The inode alone is no name: a file made after this one was removed may get the same.
    return stat.S_IFMT(found.st_mode), found.st_dev, found.st_ino, found.st_mtime_ns


def _advise_path(path: str, group: str | None, error: OSError) -> str:
    if error.errno == errno.EPERM and group is not None:
        return f'this user may not give it to the group "{group}"; add the user to that group or name another in `group`'
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"this user may not write {Path(path).parent}; give it that right or choose another path"
    if error.errno == errno.EADDRINUSE:
        return "another process took it at this moment; stop that one first"
    return f"{os.strerror(error.errno or 0)}; look at the path"


def remove_socket(path: str) -> None:
    """Remove the file of a socket that `open_unix` made, if it is still that one; of any other, nothing."""
    made = _made.pop(path, None)
    try:
        if made is not None and _identify(path) == made:
            os.unlink(path)
    except OSError:
        pass  # gone already, or its folder: nothing is left to remove


def show_address(listener: trio.SocketListener) -> str:
    """A listener's address as `listen` writes it: "127.0.0.1:8781", "[::1]:8781" or "unix:PATH"."""
    name = listener.socket.getsockname()
    if listener.socket.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    return show_name(name[0], name[1])


def show_name(host: str, port: int) -> str:
    """An address and a port as one writes them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(stream: trio.SocketStream) -> bool:
    """True where the other end is on this machine: a Unix socket, or a loopback address."""
    if stream.socket.family == socket.AF_UNIX:
        return True
    peer = ipaddress.ip_address(stream.socket.getpeername()[0].partition("%")[0])
    mapped = getattr(peer, "ipv4_mapped", None)  # how a v4 peer looks on a listener of both families
    return (mapped or peer).is_loopback
