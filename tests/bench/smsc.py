"""The bench's SMSC in Python, for where smsc.c cannot be compiled: a process of its own, with the same arguments and the same log.

`smsc.py LOG CAPACITY DELAY RECEIPT`; see smsc.c. Raw sockets, one loop and struct alone, so that it takes as little as possible of what is
measured.
"""

import mmap
import os
import re
import select
import socket
import struct
import sys
import time
from collections import deque

STAMP = re.compile(rb"ns([0-9]{20})")
HEAD = struct.Struct(">IIII")
SUBMIT, DELIVER, RESP = 4, 5, 0x8000_0000
BINDS = {1, 2, 9}
PLAIN = {6, 0x15}  # unbind, enquire_link: answered without a body
WINDOW = 1_000


class Smsc:
    """One SMSC for all connections; a later answer or receipt is (due, connection, sequence, id)."""

    def __init__(self, path: str, capacity: int, delay: int, receipt: int) -> None:
        size = 16 + 16 * capacity
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(file, size)
        self._map = mmap.mmap(file, size)
        self._capacity = capacity
        self._delay, self._receipt = delay * 1_000_000, receipt * 1_000_000
        self._count = self._acknowledged = 0
        self._ids, self._sequence = 1_000_000, 0
        self.answers: deque[tuple[int, int, int, int]] = deque()
        self.receipts: deque[tuple[int, int, int, int]] = deque()
        self.out: dict[int, bytearray] = {}
        self._outstanding: dict[int, int] = {}

    def add(self, fd: int) -> None:
        """A connection."""
        self.out[fd], self._outstanding[fd] = bytearray(), 0

    def _note(self, pdu: bytes, now: int) -> None:
        if self._count < self._capacity:
            stamp = STAMP.search(pdu)
            struct.pack_into("qq", self._map, 8 + 16 * self._count, now, int(stamp[1]) if stamp else 0)
            self._count += 1
            struct.pack_into("q", self._map, 0, self._count)

    def _say(self, fd: int, command: int, sequence: int, body: bytes) -> None:
        if fd in self.out:
            self.out[fd] += HEAD.pack(16 + len(body), command, 0, sequence) + body

    def hear(self, fd: int, pdu: bytes, now: int) -> None:
        """One PDU of a peer's."""
        _, command, _, sequence = HEAD.unpack_from(pdu)
        if command == SUBMIT:
            self._note(pdu, now)
            self._ids += 1
            self.answers.append((now + self._delay, fd, sequence, self._ids))
        elif command == RESP | DELIVER:
            self._outstanding[fd] -= 1
            self._acknowledged += 1
            struct.pack_into("q", self._map, 8 + 16 * self._capacity, self._acknowledged)
        elif command in BINDS or command in PLAIN:
            self._say(fd, RESP | command, sequence, b"bench\0" if command in BINDS else b"")

    def do_due(self, now: int) -> None:
        """Answer and report what is due."""
        while self.answers and self.answers[0][0] <= now:
            _, fd, sequence, id_ = self.answers.popleft()
            self._say(fd, RESP | SUBMIT, sequence, b"%d\0" % id_)
            if self._receipt >= 0:
                self.receipts.append((now + self._receipt, fd, 0, id_))
        while self.receipts and self.receipts[0][0] <= now and self._outstanding.get(self.receipts[0][1], 0) < WINDOW:
            _, fd, _, id_ = self.receipts.popleft()
            text = b"id:%d sub:001 dlvrd:001 submit date:2611220000 done date:2611220000 stat:DELIVRD err:000 text:" % id_
            tlvs = b"\x00\x1e\x00%c%d\0" % (len(str(id_)) + 1, id_) + b"\x04\x27\x00\x01\x02"
            self._sequence += 1
            head = b"\0\1\x01886912345678\0\5\0ACME\0\4" + bytes(8)
            self._say(fd, DELIVER, self._sequence, head + b"%c" % len(text) + text + tlvs)
            if fd in self._outstanding:
                self._outstanding[fd] += 1

    def find_wait(self, now: int) -> float:
        """Seconds until something is due, -1 for never."""
        due = [queue[0][0] for queue in (self.answers, self.receipts) if queue]
        return max(0.0, (min(due) - now) / 1e9) if due else -1


def serve(smsc: Smsc) -> None:
    """Until killed. Prints the port first."""
    door = socket.create_server(("127.0.0.1", 0), backlog=64)
    door.setblocking(False)
    print(door.getsockname()[1], flush=True)
    epoll = select.epoll()
    epoll.register(door.fileno(), select.EPOLLIN)
    conns: dict[int, socket.socket] = {}
    rests: dict[int, bytes] = {}
    while True:
        for fd, _ in epoll.poll(smsc.find_wait(time.monotonic_ns())):
            if fd == door.fileno():
                conn, _ = door.accept()
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                conns[conn.fileno()], rests[conn.fileno()] = conn, b""
                smsc.add(conn.fileno())
                epoll.register(conn.fileno(), select.EPOLLIN)
                continue
            try:
                data = conns[fd].recv(65536)
            except OSError:
                data = b""
            if not data:
                conns.pop(fd).close()
                del smsc.out[fd]
                continue
            rest, at, now = rests[fd] + data, 0, time.monotonic_ns()
            while len(rest) - at >= 16 and len(rest) - at >= (size := int.from_bytes(rest[at : at + 4], "big")):
                smsc.hear(fd, rest[at : at + size], now)
                at += size
            rests[fd] = rest[at:]
        smsc.do_due(time.monotonic_ns())
        for fd, out in smsc.out.items():
            if out:
                conns[fd].sendall(out)
                out.clear()


def main() -> None:
    """Serve as the arguments say."""
    path, capacity, delay, receipt = sys.argv[1:]
    serve(Smsc(path, int(capacity), int(delay), int(receipt)))


if __name__ == "__main__":
    main()
