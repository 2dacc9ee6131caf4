"""Messages that wait for their time: `send_at`, a rule's `window`, over a restart, canceled, expired (CONTRACT §1, `scheduled`)."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.words.clock import show_time
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import EPOCH, TEXT, TO, House, loopback, path_of, rule

HOUR = 900.0  # of these tests: each virtual second is looked at once, and a whole hour takes its time
# EPOCH is 2026-11-18T11:06:40Z: 19:06:40 in Taipei
CLOSED = "19:30-19:00 local"
OPENS = "2026-11-18T11:30:00.000Z"


def later(seconds: float) -> str:
    return show_time(EPOCH + round(seconds * 1000))


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house({"providers": {"a": loopback()}, "rules": [rule("a", validity="30m")]})


async def test_it_leaves_at_its_time(house: House, autojump_clock: MockClock) -> None:
    answer = await house.submit(send_at=later(HOUR), key="k")
    assert (answer["ok"], answer["status"]) == (True, "scheduled")
    id_ = answer["id"]
    await trio.sleep(HOUR - 1)
    reply = await house.ask("status", id=id_)
    message = reply["message"]
    assert (await house.order("queue"))["scheduled"] == {"count": 1, "next_at": later(HOUR)}
    assert (message["status"], message["detail"], message["send_at"]) == ("scheduled", "send_at", later(HOUR))
    assert message["next_at"] == later(HOUR)
    assert message["valid_until"] == later(3 * HOUR)
    assert reply["attempts"] == []
    again = await house.submit(send_at=later(HOUR), key="k")
    assert (again["id"], again["status"], again["duplicate"]) == (id_, "scheduled", True)
    reply = await house.until(id_, "unconfirmed", within=2)
    assert path_of(reply)[:3] == [("scheduled", None, None), ("queued", None, None), ("sending", "a", None)]
    assert later(HOUR) <= reply["attempts"][0]["opened_at"] < later(HOUR + 1)
    again = await house.submit(send_at=later(HOUR), key="k")
    assert (again["status"], again["duplicate"]) == ("scheduled", True)
    conflict = await house.submit(send_at=later(HOUR + 1), key="k")
    assert conflict["error"]["code"] == "key_conflict"


async def test_a_time_that_has_passed_is_now(house: House, autojump_clock: MockClock) -> None:
    answer = await house.submit(send_at=later(-HOUR))
    assert answer["status"] == "queued"
    reply = await house.until(answer["id"], "unconfirmed", within=1)
    assert reply["message"]["valid_until"] == later(2 * HOUR)


async def test_over_a_restart(house: House, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    id_ = await house.take(send_at=later(HOUR))
    passed = await house.take(send_at=later(60))
    assert house.ex.queued == 2
    await house.stop()
    await trio.sleep(120)
    await house.start(nursery)
    await house.until(passed, "unconfirmed", within=1)
    assert (house.find(id_), house.ex.queued) == ("scheduled", 1)
    await trio.sleep(HOUR)
    await house.until(id_, "unconfirmed", within=1)
    assert house.ex.queued == 0


async def test_cancel_before_its_time(house: House, autojump_clock: MockClock) -> None:
    id_ = await house.take(send_at=later(HOUR))
    assert (await house.ask("cancel", id=id_))["status"] == "canceled"
    await trio.sleep(2 * HOUR)
    assert house.find(id_) == "canceled"
    assert house.ex.queued == 0


async def test_a_closed_window_holds_back(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a", window=CLOSED)]})
    explained = await house.ask("explain", to=TO, text=TEXT)
    assert explained["waits_until"] == OPENS
    answer = await house.submit()
    assert answer["status"] == "scheduled"
    message = (await house.ask("status", id=answer["id"]))["message"]
    assert (message["detail"], message["next_at"]) == ("window", OPENS)
    await house.until(await house.take("+12025550100"), "unconfirmed", within=1)  # 06:06:40 in New York
    await trio.sleep(1380)
    reply = await house.until(answer["id"], "unconfirmed", within=600)
    assert reply["attempts"][0]["opened_at"][:19] == OPENS[:19]


async def test_a_retry_after_closing_waits_for_the_opening(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a", window="19:30-19:07 local")]})  # closes in 20 s
    assert (await house.order("pause", name="a"))["ok"]
    id_ = await house.take()
    await house.until(id_, "held", within=1)
    await trio.sleep(60)
    assert (await house.order("resume", name="a"))["ok"]
    reply = await house.until(id_, "scheduled", within=2)
    assert (reply["message"]["detail"], reply["message"]["next_at"]) == ("window", OPENS)
    assert house.ex.queued == 1
    await house.until(id_, "unconfirmed", within=1440)


async def test_validity_ends_before_the_window_opens(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a", window=CLOSED, validity="10m")]})
    id_ = await house.take()
    assert house.find(id_) == "scheduled"
    await trio.sleep(599)
    assert house.find(id_) == "scheduled"
    await house.until(id_, "expired", within=3)
    assert house.ex.queued == 0


async def test_a_scheduled_message_counts_as_queued(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    settings: Any = {"submit": {"max_queued": 1}, "providers": {"a": loopback()}, "rules": [rule("a")]}
    house = await make_house(settings)
    await house.take(send_at=later(HOUR))
    answer = await house.submit()
    assert answer["error"]["code"] == "queue_full"
