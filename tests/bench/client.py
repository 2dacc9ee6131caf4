"""The bench's client of the submit socket in Python, for where client.c cannot be compiled. The same arguments, the same report.

`client.py SOCKET COUNT CONNECTIONS WINDOW RATE PREFIX DIGITS EXTRA`; see client.c.
"""

import json
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence

TEXT = "Your parcel waits at the counter until Friday evening, hall B."


class Conn:
    """One connection: the items sent and not answered, the bytes not yet taken, the answer half read."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.setblocking(False)
        self.unanswered: deque[int] = deque()
        self.out = bytearray()
        self.rest = b""

    def flush(self) -> None:
        """Write what can be written now."""
        if self.out:
            try:
                del self.out[: self.socket.send(self.out)]
            except BlockingIOError:
                pass  # the daemon reads later; select says when


class Client:
    """The whole load. `due`: when each item is due, ns; with rate 0 when it was sent. `taken`: until its answer."""

    def __init__(self, path: str, count: int, connections: int, window: int, rate: int) -> None:
        self.conns = [Conn(path) for _ in range(connections)]
        self.count, self.window, self.rate = count, window, rate
        begun = time.monotonic_ns() + 50_000_000  # the lines are made in this time
        self.due = [begun + i * 1_000_000_000 // rate for i in range(count)] if rate else [0] * count
        self.taken: list[int] = []
        self.late: list[int] = []
        self.lines: Sequence[bytes] = ()
        self.next = self.oks = self.first = self.last = 0

    def make_lines(self, prefix: str, digits: int, extra: str) -> None:
        """Every line beforehand, so that the run itself only writes."""
        form = f'{{"to":"{prefix}%0{digits}d","text":"ns%020d {TEXT}"%s}}\n'
        modulus = 10**digits
        self.lines = [
            (form % (i % modulus, self.due[i] if self.rate else i, extra.replace("%", str(i)))).encode() for i in range(self.count)
        ]

    def fill(self, now: int) -> None:
        """Hand each connection what it may have now."""
        for at, conn in enumerate(self.conns):
            while self.next < self.count and len(conn.unanswered) < self.window:
                item = self.next
                if self.rate:
                    if self.due[item] > now or item % len(self.conns) != at:
                        break
                    self.late.append(now - self.due[item])
                else:
                    self.due[item] = now
                conn.unanswered.append(item)
                conn.out += self.lines[item]
                self.next += 1
                self.first = self.first or now

    def hear(self, conn: Conn) -> None:
        """Take the answers that have come."""
        data = conn.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the daemon closed the connection")
        now = time.monotonic_ns()
        *lines, conn.rest = (conn.rest + data).split(b"\n")
        for line in lines:
            self.taken.append(now - self.due[conn.unanswered.popleft()])
            if line.startswith(b'{"ok":true'):
                self.oks += 1
            elif self.oks == len(self.taken) - 1:
                print("client: a submit was refused", file=sys.stderr)
            self.last = now

    def run(self) -> None:
        """Send everything, hear everything."""
        by_fd = {conn.socket.fileno(): conn for conn in self.conns}
        while len(self.taken) < self.count:
            now = time.monotonic_ns()
            self.fill(now)
            for conn in self.conns:
                conn.flush()
            wait = 1.0
            if self.rate and self.next < self.count:
                wait = max(0, self.due[self.next] - time.monotonic_ns()) / 1e9
            writers = [fd for fd, conn in by_fd.items() if conn.out]
            for fd in select.select(list(by_fd), writers, (), wait)[0]:
                self.hear(by_fd[fd])

    def show(self) -> dict[str, float]:
        """The report."""
        taken, late = sorted(self.taken), sorted(self.late) or [0]
        shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
        found = {name: taken[int(share * (len(taken) - 1))] / 1000 for name, share in shares.items()}
        return {
            "first": self.first, "last": self.last, "ok": self.oks, "refused": self.count - self.oks, **found,
            "late_p99": late[int(0.99 * (len(late) - 1))] / 1000,
        }  # fmt: skip


def main() -> None:
    """Do what the arguments say."""
    path, count, connections, window, rate, prefix, digits, extra = sys.argv[1:]
    client = Client(path, int(count), int(connections), int(window), int(rate))
    client.make_lines(prefix, int(digits), extra)
    client.run()
    print(json.dumps(client.show()))


if __name__ == "__main__":
    main()
