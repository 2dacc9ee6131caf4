"""A session that is not bound: its account stands out, its messages go elsewhere, and come back by themselves (DESIGN, Lanes)."""

import trio
from trio.testing import MockClock

from broker.provider.contract import Outcome
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import House, rule
from tests.daemon.test_receipts import hand, session

GONE = Outcome("unreachable", None, "no link is bound")
REFUSED = Outcome("misconfigured", "0E", "password refused")


async def reason(house: House, name: str = "a") -> str | None:
    """Why the account stands out."""
    rows = (await house.order("providers"))["providers"]
    found: str | None = next(row["reason"] for row in rows if row["name"] == name)
    return found


async def test_its_messages_go_to_the_next_and_then_come_back(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hand(), "b": hand()}, "rules": [rule("a", "b")]})
    session(house).port.report(GONE)
    assert await reason(house) == "breaker: not bound"
    await house.take()
    await trio.sleep(1)
    session(house).port.report(None)
    assert await reason(house) is None
    await house.take()
    await trio.sleep(1)
    assert (len(session(house).sent), len(session(house, "b").sent)) == (1, 1)
    told = house.told("provider.down", "provider.up")
    assert [(event["type"], event["provider"], event["reason"]) for event in told] == [
        ("provider.down", "a", "no link is bound"),
        ("provider.up", "a", "bound"),
    ]


async def test_what_waits_leaves_the_moment_it_is_bound(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hand()}, "rules": [rule("a")]})
    session(house).port.report(GONE)
    await trio.sleep(1)
    ids = [await house.take() for _ in range(5)]
    await trio.sleep(400)  # longer than any backoff: they keep their lane, and wait
    assert {house.find(id_) for id_ in ids} == {"queued"}
    assert not house.told("message.sending")
    session(house).port.report(None)
    await trio.sleep(0.2)
    assert len(session(house).sent) == 5


async def test_a_refused_bind_holds_and_is_released(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hand()}, "rules": [rule("a")]})
    session(house).port.report(GONE)
    session(house).port.report(REFUSED)
    session(house).port.report(REFUSED)  # every try again says so: once is enough
    id_ = await house.take()
    reply = await house.until(id_, "held")
    assert reply["message"]["detail"] == "misconfigured"
    assert await reason(house) == "suspended: password refused"
    assert [event["code"] for event in house.told("provider.suspended")] == ["0E"]
    session(house).port.report(None)
    await house.until(id_, "sending")


async def test_being_bound_closes_the_breaker(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {"providers": {"a": hand(breaker={"failures": 1, "open": "10m"})}, "rules": [rule("a", on={"unreachable": {"retry": 9}})]}
    )
    id_ = await house.take()
    await house.until(id_, "sending")
    session(house).port.report(GONE)
    session(house).answer(f"{id_}/1", GONE)
    await trio.sleep(20)
    assert house.find(id_) == "queued"
    session(house).port.report(None)
    await house.until(id_, "sending", within=1)


async def test_a_replaced_session_is_not_heard(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hand()}, "rules": [rule("a")]})
    old = session(house)
    id_ = await house.take()
    await house.until(id_, "sending")
    house.write({"providers": {"a": hand(poll=True)}, "rules": [rule("a")]})
    assert (await house.order("reload"))["ok"]
    old.port.report(None)
    assert await reason(house) == "breaker: not bound"  # the new one begins when the old one's last message is answered
    old.answer(f"{id_}/1", Outcome("accepted"))
    await trio.sleep(1)
    assert await reason(house) is None
    old.port.report(GONE)
    assert await reason(house) is None
    assert session(house) is not old
