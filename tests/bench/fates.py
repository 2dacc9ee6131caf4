"""A provider's end for the poller: whatever ids a query names are on their way. A process of its own, raw sockets, one loop.

Answers Mitake's query (`msgid TAB statuscode`); asked without ids, the balance. Prints its port first.
"""

import re
import select
import socket

IDS = re.compile(rb"msgid=([^& ]+)")


def answer(request: bytes) -> bytes:
    """The whole answer to one request."""
    found = IDS.search(request)
    ids = re.split(rb"%2C|,", found[1]) if found else []
    body = b"".join(id_ + b"\t1\r\n" for id_ in ids) or b"AccountPoint=100000\r\n"
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def main() -> None:
    """Serve until killed."""
    door = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(door.getsockname()[1], flush=True)
    rests: dict[socket.socket, bytes] = {}
    while True:
        for each in select.select([door, *rests], [], [])[0]:
            if each is door:
                conn, _ = door.accept()
                rests[conn] = b""
                continue
            data = each.recv(65536)
            if not data:
                del rests[each]
                each.close()
                continue
            rests[each] += data
            if rests[each].endswith(b"\r\n\r\n"):  # a query has no body, and its client waits for the answer
                each.sendall(answer(rests[each]))
                rests[each] = b""


if __name__ == "__main__":
    main()
