"""The operator's endpoint of the crash test: a process of its own that takes webhooks and writes each down before it answers.

`python -m tests.crash.endpoint BOOK SEED` prints its port. BOOK gets `hook webhook-id id seq`: the id of what it speaks of, the event's seq
(0 for an inbound message). By seed it takes without answering, and refuses; SIGUSR1 ends that.
"""

import json
import os
import random
import sys

import trio

from tests.crash.web import Asked, Peer, Said, open_book, serve_peer

REFUSE, SWALLOW = 0.004, 0.004
"""A chain that was refused once waits for seconds: more of them, and rounds take minutes."""


class Endpoint(Peer):
    """All hooks. `rng` decides the faults."""

    def __init__(self, book: int, rng: random.Random) -> None:
        self._book, self._rng = book, rng

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


if __name__ == "__main__":
    trio.run(serve_peer, Endpoint(open_book(sys.argv[1]), random.Random(int(sys.argv[2]))))
