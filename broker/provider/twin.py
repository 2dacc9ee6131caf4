"""Serves a plugin's twin, the provider's side, for tests, `demo` and `run --twins`: over HTTP/1.1 (h11 on trio), or on bare streams.

It does what the twin says, delay and cut included, and decides nothing about a provider's answers. It is meant for one
machine, not for the network; still, one bad connection never harms another.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import h11
import msgspec
import trio

from broker.provider.contract import Reply, StreamTwin, Twin, TwinReply, TwinRequest
from broker.provider.http import Account

__all__ = ["TwinPlace", "aim", "place_twin", "run_calls", "serve_stream_twin", "serve_twin"]

_log = logging.getLogger(__name__)

MAX_HEAD = 64 * 1024
MAX_BODY = 4 * 1024 * 1024
CALL_EVERY = 0.25
CALL_TIMEOUT = 10_000
IDLE = 60.0
"""Seconds in which a whole request has to come, from the connection's start or the answer before."""


_HERE = ("127.0.0.1", "::1", "localhost")


class _Refused(Exception):
    """The request cannot be given to the twin; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def serve_twin(
    twin: Twin,
    *,
    clock: Callable[[], int],
    host: str = "127.0.0.1",
    port: int = 0,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `twin` until cancelled; started with `nursery.start`, which gives the port. Raises OSError where it is taken.

    `clock` gives the twin its time, in milliseconds UTC.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    task_status.started(listeners[0].socket.getsockname()[1])  # from here on a connect waits in the queue at worst
    await trio.serve_listeners(partial(_serve_connection, twin, clock), listeners)


async def serve_stream_twin(
    twin: StreamTwin,
    *,
    clock: Callable[[], int],
    host: str = "127.0.0.1",
    port: int = 0,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """As `serve_twin`, for a twin that speaks on bare streams."""
    listeners = await trio.open_tcp_listeners(port, host=host)
    task_status.started(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(partial(converse, twin, clock), listeners)


async def converse(twin: StreamTwin, clock: Callable[[], int], stream: trio.abc.Stream) -> None:
    """One connection of a stream twin, whatever becomes of it."""
    try:
        await twin.converse(stream, clock)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client is gone: nothing of ours is lost
    except Exception as error:  # a twin's fault must not end the other connections with this one
        _log.error("a twin failed: %s", type(error).__name__)
    finally:
        await trio.aclose_forcefully(stream)


async def run_calls(twin: Any, clock: Callable[[], int]) -> None:
    """Make the calls of a twin that calls back, until cancelled: what is not answered as it wants to hear, again.

    To this machine alone: whatever address it was told, nothing leaves.
    """
    account = Account(max_connections=4, timeout=CALL_TIMEOUT)
    try:
        while True:
            for call in twin.calls(clock()):
                reply = await account.call(call) if urlsplit(call.url).hostname in _HERE else None
                if isinstance(reply, Reply):
                    twin.hear(call, reply)
            await trio.sleep(CALL_EVERY)
    finally:
        with trio.CancelScope(shield=True):
            await account.aclose()


class TwinPlace(NamedTuple):
    """Where a twin is served on 127.0.0.1: `url` its HTTP side, `port` its stream's; None for the side that it has not."""

    url: str | None
    port: int | None


async def place_twin(nursery: trio.Nursery, twin: Any, clock: Callable[[], int], port: int = 0) -> TwinPlace:
    """Start to serve every side of `twin`; `port` for the first of them, 0 for any. Raises OSError where it is taken."""
    stream = url = None
    if hasattr(twin, "converse"):
        stream = await nursery.start(partial(serve_stream_twin, twin, clock=clock, port=port))
        port = 0
    if hasattr(twin, "answer"):
        url = f"http://127.0.0.1:{await nursery.start(partial(serve_twin, twin, clock=clock, port=port))}"
    if hasattr(twin, "calls"):
        nursery.start_soon(run_calls, twin, clock)
    return TwinPlace(url, stream)


def aim(config: Any, place: TwinPlace) -> Any:
    """A plugin's Config with every address in it pointing at the twin."""
    values: dict[str, Any] = {}
    names = {field.name for field in msgspec.structs.fields(type(config))}
    if place.url is not None:
        values |= dict.fromkeys(names & {"url", "long_url", "http_url"}, place.url)
        values |= dict.fromkeys(names & {"soap_url"}, f"{place.url}/soap")  # a whole address, with a path
    if place.port is not None and "host" in names:
        values |= {"host": "127.0.0.1", "port": place.port}
        if "tls" in names:
            values["tls"] = False
    return msgspec.structs.replace(config, **values)


async def _serve_connection(twin: Twin, clock: Callable[[], int], stream: trio.SocketStream) -> None:
    state = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    try:
        while await _serve_request(twin, clock, stream, state):
            state.start_next_cycle()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client is gone: nothing of ours is lost
    except Exception as error:  # a twin's fault must not end the other connections with this one
        _log.error("a twin failed: %s", type(error).__name__)
    finally:
        await trio.aclose_forcefully(stream)


async def _serve_request(twin: Twin, clock: Callable[[], int], stream: trio.SocketStream, state: h11.Connection) -> bool:
    """Serve one request; True where the connection may carry another."""
    try:
        with trio.move_on_after(IDLE) as scope:
            request = await _read_request(stream, state)
        if scope.cancelled_caught or request is None:
            return False
        reply = twin.answer(request, clock())
    except h11.RemoteProtocolError as error:
        reply = TwinReply(status=error.error_status_hint)
    except _Refused as refused:
        reply = TwinReply(status=refused.status)
    if reply.delay:
        await trio.sleep(reply.delay / 1000)
    await _write_reply(stream, state, reply)
    return reply.cut is None and state.our_state is h11.DONE and state.their_state is h11.DONE


async def _read_request(stream: trio.SocketStream, state: h11.Connection) -> TwinRequest | None:
    """The next request whole; None where the client has ended the connection. Raises _Refused, h11.RemoteProtocolError."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            if state.they_are_waiting_for_100_continue:
                await stream.send_all(state.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            state.receive_data(bytes(await stream.receive_some(MAX_HEAD)))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise _Refused(413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            path, _, query = head.target.decode("latin-1").partition("?")
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            return TwinRequest(head.method.decode("ascii"), path, query, headers, bytes(body))
        else:
            return None


async def _write_reply(stream: trio.SocketStream, state: h11.Connection, reply: TwinReply) -> None:
    if reply.cut == 0:
        return
    headers = [(name, value) for name, value in reply.headers if name.lower() != "content-length"]
    headers.append(("Content-Length", str(len(reply.body))))
    data = state.send(h11.Response(status_code=reply.status, headers=headers)) or b""
    if reply.cut is not None:  # a cut past the body's end closes after it
        await stream.send_all(data + reply.body[: reply.cut])
        return
    data += state.send(h11.Data(data=reply.body)) or b""
    await stream.send_all(data + (state.send(h11.EndOfMessage()) or b""))
