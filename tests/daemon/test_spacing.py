"""Messages like one another at a provider that refuses the second within a minute: both arrive, and neither moves on for it."""

import trio
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, TEXT, House, Toml, loopback, rule

TO = "+79161234567"
ACCOUNT: Toml = {"plugin": "smscru", "host": "own", "username": "demo", "password": SECRET[:8], "sender": "ACME"}


async def make(make_house: MakeHouse, **script: object) -> House:
    house = await make_house({"providers": {"own": ACCOUNT, "other": loopback()}, "rules": [rule("own", "other")]}, {"own": script})
    await trio.sleep(1)
    return house


async def test_the_second_of_two_alike_waits_out_the_window(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    begun = trio.current_time()
    alike = [await house.take(to=TO) for _ in range(3)]
    others = [await house.take(to=TO, text=f"{TEXT} 2"), await house.take(to="+79161234568")]
    for id_ in others:
        await house.until(id_, "delivered", within=5)
    await house.until(alike[0], "delivered", within=5)
    for n, id_ in enumerate(alike):
        reply = await house.until(id_, "delivered", within=70)
        assert [each["provider"] for each in reply["attempts"]] == ["own"]
        assert 60 * n <= trio.current_time() - begun < 65 * n + 5
    assert house.twins["own"].refused == []


async def test_a_refusal_starts_no_window(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, answers=["0x43"])
    for provider in ("other", "own"):
        reply = await house.until(await house.take(to=TO), "unconfirmed" if provider == "other" else "delivered", within=5)
        assert reply["attempts"][-1]["provider"] == provider


async def test_one_that_waits_too_long_expires(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    first, second = await house.take(to=TO), await house.take(to=TO, validity="30s")
    await house.until(first, "delivered", within=5)
    await house.until(second, "expired", within=40)
    assert len(house.twins["own"].sent) == 1
