"""A client's webhook: every status of its own messages, in the order of each, over restarts, and slow or dead without harm."""

import getpass
import json
import sqlite3
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.daemon import Daemon
from broker.delivery import handover, hooks
from broker.delivery.handover import show_event
from broker.provider.contract import TwinReply
from tests.daemon.conftest import MakeHouse
from tests.daemon.hookside import Outside
from tests.daemon.house import SECRET, TEXT, TO, House, Toml, loopback, rule

ME = f"unix:{getpass.getuser()}"
MINUTE = 60.0


def settings(host: str = "shop", *, client: str = ME, **more: Any) -> Toml:
    mine = {"webhook": f"https://{host}/{SECRET}", "webhook_secret": SECRET}
    return {"providers": {"a": loopback()}, "clients": {client: mine}, **more}


def types(outside: Outside, id_: str) -> list[str]:
    return [body["type"].removeprefix("message.") for body in outside.bodies() if body["data"]["id"] == id_]


def statuses(house: House, id_: str) -> list[str]:
    told = [json.loads(body) for _, body in house.query.read_history(id_)]
    return [event["type"].removeprefix("message.") for event in told]


async def test_every_status_is_told_as_the_feed_tells_it(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings())
    id_ = await house.take(ref="r-1", tags=["otp"])
    await outside.wait(4)
    await trio.sleep(1)
    (told,) = house.told("message.sent")
    (came,) = [body for body in outside.bodies() if body["type"] == "message.sent"]
    assert came == {"type": "message.sent", "timestamp": told["at"], "data": told}
    assert (told["to"], told["ref"], told["client"]) == (TO, "r-1", ME)
    assert types(outside, id_) == statuses(house, id_) == ["queued", "sending", "sent", "unconfirmed"]
    names = [request.headers["webhook-id"] for _, request in outside.came]
    assert len(set(names)) == 4
    assert not any("." in name for name in names), "the signature joins by dots"
    assert all(request.headers["webhook-signature"].startswith("v1,") for _, request in outside.came)
    assert TEXT not in "".join(request.body.decode() for _, request in outside.came)
    assert house.query.count_hooks() == {}


def test_an_event_keeps_its_form() -> None:
    body = b'{"at":"2026-11-18T11:06:40.000Z","type":"message.sent","node":"n","id":"x"}'
    assert json.loads(show_event(7, body)) == {
        "type": "message.sent", "timestamp": "2026-11-18T11:06:40.000Z", "data": {"seq": 7, **json.loads(body)},
    }  # fmt: skip


async def test_nobody_elses_are_told(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings(client="unix:nobody-of-that-name"))
    await house.until(await house.take(), "unconfirmed")
    await trio.sleep(1)
    assert outside.came == []


async def test_each_messages_statuses_stay_in_order(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(settings())
    fails = iter(range(1, 1000))
    outside.answers["shop"] = [lambda _request: 503 if next(fails) % 3 == 0 else TwinReply(204, delay=next(fails) * 7 % 40)]
    ids = [await house.take(text=f"{TEXT} {n}") for n in range(20)]
    await trio.sleep(10 * MINUTE)
    taken: dict[str, list[str]] = {id_: [] for id_ in ids}
    for body in outside.bodies():
        kind = body["type"].removeprefix("message.")
        if kind not in taken[body["data"]["id"]]:
            taken[body["data"]["id"]].append(kind)
    assert set(map(tuple, taken.values())) == {("queued", "sending", "sent", "unconfirmed")}
    assert house.query.count_hooks() == {}


async def test_a_new_webhook_starts_at_now(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    await house.until(await house.take(), "unconfirmed")
    house.write(settings())
    assert (await house.order("reload"))["ok"]
    id_ = await house.take()
    await outside.wait(4)
    await trio.sleep(1)
    assert {body["data"]["id"] for body in outside.bodies()} == {id_}
    house.write({"providers": {"a": loopback()}})
    assert (await house.order("reload"))["ok"]
    await house.until(await house.take(), "unconfirmed")
    assert house.query.read_facts("webhook") == {}
    house.write(settings())
    assert (await house.order("reload"))["ok"]
    last = await house.take()
    await outside.wait(8)
    await trio.sleep(1)
    assert {body["data"]["id"] for body in outside.bodies()} == {id_, last}


async def test_a_restart_loses_nothing(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = await make_house(settings())
    outside.down.add("shop")
    ids = [await house.take(text=f"{TEXT} {n}") for n in range(3)]
    for id_ in ids:
        await house.until(id_, "unconfirmed")
    await house.stop()
    await house.start(nursery)
    ids.append(await house.take(text="after"))
    await house.until(ids[-1], "unconfirmed")
    await house.stop()
    outside.down.clear()
    await house.start(nursery)
    await outside.wait(16)
    await trio.sleep(1)
    assert [types(outside, id_) for id_ in ids] == [["queued", "sending", "sent", "unconfirmed"]] * 4


async def test_a_dead_endpoint_holds_up_nothing(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "MOST_WAITING", 20)
    monkeypatch.setattr(handover, "PAGE", 10)
    monkeypatch.setattr(hooks, "PAGE", 10)
    house = await make_house(settings())
    outside.answers["shop"] = [TwinReply(delay=10_000_000)]
    ids = [await house.take(text=f"{TEXT} {n}") for n in range(30)]
    with trio.fail_after(5):
        for id_ in ids:
            await house.until(id_, "unconfirmed")
    await trio.sleep(1)
    (waiting,) = house.query.count_hooks().values()
    assert waiting <= 30, "the rest waits in the event table, where it is anyway"
    outside.answers["shop"] = [204]
    outside.came.clear()
    await trio.sleep(10 * MINUTE)
    told = [types(outside, id_) for id_ in ids]
    assert [kinds for kinds in told if kinds != ["queued", "sending", "sent", "unconfirmed"]] == []
    assert house.query.count_hooks() == {}


async def test_who_is_behind_what_is_kept_goes_on_from_there(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    house = await make_house(settings())
    await house.until(await house.take(), "unconfirmed")
    await outside.wait(4)
    await trio.sleep(2 * MINUTE)
    await house.stop()
    house.write({"providers": {"a": loopback()}, "rules": [rule("a")]})
    conn = sqlite3.connect(house.folder / "data" / "broker.db")
    with conn:  # the events after the cursor, and then retention
        last = conn.execute("SELECT max(seq) FROM event").fetchone()[0]
        conn.execute("UPDATE event SET seq = seq + 50 WHERE seq = ?", (last,))
        conn.execute("DELETE FROM event WHERE seq <= ?", (last,))
    conn.close()
    house.write(settings())
    await house.start(nursery)
    id_ = await house.take()
    await outside.wait(8)
    assert types(outside, id_)
    assert f"events of before were kept no longer, and are not told client={ME}" in caplog.text


async def test_an_event_that_is_no_longer_kept_is_dropped_and_told(
    make_house: MakeHouse, outside: Outside, autojump_clock: MockClock
) -> None:
    house = await make_house(settings(store={"keep": "5m"}))
    outside.down.add("shop")
    id_ = await house.take()
    await house.until(id_, "unconfirmed")
    await trio.sleep(8 * MINUTE)
    outside.down.clear()
    await house.take(text="later")
    await trio.sleep(6 * MINUTE)
    assert types(outside, id_) == []
    told = house.told("hook.dropped")
    assert {(event["hook"], event["id"], event["reason"]) for event in told} == {(ME, id_, "no longer kept")}
    assert house.query.count_hooks() == {}


async def test_under_twins_nothing_leaves_this_machine(make_house: MakeHouse, outside: Outside, autojump_clock: MockClock) -> None:
    house = await make_house(
        settings("shop.example.org", inbound=[{"to": "https://crm.example.org/x"}, {"to": "http://localhost:1/x"}])
    )
    house.daemon.twins = True
    aimed = Daemon._aim_at_twins(house.daemon, house.daemon.settings)
    assert [rule.to for rule in aimed.inbound] == [None, "http://localhost:1/x"]
    assert aimed.clients[ME].webhook is None
    local = settings("[::1]:8080")
    house.write(local)
    assert (await house.order("reload"))["ok"]
    assert Daemon._aim_at_twins(house.daemon, house.daemon.settings).clients[ME].webhook is not None
