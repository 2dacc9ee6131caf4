"""The bench's provider that calls back in Python, for where caller.c cannot be compiled. The same arguments, the same report.

`caller.py PORT COUNT CONNECTIONS RATE FILE`; see caller.c.
"""

import json
import select
import socket
import sys
import time
from pathlib import Path


class Caller:
    """The whole load. `due`: when each call is due, ns; with rate 0 when it was made."""

    def __init__(self, port: int, count: int, connections: int, rate: int, targets: list[str]) -> None:
        self.port, self.spare = port, connections
        self.free: list[tuple[socket.socket, int]] = []
        self.items: dict[int, tuple[socket.socket, int, bytes]] = {}
        self.count, self.rate, self.targets = count, rate, targets
        begun = time.monotonic_ns() + 1_000_000
        self.due = [begun + i * 1_000_000_000 // rate for i in range(count)] if rate else [0] * count
        self.taken: list[int] = []
        self.late: list[int] = []
        self.next = self.oks = self.first = self.last = 0

    @property
    def can_call(self) -> bool:
        """True while not every connection waits for an answer."""
        return bool(self.free) or self.spare > 0

    def call(self, now: int) -> None:
        """Make the next call, on a connection that is free, or a new one: the daemon ends one that says nothing for 5 s."""
        item = self.next
        if self.free:
            sock, free_at = self.free.pop()
        else:
            sock, free_at = socket.create_connection(("127.0.0.1", self.port)), 0
            self.spare -= 1
        sock.sendall(f"GET {self.targets[item]} HTTP/1.1\r\nHost: sms.example.org\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n".encode())
        if self.rate:
            self.late.append(now - max(free_at, self.due[item]))
        else:
            self.due[item] = now
        self.first = self.first or now
        self.items[sock.fileno()] = (sock, item, b"")
        self.next += 1

    def hear(self, fd: int) -> None:
        """Take what has come on a connection."""
        sock, item, data = self.items[fd]
        more = sock.recv(4096)
        if not more:
            sys.exit("caller: the daemon closed the connection")
        data += more
        head, is_whole, body = data.partition(b"\r\n\r\n")
        if not is_whole or len(body) < int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0]):
            self.items[fd] = (sock, item, data)
            return
        self.last = time.monotonic_ns()
        self.taken.append(self.last - self.due[item])
        self.oks += head.startswith(b"HTTP/1.1 200")
        del self.items[fd]
        self.free.append((sock, self.last))

    def run(self) -> None:
        """Make every call, hear every answer."""
        while len(self.taken) < self.count:
            now = time.monotonic_ns()
            while self.can_call and self.next < self.count and (not self.rate or self.due[self.next] <= now):
                self.call(now)
            wait = 1.0
            if self.rate and self.can_call and self.next < self.count:
                wait = max(0, self.due[self.next] - time.monotonic_ns()) / 1e9
            for fd in select.select(list(self.items), (), (), wait)[0]:
                self.hear(fd)

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
    port, count, connections, rate, path = sys.argv[1:]
    caller = Caller(int(port), int(count), int(connections), int(rate), Path(path).read_text().splitlines())
    caller.run()
    print(json.dumps(caller.show()))


if __name__ == "__main__":
    main()
