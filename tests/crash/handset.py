"""The handsets of the crash test: a process of its own that speaks two providers' forms and writes down every message it takes.

`python -m tests.crash.handset LEDGER SEED` prints its port. A message is in the ledger (one line, `account text`) before a byte
of the answer leaves, so the ledger is the truth of what reached a phone, whatever is killed. Accounts are told apart by the first
part of the path: `/NAME/messages` is answered as Tatango does, `/NAME/json.php` as SubitoSMS does. By seed it refuses, takes
without answering, and cuts answers; `POST /calm` ends that.
"""

import json
import os
import random
import sys
from urllib.parse import parse_qs

import trio

from tests.crash.web import Asked, Peer, Said, open_book, serve_peer

REFUSE, SWALLOW, CUT, PARTIAL = 0.05, 0.03, 0.02, 0.5
SLOWEST = 0.025


class Handset(Peer):
    """All accounts. `rng` decides the faults; `is_calm` switches them off."""

    def __init__(self, ledger: str, seed: int) -> None:
        self._file = open_book(ledger)
        self._rng = random.Random(seed)
        self._groups: dict[str, list[dict[str, str]]] = {}

    def take(self, account: str, texts: list[str]) -> None:
        """The messages are on the phones: one write, so that no line is ever half."""
        os.write(self._file, "".join(f"{account} {text}\n" for text in texts).encode())

    async def answer(self, asked: Asked) -> Said:
        """The answer to one request."""
        account, _, rest = asked.target[1:].partition("/")
        luck = 1.0 if self.is_calm else self._rng.random()
        await trio.sleep(self._rng.random() * SLOWEST)
        if rest.startswith("messages"):
            return await self._answer_tatango(account, asked.body, luck)
        return await self._answer_subito(account, rest.partition("=")[2], json.loads(asked.body)["data"], luck)

    async def _answer_tatango(self, account: str, body: bytes, luck: float) -> Said:
        if luck < REFUSE:
            return 503, b"", "whole"
        self.take(account, [parse_qs(body.decode())["message"][0]])
        return 200, b"", await self._find_fate(luck)

    async def _answer_subito(self, account: str, action: str, data: list[dict[str, str]], luck: float) -> Said:
        if action == "credit":
            return 200, b'{"data":{"Italy":"900000","ItalyLow":"900000","Foreign":"900000"}}', "whole"
        if action == "status":
            return 200, json.dumps([{"id": each["id"], "messages": self._groups[str(each["id"])]} for each in data]).encode(), "whole"
        taken = data
        if luck < REFUSE:
            # The manual does not say that a batch refused for want of credit was refused whole.
            taken = data[: len(data) // 2] if len(data) > 1 and self._rng.random() < PARTIAL else []
        self.take(account, [each["text"] for each in taken])
        if luck < REFUSE:
            return 200, b'{"error":{"message":"You do not have enough credit","code":5}}', "whole"
        group = str(12293682 + len(self._groups))
        self._groups[group] = [{**each, "status": "1"} for each in taken]
        return 200, json.dumps({"data": {"id": group}}).encode(), await self._find_fate(luck)

    async def _find_fate(self, luck: float) -> str:
        await trio.sleep(self._rng.random() * SLOWEST)
        if luck < REFUSE + SWALLOW:
            return "none"
        return "half" if luck < REFUSE + SWALLOW + CUT else "whole"


if __name__ == "__main__":
    trio.run(serve_peer, Handset(sys.argv[1], int(sys.argv[2])))
