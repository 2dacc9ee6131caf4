"""Who may read the feed, and how much of it: tokens, scopes, Host and Origin (CONTRACT §6, promise 16)."""

import logging
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import trio
from trio_websocket import ConnectionRejected

from broker.api.feed_pages import redact
from broker.api.hosts import is_foreign, is_listed, split_host
from broker.api.tokens import Credential
from broker.words.settings import Settings, TokenSettings
from tests.api.feed_rig import MASKED, NUMBER, Rig, ask_http, make_settings, open_raw, open_rig, read, read_close

CANARY_TEXT = "canary-3f9a"


def make_token(secret: str, *scopes: str) -> TokenSettings:
    return TokenSettings(sha256=sha256(secret.encode()).hexdigest(), scopes=frozenset(scopes))


def make_tokens(*, require_token: bool = False) -> Settings:
    return make_settings(
        require_token=require_token,
        all=make_token("t-all", "read", "numbers", "text", "submit", "operate"),
        reader=make_token("t-reader", "read"),
        numbers=make_token("t-numbers", "read", "numbers"),
        text=make_token("t-text", "read", "text"),
        blind=make_token("t-blind", "numbers", "text", "submit", "operate"),
    )


async def publish_secrets(rig: Rig) -> None:
    inbound = {"id": "i1", "provider": "isms", "from": NUMBER, "to": "+886900000001", "text": CANARY_TEXT, "segments": 1}
    await rig.publish(
        [
            rig.tell(1),
            rig.teller.happen("inbound.received", 0, **inbound, country="TW"),
            rig.teller.happen("lookup.done", 0, id="l1", to=NUMBER, result={"status": "active"}),
            rig.teller.happen("inbound.received", 0, **{"from": None, "to": "12345", "text": f'"text":{CANARY_TEXT}'}),
        ]
    )


# (token, does it see numbers, does it see texts)
SCOPES = [
    (None, True, False),
    ("t-all", True, True),
    ("t-numbers", True, False),
    ("t-text", False, True),
    ("t-reader", False, False),
]


@pytest.mark.parametrize(("token", "numbers", "text"), SCOPES)
@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("ring", [1, 100], ids=["table", "ring"])
async def test_scopes(tmp_path: Path, token: str | None, numbers: bool, text: bool, batch: int, ring: int) -> None:
    headers = [] if token is None else [("Authorization", f"Bearer {token}")]
    async with open_rig(tmp_path, settings=make_tokens(), ring=ring) as rig:
        await publish_secrets(rig)
        await rig.publish([rig.teller.happen("node.started", 0) for _ in range(3)])
        for _ in range(2):  # made, then taken from what was kept
            async with rig.connect(f"from=0&batch={batch}", headers=headers) as ws:
                await read(ws)
                events = await read(ws) if batch else [await read(ws) for _ in range(7)]
                number = NUMBER if numbers else MASKED
                assert events[0]["to"] == number
                assert (events[1]["from"], events[2]["to"], events[3]["from"]) == (number, number, None)
                assert events[3]["to"] == ("12345" if numbers else "•••45")
                assert (events[1].get("text"), "text" in events[3]) == ((CANARY_TEXT, True) if text else (None, False))
                assert [event["seq"] for event in events] == list(range(1, 8))
                assert list(events[0])[:4] == ["seq", "at", "type", "node"]
                assert events[1]["country"] == "TW"


@pytest.mark.parametrize("query", ["from=0", "from=0&batch=1", "from=0&type=inbound.*&type=lookup.*&type=node.*"])
async def test_no_number_and_no_text_leaves_for_who_may_not_see_them(tmp_path: Path, caplog: pytest.LogCaptureFixture, query: str) -> None:
    """Every byte that goes out is looked at, whoever has read the same pages before, and every line of the log."""
    caplog.set_level(logging.DEBUG)
    async with open_rig(tmp_path, settings=make_tokens(), before=3, ring=2) as rig:
        await publish_secrets(rig)
        numbers, text = [("Authorization", "Bearer t-numbers")], [("Authorization", "Bearer t-text")]
        async with rig.connect("from=0&batch=1", headers=numbers) as one, rig.connect("from=0&batch=1", headers=text) as two:
            assert [(await read(ws))["type"] for ws in (one, two)] == ["hello"] * 2
            assert [NUMBER in str(await read(ws)) for ws in (one, two)] == [True, False]
        async with rig.connect(query, headers=[("Authorization", "Bearer t-all")]) as other:
            reader = await open_raw(rig, query, "Authorization: Bearer t-reader")
            while CANARY_TEXT not in str(await read(other)):
                pass
            await publish_secrets(rig)
            await rig.publish([rig.teller.happen("node.stopping", 0)])
            got = b""
            with trio.fail_after(5):
                while b"node.stopping" not in got:
                    got += await reader.receive_some()
            await reader.aclose()
    assert got.count(MASKED.encode()) >= 4
    for secret in (NUMBER, NUMBER[1:], NUMBER[-9:], "900000001", CANARY_TEXT):
        assert secret.encode() not in got
        assert secret not in caplog.text
    assert "t-reader" not in caplog.text
    assert "t-all" not in caplog.text


# (what is shown, the headers, the subprotocols, the code and a word of the reason; None where it is let in)
CREDENTIALS: list[tuple[str, list[tuple[str, str]], list[str], tuple[int, str] | None]] = [
    ("nothing", [], [], (4401, "a token is needed")),
    ("a good token", [("Authorization", "Bearer t-reader")], [], None),
    ("in small letters", [("authorization", "bearer  t-reader")], [], None),
    ("a subprotocol", [], ["bearer.t-reader"], None),
    ("among others", [], ["json", "bearer.t-reader", "x"], None),
    ("both the same", [("Authorization", "Bearer t-reader")], ["bearer.t-reader"], None),
    ("two different ones", [("Authorization", "Bearer t-reader")], ["bearer.t-all"], (4401, "two different")),
    ("a bad one", [("Authorization", "Bearer t-readers")], [], (4401, "not known")),
    ("a bad subprotocol", [], ["bearer.t-readers"], (4401, "not known")),
    ("an empty one", [("Authorization", "Bearer")], [], (4401, "not known")),
    ("another scheme", [("Authorization", "Basic dC1yZWFkZXI=")], [], (4401, "Bearer")),
    ("its own hash", [("Authorization", f"Bearer {sha256(b't-reader').hexdigest()}")], [], (4401, "not known")),
    ("without read", [("Authorization", "Bearer t-blind")], [], (4401, "read")),
]


@pytest.mark.parametrize(("headers", "subprotocols", "end"), [c[1:] for c in CREDENTIALS], ids=[c[0] for c in CREDENTIALS])
async def test_credentials(tmp_path: Path, headers: list[tuple[str, str]], subprotocols: list[str], end: tuple[int, str] | None) -> None:
    async with (
        open_rig(tmp_path, settings=make_tokens(require_token=True), before=1) as rig,
        rig.connect("from=0", headers=headers, subprotocols=subprotocols) as ws,
    ):
        offered = [name for name in subprotocols if name.startswith("bearer.")]
        assert ws.subprotocol == (offered[0] if offered else None)  # else a browser would give up before it reads the code
        if end is None:
            assert (await read(ws))["type"] == "hello"
            assert (await read(ws))["to"] == MASKED
        else:
            code, reason = await read_close(ws)
            assert code == end[0]
            assert end[1] in reason
            assert "t-" not in reason.replace("sent", "")


async def test_a_bad_token_is_told_before_a_bad_parameter(tmp_path: Path) -> None:
    async with open_rig(tmp_path, settings=make_tokens()) as rig:
        async with rig.connect("nonsense=1", headers=[("Authorization", "Bearer nobody")]) as ws:
            assert (await read_close(ws))[0] == 4401
        async with rig.connect("token=t-all", headers=[("Authorization", "Bearer t-all")]) as ws:
            code, reason = await read_close(ws)
            assert (code, "`token`" in reason, "t-all" in reason) == (4400, True, False)
        async with rig.connect("from=1") as ws:
            code, reason = await read_close(ws)
            assert (code, "`from`" in reason) == (4400, True)


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Real-IP"])
async def test_who_comes_through_a_proxy_is_not_from_here(tmp_path: Path, name: str) -> None:
    async with open_rig(tmp_path, settings=make_tokens()) as rig:
        async with rig.connect(headers=[(name, "203.0.113.7")]) as ws:
            assert (await read_close(ws))[0] == 4401
        async with rig.connect(headers=[(name, "203.0.113.7"), ("Authorization", "Bearer t-reader")]) as ws:
            assert (await read(ws))["type"] == "hello"


async def test_a_reload_counts_for_those_who_read_already(tmp_path: Path) -> None:
    async with open_rig(tmp_path, settings=make_tokens()) as rig, rig.connect() as local:
        async with rig.connect(headers=[("Authorization", "Bearer t-numbers")]) as ws:
            await read(ws)
            await read(local)
            await rig.publish([rig.tell(1)])
            assert (await read(ws))["to"] == NUMBER
            rig.settings = make_settings(numbers=make_token("t-numbers", "read"))
            await rig.publish([rig.tell(2)])
            assert (await read(ws))["to"] == MASKED
            rig.settings = Settings(tokens={})
            await rig.publish([rig.tell(3)])
            assert (await read_close(ws))[0] == 4401
        assert [(await read(local))["seq"] for _ in range(3)] == [1, 2, 3]
        rig.settings = make_tokens(require_token=True)
        await rig.publish([rig.tell(4)])
        assert (await read_close(local))[0] == 4401


def test_without_a_token_only_this_machine_may_read() -> None:
    tokens = {"a": make_token("x", "read")}
    near, far = Credential(None, is_local=True), Credential(None, is_local=False)
    access = near.find_access(tokens, require_token=False)
    assert access is not None
    assert access.scopes == {"submit", "read", "numbers"}
    assert near.find_access(tokens, require_token=True) is None
    assert far.find_access(tokens, require_token=False) is None
    assert Credential("x", is_local=False).find_access(tokens, require_token=True) is not None
    assert Credential("x", is_local=True).find_access({}, require_token=False) is None  # a bad token is worse than none


@pytest.mark.parametrize("origin", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}"])
async def test_its_own_pages_may_connect(tmp_path: Path, origin: str) -> None:
    async with open_rig(tmp_path) as rig, rig.connect(headers=[("Origin", origin.format(port=rig.port))]) as ws:
        assert (await read(ws))["type"] == "hello"


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1", "http://localhost:{port}", "null", "", "file://", "x"])
async def test_foreign_pages_may_not(tmp_path: Path, origin: str) -> None:
    async with open_rig(tmp_path) as rig:
        with pytest.RaisesGroup(pytest.RaisesExc(ConnectionRejected, match="403"), flatten_subgroups=True):
            async with rig.connect(headers=[("Origin", origin.format(port=rig.port))]):
                pass


# (Host, is it refused)
HOSTS = [
    ("127.0.0.1:{port}", False),
    ("localhost:{port}", False),
    ("LOCALHOST:{port}", False),
    ("[::1]:{port}", False),
    ("127.0.0.1", True),
    ("127.0.0.1:1", True),
    ("evil.example:{port}", True),
    ("127.0.0.1.evil.example:{port}", True),
    ("127.0.0.1:{port}@evil", True),
    ("", True),
]


async def test_hosts(tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig:
        for host, is_refused in HOSTS:
            status, _ = await ask_http(
                rig, "GET /v1/events HTTP/1.1", f"Host: {host.format(port=rig.port)}", "Upgrade: websocket", "Connection: Upgrade",
                "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            )  # fmt: skip
            assert (host, status) == (host, 403 if is_refused else 101)
        assert (await ask_http(rig, "GET /v1/events HTTP/1.0", "Upgrade: websocket"))[0] == 403


# (Host, [feed].listen, the address and port that the connection came to, is it one of the listener's)
LISTED = [
    ("sms.example:8781", "sms.example:8781", "192.0.2.1", 8781, True),
    ("SMS.example:8781", "sms.EXAMPLE:8781", "192.0.2.1", 8781, True),
    ("sms.example", "sms.example:80", "192.0.2.1", 80, True),
    ("192.0.2.1:8781", "0.0.0.0:8781", "192.0.2.1", 8781, True),
    ("192.0.2.2:8781", "0.0.0.0:8781", "192.0.2.1", 8781, False),
    ("192.0.2.1:8781", "[::]:8781", "::ffff:192.0.2.1", 8781, True),
    ("[2001:DB8:0::1]:8781", "[2001:db8::1]:8781", "2001:db8::1", 8781, True),
    ("[fe80::1]:8781", "[::]:8781", "fe80::1%eth0", 8781, True),
    ("evil.example:8781", "", "192.0.2.1", 8781, False),
]


@pytest.mark.parametrize(("host", "listen", "address", "port", "is_own"), LISTED)
def test_a_listener_has_its_names(host: str, listen: str, address: str, port: int, is_own: bool) -> None:
    place = split_host(host)
    assert place is not None
    assert is_listed(place, listen, address, port) is is_own


# (Origin, Host, is it foreign)
ORIGINS = [
    ("https://sms.example", "sms.example", False),
    ("http://sms.example", "sms.example:80", False),
    ("http://sms.example", "sms.example:443", True),
    ("http://[::1]:8781", "[::1]:8781", False),
    ("http://sms.example:8781@evil", "sms.example:8781", True),
    ("http://[::1", "[::1]:8781", True),
    ("chrome-extension://abc", "abc", True),
]


@pytest.mark.parametrize(("origin", "host", "wanted"), ORIGINS)
def test_origins(origin: str, host: str, wanted: bool) -> None:
    place = split_host(host)
    assert place is not None
    assert is_foreign(origin, place) is wanted


@pytest.mark.parametrize("host", ["", "a b", "a:b", "[::1", "[:::::::]", "a:123456", "a/b", "ä"])
def test_what_is_no_host(host: str) -> None:
    assert split_host(host) is None


def test_what_is_left_keeps_its_bytes_and_its_order() -> None:
    body = b'{"at":"x","to":"+886912345678","n":1.10,"text":"hi","from":"ACME","nested":{"b":1,"a":2}}'
    shown = redact(body, numbers=False, text=False)
    assert shown == '{"at":"x","to":"+8869•••678","n":1.10,"from":"ACME","nested":{"b":1,"a":2}}'.encode()
    assert msgspec.json.decode(redact(body, numbers=True, text=False))["to"] == NUMBER
    assert msgspec.json.decode(redact(b'{"to":886912345678}', numbers=False, text=False)) == {"to": "88691•••678"}
