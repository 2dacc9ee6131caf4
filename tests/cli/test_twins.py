"""`twins`: the simulated providers, served alone and reached over a real connection."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import httpx
import pytest

from tests.cli.office import Desk


@contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """`broker twins WORDS` for the length of the block."""
    command = [sys.executable, "-m", "broker", "twins", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def test_a_twin_answers_until_it_is_interrupted(desk: Desk) -> None:
    with serving("isms", "--json") as (process, out):
        document = json.loads(out.readline())
        (twin,) = document["twins"]
        assert twin["name"] == "isms"
        assert httpx.get(f"{twin['url']}/api/http/credits.php?username=demo&password=demo", trust_env=False).text == "Credits:1000"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10)[1] == ""
    assert process.returncode == 0


def test_the_table_names_every_twin(desk: Desk) -> None:
    with serving() as (_, out):
        lines = [out.readline().split() for _ in range(7)]
    assert [line[0] for line in lines] == ["plugin", "isms", "mitake", "smpp", "smscru", "subito", "tatango"]
    assert all(line[1].startswith(("http://127.0.0.1:", "smpp://127.0.0.1:")) for line in lines[1:7])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nix", 'no plugin is called "nix"; there are: isms, loopback'),
        ("loopback", 'the plugin "loopback" has no twin'),
    ],
)
def test_what_cannot_be_served(desk: Desk, words: str, said: str) -> None:
    ran = desk.run("twins", *words.split())
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err


def test_a_port_that_is_taken(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = desk.run("twins", "mitake", "--port", str(port))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"broker: port {port} cannot be had for mitake: Address already in use; choose another with --port\n"
