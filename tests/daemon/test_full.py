"""A full disk: intake and dispatch stop with `unavailable`, what is open is closed, and service returns by itself (CONTRACT §10)."""

import trio
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, House, loopback, tatango

US = "+12025550143"


def fill(house: House, pages: int = 0) -> None:
    """Let the store grow by no more than `pages`."""
    conn = house.journal._writer.conn
    (count,) = conn.execute("PRAGMA page_count").fetchone()
    conn.execute(f"PRAGMA max_page_count = {count + pages}")


def make_room(house: House) -> None:
    house.journal._writer.conn.execute("PRAGMA max_page_count = 1000000")


async def test_a_full_disk_refuses_and_comes_back(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"north": tatango("north")}})
    fill(house, 3)
    async with await house.connect() as wire:
        answers = []
        for n in range(40):
            answers.append(await wire.ask({"to": US, "text": f"{TEXT} {n}" * 20, "key": f"k{n}"}))
        refused = [answer for answer in answers if not answer["ok"]]
        assert refused
        assert {answer["error"]["code"] for answer in refused} == {"unavailable"}
        assert (await wire.ask({"op": "ping"}))["ok"]
        make_room(house)
        await trio.sleep(10)
        for n, answer in enumerate(answers):
            again = await wire.ask({"to": US, "text": f"{TEXT} {n}" * 20, "key": f"k{n}"})
            assert again["ok"]
            assert again["duplicate"] == answer["ok"], n
            if answer["ok"]:
                assert again["id"] == answer["id"]
    for row in house.journal._writer.conn.execute("SELECT id FROM message").fetchall():
        await house.until(row[0], "unconfirmed", within=10)
    texts = [sent[1] for sent in house.twins["north"].sent]
    assert len(texts) == len(set(texts)) == 40
    assert house.ex.queued == 0
    assert all(lane.in_flight == 0 for lane in house.ex.lanes.values())


async def test_an_open_attempt_is_closed_when_there_is_room(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(delay=5_000)}})
    id_ = await house.take()
    await trio.sleep(1)
    fill(house)
    for n in range(30):
        await house.submit(to=TO, text=f"{TEXT} {n}" * 20)
    await trio.sleep(10)
    assert house.find(id_) in ("sending", "unconfirmed")
    make_room(house)
    await house.until(id_, "unconfirmed", within=10)
    assert len((await house.ask("status", id=id_))["attempts"]) == 1


async def test_what_waits_goes_on_by_itself(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"north": tatango("north", rate="1/s")}})
    ids = [await house.take(US, f"{TEXT} {n}") for n in range(6)]
    await trio.sleep(1.5)
    fill(house)
    await trio.sleep(20)
    assert {house.find(id_) for id_ in ids} >= {"queued"}
    make_room(house)
    for id_ in ids:
        await house.until(id_, "unconfirmed", within=20)
