"""TLS: what is accepted, what a certificate that is not proves, and where the point of no return lies."""

import ssl
from pathlib import Path

import pytest
import trio
import trio.testing

from broker.provider.contract import Outcome, Reply
from broker.provider.http import Account
from broker.provider.transport import share_ssl_context
from tests.provider.wire import OK, Script, check_silence, make_call, read_request, say, serve

# Made for these tests alone, for localhost and gateway.test, and good until 2120.
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnY9JC9b+SimYTtEx
GxWUZKTdkBvbEp2QAOBuiR+YMH6hRANCAAQpP93a5zM25xbZ7poL7D5N46hQ7h3K
ArvPqwbyvLbSOhbZ3bAVW+A7IhO7j9lULW8fztGpmH8XpNBdwCrwq+pb
-----END PRIVATE KEY-----
"""
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBlDCCATqgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCk/3drnMzbnFtnu
mgvsPk3jqFDuHcoCu8+rBvK8ttI6FtndsBVb4DsiE7uP2VQtbx/O0amYfxek0F3A
KvCr6lujezB5MA8GA1UdEwEB/wQFMAMBAf8wIgYDVR0RBBswGYIJbG9jYWxob3N0
ggxnYXRld2F5LnRlc3QwDgYDVR0PAQH/BAQDAgKEMBMGA1UdJQQMMAoGCCsGAQUF
BwMBMB0GA1UdDgQWBBRXAp/YlO8jyrbNTBuP9vO4BN47TjAKBggqhkjOPQQDAgNI
ADBFAiEAyGsPlfRfohF/mc5aFV62nqZRzKWFbofkuQKRr5bpaFUCIGSPAosQN/EM
at7aFNpnVIFJp5kJ7AxsOzz8KUE7JC2c
-----END CERTIFICATE-----
"""
URL = "https://gateway.test/send"


@pytest.fixture
def server_context(tmp_path: Path) -> ssl.SSLContext:
    file = tmp_path / "server.pem"
    file.write_text(KEY + CERTIFICATE)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


@pytest.fixture
def context() -> ssl.SSLContext:
    """The shared context's settings, and trust in our own certificate alone."""
    context = ssl.create_default_context(cadata=CERTIFICATE)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class SecureWire:
    """As Wire, with TLS at the far end; `script` speaks inside it, `raw` in its stead."""

    def __init__(self, nursery: trio.Nursery, context: ssl.SSLContext, script: Script = serve, raw: Script | None = None) -> None:
        self.nursery = nursery
        self.context = context
        self.script = script
        self.raw = raw
        self.opened = 0

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self.opened += 1
        self.nursery.start_soon(self._run, theirs)
        await trio.lowlevel.checkpoint()
        return ours

    async def _run(self, stream: trio.abc.Stream) -> None:
        try:
            if self.raw is not None:
                await self.raw(stream)
            else:
                await self.script(trio.SSLStream(stream, self.context, server_side=True, https_compatible=True))
        except trio.BrokenResourceError:
            pass  # the client has gone
        finally:
            await trio.aclose_forcefully(stream)

    def make_account(self, context: ssl.SSLContext | None) -> Account:
        return Account(max_connections=1, timeout=30_000, ssl_context=context, open_stream=self.open_stream)


def test_the_shared_context_is_strict() -> None:
    context = share_ssl_context()
    assert context is share_ssl_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_calls_over_tls(nursery: trio.Nursery, server_context: ssl.SSLContext, context: ssl.SSLContext) -> None:
    wire = SecureWire(nursery, server_context)
    account = wire.make_account(context)
    for size in (0, 10, 200_000):
        reply = await account.call(make_call(url=URL, body=b"x" * size))
        assert isinstance(reply, Reply)
        assert reply.body == b"ok"
    assert wire.opened == 1
    await account.aclose()


class Corked(trio.abc.Stream):
    """Holds writes back until `flush`, so that several records travel in one piece."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.held: bytes | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.held is None:
            await self.inner.send_all(data)
        else:
            self.held += data

    async def flush(self) -> None:
        await self.inner.send_all(self.held or b"")
        self.held = None

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_an_answer_nobody_asked_for_is_not_the_next_calls(
    nursery: trio.Nursery, server_context: ssl.SSLContext, context: ssl.SSLContext
) -> None:
    """A second answer in its own record, come with the first: undeciphered, and no socket shows it."""

    async def raw(stream: trio.abc.Stream) -> None:
        corked = Corked(stream)
        secure = trio.SSLStream(corked, server_context, server_side=True, https_compatible=True)
        await read_request(secure)
        corked.held = b""
        await secure.send_all(OK)
        await secure.send_all(OK.replace(b"ok", b"no"))
        await corked.flush()
        await trio.sleep_forever()

    wire = SecureWire(nursery, server_context, raw=raw)
    account = wire.make_account(context)
    for count in (1, 2):
        reply = await account.call(make_call(url=URL))
        assert isinstance(reply, Reply)
        assert (reply.body, wire.opened) == (b"ok", count)
    nursery.cancel_scope.cancel()


async def hang_up(stream: trio.abc.Stream) -> None:
    await stream.receive_some(10)


async def speak_plain(stream: trio.abc.Stream) -> None:
    await stream.receive_some(1000)
    await stream.send_all(b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n")


async def stay_silent(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("url", "is_trusted", "raw", "class_", "evidence"),
    [
        (URL, False, None, "misconfigured", "certificate"),
        ("https://other.test/", True, None, "misconfigured", "certificate"),
        ("https://127.0.0.1/", True, None, "misconfigured", "certificate"),
        (URL, True, hang_up, "unreachable", "tls"),
        (URL, True, speak_plain, "unreachable", "tls"),
        (URL, True, stay_silent, "unreachable", "tls"),
    ],
    ids=["unknown issuer", "other name", "address", "hung up", "no TLS", "silent"],
)
async def test_no_byte_before_the_handshake_is_done(
    url: str,
    is_trusted: bool,
    raw: Script | None,
    class_: str,
    evidence: str,
    nursery: trio.Nursery,
    server_context: ssl.SSLContext,
    context: ssl.SSLContext,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[bytes] = []

    async def script(stream: trio.abc.Stream) -> None:
        seen.append(await read_request(stream))

    wire = SecureWire(nursery, server_context, script, raw)
    account = wire.make_account(context if is_trusted else None)
    for _ in range(2):
        outcome = await account.call(make_call(url=url))
        assert isinstance(outcome, Outcome)
        assert (outcome.class_, outcome.evidence) == (class_, evidence)
        check_silence(caplog, outcome)
    await trio.testing.wait_all_tasks_blocked()
    assert [data for data in seen if data] == []
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("script", "evidence"),
    [(say(OK[:-1]), "cut"), (say(ends=False), "timeout"), (say(OK.replace(b"2\r", b"x\r")), "protocol")],
    ids=["cut", "silent", "nonsense"],
)
async def test_after_the_handshake_nothing_is_proven(
    script: Script,
    evidence: str,
    nursery: trio.Nursery,
    server_context: ssl.SSLContext,
    context: ssl.SSLContext,
    autojump_clock: trio.testing.MockClock,
) -> None:
    account = SecureWire(nursery, server_context, script).make_account(context)
    for _ in range(2):
        outcome = await account.call(make_call(url=URL))
        assert isinstance(outcome, Outcome)
        assert (outcome.class_, outcome.evidence) == ("in_doubt", evidence)
    nursery.cancel_scope.cancel()
