"""The transport matrix: every way a wire can fail, through our own HTTP client, against every plugin.

The classes are those of PROVIDERS.md, "Transport and generic HTTP", written out here once more and not imported: a row
changed by mistake in the code shows. Streams are in memory, time is virtual.
"""

import gzip
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import h11
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from broker.provider.answers import judge
from broker.provider.contract import Outcome, Send, TwinRequest
from broker.provider.http import Account
from tests.plugins.catalog import DEMO, ORIGIN, VARIANTS, Variant
from tests.plugins.test_conformance import sends_for
from tests.provider.test_tls import CERTIFICATE, KEY

each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.label)
TIMEOUT = 30_000
NO_HEADERS: tuple[tuple[str, str], ...] = ()

Serve = Callable[[trio.abc.Stream, Variant], Awaitable[None]]
T = TypeVar("T")
OpenStream = Callable[[str, int], Awaitable[trio.abc.Stream]]


async def submit(variant: Variant, config: Any, account: Account, sends: Sequence[Send]) -> list[Outcome]:
    """What the broker does with a call: the client's verdict, else the table's, else the plugin's."""
    answer = await account.call(variant.plugin.build(config, sends, 0))
    if isinstance(answer, Outcome):
        return [answer] * len(sends)
    judged = judge(answer, variant.plugin.find_traits(config).statuses, 0)
    if judged is not None:
        return [judged] * len(sends)
    outcomes: list[Outcome] = variant.plugin.parse(config, answer, sends)
    return outcomes


async def run(variant: Variant, serve: Serve, *, origin: str = ORIGIN, secret: str = DEMO, count: int = 1) -> list[Outcome]:
    """The outcomes of one call to a server that behaves as `serve`."""

    async def work(account: Account) -> list[Outcome]:
        return await submit(variant, variant.make_config(secret, origin), account, sends_for(variant, count))

    return await run_with(variant, serve, work)


async def run_with(variant: Variant, serve: Serve, work: Callable[[Account], Awaitable[T]]) -> T:
    """What `work` makes of an account whose server behaves as `serve`."""
    async with trio.open_nursery() as nursery:

        async def open_stream(host: str, port: int) -> trio.abc.Stream:
            ours, theirs = memory_stream_pair()
            nursery.start_soon(serve_until_gone, theirs)
            return ours

        async def serve_until_gone(stream: trio.abc.Stream) -> None:
            try:
                await serve(stream, variant)
            except trio.BrokenResourceError:
                pass  # our client has closed its end, as it should after a failure

        account = Account(max_connections=2, timeout=TIMEOUT, open_stream=open_stream)
        found = await work(account)
        await account.aclose()
        nursery.cancel_scope.cancel()
    return found


# --- what a server may do ---


async def read_request(stream: trio.abc.Stream) -> TwinRequest:
    state = h11.Connection(h11.SERVER)
    head, body = None, b""
    while not isinstance(event := state.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            state.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.ConnectionClosed):
            raise trio.BrokenResourceError  # the client asks nothing more
        else:
            assert isinstance(event, h11.Data)
            body += event.data
    assert head is not None
    path, _, query = head.target.decode().partition("?")
    headers = {name.decode(): value.decode() for name, value in head.headers}
    return TwinRequest(head.method.decode(), path, query, headers, body)


def write(status: int, body: bytes = b"", headers: Sequence[tuple[str, str]] = NO_HEADERS) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers)]
    if status not in (101, 204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer_good(variant: Variant, request: TwinRequest, status: int | None = None) -> bytes:
    answer = variant.plugin.twin_type().answer(request, 0)
    return write(status or answer.status, answer.body, answer.headers)


def say(data: bytes) -> Serve:
    """Read the request, write `data`, close."""

    async def serve(stream: trio.abc.Stream, variant: Variant) -> None:
        await read_request(stream)
        await stream.send_all(data)
        await stream.aclose()

    return serve


def bend(change: Callable[[bytes], bytes]) -> Serve:
    """Read the request, write the twin's good answer as `change` leaves it, close."""

    async def serve(stream: trio.abc.Stream, variant: Variant) -> None:
        request = await read_request(stream)
        await stream.send_all(change(answer_good(variant, request)))
        await stream.aclose()

    return serve


async def close_at_once(stream: trio.abc.Stream, variant: Variant) -> None:
    await stream.aclose()


async def close_in_the_request(stream: trio.abc.Stream, variant: Variant) -> None:
    await stream.receive_some(8)
    await stream.aclose()


async def say_nothing(stream: trio.abc.Stream, variant: Variant) -> None:
    await read_request(stream)
    await trio.sleep_forever()


async def drip(stream: trio.abc.Stream, variant: Variant) -> None:
    request = await read_request(stream)
    for octet in answer_good(variant, request):
        await trio.sleep(5)
        await stream.send_all(bytes([octet]))


async def answer_late(stream: trio.abc.Stream, variant: Variant) -> None:
    request = await read_request(stream)
    await trio.sleep(TIMEOUT / 1000 - 1)
    await stream.send_all(answer_good(variant, request))


def repeat(head: bytes, part: bytes) -> Serve:
    """Read the request, write `head`, and then `part` again and again for as long as somebody takes it."""

    async def serve(stream: trio.abc.Stream, variant: Variant) -> None:
        await read_request(stream)
        await stream.send_all(head)
        while True:
            await stream.send_all(part)

    return serve


async def reset(stream: trio.abc.Stream, variant: Variant) -> None:
    await read_request(stream)
    await trio.aclose_forcefully(stream)


def garble(data: bytes) -> bytes:
    return bytes(octet ^ 0x55 for octet in data)


def garble_body(data: bytes) -> bytes:
    head, _, body = data.partition(HEAD_END)
    return head + HEAD_END + garble(body)


PAGE = b"<!DOCTYPE html>\n<html><body>Welcome to nginx!</body></html>"
HTML = (("Content-Type", "text/html; charset=utf-8"),)
TEXT = (("Content-Type", "text/plain"),)
HEAD_END = b"\r\n\r\n"


def cut_body(data: bytes) -> bytes:
    """A body that is shorter than its length says; where it is empty, one byte is promised and none comes."""
    if data.endswith(HEAD_END):
        return data.replace(b"Content-Length: 0", b"Content-Length: 1")
    return data[:-1]


def chunk(data: bytes, *, is_whole: bool) -> bytes:
    head, _, body = data.partition(HEAD_END)
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    chunks = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + HEAD_END + chunks + (b"0\r\n\r\n" if is_whole else b"")


class Cell(NamedTuple):
    serve: Serve
    class_: str
    status_alone: str = ""
    """The class where the status is the whole answer (Tatango), if it is another one."""


CELLS: dict[str, Cell] = {
    "good": Cell(bend(lambda data: data), "accepted"),
    "good, chunked": Cell(bend(lambda data: chunk(data, is_whole=True)), "accepted"),
    "good, after a 100": Cell(bend(lambda data: b"HTTP/1.1 100 Continue\r\n\r\n" + data), "accepted"),
    "good, late": Cell(answer_late, "accepted"),
    "good, and more behind it": Cell(bend(lambda data: data + b"and more"), "accepted"),
    "closed before the write": Cell(close_at_once, "in_doubt"),
    "closed in the write": Cell(close_in_the_request, "in_doubt"),
    "closed after the write": Cell(say(b""), "in_doubt"),
    "silent": Cell(say_nothing, "in_doubt"),
    "drips": Cell(drip, "in_doubt"),
    "cut in the status line": Cell(bend(lambda data: data[:12]), "in_doubt"),
    "cut in the head": Cell(bend(lambda data: data[: data.index(HEAD_END)]), "in_doubt"),
    "cut in the body": Cell(bend(cut_body), "in_doubt"),
    "cut in the chunks": Cell(bend(lambda data: chunk(data, is_whole=False)), "in_doubt"),
    "reset": Cell(reset, "in_doubt"),
    "garbled": Cell(bend(garble), "in_doubt"),
    "garbled in the body": Cell(bend(garble_body), "in_doubt", "accepted"),
    "not HTTP": Cell(say(b"220 mail.example.org ESMTP\r\n"), "in_doubt"),
    "only a 100": Cell(say(b"HTTP/1.1 100 Continue\r\n\r\n"), "in_doubt"),
    "a wrong length": Cell(say(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), "in_doubt"),
    "a chunk that is none": Cell(say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\nID:7\r\n0\r\n\r\n"), "in_doubt"),
    "an endless head": Cell(repeat(b"HTTP/1.1 200 OK\r\n", b"X-A: x\r\n" * 500), "in_doubt"),
    "an endless body": Cell(repeat(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 5_000), "in_doubt"),
    "endless chunks": Cell(repeat(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nxxxxx\r\n" * 500), "in_doubt"),
    "endless 100s": Cell(repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "in_doubt"),
    "a bomb": Cell(say(write(200, gzip.compress(bytes(20_000_000)), [("Content-Encoding", "gzip")])), "in_doubt"),
    "compressed": Cell(say(write(200, gzip.compress(b"ID:7"), [("Content-Encoding", "gzip")])), "in_doubt"),
    "too large": Cell(say(write(200, b"x" * 300_000, TEXT)), "in_doubt"),
    "a head too large": Cell(say(write(200, b"", [("X-A", "x" * 200_000)])), "in_doubt"),
    "page": Cell(say(write(200, PAGE)), "in_doubt"),
    "page, 202": Cell(say(write(202, PAGE, HTML)), "in_doubt"),
    "page by its type": Cell(say(write(200, b"<h1>sorry</h1>", HTML)), "in_doubt"),
    # A type alone makes no page: PHP says text/html of whatever a script prints, an id included.
    "text under a page's type": Cell(say(write(200, b"sorry", HTML)), "in_doubt", "accepted"),
    "empty under a page's type": Cell(say(write(200, b"", HTML)), "in_doubt", "accepted"),
    "empty": Cell(say(write(200)), "in_doubt", "accepted"),
    "wrong charset": Cell(say(write(200, "Σφάλμα".encode("iso8859-7"), TEXT)), "in_doubt", "accepted"),
    "utf-16": Cell(say(write(200, 'ID:7 {"data":{"id":"7"}}'.encode("utf-16"), TEXT)), "in_doubt", "accepted"),
    "nonsense": Cell(say(write(200, b"<xml/>", TEXT)), "in_doubt", "accepted"),
}
STATUS_ALONE = {"tatango"}


@each_variant
@pytest.mark.parametrize("cell", CELLS.values(), ids=list(CELLS))
async def test_a_wire_fails_as_the_table_says(autojump_clock: MockClock, variant: Variant, cell: Cell) -> None:
    class_ = cell.class_
    if variant.name in STATUS_ALONE and cell.status_alone:
        class_ = cell.status_alone
    (outcome,) = await run(variant, cell.serve)
    assert outcome.class_ == class_


@each_variant
async def test_a_whole_batch_shares_the_fate_of_its_call(autojump_clock: MockClock, variant: Variant) -> None:
    count = min(variant.plugin.find_traits(variant.make_config()).batch, 3)
    assert [each.class_ for each in await run(variant, say(b""), count=count)] == ["in_doubt"] * count
    assert [each.class_ for each in await run(variant, bend(bytes), count=count)] == ["accepted"] * count


# --- nothing reached the provider ---


async def resolve_nothing(host: str, port: int) -> trio.abc.Stream:
    raise trio.socket.gaierror(-2, "Name or service not known")


async def refuse(host: str, port: int) -> trio.abc.Stream:
    raise ConnectionRefusedError(111, "Connection refused")


async def find_no_route(host: str, port: int) -> trio.abc.Stream:
    raise OSError(113, "No route to host")


async def hang(host: str, port: int) -> trio.abc.Stream:
    return await trio.sleep_forever()


UNREACHABLE: dict[str, tuple[OpenStream, str]] = {
    "no such name": (resolve_nothing, "dns"),
    "refused": (refuse, "refused"),
    "no route": (find_no_route, "connect"),
    "no answer to the connect": (hang, "connect"),
}


@each_variant
@pytest.mark.parametrize(("open_stream", "evidence"), UNREACHABLE.values(), ids=list(UNREACHABLE))
async def test_what_never_left_is_unreachable(
    autojump_clock: MockClock, variant: Variant, open_stream: OpenStream, evidence: str
) -> None:
    account = Account(max_connections=2, timeout=TIMEOUT, open_stream=open_stream)
    (outcome,) = await submit(variant, variant.make_config(), account, sends_for(variant))
    assert (outcome.class_, outcome.evidence) == ("unreachable", evidence)


@each_variant
async def test_a_handshake_that_fails_is_unreachable(autojump_clock: MockClock, variant: Variant) -> None:
    for serve in (close_at_once, say_plain):
        (outcome,) = await run(variant, serve, origin="https://gateway.test")
        assert (outcome.class_, outcome.evidence) == ("unreachable", "tls")


@each_variant
async def test_a_certificate_that_nobody_vouches_for_is_never_talked_to(
    autojump_clock: MockClock, variant: Variant, tmp_path: Path
) -> None:
    file = tmp_path / "server.pem"
    file.write_text(KEY + CERTIFICATE)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    heard = []

    async def serve(stream: trio.abc.Stream, variant: Variant) -> None:
        secure = trio.SSLStream(stream, context, server_side=True)
        heard.append(await secure.receive_some())

    (outcome,) = await run(variant, serve, origin="https://gateway.test")
    assert (outcome.class_, outcome.evidence) == ("misconfigured", "certificate")
    assert heard == []


async def say_plain(stream: trio.abc.Stream, variant: Variant) -> None:
    await stream.receive_some()
    await stream.send_all(write(400, PAGE))
    await stream.aclose()


@each_variant
async def test_a_wait_for_a_connection_is_unreachable(autojump_clock: MockClock, variant: Variant) -> None:
    account = Account(max_connections=1, timeout=TIMEOUT, open_stream=hang)
    outcomes: list[Outcome] = []

    async def call() -> None:
        outcomes.extend(await submit(variant, variant.make_config(), account, sends_for(variant)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        nursery.start_soon(call)
    assert {each.class_ for each in outcomes} == {"unreachable"}
    assert {each.evidence for each in outcomes} == {"connect", "pool"}


# --- statuses ---

STATUSES: dict[str, tuple[int, ...]] = {
    "misconfigured": (101, 301, 302, 307, 308, 401, 403, 404, 405, 406, 407, 410, 415, 426, 451, 501, 505, 511),
    "unsuitable": (400, 413, 414, 422, 431),
    "no_credit": (402,),
    "throttled": (429,),
    "unavailable": (503,),
    "in_doubt": (204, 206, 300, 303, 304, 408, 409, 418, 425, 500, 502, 504, 507, *range(520, 528), 599),
}
OWN_STATUSES = {"tatango": {400: "rejected", 403: "blocked", 409: "retry_later"}}


@each_variant
async def test_every_status_is_as_the_table_says(autojump_clock: MockClock, variant: Variant) -> None:
    expected = {status: class_ for class_, statuses in STATUSES.items() for status in statuses}
    expected |= OWN_STATUSES.get(variant.name, {})
    found = {status: (await run(variant, say(write(status, b"sorry", TEXT))))[0].class_ for status in expected}
    assert found == expected


@each_variant
async def test_a_page_is_never_the_provider_s_word(autojump_clock: MockClock, variant: Variant) -> None:
    expected = {status: class_ for class_, statuses in STATUSES.items() for status in statuses if status not in (101, 204, 304)}
    expected |= {status: "misconfigured" for status in expected if 400 <= status < 500 and status not in (402, 408, 429)}
    found = {status: (await run(variant, say(write(status, PAGE, HTML))))[0].class_ for status in expected}
    assert found == expected


@each_variant
@pytest.mark.parametrize(("value", "wait"), [("7", 7_000), ("86400", 900_000), ("soon", None), (None, None)])
async def test_a_wait_that_is_asked_for_is_kept(
    autojump_clock: MockClock, variant: Variant, value: str | None, wait: int | None
) -> None:
    headers = [("Retry-After", value)] if value else []
    (outcome,) = await run(variant, say(write(429, b"", headers)))
    assert (outcome.class_, outcome.retry_after) == ("throttled", wait)
