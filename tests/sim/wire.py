"""HTTP/1.1 by hand, for both sides of a simulated world: what a provider or an endpoint reads, and what it calls. Judges nothing."""

import trio

from broker.provider.contract import Call, Reply, TwinReply, TwinRequest


class RequestReader:
    """The requests on one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._rest = b""

    async def read(self) -> TwinRequest | None:
        """The next one whole; None where the connection ends. Raises trio.BrokenResourceError."""
        data = self._rest
        while b"\r\n\r\n" not in data:
            more = bytes(await self._stream.receive_some(65536))
            if not more:
                return None
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        length = int(headers.get("content-length", 0))
        while len(data) < length:
            more = bytes(await self._stream.receive_some(65536))
            if not more:
                return None
            data += more
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        self._rest = data[length:]
        return TwinRequest(method, path, query, headers, data[:length])


def write_reply(reply: TwinReply) -> bytes:
    """A whole answer."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in reply.headers if name.lower() != "content-length")
    return f"HTTP/1.1 {reply.status} x\r\n{headers}Content-Length: {len(reply.body)}\r\n\r\n".encode() + reply.body


async def post(stream: trio.SocketStream, call: Call) -> Reply | None:
    """Make one call on that connection: the answer, None where it ended without one. Raises trio.BrokenResourceError.

    The proxy at the public address takes its own part of the path away.
    """
    target = "/" + call.url.split("/in/", 1)[1]
    lines = "".join(f"{name}: {value}\r\n" for name, value in call.headers)
    head = f"{call.method} {target} HTTP/1.1\r\nHost: sim.example.org\r\n{lines}Content-Length: {len(call.body)}\r\n\r\n"
    await stream.send_all(head.encode() + call.body)
    data = b""
    while True:
        more = bytes(await stream.receive_some(65536))
        if not more:
            return None
        data += more
        found, mark, body = data.partition(b"\r\n\r\n")
        length = int(found.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if mark and len(body) >= length:
            return Reply(int(data.split(b" ", 2)[1]), {}, body[:length])
