"""Live prices: asked of a provider that says them, where broker.toml has none; ranked by, shown by explain, never on a message's way."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
import trio
from trio.testing import MockClock

from broker.provider.contract import TwinReply, TwinRequest
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, TEXT, House, Toml, loopback, rule

TO = "+79161234567"
ACCOUNT: Toml = {
    **{"plugin": "smscru", "host": "own", "http_url": "http://own", "username": "demo", "password": SECRET[:8]},
    **{"currency": "RUB", "sender": "ACME"},
}
CURRENCIES = {"RUB": "0.01"}


class Asked:
    """The twin's HTTP side as it was asked for prices. `fault`: what it says instead."""

    def __init__(self, house: House) -> None:
        self.said: list[dict[str, str]] = []
        self.fault: str | None = None
        twin = house.twins["own"]
        inner = twin.answer

        def answer(request: TwinRequest, now: int) -> TwinReply:
            said = dict(parse_qsl(request.body.decode()))
            if "cost" in said:
                self.said.append(said)
                twin.http_faults = [self.fault] if self.fault else []
            reply: TwinReply = inner(request, now)
            return reply

        twin.answer = answer


async def make(make_house: MakeHouse, *, order: str = "cheapest", own: Toml | None = None, **more: Any) -> tuple[House, Asked]:
    settings: Toml = {
        "providers": {"other": loopback(prices={"RU": "0.02"}, currency="EUR"), "own": {**ACCOUNT, **(own or {})}},
        "rules": [rule("other", "own", order=order, **more)],
        "currencies": CURRENCIES,
    }
    house = await make_house(settings, {"own": {"cost": "1.44"}})
    await trio.sleep(1)
    return house, Asked(house)


async def explain(house: House, text: str = TEXT, to: str = TO, **more: Any) -> dict[str, Any]:
    async with await house.connect() as wire:
        answer: dict[str, Any] = await wire.ask({"op": "explain", "to": to, "text": text, **more})
    return answer


def prices(answer: dict[str, Any]) -> Iterator[tuple[str, str | None, bool]]:
    return ((each["provider"], each["price"], "quoted_at" in each) for each in answer["candidates"])


async def test_a_price_is_asked_for_once_and_ranked_by(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, asked = await make(make_house)
    assert list(prices(await explain(house))) == [("other", "0.02", False), ("own", None, False)]
    await trio.sleep(5)
    for _ in range(3):  # 1.44 RUB are 0.0144 EUR
        assert list(prices(await explain(house))) == [("own", "1.44", True), ("other", "0.02", False)]
    reply = await house.until(await house.take(to=TO), "delivered", within=10)
    assert [(each["provider"], each["price"], each["currency"]) for each in reply["attempts"]] == [("own", "1.44", "RUB")]
    assert len(asked.said) == 1
    assert list(prices(await explain(house, "x" * 161))) == [("other", "0.04", False), ("own", None, False)]  # two segments
    await trio.sleep(5)
    assert next(prices(await explain(house, "x" * 161))) == ("own", "2.88", True)


async def test_the_question_has_nobodys_number_and_no_text(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, asked = await make(make_house)
    for text in (TEXT, "щ" * 71, "x" * 300):
        await explain(house, text)
    await trio.sleep(10)
    assert {said["phones"] for said in asked.said} == {"+79161200000"}
    assert [(set(said["mes"]), len(said["mes"])) for said in asked.said] == [({"a"}, 1), ({"ж"}, 71), ({"a"}, 161)]
    assert [said["sender"] for said in asked.said] == ["ACME"] * 3


async def test_a_capped_message_waits_for_the_price(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, _ = await make(make_house, order="listed", max_price="0.015")
    left = {each["provider"]: each["reason"] for each in (await explain(house))["left_out"]}
    assert left == {"other": "price above max_price", "own": "price: the provider is being asked for it"}
    reply = await house.until(await house.take(to=TO, text=f"{TEXT} 2"), "delivered", within=30)
    assert [each["provider"] for each in reply["attempts"]] == ["own"]


@pytest.mark.parametrize(("fault", "after"), [("8", 10), ("9", 10), ("2", 10)])
async def test_a_price_that_is_not_said_is_unknown(fault: str, after: int, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, asked = await make(make_house, max_price="0.015")
    asked.fault = fault
    await explain(house)
    await trio.sleep(after)
    async with await house.connect() as wire:
        answer = await wire.ask({"to": TO, "text": TEXT})
    assert answer["error"]["code"] == "no_route"
    assert len(asked.said) == 1
    asked.fault = None
    for _ in range(70):
        await trio.sleep(120)
        answer = await explain(house)
    assert list(prices(answer)) == [("own", "1.44", True)]  # asked again, in its time


async def test_a_price_in_use_is_asked_for_again(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, asked = await make(make_house)
    await explain(house)
    await trio.sleep(5)
    house.twins["own"].cost *= 2
    await trio.sleep(3_000)
    assert next(prices(await explain(house))) == ("own", "1.44", True)
    await trio.sleep(3_000)
    assert list(prices(await explain(house)))[1] == ("own", "2.88", True)
    assert len(asked.said) == 2


@pytest.mark.parametrize("own", [{"prices": {"RU": "1.00"}}, {"currency": "EUR"}, {"http_url": None}])
async def test_who_says_none_is_not_asked(own: Toml, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """A price in broker.toml is the operator's word; one in another currency than the provider's means nothing."""
    account = {key: value for key, value in {**ACCOUNT, **own}.items() if value is not None}
    settings: Toml = {"providers": {"own": account}, "rules": [rule("own")], "currencies": CURRENCIES}
    house = await make_house(settings, {"own": {}})
    asked = Asked(house)
    await explain(house)
    await trio.sleep(100)
    assert asked.said == []


async def test_a_question_that_hangs_holds_nobody_up(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, _ = await make(make_house, order="listed", use=["own"])

    async def hang(*_: object) -> None:
        await trio.sleep_forever()

    lane = house.ex.lanes["own"]
    assert lane.carrier.caller is not None
    lane.carrier.caller.call = hang  # type: ignore[method-assign, assignment]  # it never answers
    begun = trio.current_time()
    await house.until(await house.take(to=TO), "delivered", within=5)
    assert trio.current_time() - begun < 2
