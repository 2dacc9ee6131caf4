"""Who reaches the submit socket, and as whom (S1, S12)."""

import os
import pwd
import socket
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio

from broker.api.doors import open_unix
from broker.api.submit import find_client
from broker.delivery.submission import Submit

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may enter, as tmp_path is not: the socket's own mode decides."""
    if os.getuid() != 0:
        pytest.skip("not root: another user's connection goes UNCHECKED here")
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def connect_as(uid: int, path: str) -> int:
    """0, or the error of a connection by another user's process, which says nothing and is gone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child calls nothing that takes a lock
        child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        os._exit(socket.socket(socket.AF_UNIX).connect_ex(path))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def test_another_user_is_kept_out_by_the_mode(folder: Path) -> None:
    listener = await open_unix(f"{folder}/closed", 0o660)
    other = await open_unix(f"{folder}/open", 0o666)
    async with listener, other:
        assert connect_as(NOBODY, f"{folder}/closed") == 13  # EACCES
        assert connect_as(NOBODY, f"{folder}/open") == 0


async def test_who_a_client_is_comes_from_the_kernel(folder: Path) -> None:
    async with await open_unix(f"{folder}/s", 0o666) as listener:
        for uid in (0, NOBODY):
            assert connect_as(uid, f"{folder}/s") == 0
            with trio.fail_after(5):
                stream = await listener.accept()
            async with stream:
                assert find_client(stream) == f"unix:{pwd.getpwuid(uid).pw_name}"
                (_, seen, _) = struct.unpack("3i", stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                assert seen == uid


def test_a_submit_has_no_field_for_an_address() -> None:
    assert [name for name in Submit.__struct_fields__ if any(word in name for word in ("url", "hook", "callback", "host"))] == []
