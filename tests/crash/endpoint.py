"""The operator's endpoint of the crash test: a process of its own that takes webhooks and writes each down before it answers.

`python -m tests.crash.endpoint BOOK SEED` prints its port. BOOK gets `hook webhook-id id seq`: the id of what it speaks of, the event's seq
(0 for an inbound message). By seed it takes without answering, and refuses; SIGUSR1 ends that.
"""

import json
import os
import random
import sys
from functools import partial

import trio

from tests.crash.web import Asked, Said, open_book, open_door, port_of, serve_web, wait_calm

REFUSE, SWALLOW = 0.004, 0.004
"""A chain that was refused once waits for seconds: more of them, and rounds take minutes."""


class Endpoint:
    """All hooks. `rng` decides the faults."""

    def __init__(self, book: int, rng: random.Random) -> None:
        self._book, self._rng = book, rng
        self.is_calm = False

    def calm(self) -> None:
        """No more faults."""
        self.is_calm = True

    async def answer(self, asked: Asked) -> Said:
        """The answer to one hook."""
        luck = 1.0 if self.is_calm else self._rng.random()
        await trio.sleep(self._rng.random() * 0.005)
        if luck < REFUSE:
            return 503, b"", "whole"
        data = json.loads(asked.body)["data"]
        os.write(self._book, f"hook {asked.headers['webhook-id']} {data['id']} {data.get('seq', 0)}\n".encode())
        await trio.sleep(self._rng.random() * 0.005)
        return 204, b"", "none" if luck < REFUSE + SWALLOW else "whole"


async def serve(book: str, seed: int) -> None:
    """Serve until killed; prints the port."""
    endpoint = Endpoint(open_book(book), random.Random(seed))
    door = await open_door()
    async with trio.open_nursery() as nursery:
        await nursery.start(wait_calm, endpoint.calm)
        print(port_of(door), flush=True)
        await trio.serve_listeners(partial(serve_web, endpoint.answer), [door])


if __name__ == "__main__":
    trio.run(serve, sys.argv[1], int(sys.argv[2]))
