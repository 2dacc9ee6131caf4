"""The words to systemd, over a socket that stands in for it."""

import logging
import os
import socket
import sys
from pathlib import Path

import pytest

from broker.ops.log import Line
from broker.ops.notify import find_watchdog, inherit_sockets, notify, notify_reloading


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    path = tmp_path / "notify"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(path))
    sock.settimeout(2)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    return sock


def test_systemd_hears_each_word(systemd: socket.socket) -> None:
    with systemd:
        for word in ("READY=1", "WATCHDOG=1", "STOPPING=1"):
            notify(word)
            assert systemd.recv(100) == word.encode()
        notify_reloading()
        first, second = systemd.recv(100).decode().splitlines()
        assert first == "RELOADING=1"
        assert second.startswith("MONOTONIC_USEC=")


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("30000000", None, 15.0), ("", None, None), ("nonsense", None, None), ("30000000", "1", None)],
)
def test_half_the_watchdog(monkeypatch: pytest.MonkeyPatch, usec: str, pid: str | None, seconds: float | None) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    else:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert find_watchdog() == seconds


def test_sockets_meant_for_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert inherit_sockets() == {}


def test_of_a_library_only_the_place_is_told() -> None:
    record = logging.getLogger("httpx").makeRecord(
        "httpx", logging.WARNING, "/x/client.py", 7, "GET https://x/?password=%s canary", ("canary-secret",), None
    )
    line = Line(journald=False).format(record)
    assert line.split(" ", 2)[1:] == ["warning", "httpx a library has something to say at=client:7"]


def test_a_logged_exception_shows_its_type_and_never_its_text() -> None:
    try:
        raise ValueError("canary-secret")
    except ValueError:
        record = logging.getLogger("x").makeRecord("broker.x", logging.ERROR, "f", 1, "went wrong\nnext", (), sys.exc_info())
    plain = Line(journald=False).format(record)
    assert "canary" not in plain
    assert "error=ValueError" in plain
    assert "\n" not in plain
    assert plain.split(" ")[1:3] == ["error", "broker.x"]
    assert Line(journald=True).format(record).startswith("<3>error")
