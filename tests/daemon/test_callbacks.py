"""Callbacks, end to end: who is let in, which attempt a call speaks of, when it is answered, and what a stranger can do: nothing."""

import logging
import os
from typing import Any
from urllib.parse import quote

import pytest
import trio
from trio.testing import MockClock

from broker.api import callbacks as door
from broker.delivery.callbacks import Callbacks, mark_of
from broker.provider.contract import Unstored
from tests.api.web_rig import Client, Said, get, post, send_anyway
from tests.daemon.conftest import MakeHouse, MakeSite
from tests.daemon.house import TEXT, TO, loopback, rule, show
from tests.daemon.site import Site, path_of, pushy


async def test_a_receipt_by_token(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site()
    id_, path = await site.sent()
    assert len(path.split("/")) == 5
    said = await site.call(f"{path}?ref=P1&status=delivered")
    assert said == Said(200, {"content-type": "text/plain; charset=utf-8", "content-length": "9"}, b"magic=P1\n")
    reply = await site.house.until(id_, "delivered", within=0)  # it was durable before the answer went out
    assert [show(event)[0] for event in reply["events"]] == ["queued", "sending", "sent", "delivered"]
    again = await site.call(f"{path}?ref=P1&status=delivered")
    assert again == said
    late = await site.call(f"{path}?ref=P1&status=undelivered")
    assert late.status == 200
    assert len(site.house.told("message.delivered", "message.undelivered")) == 1


async def test_a_receipt_in_a_form(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site()
    id_, path = await site.sent()
    said = await site.call("", post(path, b"ref=P1&status=undelivered"))
    assert (said.status, said.body) == (200, b"magic=P1\n")
    await site.house.until(id_, "undelivered", within=0)


async def test_a_batch_shares_its_call_and_the_recipient_picks(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site(providers={"a": pushy(batch=10, max_in_flight=20)})
    house = site.house
    await house.order("pause", name="a")
    ids = {to: await house.take(to=to, text=f"{TEXT} {to}") for to in (f"+88691234560{n}" for n in range(4))}
    await house.order("resume", name="a")
    for id_ in ids.values():
        await house.until(id_, "sent", within=60)
    sends = site.sends()
    paths = {path_of(send.callback_url) for send in sends}
    assert len(paths) < len(sends), "no batch was formed"
    for send in sends[1:]:
        path = path_of(send.callback_url)
        said = await site.call(f"{path}?status=delivered&to={quote(send.message.to)}")
        assert said.status == 200
        await house.until(send.message.id, "delivered", within=0)
    first = sends[0]
    path = path_of(first.callback_url)
    for to in ("", "%2B886900000000", "09123", "0912345"):  # nobody in particular, and nobody of that call
        await site.call(f"{path}?status=delivered{to and f'&to={to}'}")
        assert house.find(first.message.id) == "sent"
    await site.call(f"{path}?status=delivered&to={first.message.to.replace('+886', '0')}")  # as providers write it
    await house.until(first.message.id, "delivered", within=0)


async def test_several_receipts_in_one_call(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site()
    one, path = await site.sent()
    await site.call(f"{path}?status=progress&status=delivered")
    await site.house.until(one, "delivered", within=0)


async def test_a_receipt_behind_another_is_judged_by_what_that_one_left(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site()
    _, path = await site.sent()
    await site.call(f"{path}?to={quote(TO)}&to={quote(TO)}&status=progress&status=progress")
    await trio.sleep(1)
    assert len(site.house.told("message.receipt")) == 1


async def test_a_call_of_its_own_recipient_alone(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site()
    id_, path = await site.sent()
    await site.call(f"{path}?status=delivered&to=%2B886900000001")
    assert site.house.find(id_) == "sent"
    await site.call(f"{path}?status=delivered&to={quote(TO)}")
    await site.house.until(id_, "delivered", within=0)


async def test_without_the_section_nobody_is_told_anything(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": pushy()}, "rules": [rule("a")]})
    await house.until(await house.take(), "sent")
    assert [send.callback_url for send in Site(house).sends()] == [None]
    assert [row[0] for row in house.query._conn.execute("SELECT token FROM attempt")] == [""]
    answer = await house.order("callbacks")
    assert answer["ok"] is False
    assert "[callbacks]" in answer["error"]["message"]


async def test_a_provider_that_does_not_call_back_is_told_nothing(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site(providers={"a": loopback()})
    await site.house.until(await site.house.take(), "unconfirmed")
    assert [row[0] for row in site.house.query._conn.execute("SELECT token FROM attempt")] == [""]
    assert await site.find_urls() == {}


# ---- strangers


def forge(path: str, token: str) -> list[tuple[str, bytes]]:
    """Calls of somebody who lacks something: (what, request). `path` is right but for that."""
    _, cb, name, secret, _ = path.split("/")
    query = "ref=P1&status=delivered"
    wrong = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    return [
        ("no path", get("/")),
        ("another path", get(f"/metrics?{query}")),
        ("no secret", get(f"/{cb}/{name}?{query}")),
        ("an empty secret", get(f"/{cb}/{name}//{token}?{query}")),
        ("a wrong secret", get(f"/{cb}/{name}/{wrong}/{token}?{query}")),
        ("a secret cut short", get(f"/{cb}/{name}/{secret[:-1]}/{token}?{query}")),
        ("a secret and more", get(f"/{cb}/{name}/{secret}x/{token}?{query}")),
        ("capital letters", get(f"/{cb}/{name}/{secret.upper()}/{token}?{query}")),
        ("nobody's account", get(f"/{cb}/nobody/{secret}/{token}?{query}")),
        ("another's account", get(f"/{cb}/b/{secret}/{token}?{query}")),
        ("an account that takes no calls", get(f"/{cb}/deaf/{secret}/{token}?{query}")),
        ("too deep a path", get(f"/{cb}/{name}/{secret}/{token}/x?{query}")),
        ("another prefix", get(f"/x{cb}/{name}/{secret}/{token}?{query}")),
        ("a whole address", get(f"http://x/{cb}/{name}/{secret}/{token}?{query}")),
        ("quoted letters", get(f"/{cb}/{name}/%{ord(secret[0]):02x}{secret[1:]}/{token}?{query}")),
        ("a posted one", post(f"/{cb}/{name}/{wrong}/{token}", query.encode())),
        ("a large posted one", post(f"/{cb}/{name}/{wrong}/{token}", b"x" * 100_000)),
        ("another method", get(f"/{cb}/{name}/{wrong}/{token}?{query}").replace(b"GET", b"DELETE", 1)),
        ("a huge query", get(f"/{cb}/{name}/{wrong}/{token}?{'x' * 9000}")),
        ("a proxy's word", get(f"/{cb}/{name}/{wrong}/{token}?{query}", "X-Forwarded-For: 127.0.0.1", "X-Original-URL: /")),
        ("garbage", bytes(range(256))),
        ("a head without end", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000),
    ]


async def test_whoever_is_nobody_gets_one_answer(make_site: MakeSite, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    site = await make_site(providers={"a": pushy(), "b": pushy(), "deaf": loopback()})
    id_, path = await site.sent()
    token = path.split("/")[4]
    before = len(site.house.query.read_events(0, 1000))
    answers = {}
    for what, data in forge(path, token):
        client = Client(await trio.open_unix_socket(site.house.folder / "cb"))
        async with client.stream, trio.open_nursery() as nursery:
            nursery.start_soon(send_anyway, client, data)
            answers[what] = await _read_all(client)
            nursery.cancel_scope.cancel()
    assert set(answers.values()) == {
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\nConnection: close\r\n\r\nnot found\n"
    }
    assert len(site.house.query.read_events(0, 1000)) == before
    assert site.house.find(id_) == "sent"
    stats = (await site.house.order("stats"))["callbacks"]
    assert stats["refused"] == len(answers)
    assert stats["answered"] == 0
    secret = path.split("/")[3]
    assert secret not in caplog.text
    assert token not in caplog.text
    assert "delivered" not in caplog.text
    told = [record.message for record in caplog.records if "callbacks refused" in record.message]
    assert len(told) == 1, "once a minute at most"


async def _read_all(client: Client) -> bytes:
    got = b""
    while True:
        try:
            data = bytes(await client.stream.receive_some())
        except trio.BrokenResourceError:
            return got
        if not data:
            return got
        got += data


# What somebody who knows an account's secret gets for what is none of its business: (what, request, status)
async def test_a_known_account_is_told_what_is_wrong(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site()
    id_, path = await site.sent()
    cases: list[tuple[bytes, int]] = [
        (get(f"{path}?status=delivered&x={'y' * 2048}"), 414),
        (get(f"{path}?status=delivered").replace(b"GET", b"PUT", 1), 405),
        (get(f"{path}?status=delivered").replace(b"GET", b"DELETE", 1), 405),
        (b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n" % path.encode(), 413),
    ]
    for data, status in cases:
        said = await site.call("", data)
        assert said.status == status
    counts = (await site.house.order("stats"))["callbacks"]
    assert (counts["beyond"], counts["broken"]) == (3, 1)
    assert site.house.find(id_) == "sent"
    said = await site.call(f"{path}?status=delivered&x={'y' * 2000}")
    assert said.status == 200


async def test_a_token_picks_nothing_of_another_account(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site(names=("a", "b"))
    id_, path = await site.sent()
    token = path.split("/")[4]
    base = await site.base("b")
    others = [token, "0" * 40, token[:-1], token + "0", token.upper(), "%2e%2e", f"{id_}%2F1", f"{token}.{mark_of(TO)}", "'", "x" * 5000]
    for other in others:
        for query in ("status=delivered", f"status=delivered&to={quote(TO)}", "status=delivered&ref=P1"):
            said = await site.call(f"{base}/{other}?{query}")
            assert said.status == 200  # its own account's word, about nothing
    own = await site.base("a")
    for other in others[1:]:
        await site.call(f"{own}/{other}?status=delivered&to={quote(TO)}")
    assert site.house.find(id_) == "sent"
    assert site.house.told("message.delivered", "message.receipt") == []
    await site.call(f"{own}/{token}?status=delivered")
    await site.house.until(id_, "delivered", within=0)


# ---- when it cannot be taken


async def test_a_fault_in_the_plugin_makes_the_provider_repeat(
    make_site: MakeSite, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    site = await make_site()
    id_, path = await site.sent()
    said = await site.call(f"{path}?crash=canary+text&to=912345678")
    assert (said.status, said.headers["retry-after"], said.body) == (503, "5", b"Service Unavailable\n")
    assert "ValueError in the plugin at line" in caplog.text
    assert site.house.find(id_) == "sent"
    assert (await site.house.order("stats"))["callbacks"]["failed"] == 1


async def test_what_cannot_be_made_durable_is_not_acknowledged(
    make_site: MakeSite, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await make_site()
    id_, path = await site.sent()

    async def refuse(self: Callbacks, lane: Any, receipts: Any, inbound: Any) -> Any:
        await trio.lowlevel.checkpoint()
        raise Unstored

    with monkeypatch.context() as patch:
        patch.setattr(Callbacks, "take", refuse)
        said = await site.call(f"{path}?status=delivered")
        assert (said.status, said.headers["retry-after"]) == (503, "5")

    async def hang(self: Callbacks, lane: Any, receipts: Any, inbound: Any) -> Any:
        await trio.sleep_forever()

    with monkeypatch.context() as patch:
        patch.setattr(Callbacks, "take", hang)
        begun = trio.current_time()
        said = await site.call(f"{path}?status=delivered")
        assert said.status == 503
        assert trio.current_time() - begun == pytest.approx(door.COMMIT_WAIT, abs=1)
    site.house.journal.is_full = True
    assert (await site.call(f"{path}?status=delivered")).status == 503
    site.house.journal.is_full = False
    assert site.house.find(id_) == "sent"
    assert (await site.call(f"{path}?status=delivered")).status == 200
    await site.house.until(id_, "delivered", within=0)


async def test_many_at_once_share_their_commits(make_site: MakeSite, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    site = await make_site(providers={"a": pushy(max_in_flight=100)})
    caplog.set_level(logging.INFO)
    found = [await site.sent(to=f"+8869123450{n:02d}") for n in range(40)]
    clients = [Client(await trio.open_unix_socket(site.house.folder / "cb")) for _ in found]
    before = site.house.journal.commits
    for client, (_, path) in zip(clients, found, strict=True):
        os.write(client.stream.socket.fileno(), get(f"{path}?status=delivered"))  # all before the door looks once
    for client in clients:
        said = await client.read()
        assert said is not None
        assert said.status == 200
        await client.stream.aclose()
    for id_, _ in found:
        await site.house.until(id_, "delivered", within=0)
    assert site.house.journal.commits - before < 20
