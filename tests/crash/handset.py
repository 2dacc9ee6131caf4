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

REFUSE, SWALLOW, CUT, PARTIAL = 0.05, 0.03, 0.02, 0.5
SLOWEST = 0.025


class Handset:
    """All accounts. `rng` decides the faults; `is_calm` switches them off."""

    def __init__(self, ledger: str, seed: int) -> None:
        self._file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._rng = random.Random(seed)
        self._groups: dict[str, list[dict[str, str]]] = {}
        self.is_calm = False

    def take(self, account: str, texts: list[str]) -> None:
        """The messages are on the phones: one write, so that no line is ever half."""
        os.write(self._file, "".join(f"{account} {text}\n" for text in texts).encode())

    async def answer(self, path: str, body: bytes) -> tuple[int, bytes, str]:
        """(status, body, fate) of one request; the fate is `whole`, `none` or `half`, of the answer."""
        if path == "/calm":
            self.is_calm = True
            return 200, b"", "whole"
        account, _, rest = path[1:].partition("/")
        luck = 1.0 if self.is_calm else self._rng.random()
        await trio.sleep(self._rng.random() * SLOWEST)
        if rest.startswith("messages"):
            return await self._answer_tatango(account, body, luck)
        return await self._answer_subito(account, rest.partition("=")[2], json.loads(body)["data"], luck)

    async def _answer_tatango(self, account: str, body: bytes, luck: float) -> tuple[int, bytes, str]:
        if luck < REFUSE:
            return 503, b"", "whole"
        self.take(account, [parse_qs(body.decode())["message"][0]])
        return 200, b"", await self._find_fate(luck)

    async def _answer_subito(self, account: str, action: str, data: list[dict[str, str]], luck: float) -> tuple[int, bytes, str]:
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

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, until it ends or a fault ends it."""
        data = b""
        async with stream:
            try:
                while True:
                    while b"\r\n\r\n" not in data:
                        more = await stream.receive_some(65536)
                        if not more:
                            return
                        data += more
                    head, _, data = data.partition(b"\r\n\r\n")
                    lines = head.split(b"\r\n")
                    length = next(int(line[15:]) for line in lines if line[:15].lower() == b"content-length:")
                    while len(data) < length:
                        more = await stream.receive_some(65536)
                        if not more:
                            return
                        data += more
                    body, data = data[:length], data[length:]
                    status, answer, fate = await self.answer(lines[0].split(b" ")[1].decode(), body)
                    whole = b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (status, len(answer), answer)
                    if fate != "whole":
                        await stream.send_all(whole[: len(whole) // 2] if fate == "half" else b"")
                        return
                    await stream.send_all(whole)
            except (trio.BrokenResourceError, ConnectionError):
                return  # the daemon was killed: what was taken is taken


async def serve(ledger: str, seed: int) -> None:
    """Serve until killed; prints the port."""
    handset = Handset(ledger, seed)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(handset.serve, listeners)


if __name__ == "__main__":
    trio.run(serve, sys.argv[1], int(sys.argv[2]))
