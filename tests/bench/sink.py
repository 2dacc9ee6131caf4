"""The bench's provider in Python, for where sink.c cannot be compiled: a process of its own, with the same arguments and the same log.

`sink.py LOG CAPACITY MODE BODY`; see sink.c. Raw sockets and one loop, so that it takes as little as possible of what is measured.
"""

import mmap
import os
import re
import select
import socket
import struct
import sys
import time

STAMP = re.compile(rb"ns([0-9]{20})")
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Book:
    """The log: how many came, then (arrival, stamp) of each."""

    def __init__(self, path: str, capacity: int) -> None:
        size = 8 + 16 * capacity
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(file, size)
        self._map = mmap.mmap(file, size)
        self._capacity = capacity
        self._count = 0

    def note(self, request: bytes) -> None:
        """Write down that `request` is here."""
        if self._count >= self._capacity:
            return
        stamp = STAMP.search(request)
        struct.pack_into("qq", self._map, 8 + 16 * self._count, time.monotonic_ns(), int(stamp[1]) if stamp else 0)
        self._count += 1
        struct.pack_into("q", self._map, 0, self._count)


def measure(data: bytes) -> int:
    """The length of the first request in `data`, 0 while it is not whole."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return 0
    length = LENGTH.search(data, 0, end)
    size = end + (int(length[1]) if length else 0)
    return size if size <= len(data) else 0


def serve(book: Book, answer: bytes) -> None:
    """Take and answer (with nothing, if `answer` is empty) until killed. Prints the port first."""
    door = socket.create_server(("127.0.0.1", 0), backlog=4096)
    door.setblocking(False)
    print(door.getsockname()[1], flush=True)
    epoll = select.epoll()
    epoll.register(door.fileno(), select.EPOLLIN)
    conns: dict[int, socket.socket] = {}
    rests: dict[int, bytes] = {}
    while True:
        for fd, _ in epoll.poll():
            if fd == door.fileno():
                conn, _ = door.accept()
                conn.setblocking(False)
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                conns[conn.fileno()], rests[conn.fileno()] = conn, b""
                epoll.register(conn.fileno(), select.EPOLLIN)
                continue
            try:
                data = conns[fd].recv(65536)
                rest = rests[fd] + data
                while size := measure(rest):
                    book.note(rest[:size])
                    rest = rest[size:]
                    conns[fd].send(answer)
                rests[fd] = rest
            except OSError:
                data = b""
            if not data:
                conns.pop(fd).close()


def main() -> None:
    """Serve as the arguments say."""
    path, capacity, mode, body = sys.argv[1:]
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body.encode())
    serve(Book(path, int(capacity)), b"" if mode == "hold" else answer)


if __name__ == "__main__":
    main()
