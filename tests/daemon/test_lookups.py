"""Lookups in a whole broker: what is told, what rules make of it, one request for many who ask (CONTRACT §6, §10, `lookup.done`)."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.api.feed_pages import redact
from broker.delivery import lookups, networks, receipts
from broker.delivery.lookups import find_network
from broker.delivery.retention import forget
from broker.provider.contract import Lookup, Receipt
from broker.words.clock import DAY
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, TO, House, Toml, loopback, path_of, rule
from tests.daemon.site import Site, with_callbacks
from tests.daemon.test_channels import record

OTHER = "+886987654321"
ALL = ["sms", "hlr"]


def hlr(*outcomes: str, **more: Any) -> Toml:
    """An account that looks numbers up, and knows one network."""
    return loopback(*outcomes, **{"channels": ALL, "receipt": "delivered", "networks": {"+88691": "46692"}, **more})


async def look_up(house: House, to: str = TO, **more: Any) -> str:
    async with await house.connect() as wire:
        answer = await wire.ask({"to": to, "channel": "hlr", **more})
    assert answer["ok"], answer
    id_: str = answer["id"]
    return id_


async def test_what_is_told(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr()}})
    id_ = await look_up(house, ref="r1")
    reply = await house.until(id_, "delivered")
    (told,) = house.told("lookup.done")
    assert list(told) == ["seq", "at", "type", "node", "id", "ref", "client", "provider", "to", "result"]
    assert (told["id"], told["ref"], told["provider"], told["to"]) == (id_, "r1", "a", TO)
    assert told["result"] == {"status": "active", "country": None, "network": "46692", "operator": None, "roaming": None, "code": None}
    body = json.dumps({key: value for key, value in told.items() if key != "seq"}).encode()
    assert json.loads(redact(body, numbers=False, text=False))["to"] == "+8869•••678"
    assert [event["type"] for event in reply["events"]] == [
        "message.queued", "message.sending", "message.sent", "lookup.done", "message.delivered",
    ]  # fmt: skip
    assert (reply["message"]["type"], reply["message"]["channel"], reply["message"]["text"]) == ("message.delivered", "hlr", None)


PROVIDERS: list[tuple[Toml, str, dict[str, str | None]]] = [
    (
        {"plugin": "isms", "url": "http://twin", "query": ["10s"], "sender": "ACME", "password": SECRET},
        "+306912345678",
        {"status": "delivered", "country": "Greece", "network": None, "operator": "COSMOTE", "code": "0"},
    ),
    (
        {"plugin": "smscru", "host": "twin", "password": SECRET[:8]},
        "+79161234567",
        {"status": "delivrd", "country": "Russian Federation", "network": "25002", "operator": "MegaFON open Joint Stock Company"},
    ),
]


@pytest.mark.parametrize(("account", "number", "result"), PROVIDERS, ids=["isms", "smscru"])
async def test_the_providers_themselves(
    account: Toml, number: str, result: dict[str, Any], make_house: MakeHouse, autojump_clock: MockClock
) -> None:
    house = await make_house({"providers": {"twin": {"username": "demo", **account}}}, {"twin": {}})
    await trio.sleep(5)
    await house.until(await look_up(house, number), "delivered", within=120)
    (told,) = house.told("lookup.done")
    assert {key: told["result"][key] for key in result} == result
    assert find_network(house.ex, number) == result["network"]


RU = "+79161234567"


async def test_the_document_s_own_receipt_which_it_cuts_short(
    make_house: MakeHouse, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """smscru.txt, "Отправка HLR-запроса": `id:855469 stat:DELIVRD err:000 imsi:250023012345678`, and nothing of the network."""
    account = {"plugin": "smscru", "host": "twin", "username": "demo", "password": SECRET[:8]}
    house = await make_house({"providers": {"twin": account}}, {"twin": {}})
    monkeypatch.setattr(sys.modules[type(house.twins["twin"]).__module__], "HLR", "imsi:250023012345678")
    await trio.sleep(5)
    await house.until(await look_up(house, RU), "delivered", within=120)
    (told,) = house.told("lookup.done")
    assert told["result"] == {"status": "delivrd", "country": None, "network": None, "operator": None, "roaming": None, "code": "000"}
    assert "250023012345678" not in json.dumps(house.told("lookup.done", "message.delivered"))


WEB: Toml = {"plugin": "smscru", "host": "twin", "http_url": "http://twin", "username": "demo", "password": SECRET[:8], "query": ["10m"]}
CALLS = {  # what comes to the handler → how long it may take until the result is known
    "status=1&err=0&imsi=250023012345678&mcc=250&mnc=02&cn=Russian+Federation&net=MegaFON%2Bopen%2BJoint%2BStock%2BCompany": 0.1,
    "status=DELIVRD&mcc=250&mnc=02&cn=Russian+Federation&net=MegaFON+open+Joint+Stock+Company&err=0": 0.1,
    "status=1": 1.5,  # final, and nothing of the network: it is asked for
    "": 1.5,
    "status=what": 1.5,
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_result_at_the_http_handler(call: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """smscru.txt: it comes "как по SMPP-подключению, так и по HTTP на свой обработчик", by parameters that no page names."""
    site = Site(await make_house(with_callbacks(str(tmp_path), providers={"twin": WEB}), {"twin": {"password": SECRET[:8]}}))
    house = site.house
    await trio.sleep(5)
    id_ = await look_up(house, RU)
    await house.until(id_, "sent", within=1)
    said = await site.call(f"{await site.base('twin')}?id=855469&phone={RU[1:]}&{call}")
    assert said.status == 200
    await house.until(id_, "delivered", within=CALLS[call])
    (told,) = house.told("lookup.done")
    assert told["result"] == {
        "status": "delivrd", "country": "Russian Federation", "network": "25002", "operator": "MegaFON open Joint Stock Company",
        "roaming": None, "code": "0",
    }  # fmt: skip


async def test_nothing_found_is_told_too(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr(receipt="undelivered")}})
    await house.until(await look_up(house, OTHER), "undelivered")
    (told,) = house.told("lookup.done")
    assert (told["result"]["status"], told["result"]["network"]) == ("absent", None)


BY_NETWORK: Toml = {
    "providers": {"a": hlr(prices={"*": "0.10", "46692": "0.03"}, receipt="delivered"), "b": loopback()},
    "rules": [
        rule("a", name="cheap", match={"network": "46692"}),
        rule("a", name="lookups", match={"channel": "hlr"}),
        rule("b", name="rest"),
    ],
}


async def test_rules_and_prices_by_network(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = await make_house(BY_NETWORK)

    async def route(to: str = TO) -> tuple[str, Any]:
        message = (await house.until(await house.take(to), "delivered", "unconfirmed"))["message"]
        return message["rule"], message["price"]

    assert await route() == ("rest", None)  # false while unknown
    first = await house.take(text="before")
    await house.until(await look_up(house), "delivered")
    assert await route() == ("cheap", "0.03")
    assert await route(OTHER) == ("rest", None)
    assert house.query.find_message(first).network is None  # type: ignore[union-attr]  # what a message was taken with it keeps
    await house.stop()
    await house.start(nursery)
    assert await route() == ("cheap", "0.03")
    explained = await house.ask("explain", to=TO, text="x")
    assert (explained["rule"], explained["candidates"][0]["price"]) == ("cheap", "0.03")


async def test_what_is_old_is_unknown(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({**BY_NETWORK, "store": {"keep": "20d", "keep_text": "1d"}})
    await house.until(await look_up(house), "delivered")
    start = house.now()
    for days, known in ((19, "46692"), (21, None)):
        house._zero -= start + days * DAY - house.now()  # the wall clock goes on, and nobody had to wait for it
        assert find_network(house.ex, TO) == known
    await forget(house.ex)
    assert house.query.find_found(TO, "a") is None
    assert house.query.find_network(TO) is None


async def test_more_than_memory_holds(make_house: MakeHouse, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "SIZE", 2)
    house = await make_house({"providers": {"a": hlr(networks={"+": "46692"})}, "rules": [rule("a")]})
    numbers = [f"+88691234567{n}" for n in range(5)]
    for number in numbers:
        await house.until(await look_up(house, number), "delivered")
    found = house.ex.lookups
    assert len(found._networks) == 2
    assert [found.find_network(house.query, number, 0) for number in numbers] == ["46692"] * 5
    assert found.find_network(house.query, OTHER, 0) is None
    await house.stop()
    await house.start(house._nursery)
    assert len(house.ex.lookups._networks) == 2
    assert [find_network(house.ex, number) for number in numbers] == ["46692"] * 5


async def test_two_who_ask_share_a_request(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr(receipt_delay=3_000)}})
    sends = record(house, "a")
    first, second, other = await look_up(house), await look_up(house, ref="r2"), await look_up(house, OTHER)
    await house.until(first, "delivered", within=10)
    reply = await house.until(second, "delivered", within=1)
    await house.until(other, "delivered", within=10)
    assert sorted(send.message.id for send in sends) == sorted([first, other])
    assert reply["attempts"] == []
    assert [event["type"] for event in reply["events"]] == ["message.queued", "lookup.done", "message.delivered"]
    assert reply["message"]["detail"] == "answered by another lookup at a"
    done = {event["id"]: event for event in house.told("lookup.done")}
    assert done[second]["result"] == done[first]["result"]
    assert (done[second]["ref"], done[second]["to"]) == ("r2", TO)
    assert house.ex.queued == 0
    assert (house.ex.lookups.asked, house.ex.lookups.waiting) == ({}, {})


async def test_who_comes_after_the_answer_asks_anew(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr()}})
    sends = record(house, "a")
    for _ in range(2):
        await house.until(await look_up(house), "delivered")
        await trio.sleep(1)
    assert len(sends) == 2


async def test_each_provider_is_asked(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr(receipt_delay=3_000), "b": hlr(receipt_delay=3_000)}})
    ids = [await look_up(house, provider=name) for name in ("a", "b")]
    for id_ in ids:
        assert len((await house.until(id_, "delivered", within=10))["attempts"]) == 1


async def test_where_the_first_gets_no_answer_the_second_asks(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr("rejected", "accepted", delay=1_000)}})
    first, second = await look_up(house), await look_up(house)
    await house.until(first, "failed", within=5)
    reply = await house.until(second, "delivered", within=5)
    assert path_of(reply)[:2] == [("queued", None, None), ("sending", "a", None)]


async def test_nobody_waits_for_ever(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """The first is sent and no answer comes: the second asks for itself, or ends at its own validity."""
    house = await make_house({"providers": {"a": hlr(receipt="progress")}})
    sends = record(house, "a")
    first, second, short = await look_up(house), await look_up(house), await look_up(house, validity="2m")
    await house.until(short, "expired", within=125)
    assert len(sends) == 1
    await house.until(second, "sent", within=200)
    assert house.find(first) == "sent"
    assert len(sends) == 2


async def test_a_crash_between_the_two(
    make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first's answer is on disk, nobody was woken: after the restart the second is answered by it, and nothing is asked again."""
    house = await make_house({"providers": {"a": hlr(receipt_delay=3_000)}})
    first, second = await look_up(house), await look_up(house)
    with monkeypatch.context() as patch:
        patch.setattr(lookups, "end_lookup", lambda *_: None)
        await house.until(first, "delivered", within=10)
        assert house.find(second) == "queued"
        await house.stop()
    await house.start(nursery)
    sends = record(house, "a")
    reply = await house.until(second, "delivered", within=400)
    assert sends == []
    assert [event["type"] for event in reply["events"]][-2:] == ["lookup.done", "message.delivered"]


async def test_a_crash_before_the_answer(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Who asks about whom is forgotten: the second asks for itself, and both are answered."""
    house = await make_house({"providers": {"a": hlr(receipt_delay=60_000)}})
    first, second = await look_up(house), await look_up(house)
    await trio.sleep(1)
    await house.stop()
    await house.start(nursery)
    await house.until(second, "delivered", within=500)
    assert house.find(first) == "sent"  # its receipt was lost with the process that made it up


async def test_an_answer_that_comes_twice_is_told_once(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr()}})
    id_ = await look_up(house)
    await house.until(id_, "delivered")
    lane = house.ex.lanes["a"]
    again = Receipt("delivered", "L1", f"{id_}/1", lookup=Lookup("active", network="46697"))
    await receipts.take_receipts(house.ex, lane, [again, again])
    assert len(house.told("lookup.done")) == 1


async def test_a_suppressed_number_may_be_looked_up(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr()}})
    await house.order("suppress", action="add", number=TO)
    assert (await house.submit())["error"]["code"] == "suppressed"
    await house.until(await look_up(house), "delivered")


async def test_the_operators_lookup(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr(), "b": loopback()}})
    known = {"ok": True, "number": TO, "country": "TW", "type": "mobile", "network": None}
    assert await house.order("lookup", number="0912 345 678") == known
    answer = await house.order("lookup", number=TO, hlr="a", ref="r")
    assert {key: answer[key] for key in (*known, "status", "ref")} == {**known, "status": "queued", "ref": "r"}
    await house.until(answer["id"], "delivered")
    assert (await house.order("lookup", number=TO))["network"] == "46692"
    refusals = [
        ({}, "bad_request", "number"), ({"number": "12"}, "invalid_recipient", "number"),
        ({"number": TO, "hlr": "nobody"}, "bad_request", "hlr"), ({"number": TO, "hlr": "b"}, "no_route", None),
    ]  # fmt: skip
    for more, code, field in refusals:
        error = (await house.order("lookup", **more))["error"]
        assert (error["code"], error.get("field")) == (code, field)
    assert (await house.ask("lookup", ref="x"))["error"]["field"] == "op"  # not a client's


async def test_an_erased_number_is_unknown(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hlr()}})
    await house.until(await look_up(house), "delivered")
    assert (await house.order("erase", number=TO))["ok"]
    assert house.query.find_found(TO, "a") is None
    assert find_network(house.ex, TO) is None
    assert house.told("lookup.done") == []
