"""What is handed on: inbound messages to the endpoints of [[inbound]], in order, signed, again until taken, over restarts and reloads."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from standardwebhooks import Webhook as Oracle
from trio.testing import MockClock

from broker.delivery import handover, hooks
from broker.delivery.endpoints import Verdict
from broker.delivery.inbound import take_inbound
from broker.provider.contract import Inbound, TwinReply
from tests.daemon.conftest import MakeHouse
from tests.daemon.hookside import Outside
from tests.daemon.house import EPOCH, SECRET, TEXT, TO, House, Toml, loopback

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OURS = "+886900000001"
MINUTE = 60.0


def settings(*rules: Toml, **more: Any) -> Toml:
    return {"providers": {"a": loopback()}, "inbound": list(rules), **more}


def to(host: str, **match: Any) -> Toml:
    rule: Toml = {"to": f"https://{host}/in?k={SECRET}", "secret": KEY}
    return {**rule, "match": match} if match else rule


async def come(house: House, text: str = TEXT, sender: str = TO, **more: Any) -> None:
    await take_inbound(house.ex, house.ex.lanes["a"], [Inbound(sender, text, OURS, **more)])


def waiting(house: House) -> int:
    return sum(house.query.count_hooks().values())


async def test_one_is_handed_on(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings(to("crm.example.org")))
    await come(house, ref="mo-1", at=EPOCH + 7, segments=2)
    await outside.wait(1)
    await trio.sleep(1)
    ((host, request),) = outside.came
    (event,) = house.told("inbound.received")
    assert (host, outside.opened) == ("crm.example.org", ["crm.example.org:443"])
    assert (request.method, request.path, request.query) == ("POST", "/in", f"k={SECRET}")
    assert json.loads(request.body) == {
        "type": "inbound.received", "timestamp": event["at"],
        "data": {
            "id": event["id"], "provider": "a", "from": TO, "to": OURS, "text": TEXT, "segments": 2, "country": "TW", "ref": "mo-1",
            "sent_at": "2026-11-18T11:06:40.007Z",
        },
    }  # fmt: skip
    headers = request.headers
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == event["id"]
    second = int(headers["webhook-timestamp"])
    assert abs(second * 1000 - house.now()) < 5_000
    assert headers["host"] == "crm.example.org"
    assert headers["webhook-signature"] == Oracle(KEY).sign(event["id"], datetime.fromtimestamp(second, UTC), request.body.decode())
    assert waiting(house) == 0


async def test_without_a_secret_it_is_not_signed(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings({"to": "http://127.0.0.1:81/x"}))
    await come(house)
    await outside.wait(1)
    ((host, request),) = outside.came
    assert (host, outside.opened) == ("127.0.0.1", ["127.0.0.1:81"])
    assert "webhook-signature" not in request.headers
    assert {"webhook-id", "webhook-timestamp"} <= set(request.headers)


async def test_the_first_that_matches_takes_it(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    rules = [to("key", keyword=["INFO", "help"]), to("number", to="886900000001", provider="a"), to("rest", to=["1", "2"])]
    house = await make_house(settings(*rules))
    for text, number in (("info please", OURS), ("Help!", "1"), ("hello info", OURS), ("x", "1"), ("x", "3"), ("", "2")):
        await take_inbound(house.ex, house.ex.lanes["a"], [Inbound(TO, text, number)])
    await outside.wait(5)
    await trio.sleep(1)
    assert sorted((host, json.loads(request.body)["data"]["text"]) for host, request in outside.came) == [
        ("key", "Help!"), ("key", "info please"), ("number", "hello info"), ("rest", ""), ("rest", "x"),
    ]  # fmt: skip
    assert len(house.told("inbound.received")) == 6


REFUSALS = [
    500, 503, 404, 400, 302, 100 + 304, 429,
    TwinReply(200, cut=0),
    TwinReply(delay=20_000),
    TwinReply(301, (("Location", "https://elsewhere/"),)),
]  # fmt: skip


@pytest.mark.parametrize("answer", REFUSALS)
async def test_it_comes_again_until_it_is_taken(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, answer: Any) -> None:
    house = await make_house(settings(to("crm")))
    outside.answers["crm"] = [answer, answer, 200]
    await come(house)
    await outside.wait(3, within=10 * MINUTE)
    await trio.sleep(1)
    assert waiting(house) == 0
    ids = {request.headers["webhook-id"] for _, request in outside.came}
    times = [int(request.headers["webhook-timestamp"]) for _, request in outside.came]
    assert len(ids) == 1
    assert times == sorted(set(times)), "each try says its own time"
    assert {host.partition(":")[0] for host in outside.opened} == {"crm"}, "no redirect is followed"


TAKEN = [
    200, 201, 204, 299,
    TwinReply(200, body=b"x" * 3_000_000),
    TwinReply(200, (("Content-Encoding", "gzip"),), b"\x1f\x8b garbage"),
    TwinReply(200, (("Content-Type", "text/html"),), b"<html>an error page"),
    TwinReply(202, body=b"\0\xff" * 1000),
    TwinReply(200, body=b"12345", cut=3),
]  # fmt: skip


@pytest.mark.parametrize("answer", TAKEN)
async def test_a_good_status_is_enough(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, answer: Any) -> None:
    house = await make_house(settings(to("crm")))
    outside.answers["crm"] = [answer]
    await come(house)
    await outside.wait(1)
    await trio.sleep(5 * MINUTE)
    assert (len(outside.came), waiting(house)) == (1, 0)


async def test_gone_is_not_asked_again(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings(to("crm")))
    outside.answers["crm"] = [410, 200]
    await come(house, "first")
    await outside.wait(1)
    await trio.sleep(5 * MINUTE)
    assert (len(outside.came), waiting(house)) == (1, 0)
    (event,) = house.told("hook.dropped")
    assert (event["hook"], event["id"], event["count"]) == ("inbound[0]", house.told("inbound.received")[0]["id"], 1)
    assert event["reason"] == "HTTP 410"
    await come(house, "second")
    await outside.wait(2)


async def test_retry_after_is_obeyed(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings(to("crm")))
    outside.answers["crm"] = [TwinReply(503, (("Retry-After", "120"),)), 200]
    await come(house)
    await outside.wait(1)
    await come(house, "another", "+886922000111")
    await trio.sleep(115)
    assert len(outside.came) == 1, "it asked for time for everything"
    await outside.wait(3, within=10)


async def test_one_handsets_texts_stay_in_order(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings(to("crm")))
    outside.answers["crm"] = [lambda request: 500 if b'"t0"' in request.body and len(outside.came) < 6 else 200]
    for number in range(4):
        await come(house, f"t{number}")
    await come(house, "other", "+886922000111")
    await outside.wait(6)
    await trio.sleep(MINUTE)
    taken = [body["data"]["text"] for body in outside.bodies()]
    assert taken[:2] == ["t0", "other"], "another handset does not wait"
    assert [text for text in taken if text not in ("t0", "other")] == ["t1", "t2", "t3"]
    assert taken.index("t1") == len(taken) - 3
    assert waiting(house) == 0


async def test_a_dead_endpoint_delays_nobody(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings(to("dead", keyword="d"), to("silent", keyword="s"), to("good")))
    outside.down.add("dead")
    outside.answers["silent"] = [TwinReply(delay=10_000_000)]
    for number in range(50):
        for word in ("d", "s", "x"):
            await come(house, f"{word} {number}", f"+8869220001{number:02d}")
    with trio.fail_after(5):
        while len(outside.bodies("good")) < 50:
            await outside.bell.wait()
    id_ = await house.take()
    await house.until(id_, "unconfirmed", within=1)
    await trio.sleep(10 * MINUTE)
    assert outside.opened.count("dead:443") < 25, "a dead endpoint is asked one thing at a time, with pauses"
    assert waiting(house) == 100
    outside.down.clear()
    outside.answers["silent"] = [200]
    await trio.sleep(20 * MINUTE)
    assert waiting(house) == 0
    assert len(outside.bodies("dead")) == 50


async def test_it_survives_a_crash_between_taking_and_handing_on(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = await make_house(settings(to("crm")))
    outside.down.add("crm")
    for number in range(5):
        await come(house, f"t{number}")
    await house.stop()
    outside.down.clear()
    await house.start(nursery)
    await outside.wait(5)
    await trio.sleep(1)
    assert [body["data"]["text"] for body in outside.bodies()] == [f"t{number}" for number in range(5)]
    assert waiting(house) == 0


async def test_what_was_under_way_at_a_crash_comes_again_under_the_same_name(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = await make_house(settings(to("crm")))
    outside.answers["crm"] = [TwinReply(delay=5_000), 200]
    await come(house)
    await outside.wait(1)
    await house.stop()
    await house.start(nursery)
    await outside.wait(2)
    assert len({request.headers["webhook-id"] for _, request in outside.came}) == 1


async def test_what_nobody_takes_is_given_up_and_told(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hooks, "LIMIT", 600_000)
    house = await make_house(settings(to("crm")))
    outside.answers["crm"] = [500]
    for number in range(30):
        await come(house, f"t{number}", f"+8869220001{number:02d}")
    await trio.sleep(30 * MINUTE)
    assert waiting(house) == 0
    told = house.told("hook.dropped")
    assert sum(event["count"] for event in told) == 30
    assert len(told) < 10
    assert {event["reason"] for event in told} == {"HTTP 500"}
    assert "given up hook=inbound[0]" in caplog.text
    outside.answers["crm"] = [200]
    await come(house, "new")
    await trio.sleep(10 * MINUTE)
    assert outside.bodies()[-1]["data"]["text"] == "new"


async def test_more_than_a_page_waits_in_the_store(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "PAGE", 10)
    monkeypatch.setattr(hooks, "MOST", 50)
    house = await make_house(settings(to("crm")))
    outside.down.add("crm")
    one = [Inbound(f"+88692200{number % 7:04d}", f"t{number}", OURS) for number in range(100)]
    await take_inbound(house.ex, house.ex.lanes["a"], one)
    await trio.sleep(5)
    (running,) = house.daemon.handover._running.values()
    backlog = running.stream._backlog
    assert backlog.size - backlog.stuck <= 10
    assert backlog.size <= 50
    outside.down.clear()
    await trio.sleep(10 * MINUTE)
    by_sender: dict[str, list[int]] = {}
    for body in outside.bodies():
        by_sender.setdefault(body["data"]["from"], []).append(int(body["data"]["text"][1:]))
    assert sum(map(len, by_sender.values())) == 100
    assert all(numbers == sorted(numbers) for numbers in by_sender.values())


async def test_what_is_refused_keeps_nothing_else_waiting(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "PAGE", 10)
    monkeypatch.setattr(hooks, "MOST", 40)
    house = await make_house(settings(to("crm")))
    outside.answers["crm"] = [lambda request: 500 if b'"text":"bad' in request.body else 200]
    for number in range(60):
        await come(house, f"bad {number}", f"+8869220001{number:02d}")
        await come(house, f"good {number}", f"+8869220002{number:02d}")
        await trio.sleep(1)
    await trio.sleep(10 * MINUTE)
    taken = [body["data"]["text"] for body in outside.bodies() if body["data"]["text"].startswith("good")]
    assert sorted(taken) == sorted(f"good {number}" for number in range(60))
    assert waiting(house) <= 40
    told = house.told("hook.dropped")
    assert {event["reason"] for event in told} == {"refused while others were taken"}
    assert sum(event["count"] for event in told) == 60 - waiting(house)


# ---- reload


async def test_a_new_address_gets_what_waits(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings(to("old")))
    outside.down.add("old")
    await come(house, "t0")
    await trio.sleep(1)
    house.write(settings(to("new")))
    assert (await house.order("reload"))["ok"]
    await outside.wait(1)
    await come(house, "t1")
    await outside.wait(2)
    await trio.sleep(1)
    came = [(host, json.loads(request.body)["data"]["text"]) for host, request in outside.came]
    assert came == [("new", "t0"), ("new", "t1")]
    assert waiting(house) == 0


async def test_a_new_secret_signs_what_waits_at_once(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings(to("crm")))
    outside.answers["crm"] = [401]
    await come(house)
    await outside.wait(1)
    await trio.sleep(40 * MINUTE)
    outside.answers["crm"] = [200]
    tried = len(outside.came)
    house.write(settings({**to("crm"), "secret": "another secret of 24 bytes"}))
    assert (await house.order("reload"))["ok"]
    await outside.wait(tried + 1, within=1)
    signatures = [request.headers["webhook-signature"] for _, request in outside.came]
    assert signatures[-1] not in signatures[:-1]


async def test_what_no_rule_takes_any_more_is_told(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings(to("crm")))
    outside.down.add("crm")
    await come(house)
    await trio.sleep(1)
    house.write(settings(to("crm", keyword="other")))
    assert (await house.order("reload"))["ok"]
    assert waiting(house) == 1, "the same endpoint still has it"
    house.write(settings())
    assert (await house.order("reload"))["ok"]
    assert waiting(house) == 0
    (event,) = house.told("hook.dropped")
    assert (event["count"], event["id"]) == (1, house.told("inbound.received")[0]["id"])


async def test_an_endpoint_that_went_while_the_broker_was_down(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = await make_house(settings(to("old")))
    outside.down.add("old")
    await come(house)
    await house.stop()
    house.write(settings(to("new")))
    await house.start(nursery)
    await outside.wait(1)
    assert [host for host, _ in outside.came] == ["new"]


# ---- commands


async def test_a_command_gets_what_an_address_would(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How a program is run is test_hooks_exec's; here that it is run for the right messages, again until it says 0."""
    ran: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    class Fake:
        most = 1

        def __init__(self, words: tuple[str, ...]) -> None:
            self.words = words

        async def hand_over(self, id_: str, body: bytes, now: int) -> Verdict:
            await trio.lowlevel.checkpoint()
            ran.append((self.words, json.loads(body)))
            if len(ran) == 1:
                raise ValueError(TEXT)  # a fault of our own costs a try, not the broker
            return Verdict("taken") if len(ran) > 2 else Verdict("failed", "exit 1")

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(handover, "Command", Fake)
    house = await make_house(settings({"exec": ["./answer", SECRET], "match": {"keyword": "info"}}, to("crm")))
    await come(house, "info x")
    await come(house, "other", "+886922000111")
    await trio.sleep(5 * MINUTE)
    assert [words for words, _ in ran] == [(str(house.folder / "answer"), SECRET)] * 3
    assert {body["data"]["text"] for _, body in ran} == {"info x"}
    assert [body["data"]["text"] for body in outside.bodies()] == ["other"]
    assert waiting(house) == 0
