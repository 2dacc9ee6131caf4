"""The worlds of the crash test: which providers, over what, and which peers' processes play them. Each round is in one of them.

Owns those processes while a round lasts. What goes wrong in them is theirs; what was right of it is `verdict`'s.
"""

import getpass
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE

import trio

from tests.bench.rig import find_port
from tests.crash.pusher import SECRET

ROOT = Path(__file__).parents[2]

_HEAD = """
[broker]
name = "crash"
data_dir = "data"
default_country = "TW"
drain = "2s"
log = "warning"
[submit]
socket = "{folder}/submit.sock"
[control]
socket = "{folder}/control.sock"
[[rules]]
name = "all"
use = {use}
order = "weighted"
validity = "{validity}"
doubt_deadline = "300ms"
on = {{ unavailable = "next", no_credit = "next", unreachable = "next" }}
"""
_SHARED = """
max_in_flight = 10
timeout = "{timeout}"
receipt_wait = "3s"
breaker = {{ failures = 20, window = "5s", open = "100ms", max_open = "400ms" }}
"""
_TATANGO = """
[providers.{name}]
plugin = "tatango"
key = "c4n4ry-crash-key"
password = "c4n4ry-crash-{name}"
url = "http://127.0.0.1:{handset}/{name}"
prices = {{ "*" = "0.01" }}
"""
_SUBITO = """
[providers.south]
plugin = "subito"
username = "crash"
password = "c4n4ry-crash-south"
url = "http://127.0.0.1:{handset}/south"
batch = 4
sender = "ACME"
query = ["150ms", "300ms"]
"""
_SMPP = """
[providers.{name}]
plugin = "smpp"
host = "127.0.0.1"
port = {port}
username = "crash"
password = "c4n4rysm"
sender = "ACME"
window = 10
response_timer = "1s"
udh_bits = 16
{more}
"""
_MITAKE = """
[providers.{name}]
plugin = "mitake"
username = "crash"
password = "c4n4ry-crash-{name}"
url = "http://127.0.0.1:{pusher}/{name}"
callback_secret = "{secret}"
"""
_HOOKS = """
[callbacks]
listen = "127.0.0.1:{callbacks}"
public_url = "http://127.0.0.1:{callbacks}"
[clients."unix:{user}"]
webhook = "http://127.0.0.1:{endpoint}/status"
webhook_secret = "whsec_YzRuNHJ5LWNyYXNoLXdlYmhvb2s="
[[inbound]]
to = "http://127.0.0.1:{endpoint}/inbound"
secret = "whsec_YzRuNHJ5LWNyYXNoLXdlYmhvb2s="
"""


@dataclass
class World:
    """One round's surroundings: the config's text once `play` has begun, where the peers write, and how many of `texts` are long."""

    name: str
    folder: Path
    seed: int
    config: str = ""
    long: float = 0.0
    has_hooks: bool = False
    _peers: list[trio.Process] = field(default_factory=list)

    @property
    def ledger(self) -> Path:
        """What reached handsets."""
        return self.folder / "ledger"

    @property
    def book(self) -> Path:
        """What the broker acknowledged, or handed on."""
        return self.folder / "book"

    @asynccontextmanager
    async def play(self) -> AsyncIterator[None]:
        """While entered, the peers serve."""
        try:
            self.config = await WORLDS[self.name](self)
            yield
        finally:
            for peer in self._peers:
                peer.kill()
            with trio.CancelScope(shield=True):
                for peer in self._peers:
                    await peer.wait()

    def calm(self) -> None:
        """From now on nothing goes wrong, and nobody writes to us."""
        for peer in self._peers:
            peer.send_signal(signal.SIGUSR1)

    async def start(self, kind: str, *words: object) -> list[int]:
        """Start a peer: its ports."""
        command = [sys.executable, "-m", f"tests.crash.{kind}", *map(str, words)]
        process = await trio.lowlevel.open_process(command, stdout=PIPE, cwd=ROOT)
        self._peers.append(process)
        assert process.stdout is not None
        data = b""
        while not data.endswith(b"\n"):
            more = await process.stdout.receive_some(64)
            assert more, f"{kind} did not start"
            data += more
        return [int(word) for word in data.split()]

    def write(self, use: dict[str, str], more: str = "", *, timeout: str = "1s", validity: str = "4s") -> str:
        """A configuration: the providers of `use` in one rule, the first ones weighted double."""
        shared = _SHARED.format(timeout=timeout)
        weights = ", ".join(f"{name} = {2 if at < 2 else 1}" for at, name in enumerate(use))
        names = ", ".join(f'"{name}"' for name in use)
        providers = "".join(f"{text}{shared}" for text in use.values())
        return _HEAD.format(folder=self.folder, validity=validity, use=f"[{names}]\nweights = {{ {weights} }}") + more + providers


async def _make_http(world: World) -> str:
    """Two Tatango accounts and one of SubitoSMS, which is asked for fates."""
    (handset,) = await world.start("handset", world.ledger, world.seed)
    north, east = (_TATANGO.format(name=name, handset=handset) for name in ("north", "east"))
    return world.write({"north": north, "south": _SUBITO.format(handset=handset), "east": east})


def _write_smpp(west: int, far: int) -> dict[str, str]:
    return {
        "west": _SMPP.format(name="west", port=west, more="binds = 2"),
        "far": _SMPP.format(name="far", port=far, more='bind = "pair"\nask = true\nquery = ["700ms", "1500ms"]'),
    }


async def _make_smpp(world: World) -> str:
    """Two SMSCs, and a Tatango account beside them."""
    world.long = 0.1
    (handset,) = await world.start("handset", world.ledger, world.seed)
    west, far = await world.start("smsc", world.ledger, world.book, world.seed)
    east = _TATANGO.format(name="east", handset=handset)
    return world.write({**_write_smpp(west, far), "east": east}, timeout="3s", validity="12s")


async def _make_hooks(world: World) -> str:
    """Mitake by both of its APIs and Tatango that call back, an SMSC, and an endpoint that gets every status and every inbound message."""
    world.has_hooks = True
    callbacks = find_port()
    (handset,) = await world.start("handset", world.ledger, world.seed)
    west, _ = await world.start("smsc", world.ledger, world.book, world.seed)
    (pusher,) = await world.start("pusher", world.ledger, world.book, world.seed, callbacks)
    (endpoint,) = await world.start("endpoint", world.book, world.seed)
    use = {
        "formosa": _MITAKE.format(name="formosa", pusher=pusher, secret=SECRET),
        "west": _SMPP.format(name="west", port=west, more="binds = 2"),
        "north": _TATANGO.format(name="north", handset=handset) + f'callback_secret = "{SECRET}"\n',
        "taipei": _MITAKE.format(name="taipei", pusher=pusher, secret=SECRET) + 'api = "mtk"\n',
    }
    return world.write(use, _HOOKS.format(callbacks=callbacks, endpoint=endpoint, user=getpass.getuser()), timeout="3s", validity="12s")


WORLDS = {"http": _make_http, "smpp": _make_smpp, "hooks": _make_hooks}
"""What plays which world: each starts the peers and gives the configuration."""
