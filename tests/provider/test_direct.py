"""The stream that goes straight to the kernel: what it takes, what it gives, and how it ends."""

import socket
import struct

import pytest
import trio
import trio.testing

from broker.provider.direct import DirectStream

MUCH = bytes(range(256)) * 16_384  # more than two sockets' buffers hold


def make_pair() -> tuple[DirectStream, socket.socket]:
    """Our end, and the other one."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        near = socket.create_connection(door.getsockname())
        far, _ = door.accept()
    return DirectStream(trio.SocketStream(trio.socket.from_stdlib_socket(near))), far


async def read_all(far: socket.socket, size: int) -> bytes:
    data = b""
    async with trio.SocketStream(trio.socket.from_stdlib_socket(far)) as stream:
        while len(data) < size and (part := await stream.receive_some()):
            data += part
    return data


async def test_what_the_kernel_does_not_take_at_once_is_written_too() -> None:
    near, far = make_pair()
    read = b""

    async def read_on() -> None:
        nonlocal read
        read = await read_all(far, len(MUCH))

    async with near, trio.open_nursery() as nursery:
        nursery.start_soon(read_on)
        await near.send_all(MUCH)
    assert read == MUCH


async def test_what_comes_is_read_and_then_the_end() -> None:
    near, far = make_pair()
    async with near:
        assert not near.is_readable()
        far.sendall(b"whole")
        assert near.is_readable()
        assert await near.receive_some(2) == b"wh"
        assert await near.receive_some(64) == b"ole"
        far.close()
        assert near.is_readable()  # the end, too
        assert await near.receive_some(64) == b""


async def test_reading_waits_and_can_be_given_up(autojump_clock: trio.testing.MockClock) -> None:
    near, far = make_pair()
    async with near:
        with trio.move_on_after(5) as scope:
            await near.receive_some(64)
        assert scope.cancelled_caught
        far.sendall(b"late")
        assert await near.receive_some(64) == b"late"
    far.close()


async def test_a_write_that_nobody_reads_can_be_given_up() -> None:
    near, far = make_pair()
    async with near:
        with trio.CancelScope() as scope:
            scope.cancel()
            await near.send_all(MUCH)
        assert scope.cancelled_caught
    far.close()


async def test_a_reset_breaks_it() -> None:
    near, far = make_pair()
    async with near:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        with pytest.raises(trio.BrokenResourceError):
            await near.receive_some(64)
        with pytest.raises(trio.BrokenResourceError):
            await near.send_all(b"x")


async def test_closing_tells_whoever_waits_and_whoever_comes() -> None:
    near, far = make_pair()

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await near.receive_some(64)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await near.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await near.send_all(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some(64)
    await near.aclose()  # a second time does nothing
    far.close()
