"""Words to systemd: READY, WATCHDOG, RELOADING, STOPPING, and the sockets it hands over (sd_notify(3), sd_listen_fds(3)).

Without systemd every call does nothing.
"""

import os
import socket
import time


def notify(message: str) -> None:
    """Send one state line to systemd."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect("\0" + address[1:] if address[0] == "@" else address)
            sock.sendall(message.encode())
    except OSError:
        pass  # systemd's side is gone: nothing of ours depends on it


def notify_reloading() -> None:
    """A reload begins; `notify("READY=1")` ends it."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def find_watchdog() -> float | None:
    """Seconds between signs of life, half of what systemd allows; None where it wants none."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    if not usec.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) / 2_000_000


def inherit_sockets() -> dict[str, socket.socket]:
    """The sockets that systemd handed over, by their FileDescriptorName."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    found = {}
    for index in range(int(os.environ.get("LISTEN_FDS", "0"))):
        name = names[index] if index < len(names) else ""
        found[name] = socket.socket(fileno=3 + index)
    return found
