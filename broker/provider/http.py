"""The HTTP seam: the account that plugins' calls go through, and our own transport with httpx's face, over one and the same pool.

The only module that imports httpx. An account takes httpx's word for what an address means, and makes none of its requests and
responses: plugins see neither, and to make both for every call was an eighth of it. No redirects, no proxies, nothing from the
environment, no second try. Every failure of a call becomes an Outcome here and nowhere else, and no word of it carries an address, a
text or a secret. What a failure proves stands in `answers`; what was offered to the wire, in `transport`.
"""

import logging
import re
import ssl
import sys
from functools import lru_cache
from typing import NamedTuple

import h11

from broker import __version__
from broker.provider.answers import judge_fault
from broker.provider.contract import Call, Outcome, Reply
from broker.provider.transport import Answer, Exchange, Fault, OpenStream, Origin, Pool

# httpx loads its own command line (click, rich, pygments) where it finds them: 70 ms and 5 MB that no daemon needs.
# None is how the import system is told that a module is absent, and httpx goes on without it.
_IS_SPARED = sys.modules.setdefault("httpx._main", None) is None  # type: ignore[arg-type]  # None is meant
import httpx  # noqa: E402  # has to come after the line above

if _IS_SPARED:
    del sys.modules["httpx._main"]

__all__ = ["Account", "H11Transport", "quiet_loggers"]

_log = logging.getLogger(__name__)

_DEFAULTS = ((b"User-Agent", f"broker/{__version__}".encode()), (b"Accept", b"*/*"))
# What the transport says itself: another value would contradict the bytes that go out, or ask for what is refused.
_OURS = frozenset({b"accept-encoding", b"connection", b"content-length", b"expect", b"host", b"transfer-encoding", b"upgrade"})
_is_target = re.compile(rb"[\x21-\x7e]+").fullmatch  # RFC 9112, 3.2: nothing that could end the line
RawHeaders = tuple[tuple[bytes, bytes], ...]
_MOST_ADDRESSES = 64  # a provider that writes ids into its paths must not fill the memory

# evidence → httpx's name for it; every other one is a ConnectError
_ERRORS: dict[str, type[httpx.TransportError]] = {
    "url": httpx.UnsupportedProtocol,
    "request": httpx.LocalProtocolError,
    "pool": httpx.PoolTimeout,
    "timeout": httpx.ReadTimeout,
    "reset": httpx.ReadError,
    "write": httpx.WriteError,
    "cut": httpx.RemoteProtocolError,
    "protocol": httpx.RemoteProtocolError,
    "encoding": httpx.RemoteProtocolError,
    "too large": httpx.RemoteProtocolError,
}


def quiet_loggers() -> None:
    """Keep httpx and httpcore from logging below WARNING: at INFO httpx writes whole addresses, password and text included."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


class H11Transport(httpx.AsyncBaseTransport):
    """A Pool with httpx's face, for an httpx.AsyncClient.

    After a call `request.extensions["offered"]` says whether a byte was offered to the connection. The message of the
    httpx.TransportError that it raises is the evidence word of `answers`, nothing else.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry `request` out and bring the whole answer back. Raises httpx.TransportError.

        The extension `target` (bytes), as in httpx, takes the place of the address's path and query. httpx's timeouts are
        not read: the pool's one deadline covers everything.
        """
        stream, extensions = request.stream, request.extensions
        extensions["offered"] = False
        body = b"".join(stream) if isinstance(stream, httpx.ByteStream) else await request.aread()
        exchange = None
        try:
            exchange = make_exchange(request, body)
            answer = await self._pool.exchange(exchange)
        except Fault as fault:
            raise _ERRORS.get(fault.evidence, httpx.ConnectError)(fault.evidence) from None
        finally:
            extensions["offered"] = exchange is not None and exchange.is_offered
        return httpx.Response(answer.status, headers=answer.headers, stream=httpx.ByteStream(answer.body))

    async def aclose(self) -> None:
        """Close the pool."""
        await self._pool.aclose()


class Account:
    """One account's way to its provider: at most `max_connections` at once, `timeout` milliseconds for the whole of a call.

    A plugin's Accept-Encoding, Connection, Content-Length, Expect, Host, Transfer-Encoding and Upgrade headers are left out:
    the transport says these. `ssl_context` and `open_stream` (host, port → stream) stand in for the shared context and TCP.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        timeout: int,
        ssl_context: ssl.SSLContext | None = None,
        open_stream: OpenStream | None = None,
    ) -> None:
        self._pool = Pool(max_connections=max_connections, timeout=timeout, ssl_context=ssl_context, open_stream=open_stream)
        self._places: dict[str, Place] = {}

    async def call(self, call: Call) -> Reply | Outcome:
        """The provider's whole answer, else the Outcome that the failure proves. Raises nothing but trio.Cancelled."""
        exchange = None
        try:
            exchange = self._make_exchange(call)
            return read_reply(await self._pool.exchange(exchange))
        except Fault as fault:
            evidence = fault.evidence
        except httpx.InvalidURL:
            evidence = "url"
        except UnicodeError:  # an address or header that is not ASCII or Latin-1
            evidence = "request"
        except Exception as error:  # a fault of our own: logged without its text, and the truth told all the same
            _log.error("an exchange failed by a fault of the broker's own: %s", type(error).__name__)
            evidence = "fault"
        return judge_fault(evidence, exchange is not None and exchange.is_offered)

    async def aclose(self) -> None:
        """Close the idle connections; those in use close as their calls end, and calls still to come are unreachable."""
        await self._pool.aclose()

    def _make_exchange(self, call: Call) -> Exchange:
        """The call as the wire has it. Raises Fault, httpx.InvalidURL, UnicodeError."""
        address, _, query = call.url.partition("#")[0].partition("?")
        place = self._places.get(address)
        if place is None:
            place = find_place(read_address(address))
            if len(self._places) >= _MOST_ADDRESSES:
                self._places.clear()
            self._places[address] = place
        target = place.path + b"?" + query.encode("ascii") if query else place.path
        return write_exchange(place, call.method, target, encode_headers(call.headers), call.body)


def read_address(address: str) -> httpx.URL:
    """An address without its query. Raises httpx.InvalidURL. (Parsing one costs more than all else that is done to a request.)"""
    url = httpx.URL(address)
    port = 80 if url.port is None else url.port
    if url.scheme not in ("http", "https") or not url.raw_host or url.userinfo or not 0 < port < 65536:
        raise httpx.InvalidURL("not the plain address of an HTTP server")
    return url


class Place(NamedTuple):
    """What an address says: where the connection leads, what the Host header names, the path."""

    origin: Origin
    host: bytes
    path: bytes


def find_place(url: httpx.URL) -> Place:
    """The place of an address. Raises Fault `url`."""
    scheme, host = url.scheme, url.raw_host.decode("ascii")
    if scheme not in ("http", "https") or not host:
        raise Fault("url")
    return Place(Origin(scheme, host, url.port or (443 if scheme == "https" else 80)), url.netloc, url.raw_path)


@lru_cache(256)
def encode_headers(headers: tuple[tuple[str, str], ...]) -> RawHeaders:
    """A plugin's headers, with our own defaults where it says nothing. Raises UnicodeError. (Most calls repeat them.)"""
    given = {name.lower() for name, _ in headers}
    raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    return (*(pair for pair in _DEFAULTS if pair[0].decode().lower() not in given), *raw)


def read_reply(answer: Answer) -> Reply:
    """An answer as plugins see it; a header that came twice is joined by a comma."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in answer.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Reply(answer.status, headers, answer.body)


def make_exchange(request: httpx.Request, body: bytes) -> Exchange:
    """httpx's request as the wire has it. Raises Fault `url` or `request`."""
    place = find_place(request.url)
    target: bytes = request.extensions.get("target", place.path)
    return write_exchange(place, request.method, target, tuple(request.headers.raw), body)


def write_exchange(place: Place, method: str, target: bytes, headers: RawHeaders, body: bytes) -> Exchange:
    """A request as the wire has it. Raises Fault `request`."""
    length = len(body) if body or method not in ("GET", "HEAD") else None
    if not _is_target(target):
        raise Fault("request")
    try:
        tail = write_head(method, place.host, headers, length)
    except (h11.LocalProtocolError, UnicodeError):  # their texts show the header
        raise Fault("request") from None
    return Exchange(place.origin, method, b"%s %s%s" % (method.encode("ascii"), target, tail), body)


@lru_cache(1024)
def write_head(method: str, host: bytes, headers: RawHeaders, length: int | None) -> bytes:
    """The head behind the target, with these headers and ours, by h11; kept, since an account's differ in little but the length.

    Raises h11.LocalProtocolError.
    """
    whole = [(b"Host", host), *((name, value) for name, value in headers if name.lower() not in _OURS)]
    whole.append((b"Accept-Encoding", b"identity"))
    if length is not None:
        whole.append((b"Content-Length", b"%d" % length))
    state = h11.Connection(h11.CLIENT)
    written = state.send(h11.Request(method=method, target="*", headers=whole))
    assert written is not None  # only a ConnectionClosed event has no bytes
    return written[len(method) + 2 :]
