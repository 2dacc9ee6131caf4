"""A provider of the crash test that calls back: a process of its own that takes messages as Mitake does, and pushes what became of them.

`python -m tests.crash.pusher LEDGER BOOK SEED CALLBACKS` prints its port; CALLBACKS is the broker's listener. The account `formosa` speaks
the old API; `taipei` the current one, and knows a message again by its `clientid`. LEDGER gets `account text` of every message before a
byte of its answer leaves; BOOK one line for each call that was answered with 2xx: `receipt account msgid class` and, for what a handset
wrote to Tatango's account `north`, `inbound north 1/1 text`. What is not answered so is called again until it is. SIGUSR1: no more
faults, no more inbound messages.
"""

import os
import random
import sys
from functools import partial
from urllib.parse import parse_qs, urlencode, urlsplit

import trio

from tests.crash.web import Asked, Peer, Said, open_book, open_door, port_of, serve_web, wait_calm

SECRET = "c4n4ry00000000000000000000000000"
"""`callback_secret` of every account here."""
REFUSE, SWALLOW, CUT = 0.04, 0.03, 0.02
LOST, LATE = 0.4, 6.0
"""Of that account's answers that knows repeats; after so many seconds the receipt of a lost one comes: till then only a repeat tells."""
FATES = (("DELIVRD", "4", "delivered"),) * 8 + (
    ("UNDELIV", "6", "undelivered"),
    ("EXPIRED", "8", "expired"),
    ("ACCEPTD", "1", "progress"),
)
EARLY, REPEAT = 0.2, 0.1
AGAIN = 0.1
INBOUND_EVERY = 0.1


class Pusher(Peer):
    """All accounts. `rng` decides the faults."""

    def __init__(self, ledger: int, book: int, rng: random.Random, callbacks: int, nursery: trio.Nursery) -> None:
        self._ledger, self._book, self._rng = ledger, book, rng
        self._callbacks = callbacks
        self._nursery = nursery
        self._last = 0x0500000
        self._calls = trio.CapacityLimiter(8)
        self._known: dict[str, str] = {}
        self._calmed = trio.Event()

    def calm(self) -> None:
        """No more faults."""
        super().calm()
        self._calmed.set()

    async def answer(self, asked: Asked) -> Said:
        """The answer to one request of the broker's."""
        account = asked.target[1:].partition("/")[0]
        if "/SmQuery" in asked.target:
            return 200, b"AccountPoint=900000\r\n", "whole"
        sent = urlsplit(asked.target).query if account == "formosa" else asked.body.decode()
        fields = {name: values[0] for name, values in parse_qs(sent).items()}
        key = fields.get("clientid", "1")
        luck = 1.0 if self.is_calm else self._rng.random()
        await trio.sleep(self._rng.random() * 0.02)
        if luck < REFUSE:
            return 200, f"[{key}]\r\nstatuscode=r\r\n".encode(), "whole"
        known = self._known.get(key)
        ref = known or self._take(account, fields)
        if known is None and account == "taipei":
            self._known[key] = ref
        fate = self._find_fate(luck, LOST if account == "taipei" else SWALLOW)
        if known is None:
            delay = LATE if account == "taipei" and fate != "whole" else 0 if self._rng.random() < EARLY else self._rng.random() * 0.8
            self._nursery.start_soon(self._report, account, ref, fields, delay)
        await trio.sleep(self._rng.random() * 0.02)
        again = "Duplicate=Y\r\n" if known else ""
        return 200, f"[{key}]\r\nmsgid={ref}\r\nstatuscode=1\r\n{again}AccountPoint=900000\r\n".encode(), fate

    def _take(self, account: str, fields: dict[str, str]) -> str:
        """The message is on the phone; its id."""
        os.write(self._ledger, f"{account} {fields['smbody']}\n".encode())
        self._last += 1
        return f"{self._last:010d}"

    def _find_fate(self, luck: float, swallow: float) -> str:
        return "none" if luck < REFUSE + swallow else "half" if luck < REFUSE + swallow + CUT else "whole"

    async def _report(self, account: str, ref: str, fields: dict[str, str], delay: float) -> None:
        with trio.move_on_after(delay):
            await self._calmed.wait()
        word, flag, class_ = self._rng.choice(FATES)
        query = urlencode({"msgid": ref, "dstaddr": fields["dstaddr"], "statusstr": word, "StatusFlag": flag})
        target = f"{urlsplit(fields['response']).path}?{query}"
        for _ in range(2 if self._rng.random() < REPEAT else 1):
            await self._push(f"GET {target}", b"", f"receipt {account} {ref} {class_}")

    async def write_in(self) -> None:
        """Handsets write to us until it is calm."""
        count = 0
        while not self.is_calm:
            count += 1
            text = f"text mo-north-{count} of {self._rng.getrandbits(40):x}"
            body = f"<message><sender>202555{count:04d}</sender><content>{text}</content></message>".encode()
            self._nursery.start_soon(self._push, f"POST /cb/north/{SECRET}", body, f"inbound north 1/1 {text}")
            await trio.sleep(self._rng.random() * 2 * INBOUND_EVERY)

    async def _push(self, line: str, body: bytes, note: str) -> None:
        """Call until it is answered with 2xx; then, and not before, it stands in the book."""
        head = f"{line} HTTP/1.1\r\nHost: 127.0.0.1:{self._callbacks}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        while True:
            async with self._calls:
                status = await self._call(head.encode() + body)
                if 200 <= status < 300:
                    os.write(self._book, f"{note}\n".encode())
                    return
                await trio.sleep(AGAIN * (1 + self._rng.random()))  # and so holds others back: nobody answers them either

    async def _call(self, request: bytes) -> int:
        """The status, 0 for no answer."""
        data = b""
        with trio.move_on_after(5):
            try:
                async with await trio.open_tcp_stream("127.0.0.1", self._callbacks) as stream:
                    await stream.send_all(request)
                    while b"\r\n\r\n" not in data:
                        more = await stream.receive_some(4096)
                        if not more:
                            return 0
                        data += more
            except (OSError, trio.BrokenResourceError):
                return 0
        return int(data.split(b" ")[1]) if b"\r\n\r\n" in data else 0


async def serve(ledger: str, book: str, seed: int, callbacks: int) -> None:
    """Serve until killed; prints the port."""
    files = open_book(ledger), open_book(book)
    async with trio.open_nursery() as nursery:
        pusher = Pusher(*files, random.Random(seed), callbacks, nursery)
        await nursery.start(wait_calm, pusher.calm)
        door = await open_door()
        nursery.start_soon(pusher.write_in)
        print(port_of(door), flush=True)
        await trio.serve_listeners(partial(serve_web, pusher.answer), [door])


if __name__ == "__main__":
    trio.run(serve, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
