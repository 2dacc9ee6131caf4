"""Who reads the feed of a simulated world, goes, and comes back `from` where it was: over a websocket, or where a websocket would stand.

Each judges at its end whether it had every event once and in order.
"""

import json
from typing import TYPE_CHECKING

import trio
from trio_websocket import ConnectionClosed, HandshakeError, wrap_client_stream

from broker.api.feed_pages import Subscription, View
from tests.sim.chance import stream
from tests.sim.life import Life

if TYPE_CHECKING:
    from tests.sim.world import World


class Subscriber:
    """One that stands where a websocket would: a cursor over pages."""

    def __init__(self, world: "World", n: int) -> None:
        self.world = world
        self.rng = stream(world.seed, f"reader{n}")
        self.seen: list[int] = []
        self._after = 0 if self.rng.random() < 0.5 else None
        self._since = self._after

    async def run(self) -> None:
        """Read in pieces, until the world is calm."""
        try:
            while True:
                await trio.sleep(self.rng.choice((0.0, 0.5, 4.0)))
                life = self.world.life
                if life is None or life.is_dead or not life.daemon.ready.is_set():
                    continue
                with trio.move_on_after(self.rng.choice((0.1, 3.0, 20.0))):
                    await self._connect(life)
        finally:
            self._judge()

    async def _connect(self, life: Life) -> None:
        place = Subscription(life.daemon.pages, self._after)
        self._begin(place.cursor)
        view = View(None, True, False)
        while True:
            page = await place.read()
            if page is None:
                await place.wait()
                continue
            self._hear([json.loads(text)["seq"] for text in page.list_texts(view)])
            place.pass_by(page)
            self._after = place.cursor
            if self.rng.random() < 0.1:
                return

    def _begin(self, last: int) -> None:
        if self._after is None:
            self._after = self._since = last

    def _hear(self, seqs: list[int]) -> None:
        self.seen += seqs
        self._after = self.seen[-1] if self.seen else self._after

    def _judge(self) -> None:
        if self._since is None:
            return
        audit, after = self.world.audit, self._after or 0
        there = [seq for seq in audit.events if self._since < seq <= after]
        if self.seen != there:
            audit.find(f"a subscriber had {len(self.seen)} events after {self._since} to {after}, and there are {len(there)}")


class Listener(Subscriber):
    """One with a websocket, cut off at any moment."""

    async def _connect(self, life: Life) -> None:
        try:
            stream = life.connect_web("feed")
        except OSError:
            return
        asks = [] if self._after is None else [f"from={self._after}"]
        asks += ["batch=1"] if self.rng.random() < 0.3 else []
        try:
            async with trio.open_nursery() as nursery:
                socket = await wrap_client_stream(nursery, stream, "sim", f"/v1/events?{'&'.join(asks)}")
                while self.rng.random() < 0.95:
                    said = json.loads(await socket.get_message())
                    told = said if isinstance(said, list) else [said]
                    if told[0]["type"] == "hello":
                        self._begin(told[0]["seq"])
                    else:
                        self._hear([event["seq"] for event in told])
                nursery.cancel_scope.cancel()
        except* (ConnectionClosed, HandshakeError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the broker has gone, or goes
        finally:
            stream.socket.close()
