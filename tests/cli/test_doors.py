"""Where the daemon is looked for, and what is said when it is not there, not open to us, or no daemon."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from broker.cli import doors, places
from broker.cli.trouble import Trouble
from broker.config import ConfigError, find_config
from tests.cli.office import Desk, staffed

QUEUE = {"ok": True, "queue": [], "total": 0}
PONG = {"ok": True, "providers": []}


def test_nobody_answers(desk: Desk) -> None:
    ran = desk.run("queue")
    assert ran.code == 69
    expected = f"(looked at {desk.home}/run/control.sock, {desk.home}/var/control.sock); start one with `broker run`\n"
    assert ran.err == f"broker: no broker answers on its control socket {expected}"


def test_nobody_answers_in_json(desk: Desk) -> None:
    ran = desk.run("send", "+886912345678", "hi", "--json")
    assert ran.code == 69
    assert ran.json["error"]["code"] == "no_daemon"
    assert "submit socket" in ran.err


def test_the_hint_names_the_file(desk: Desk) -> None:
    file = desk.write("", "other.toml")
    assert f"start one with `broker run --config {file}`" in desk.run("queue", "--config", str(file)).err


def test_the_first_that_answers_wins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{desk.home}/given:/elsewhere")
    folders = [desk.home / "given", desk.home / "run", desk.home / "var"]
    for first in range(3):
        opened = [staffed(folder / "control.sock", queue={**QUEUE, "total": n}) for n, folder in enumerate(folders) if n >= first]
        for office in opened:
            office.__enter__()
        try:
            assert desk.run("queue", "--json").json["total"] == first
        finally:
            for office in opened:
                office.__exit__(None, None, None)
        for folder in folders:
            (folder / "control.sock").unlink(missing_ok=True)


def test_one_left_behind_is_passed_over_and_told(desk: Desk) -> None:
    (desk.home / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{desk.home}/run/control.sock")
    assert f"{desk.home}/run/control.sock (left behind by a broker that has ended)" in desk.run("queue").err
    with desk.control(queue=QUEUE):
        assert desk.run("queue").code == 0


# (the section in broker.toml, where the file is, where the socket is looked for)
SOCKETS = [
    ('socket = "c.sock"', "etc/b.toml", ["run/c.sock", "etc/var/c.sock"]),
    ('socket = "sub/c.sock"', "etc/b.toml", ["etc/sub/c.sock"]),
    ('socket = "./c.sock"', "b.toml", ["c.sock"]),
    ("# the default", "etc/b.toml", ["run/control.sock", "etc/var/control.sock"]),
    ('socket = ""', "b.toml", ["run/control.sock", "var/control.sock"]),
    ("socket = 7", "b.toml", ["run/control.sock", "var/control.sock"]),
]


@pytest.mark.parametrize(("text", "file", "looked"), SOCKETS)
def test_a_socket_of_the_configuration(desk: Desk, text: str, file: str, looked: list[str]) -> None:
    (desk.home / "etc").mkdir()
    desk.write(f"[control]\n{text}\n", file)
    found = places.find_places(file, {}).find_sockets("control", {})
    assert found == [str(desk.home / path) for path in looked]


def test_an_absolute_socket(desk: Desk) -> None:
    desk.write(f'[submit]\nsocket = "{desk.home}/here.sock"\n')
    assert places.find_places(None, {}).find_sockets("submit", {}) == [f"{desk.home}/here.sock"]


FILES = ["named.toml", "env.toml", "broker.toml", "etc/broker.toml"]


@pytest.mark.parametrize("first", range(5))
def test_the_file_is_the_one_that_run_would_take(desk: Desk, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cheap search and broker.config's must agree."""
    monkeypatch.setattr("broker.config.places.SYSTEM_FILE", desk.home / "etc" / "broker.toml")
    (desk.home / "etc").mkdir()
    for name in FILES[first:]:
        desk.write("", name)
    argument = "named.toml" if first == 0 else None
    environ = {"BROKER_CONFIG": "env.toml"} if first <= 1 else {}
    found = places.find_file(argument, environ)
    if first == 4:
        assert found is None
        with pytest.raises(ConfigError):
            find_config(argument, environ)
    else:
        assert found is not None
        assert Path(found) == find_config(argument, environ)
        assert Path(found).resolve() == desk.home / FILES[first]


def test_a_named_file_that_is_not_there(desk: Desk) -> None:
    ran = desk.run("queue", "--config", "gone.toml")
    assert ran.code == 78
    assert ran.err == "broker: gone.toml cannot be read: No such file or directory; name another with --config FILE\n"


def test_a_broken_file_does_not_keep_us_from_a_daemon(desk: Desk) -> None:
    desk.write("[control\nsocket = ")
    with desk.control(queue=QUEUE):
        assert desk.run("queue").code == 0
    assert "broker.toml is no TOML, so the default names were taken; see `broker check`" in desk.run("queue").err


@pytest.mark.parametrize(
    ("answer", "code", "word"),
    [
        (b"", 69, "ended the connection without an answer"),
        (b'{"ok":true', 69, "ended the connection without an answer"),
        (b"220 mail.example.org ESMTP\n", 1, "is no broker"),
        (b"[1, 2]\n", 1, "is no broker"),
        (b"\xff\xfe\n", 1, "is no broker"),
        ({"ok": False, "error": {"code": "unavailable", "message": "full"}}, 1, "broker: unavailable: full\n"),
        ({"ok": False}, 1, "gave no reason"),
        ({"ok": False, "error": {"code": "stopping"}}, 1, "broker: stopping\n"),
    ],
)
def test_what_a_daemon_may_answer(desk: Desk, answer: dict[str, object] | bytes, code: int, word: str) -> None:
    with desk.control(queue=answer):
        ran = desk.run("queue")
    assert ran.code == code
    assert word in ran.err
    assert ran.out == ""


def test_a_daemon_that_never_answers(desk: Desk) -> None:
    (desk.home / "var").mkdir()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{desk.home}/var/control.sock")
        silent.listen()
        with doors.Line("x", doors._connect(f"{desk.home}/var/control.sock")) as line, pytest.raises(Trouble) as caught:
            line.ask({"op": "queue"}, 0.01)
    assert caught.value.exit_code == 69
    assert "gave no answer within 0.01 s" in caught.value.message


def test_a_daemon_that_takes_no_connection(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "CONNECT_S", 0.01)
    (desk.home / "var").mkdir()
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
        full.bind(f"{desk.home}/var/control.sock")
        full.listen(0)
        first.connect(f"{desk.home}/var/control.sock")
        ran = desk.run("queue")
    assert ran.code == 69
    assert "(takes no connection within 0.01 s)" in ran.err


def test_a_path_too_long_for_a_socket(desk: Desk) -> None:
    desk.write(f'[control]\nsocket = "{"x" * 120}.sock"\n')
    assert "the path is longer than the 107 bytes of a socket's" in desk.run("queue").err


def _refuse(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make the kernel refuse these sockets, as it does nobody who runs the tests as root."""
    real = doors._connect

    def connect(path: str) -> socket.socket:
        if Path(path).name in names and Path(path).exists():
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(doors, "_connect", connect)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o600, "the socket is for user root alone; run this as root"),
        (0o660, "the socket is for user root and group root; join group root, or run this as root"),
    ],
)
@pytest.mark.skipif(os.getuid() != 0, reason="names root as the owner")
def test_a_socket_that_is_not_for_us(desk: Desk, monkeypatch: pytest.MonkeyPatch, mode: int, words: str) -> None:
    _refuse(monkeypatch, "control.sock")
    with desk.control(queue=QUEUE):
        (desk.home / "var" / "control.sock").chmod(mode)
        ran = desk.run("queue")
    assert ran.code == 1
    assert ran.err == f"broker: you may not connect to {desk.home}/var/control.sock: {words}\n"


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become somebody else")
def test_the_kernel_refuses_and_the_group_is_named(desk: Desk) -> None:
    """The real thing, as nobody: a socket in a folder that only its owner may enter."""
    desk.home.chmod(0o755)
    with desk.control(queue=QUEUE):
        (desk.home / "var").chmod(0o700)
        # all that it needs is imported before it turns into nobody, to whom the interpreter's own files may be closed
        script = "import grp, locale, os, pwd, shutil, sys, broker.cli.waiting; from broker.cli import main"
        words = [sys.executable, "-c", f"{script}; os.setgid(65534); os.setuid(65534); sys.exit(main(['queue']))"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert f"the folder {desk.home}/var is for user root alone" in done.stderr


def test_status_and_cancel_take_the_other_door(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not operate still sees and stops messages of their own."""
    _refuse(monkeypatch, "control.sock")
    canceled = {"ok": True, "id": "m1", "status": "canceled", "count": 1, "ids": ["m1"]}
    with desk.submit(status={"ok": True, "message": {"id": "m1", "status": "sent"}}, cancel=canceled) as office:
        assert desk.run("status", "m1").code == 0
        assert desk.run("cancel", "m1").out == "m1  canceled\n"
        assert desk.run("cancel", "--all").code != 0
        assert desk.run("release", "m1").code != 0
    assert [request["op"] for request in office.requests] == ["status", "cancel"]
