"""A stream that keeps what is read of it: what the tests of the wire put between a connection and whoever reads it."""

import trio


class Tap(trio.abc.Stream):
    """Reads from `stream`; `taken` is what came so far."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.taken = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self.stream.receive_some(max_bytes))
        self.taken += data
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()
