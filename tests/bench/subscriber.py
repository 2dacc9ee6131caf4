"""The bench's subscribers of the feed in Python, for where subscriber.c cannot be compiled. The same arguments, the same report.

`subscriber.py PORT COUNT TARGET WORD EXPECT`; see subscriber.c. It answers no pings, so it lasts 50 seconds at most.
"""

import json
import select
import socket
import sys
import time

ASK = (
    "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Reader:
    """One websocket. What comes is counted and dropped."""

    def __init__(self, port: int, target: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(ASK.format(target=target, port=port).encode())
        self.is_open = False
        self.seen = 0
        self.tail = b""

    def take(self, data: bytes, word: bytes) -> None:
        """Count `word` in the data."""
        data = self.tail + data
        if not self.is_open:
            end = data.find(b"\r\n\r\n") + 4
            if data[:12] != b"HTTP/1.1 101"[: len(data)]:
                sys.exit(f"subscriber: refused: {data!r}")
            if end < 4 or len(data) < end + 2 or len(data) < end + 2 + data[end + 1]:
                self.tail = data
                return
            self.is_open = True
            data = data[end + 2 + data[end + 1] :]
        self.seen += data.count(word)
        self.tail = data[-(len(word) - 1) :]


def main() -> None:
    """Read as the arguments say."""
    port, count, target, text, expect = sys.argv[1:]
    word = text.encode()
    readers = {reader.socket.fileno(): reader for reader in (Reader(int(port), target) for _ in range(int(count)))}
    epoll = select.epoll()
    for fd in readers:
        epoll.register(fd, select.EPOLLIN)
    first = last = total = done = opened = 0
    while done < len(readers):
        for fd, _ in epoll.poll():
            reader = readers[fd]
            was_open, before = reader.is_open, reader.seen
            data = reader.socket.recv(1 << 18)
            if not data:
                sys.exit("subscriber: the feed ended")
            reader.take(data, word)
            if reader.is_open and not was_open:
                opened += 1
                if opened == len(readers):
                    print("ready", flush=True)
            if was_open or reader.seen:
                total += len(data)
                first = first or time.monotonic_ns()
            if before < int(expect) <= reader.seen:
                done += 1
                last = time.monotonic_ns()
    print(json.dumps({"first": first, "last": last, "bytes": total}))


if __name__ == "__main__":
    main()
