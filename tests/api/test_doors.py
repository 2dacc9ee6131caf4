"""The sockets of the doors: opened as asked or refused with what to do, never taken from the living, never left behind."""

import errno
import grp
import os
import socket
import stat
from pathlib import Path

import pytest
import trio

from broker.api.doors import DoorError, is_loopback, open_tcp, open_unix, remove_socket, show_address
from broker.api.feed import FeedDoor
from broker.store.ring import Ring
from tests.api.feed_rig import make_settings


def find_mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
@pytest.mark.parametrize("umask", [0o000, 0o077])
async def test_a_socket_has_the_mode_that_was_asked_for(tmp_path: Path, mode: int, umask: int) -> None:
    path = tmp_path / "run" / "deep" / "a.sock"
    before = os.umask(umask)
    try:
        listener = await open_unix(str(path), mode)
        assert os.umask(umask) == umask  # it was given back
    finally:
        os.umask(before)
    assert find_mode(path) == mode
    assert find_mode(path.parent) == 0o755
    assert show_address(listener) == f"unix:{path}"
    async with await trio.open_unix_socket(str(path)) as client:
        server = await listener.accept()
        assert is_loopback(server)
        assert is_loopback(client)
        await server.aclose()
    remove_socket(str(path))
    assert not path.exists()
    await listener.aclose()


async def test_it_is_never_open_wider_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first moment that the file is there, whatever the umask, until it has its owner."""
    path = tmp_path / "a.sock"
    seen = []

    def note_and_chown(where: str, uid: int, gid: int) -> None:
        seen.append(find_mode(path))

    monkeypatch.setattr(os, "chown", note_and_chown)
    before = os.umask(0)
    try:
        listener = await open_unix(str(path), 0o666)
    finally:
        os.umask(before)
    assert seen == [0o600]
    await listener.aclose()
    remove_socket(str(path))


async def test_a_dead_socket_is_taken_over_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    first = await open_unix(path)
    with pytest.raises(DoorError, match=r"a\.sock: another process serves it .* stop that one first"):
        await open_unix(path)
    async with await trio.open_unix_socket(path):  # the first one still has it
        pass
    await first.aclose()
    second = await open_unix(path)
    await second.aclose()
    remove_socket(path)


async def test_a_living_one_with_a_full_backlog_is_living(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        busy.bind(path)
        busy.listen(0)
        for client in (one, two):
            client.setblocking(False)
            client.connect_ex(path)
        with pytest.raises(DoorError, match="another process serves it"):
            await open_unix(path)


async def test_only_its_own_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    listener = await open_unix(str(path))
    await listener.aclose()
    path.unlink()
    path.write_text("somebody else's")
    remove_socket(str(path))
    assert path.read_text() == "somebody else's"
    with pytest.raises(DoorError, match=r"a\.sock: a file that is no socket is in its place"):
        await open_unix(str(path))
    assert path.read_text() == "somebody else's"
    remove_socket(str(tmp_path / "never-made.sock"))


# (path, group, a word of the complaint)
BAD_PATHS = [
    ("a" * 120, None, "longer than the 107 bytes"),
    ("a.sock", "no-such-group", 'there is no group "no-such-group"'),
    ("file/a.sock", None, "cannot listen on"),
]


@pytest.mark.parametrize(("name", "group", "word"), BAD_PATHS)
async def test_what_cannot_be_a_socket(tmp_path: Path, name: str, group: str | None, word: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DoorError, match=word):
        await open_unix(str(tmp_path / name), 0o660, group)
    assert os.listdir(tmp_path) == ["file"]


async def test_a_group_by_name(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    listener = await open_unix(str(tmp_path / "a.sock"), 0o660, group)
    assert (tmp_path / "a.sock").lstat().st_gid == os.getgid()
    await listener.aclose()
    remove_socket(str(tmp_path / "a.sock"))


async def test_what_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    group = grp.getgrgid(os.getgid()).gr_name
    with pytest.raises(DoorError, match=rf'a\.sock: this user may not give it to the group "{group}"'):
        await open_unix(str(tmp_path / "a.sock"), 0o660, group)
    assert os.listdir(tmp_path) == []


async def test_a_port(tmp_path: Path) -> None:
    (listener,) = await open_tcp("127.0.0.1:0")
    address = show_address(listener)
    with pytest.raises(DoorError, match=rf"cannot listen on {address}: another program has this address"):
        await open_tcp(address)
    settings = make_settings(address)
    door = FeedDoor(ring=Ring(1, 0), query=None, node="a", settings=lambda: settings, now=int)  # type: ignore[arg-type]  # not read
    with pytest.raises(DoorError, match="choose another port"):
        await door.serve()
    async with trio.open_nursery() as nursery:
        with pytest.raises(DoorError, match="choose another port"):
            await nursery.start(door.serve)
    await listener.aclose()


# ([feed].listen, a word of the complaint)
BAD_ADDRESSES = [
    ("8781", "write HOST:PORT"),
    ("127.0.0.1:", "write HOST:PORT"),
    ("127.0.0.1:65536", "write HOST:PORT"),
    ("::1:8781", "write HOST:PORT"),
    ("", "write HOST:PORT"),
    ("192.0.2.1:0", "no such address"),
]


@pytest.mark.parametrize(("listen", "word"), BAD_ADDRESSES)
async def test_what_is_no_address(listen: str, word: str) -> None:
    with pytest.raises(DoorError, match=word):
        await open_tcp(listen)


async def test_an_inherited_socket_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "feed.sock"
    inherited = socket.socket(socket.AF_UNIX)
    inherited.bind(str(path))
    inherited.listen()
    settings = make_settings(f"unix:{path}")
    door = FeedDoor(ring=Ring(1, 0), query=None, node="a", settings=lambda: settings, now=int)  # type: ignore[arg-type]  # not read
    async with trio.open_nursery() as nursery:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(inherited))
        assert await nursery.start(door.serve_listeners, [listener]) == [f"unix:{path}"]
        nursery.cancel_scope.cancel()
    assert path.exists()
