"""The HTTP seam: httpx's requests and responses over our own transport, and the account that plugins' calls go through.

The only module that imports httpx. No redirects, no proxies, nothing from the environment, no second try. Every failure
of a call becomes an Outcome here and nowhere else, and no word of it carries an address, a text or a secret. What a
failure proves stands in `answers`; what was offered to the wire, in `transport`.
"""

import logging
import re
import ssl
import sys
from functools import lru_cache

import h11

from broker import __version__
from broker.provider.answers import judge_fault
from broker.provider.contract import Call, Outcome, Reply
from broker.provider.transport import Exchange, Fault, OpenStream, Origin, Pool

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
    """A Pool with httpx's face.

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
        self._transport = H11Transport(
            Pool(
                max_connections=max_connections,
                timeout=timeout,
                ssl_context=ssl_context,
                open_stream=open_stream,
            )
        )
        self._addresses: dict[str, httpx.URL] = {}

    async def call(self, call: Call) -> Reply | Outcome:
        """The provider's whole answer, else the Outcome that the failure proves. Raises nothing but trio.Cancelled."""
        request = None
        try:
            request = self._make_request(call)
            return read_reply(await self._transport.handle_async_request(request))
        except httpx.TransportError as error:
            evidence = str(error)
        except httpx.InvalidURL:
            evidence = "url"
        except UnicodeError:  # an address or header that is not ASCII or Latin-1
            evidence = "request"
        except Exception as error:  # a fault of our own: logged without its text, and the truth told all the same
            _log.error("an exchange failed by a fault of the broker's own: %s", type(error).__name__)
            evidence = "fault"
        return judge_fault(evidence, request is not None and request.extensions.get("offered") is True)

    async def aclose(self) -> None:
        """Close the idle connections; those in use close as their calls end, and calls still to come are unreachable."""
        await self._transport.aclose()

    def _make_request(self, call: Call) -> httpx.Request:
        address, _, query = call.url.partition("#")[0].partition("?")
        url = self._addresses.get(address)
        if url is None:
            url = read_address(address)
            if len(self._addresses) >= _MOST_ADDRESSES:
                self._addresses.clear()
            self._addresses[address] = url
        target = url.raw_path + b"?" + query.encode("ascii") if query else url.raw_path
        return httpx.Request(
            call.method,
            url,
            headers=encode_headers(call.headers),
            stream=httpx.ByteStream(call.body),
            extensions={"target": target},
        )


def read_address(address: str) -> httpx.URL:
    """An address without its query. Raises httpx.InvalidURL. (Parsing one costs more than all else that is done to a request.)"""
    url = httpx.URL(address)
    port = 80 if url.port is None else url.port
    if url.scheme not in ("http", "https") or not url.raw_host or url.userinfo or not 0 < port < 65536:
        raise httpx.InvalidURL("not the plain address of an HTTP server")
    return url


@lru_cache(256)
def encode_headers(headers: tuple[tuple[str, str], ...]) -> httpx.Headers:
    """A plugin's headers, with our own defaults where it says nothing. Raises UnicodeError. (Most calls repeat them.)"""
    given = {name.lower() for name, _ in headers}
    raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    return httpx.Headers([*(pair for pair in _DEFAULTS if pair[0].decode().lower() not in given), *raw])


def read_reply(response: httpx.Response) -> Reply:
    """A response of our transport as plugins see it; a header that came twice is joined by a comma."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    assert isinstance(response.stream, httpx.ByteStream)  # it was made a few lines above
    return Reply(response.status_code, headers, b"".join(response.stream))


def make_exchange(request: httpx.Request, body: bytes) -> Exchange:
    """The request as the wire has it. Raises Fault `url` or `request`."""
    url, method = request.url, request.method
    scheme, host = url.scheme, url.raw_host.decode("ascii")
    if scheme not in ("http", "https") or not host:
        raise Fault("url")
    length = len(body) if body or method not in ("GET", "HEAD") else None
    target = request.extensions.get("target", url.raw_path)
    if not _is_target(target):
        raise Fault("request")
    try:
        tail = write_head(method, url.netloc, tuple(request.headers.raw), length)
    except (h11.LocalProtocolError, UnicodeError):  # their texts show the header
        raise Fault("request") from None
    head = b"%s %s%s" % (method.encode("ascii"), target, tail)
    return Exchange(Origin(scheme, host, url.port or (443 if scheme == "https" else 80)), method, head, body)


@lru_cache(1024)
def write_head(method: str, host: bytes, headers: tuple[tuple[bytes, bytes], ...], length: int | None) -> bytes:
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
