"""What an operator does with the store and its log: erase, retry, the list of what is in doubt, the level of the log."""

import logging
from pathlib import Path

import trio
from trio.testing import MockClock

from broker.delivery.inbound import keep
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import EPOCH, TEXT, TO, House, loopback, rule

MINUTE = 60.0


def grep(folder: Path, *words: str) -> list[str]:
    """The words that some file of the store has."""
    data = b"".join(path.read_bytes() for path in folder.glob("data/broker.db*"))
    return [word for word in words if word.encode() in data]


async def test_erase_leaves_no_trace_in_the_file(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(receipt="delivered")}})
    other = await house.take("+12025550100", "another text")
    for n in range(3):
        await house.until(await house.take(TO, f"{TEXT} {n}", ref="secret-ref"), "delivered")
    part = (f"{TO}/54321/7/2/1", {"at": EPOCH, "sender": TO, "octets": "00"})  # of a message from there that never became whole
    await keep(house.ex, house.ex.lanes["a"], (part,))
    assert grep(house.folder, TO, TEXT, "secret-ref")
    assert (await house.order("erase", number=TO)) == {"ok": True, "messages": 3, "inbound": 0}
    await house.stop()
    assert grep(house.folder, TO, TEXT, "secret-ref") == []
    assert grep(house.folder, "another text") == ["another text"]
    assert other


async def test_a_purge_leaves_no_text_and_no_number_in_the_files(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"store": {"keep_text": "1h", "keep": "3h"}, "providers": {"a": loopback(receipt="delivered")}})
    for n in range(5):
        await house.until(await house.take(TO, f"{TEXT} {n}", ref="kept-as-long"), "delivered")
    assert grep(house.folder, TO, TEXT, "kept-as-long") == [TO, TEXT, "kept-as-long"]
    await trio.sleep(2 * 3600)
    assert grep(house.folder, TO, TEXT) == [TO]  # the broker runs: the -wal is looked at as well
    await house.until(await house.take("+12025550100", "another"), "delivered")  # the last event always stays: one of somebody else
    await trio.sleep(5 * 3600)
    assert grep(house.folder, TO, TEXT, "kept-as-long") == []


async def test_erase_waits_for_what_is_on_its_way(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    await house.order("pause", name="a")
    id_ = await house.take()
    await house.until(id_, "held")
    assert (await house.order("erase", number=TO))["error"]["code"] == "not_erasable"
    assert house.find(id_) == "held"
    assert (await house.order("erase"))["error"]["field"] == "number"
    assert (await house.order("erase", number="x"))["error"]["code"] == "invalid_recipient"


async def test_the_feed_goes_on_after_an_erase(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    await house.until(await house.take(), "unconfirmed")
    last = house.journal.ring.last
    await house.order("erase", number=TO)
    await house.stop()
    await house.start(nursery)
    assert house.journal.ring.last > last


async def test_retry_does_not_wait_for_its_time(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback("retry_later", "accepted")}})
    house.draw = 999_999
    id_ = await house.take()
    await house.until(id_, "queued", within=0.5)
    await trio.sleep(0.1)
    assert house.find(id_) == "queued"
    assert (await house.order("retry", id=id_))["count"] == 1
    await house.until(id_, "unconfirmed", within=0.1)
    assert (await house.order("retry", id=id_))["error"]["code"] == "not_queued"
    assert (await house.order("retry"))["error"]["code"] == "bad_request"


async def test_what_is_in_doubt(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house: House = await make_house(
        {"providers": {"a": loopback("in_doubt"), "b": loopback()}, "rules": [rule("a", "b", in_doubt="failover")]}
    )
    id_ = await house.take()
    await house.until(id_, "in_doubt", within=1)
    answer = await house.order("in_doubt")
    assert answer["total"] == 1
    [row] = answer["in_doubt"]
    assert (row["id"], row["provider"], row["policy"], row["copies"], row["to"]) == (id_, "a", "failover", 1, "+8869•••678")
    assert row["next_at"] < row["unknown_at"]
    await house.until(id_, "unconfirmed", within=2 * MINUTE)
    assert (await house.order("in_doubt"))["in_doubt"] == []


async def test_the_level_of_the_log(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    before = logging.getLogger("broker").level
    try:
        assert (await house.order("log_level", level="debug")) == {"ok": True, "level": "debug"}
        assert logging.getLogger("broker").level == logging.DEBUG
        assert (await house.order("log_level", level="loud"))["error"]["field"] == "level"
    finally:
        logging.getLogger("broker").setLevel(before)
