"""Our plugin `smpp`, in the whole daemon, bound to an SMSC that is not ours: node-smpp's server (npm `smpp`), as smsc.js sets it up.

`make peers`; skipped, and saying so, where node or npm is missing, or the package cannot be fetched. It is installed into a temporary
folder, or found where NODE_PATH says. Not part of `make test`: the name is no test's.
"""

import json
import os
import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.rig import Daemon, Stage, running, wait_until

VERSION = "0.5.1"
SETTINGS = """
[providers.node]
plugin = "smpp"
host = "127.0.0.1"
port = {port}
username = "demo"
password = "secret"
system_type = "test"
sender = "ACME"
enquire_every = "1s"
window = 10
{more}
"""
PATIENCE = 45.0


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with node-smpp in it."""
    found = os.environ.get("NODE_PATH", "")
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm not on the path")
    if found and Path(found, "smpp").is_dir():
        return found
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), f"smpp@{VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot install smpp@{VERSION}: {done.stderr.strip()[-200:]}")
    return str(folder / "node_modules")


class Node:
    """smsc.js as a process. `heard` is what it said, in order."""

    def __init__(self, modules: str) -> None:
        command = ["node", str(Path(__file__).with_name("smsc.js"))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "NODE_PATH": modules}
        )
        self.heard: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(self.wait("listening")[0]["port"])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def wait(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """So many of a kind, from the beginning."""
        deadline = time.monotonic() + PATIENCE
        while len(found := [each for each in self.heard if each["kind"] == kind]) < count:
            try:
                self.heard.append(json.loads(self._lines.get(timeout=max(deadline - time.monotonic(), 0.01))))
            except queue.Empty:
                pytest.fail(f"waited {PATIENCE:.0f} s for {count} x {kind}; it said {self.heard}")
        return found

    def do(self, what: str, **fields: Any) -> None:
        """An order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def node(modules: str) -> Iterator[Node]:
    made = Node(modules)
    yield made
    made.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as made:
        yield made


def make_daemon(stage: Stage, node: Node, more: str = "", settings: str = SETTINGS) -> Daemon:
    return Daemon(stage, settings.format(port=node.port, more=more))


def submit(daemon: Daemon, to: str, text: str) -> str:
    """The id of a message that was taken."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(daemon.submit_socket))
        sock.sendall(json.dumps({"to": to, "text": text}).encode() + b"\n")
        answer = json.loads(sock.makefile().readline())
    assert answer["ok"], answer
    return str(answer["id"])


def wait_status(daemon: Daemon, id_: str, *statuses: str) -> None:
    """Until the message has one of these."""
    wanted = f"{id_} to be {' or '.join(statuses)}"
    wait_until(lambda: daemon.ask("status", id=id_)["message"]["status"] in statuses, wanted, seconds=PATIENCE)


@pytest.mark.parametrize("bind", ["transceiver", "pair"])
def test_a_message_and_its_receipt(stage: Stage, node: Node, bind: str) -> None:
    with running(make_daemon(stage, node, f'bind = "{bind}"')) as daemon:
        wait_status(daemon, submit(daemon, "+886912345678", "hello to node"), "delivered")
        assert node.wait("acknowledged")[0]["status"] == 0
        kinds = {"bind_transceiver"} if bind == "transceiver" else {"bind_transmitter", "bind_receiver"}
        assert kinds == {each["kind"] for each in node.heard if each["kind"].startswith("bind_")}
        (sent,) = node.wait("submit")
        expected = {"to": "886912345678", "from": "ACME", "text": "hello to node", "coding": 0, "ton": 1, "registered": 1}
        assert {key: sent[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("text", "more", "coding"),
    [
        ("x" * 150 + "[brackets] €" + "y" * 200, "", 0),
        ("жизнь и 👍 " * 20, "", 8),
        ("z" * 400, "udh_bits = 16", 0),
    ],
)
def test_a_long_message_goes_in_parts(stage: Stage, node: Node, text: str, more: str, coding: int) -> None:
    with running(make_daemon(stage, node, more)) as daemon:
        wait_status(daemon, submit(daemon, "+886912345678", text), "delivered")
        parts = node.wait("submit", node.wait("submit")[0]["udh"][0][-2])
        assert len(parts) > 2
        element = 8 if more else 0
        assert [part["udh"][0][0] for part in parts] == [element] * len(parts)
        assert "".join(part["text"] for part in sorted(parts, key=lambda part: part["udh"][0][-1])) == text
        assert {(part["coding"], part["esm"] & 0x40) for part in parts} == {(coding, 0x40)}
        assert {part["udh"][0][-2] for part in parts} == {len(parts)}
        assert all(each["status"] == 0 for each in node.wait("acknowledged", len(parts)))


def test_a_payload_goes_whole(stage: Stage, node: Node) -> None:
    with running(make_daemon(stage, node, 'concat = "payload"')) as daemon:
        wait_status(daemon, submit(daemon, "+886912345678", "p" * 400), "delivered")
        (sent,) = node.wait("submit")
        assert sent["text"] == "p" * 400


def test_a_refusal_is_believed(stage: Stage, node: Node) -> None:
    with running(make_daemon(stage, node)) as daemon:
        wait_status(daemon, submit(daemon, "+886912345699", "no such number"), "failed")
        node.wait("refused")


def test_what_a_handset_writes_is_stored(stage: Stage, node: Node) -> None:
    with running(make_daemon(stage, node)) as daemon:
        node.wait("bind_transceiver")
        node.do("write", **{"from": "886911111111", "to": "55555", "text": "hello from a handset"})
        assert node.wait("taken")[0]["status"] == 0
        for part, text in ((1, "first half, "), (2, "second half")):
            node.do("write", **{"from": "886911111112", "to": "55555", "text": text, "udh": [5, 0, 3, 7, 2, part]})
        assert [each["status"] for each in node.wait("taken", 3)] == [0, 0, 0]
        rows = daemon.query("SELECT sender, recipient, text FROM inbound ORDER BY id")
        assert sorted(rows) == [
            ("+886911111111", "55555", "hello from a handset"),
            ("+886911111112", "55555", "first half, second half"),
        ]


def test_either_side_asks_whether_the_other_lives(stage: Stage, node: Node) -> None:
    with running(make_daemon(stage, node)):
        node.wait("enquire_link", 2)
        node.do("enquire")
        assert node.wait("alive")[0]["status"] == 0


def test_we_unbind_at_the_end(stage: Stage, node: Node) -> None:
    with running(make_daemon(stage, node)):
        node.wait("bind_transceiver")
    node.wait("unbind")
    node.wait("close")


def test_we_bind_again_when_asked_to_leave(stage: Stage, node: Node) -> None:
    with running(make_daemon(stage, node)) as daemon:
        node.wait("bind_transceiver")
        node.do("unbind")
        assert node.wait("left")[0]["status"] == 0
        node.wait("bind_transceiver", 2)
        wait_status(daemon, submit(daemon, "+886912345678", "after"), "delivered")


def test_a_wrong_password_is_said(stage: Stage, node: Node) -> None:
    with running(make_daemon(stage, node, settings=SETTINGS.replace("secret", "wrong"))) as daemon:
        assert node.wait("bind_transceiver")[0]["status"] == 0x0E
        wait_until(lambda: daemon.ask("providers")["providers"][0]["state"] != "up", "the account to be down", seconds=PATIENCE)
        assert not [each for each in node.heard if each["kind"] == "submit"]
