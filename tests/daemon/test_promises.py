"""Promises that only a failing moment shows: before the first byte, right before the write, and in the middle of a recovery."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.store import journal
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, House, loopback, mitake, rule, show, tatango

MINUTE = 60.0
US = "+12025550123"


def delay_commits(house: House, seconds: float) -> None:
    """From now on each COMMIT of `house` takes so long."""

    async def slow(work: Callable[[], None]) -> None:
        await trio.sleep(seconds)
        work()

    house.journal._runner = slow
    house.journal._disk = 1e9  # so that none is taken for a quick one


def read_rows(folder: Path) -> list[tuple[Any, ...]]:
    """What the store says of every message: what it is, why, how often open at a crash, its attempts, its events."""
    conn = sqlite3.connect(f"file:{folder}/data/broker.db?mode=ro", uri=True)
    try:
        found: list[tuple[Any, ...]] = []
        for id_, status, detail, progress in conn.execute("SELECT id, status, detail, progress FROM message ORDER BY id"):
            attempts = conn.execute("SELECT n, state, class, detail FROM attempt WHERE message = ? ORDER BY n", (id_,)).fetchall()
            bodies = conn.execute("SELECT body FROM event WHERE message = ? ORDER BY seq", (id_,)).fetchall()
            found.append((id_, status, detail, progress, attempts, [show(json.loads(body)) for (body,) in bodies]))
        return found
    finally:
        conn.close()


async def test_no_byte_leaves_before_its_attempt_is_durable(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """Promise 4: whenever a request comes, the provider's next message has a row already."""
    house = await make_house({"providers": {"north": tatango("north")}})
    delay_commits(house, 0.05)
    twin, seen = house.twins["north"], list[int]()
    answer = twin.answer

    def look(request: Any, now: int) -> Any:
        seen.append(sum(len(attempts) for *_, attempts, _ in read_rows(house.folder)))
        return answer(request, now)

    twin.answer = look
    ids = [await house.take(US, f"{TEXT} {n}") for n in range(5)]
    for id_ in ids:
        await house.until(id_, "unconfirmed", within=5)
    assert len(seen) == 5
    assert all(rows > at for at, rows in enumerate(seen)), seen


async def test_no_byte_leaves_after_validity_however_late_the_disk(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """Promise 12: the attempt opened in time, and its COMMIT took until validity was over."""
    house = await make_house({"providers": {"north": tatango("north")}})
    delay_commits(house, 20)
    id_ = await house.take(US, validity="10s")
    reply = await house.until(id_, "expired", within=MINUTE)
    assert [(each["state"], each["code"]) for each in reply["attempts"]] == [("refused", "validity")]
    assert house.twins["north"].sent == []


class Crash(Exception):
    """The process ends here."""


async def run_until(house: House, at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Start `house`, ended by a crash at the `at`th side of a commit; False where recovery has fewer."""
    passes = 0

    def reach(name: str) -> None:
        nonlocal passes
        passes += name in ("commit.before", "commit.after")
        if passes == at:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(journal, "failpoint", reach)
        try:
            async with trio.open_nursery() as nursery:
                await house.start(nursery)
                passes = -(10**9)
                await house.stop()
        except* Crash:
            pass
    return passes == at


async def test_recovery_killed_at_every_commit_ends_as_a_clean_one(
    make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    """Promise 17: before and after each commit of a recovery the process ends, again and again, until one comes through."""
    settings = {"providers": {"a": loopback(delay=10_000), "b": loopback()}, "rules": [rule("a", "b", doubt_deadline="5m")]}
    house = await make_house(settings)
    for n in range(6):
        await house.take(text=f"{TEXT} {n}")
    await trio.sleep(1)
    await house.stop()
    (tmp_path / "clean").mkdir()
    clean = House(tmp_path / "clean", settings)
    shutil.copytree(tmp_path / "data", tmp_path / "clean" / "data")
    monkeypatch.setattr(journal, "BATCH", 1)
    at = 1
    while await run_until(house, at, monkeypatch):
        at += 1
    assert at > 3
    await clean.start(nursery)
    await clean.stop()
    assert [row[1] for row in read_rows(clean.folder)] == ["in_doubt"] * 6
    assert read_rows(house.folder) == read_rows(clean.folder)
    for each in (house, clean):
        await each.start(nursery)
        await trio.sleep(6 * MINUTE)
        await each.stop()
    assert [row[1] for row in read_rows(clean.folder)] == ["unknown"] * 6
    assert read_rows(house.folder) == read_rows(clean.folder)


async def crash(house: House, nursery: trio.Nursery) -> None:
    """What is open stays open, and is in doubt at the next start."""
    await trio.sleep(1)
    await house.stop()
    await house.start(nursery)


async def test_a_message_open_at_three_crashes_is_held_as_poison(
    make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = await make_house({"providers": {"a": loopback(delay=10_000)}})
    id_ = await house.take()
    for expected in ("queued", "queued", "held"):
        await crash(house, nursery)
        assert (await house.order("resolve", id=id_, outcome="not-sent"))["status"] == expected
        await trio.sleep(6)  # the first retry comes within 5 s
    assert (await house.ask("status", id=id_))["message"]["detail"] == "poison"


async def test_it_gets_no_further_copy_either(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    resend = {"in_doubt": "resend", "max_copies": 9, "doubt_wait": "5s", "validity": "10m"}
    settings = {"providers": {"a": loopback(delay=10_000)}, "rules": [rule("a", **resend)]}
    house = await make_house(settings)
    id_ = await house.take()
    for _ in range(3):
        await crash(house, nursery)
        await trio.sleep(7)
    reply = await house.until(id_, "held", within=MINUTE)
    assert (reply["message"]["detail"], reply["message"]["copies"]) == ("poison", 3)
    assert house.ex.queued == 1
    await house.until(id_, "unknown", within=10 * MINUTE)  # at its validity: a copy may have arrived
    assert house.ex.queued == 0


async def test_nor_is_it_repeated_for_ever(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """A repeat opens no attempt: that one of them was under way at a crash is known all the same."""
    house = await make_house({"providers": {"a": mitake("a", api="mtk")}}, {"a": {"answers": ["late"] * 9}})
    id_ = await house.take()
    await crash(house, nursery)  # open
    for _ in range(2):
        await trio.sleep(3)
        asked = len(house.twins["a"].answers)
        await crash(house, nursery)  # while its repeat is under way
        await trio.sleep(60)
    reply = await house.until(id_, "held", within=10 * MINUTE)
    assert reply["message"]["detail"] == "poison"
    assert len(house.twins["a"].answers) == asked


async def test_a_silent_provider_is_no_poison(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = await make_house({"providers": {"a": mitake("a", api="mtk")}}, {"a": {"answers": ["late"] * 9}})
    id_ = await house.take()
    await crash(house, nursery)
    await trio.sleep(5 * MINUTE)
    message = house.query.find_message(id_)
    assert message is not None
    assert (message.status, message.progress.crashes) == ("in_doubt", 1)
    house.twins["a"].answers.clear()
    await house.until(id_, "sent", within=10 * MINUTE)


async def test_many_in_doubt_at_once_all_find_their_proof(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """Promise 2: only so many repeats go at once; whose turn was taken has another soon."""
    north = mitake("north", api="mtk", breaker={"failures": 1_000})
    house = await make_house({"providers": {"north": north}}, {"north": {"answers": ["cut", "1"] * 40}})
    ids = [await house.take(f"+88691234{n:04d}", f"{TEXT} {n}") for n in range(40)]
    await trio.sleep(14 * MINUTE)  # before `doubt_deadline`
    assert [house.find(id_) for id_ in ids].count("in_doubt") == 0
    assert len(house.twins["north"].sent) == 40
