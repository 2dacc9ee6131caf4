"""Which provider: refusals of what nobody could ever take, prices, credit, pins, a client's own limits, rates."""

from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.words.clock import read_time
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, loopback, mitake, rule, subito

US = "+12025550143"
MINUTE = 60.0

NO_ROUTE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no rule matches": ({"rules": [rule("a", match={"country": "US"})]}, {}),
    "too dear": ({"rules": [rule("a", max_price="0.05")]}, {}),
    "too dear for the message": ({"rules": [rule("a", max_price="5")]}, {"max_price": "0.05"}),
    "two segments are too dear": ({"rules": [rule("a", max_price="0.15")]}, {"text": "x" * 161}),
    "no price under a max_price": ({"rules": [rule("b", max_price="5")]}, {}),
    "everybody is disabled": ({"rules": [rule("off")]}, {}),
    "too long for it": ({"rules": [rule("south")]}, {"text": "x" * 700}),
    "the pinned one is too dear": ({"rules": [rule("a", "b", max_price="0.05")]}, {"provider": "a"}),
}


@pytest.mark.parametrize("name", NO_ROUTE)
async def test_what_nobody_could_ever_take_is_refused(name: str, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    settings, message = NO_ROUTE[name]
    providers = {"a": loopback(prices={"*": "0.10"}), "b": loopback(), "off": loopback(enabled=False), "south": subito("south")}
    house = await make_house({"providers": providers, **settings})
    answer = await house.submit(**message)
    assert answer["error"]["code"] == "no_route"
    assert house.query.count_statuses() == {}


async def test_what_nobody_can_take_now_is_taken(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"south": subito("south", credit={"stop": 10})}}, {"south": {"balance": 10}})
    await trio.sleep(1)
    id_ = await house.take()
    assert (await house.until(id_, "held", within=1))["message"]["detail"] == "no_credit"


async def test_a_taken_message_keeps_its_cap(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(prices={"*": "0.10"}), "b": loopback(prices={"*": "0.01"})}})
    await house.order("pause", name="b")
    id_ = await house.take(max_price="0.05")
    await trio.sleep(60)
    assert house.find(id_) == "held"
    await house.order("resume", name="b")
    assert (await house.until(id_, "unconfirmed", within=1))["message"]["provider"] == "b"


CHEAPEST: dict[str, dict[str, Any]] = {
    "a": {"prices": {"*": "3"}, "currency": "TWD"},
    "b": {"prices": {"*": "0.09"}},
    "c": {},
    "d": {"prices": {"TW": "0.08", "*": "1"}},
}


async def test_cheapest_first_and_unknown_last(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {
            "currencies": {"TWD": "0.029"},
            "providers": {name: loopback(**more) for name, more in CHEAPEST.items()},
            "rules": [rule("a", "b", "c", "d", order="cheapest")],
        }
    )
    for to, order in ((TO, "dabc"), (US, "abdc")):
        reply = await house.ask("explain", to=to, text=TEXT)
        assert [each["provider"] for each in reply["candidates"]] == list(order)
    assert (await house.until(await house.take(), "unconfirmed", within=1))["message"]["provider"] == "d"


async def test_most_credit_and_min_credit(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {
            "providers": {name: subito(name) for name in ("s1", "s2", "s3")} | {"last": loopback()},
            "rules": [rule("s1", "s2", "s3", "last", order="most_credit", min_credit=20)],
        },
        {"s1": {"balance": 30}, "s2": {"balance": 33}, "s3": {"balance": 19}},
    )
    await trio.sleep(1)
    taken = []
    for n in range(30):
        reply = await house.until(await house.take(text=f"{TEXT} {n}"), "sent", "unconfirmed", within=1)
        taken.append(reply["message"]["provider"])
    assert taken[:6] == ["s2", "s2", "s2", "s1", "s2", "s1"]
    assert taken.count("s1") == 11  # 30 … 20: with 20 it may still take one
    assert taken.count("s2") == 14
    assert taken.count("s3") == 0
    assert taken[25:] == ["last"] * 5


async def test_low_is_told_once_for_each_crossing(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"north": mitake("north", credit={"low": 8})}}, {"north": {"balance": 10}})
    await trio.sleep(1)
    for n in range(6):
        await house.until(await house.take(text=f"{TEXT} {n}"), "sent", within=1)
    assert len(house.told("credit.low")) == 1
    house.twins["north"].balance = 50
    await trio.sleep(6 * MINUTE)
    house.twins["north"].balance = 3
    await trio.sleep(6 * MINUTE)
    assert len(house.told("credit.low")) == 2


async def test_low_is_told_when_it_is_crossed_and_not_with_the_next_report(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    south = subito("south", credit={"low": 8, "every": "24h"})
    house = await make_house({"providers": {"south": south}}, {"south": {"balance": 10}})
    await trio.sleep(1)
    for n in range(5):
        await house.until(await house.take(text=f"{TEXT} {n}"), "sent", within=1)
        assert len(house.told("credit.low")) == (n >= 2)  # 9, 8, 7, 6, 5
    (told,) = house.told("credit.low")
    assert {key: told[key] for key in ("provider", "bucket", "unit", "reported", "usable")} == {
        "provider": "south", "bucket": "Foreign", "unit": "sms", "reported": "10", "usable": "7",
    }  # fmt: skip
    (first,) = [event for event in house.told("credit.updated") if event["bucket"] == "Foreign"]
    assert told["reported_at"] == first["reported_at"]


async def test_a_drift_of_the_books_is_told(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """Somebody else spends of the account, or it costs more than we thought: the report says less than it can by our books."""
    house = await make_house({"providers": {"south": subito("south", credit={"every": "5m"})}}, {"south": {"balance": 100}})
    await trio.sleep(1)
    await house.until(await house.take(), "sent", within=1)
    await trio.sleep(6 * MINUTE)
    house.twins["south"].balance["Foreign"] += 50  # a top-up is none
    await trio.sleep(5 * MINUTE)
    assert house.told("credit.drift") == []
    house.twins["south"].balance["Foreign"] -= 3
    await trio.sleep(5 * MINUTE)
    (told,) = house.told("credit.drift")
    assert {key: told[key] for key in ("provider", "bucket", "unit", "reported", "usable", "expected")} == {
        "provider": "south", "bucket": "Foreign", "unit": "sms", "reported": "146", "usable": "146", "expected": "149",
    }  # fmt: skip
    await trio.sleep(5 * MINUTE)
    assert len(house.told("credit.drift")) == 1


async def test_a_spend_cap_holds(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = await make_house(
        {
            "providers": {"dear": loopback(prices={"*": "0.30"}, spend={"max": "1", "per": "1h"}), "b": loopback()},
            "rules": [rule("dear", "b")],
        }
    )
    for n in range(10):
        await house.take(text=f"{TEXT} {n}")
        await trio.sleep(0.1)
    assert [event["provider"] for event in house.told("message.sent")] == ["dear"] * 3 + ["b"] * 7
    await house.stop()
    await house.start(nursery)
    await house.until(await house.take(), "unconfirmed", within=1)
    assert [event["provider"] for event in house.told("message.sent")][10:] == ["b"]  # a restart forgets nothing that was spent
    await trio.sleep(3600)
    assert (await house.until(await house.take(), "unconfirmed", within=1))["message"]["provider"] == "dear"


async def test_a_rate_is_kept(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(rate="5/s")}})
    ids = [await house.take(text=f"{TEXT} {n}") for n in range(30)]
    for id_ in ids:
        await house.until(id_, "unconfirmed", within=10)
    times = [read_time(event["at"]) for event in house.told("message.sending")]
    assert 4900 <= times[-1] - times[0] <= 5300  # the bucket holds one second: five at once, then one every 200 ms
    assert {late - early for early, late in pairwise(times[4:])} == {200}


async def test_priorities_share_and_none_starves(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(rate="10/s", max_in_flight=1)}})
    await house.order("pause", name="a")
    async with await house.connect() as wire:
        for priority in ("low", "normal", "high"):
            await wire.send(*[{"to": TO, "text": f"{TEXT} {n}", "priority": priority, "ref": priority} for n in range(40)])
            for _ in range(40):
                assert (await wire.hear())["ok"]
    await trio.sleep(1)
    await house.order("resume", name="a")
    await trio.sleep(2)
    first = [event["ref"] for event in house.told("message.sending")][:24]
    assert [first.count(priority) for priority in ("high", "normal", "low")] == [16, 6, 2]


async def test_a_pin_has_no_other_candidate(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(), "b": loopback("unsuitable")}, "rules": [rule("a")]})
    assert (await house.until(await house.take(provider="b"), "failed", within=1))["message"]["provider"] == "b"


async def test_a_clients_own_limits(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    probe = await make_house({"providers": {"a": loopback()}})
    me = (await probe.ask("status", id=await probe.take()))["message"]["client"]
    limits = {"senders": ["ACME"], "countries": ["TW"], "rate": "2/s"}
    probe.write({"providers": {"a": loopback()}, "clients": {me: limits}})
    assert (await probe.order("reload"))["ok"]
    for field, more in (("from", {"from_": "OTHER"}), ("to", {"to": US}), ("provider", {"provider": "a"})):
        error = (await probe.submit(**more))["error"]
        assert (error["code"], error["field"]) == ("forbidden", field)
    assert (await probe.submit(from_="ACME"))["ok"]
    assert (await probe.submit())["ok"]
    assert (await probe.submit())["error"]["code"] == "rate_limited"
    await trio.sleep(1)
    assert (await probe.submit())["ok"]


async def test_next_rule_takes_over_with_its_own_settings(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {
            "providers": {"a": loopback("unsuitable"), "b": loopback()},
            "rules": [rule("a", name="first", **{"else": "next-rule"}), rule("a", "b", name="second", doubt_deadline="5s")],
        }
    )
    reply = await house.until(await house.take(), "unconfirmed", within=1)
    assert [(each["provider"], each["class"]) for each in reply["attempts"]] == [("a", "unsuitable"), ("b", "accepted")]
    assert reply["message"]["rule"] == "second"
