"""Who is due: rows of one lane and priority in order of their time, what waits otherwise, and walks in pages. Over every store."""

import random
from typing import Any

import pytest

from broker.store.contract import Answer, Change, Move, Shut, Step
from tests.store.rig import NOW, Sqlite, attempt, message, sending


async def test_due_in_order_of_time(store: Sqlite) -> None:
    for id_, at in (("m1", 5), ("m2", 1), ("m3", 9), ("m4", 3)):
        store.accept(message(id_, next_at=NOW + at))
    await store.journal.wait_committed()
    assert [m.id for m in store.query.read_due("a", 1, NOW + 8, 10)] == ["m2", "m4", "m1"]
    assert [m.id for m in store.query.read_due("a", 1, NOW + 8, 2)] == ["m2", "m4"]
    assert store.query.read_due("a", 1, NOW, 10) == []
    assert store.query.find_next_due("a") == NOW + 1
    assert store.query.find_next_due("a", NOW + 5) == NOW + 9
    assert store.query.find_next_due("a", NOW + 9) is None


async def test_each_lane_and_priority_by_itself(store: Sqlite) -> None:
    """A hundred rows of a dead provider are no row of a healthy one; null is a lane of its own."""
    for number in range(100):
        store.accept(message(f"dead{number:03}", lane="dead", next_at=NOW - 1_000))
    store.accept(message("high", lane="a", priority=0))
    store.accept(message("low", lane="a", priority=2, next_at=NOW - 5_000))
    store.accept(message("none", lane=None))
    await store.journal.wait_committed()
    assert [[m.id for m in store.query.read_due("a", priority, NOW, 10)] for priority in (0, 1, 2)] == [["high"], [], ["low"]]
    assert [m.id for m in store.query.read_due(None, 1, NOW, 10)] == ["none"]
    assert store.query.find_next_due("a") == NOW - 5_000
    assert store.query.find_next_due("nobody") is None


async def test_only_what_is_queued_is_due(store: Sqlite) -> None:
    await store.have("m1", "m2", "m3")
    await store.have_sending("m1")
    await store.do("h", Step("m2", ("queued",), Change("held", "rule", None, NOW)))
    assert [m.id for m in store.query.read_due("a", 1, NOW, 10)] == ["m3"]


async def test_a_walk_over_rows_that_stay(store: Sqlite) -> None:
    for number in range(7):
        store.accept(message(f"m{number}", next_at=NOW + number // 3, valid_until=NOW + 100 - number))
    await store.journal.wait_committed()
    seen: list[str] = []
    after = (-1, 0, "")
    while page := store.query.read_due_after("a", 1, after, NOW + 9, 2):
        seen += [m.id for m in page]
        after = (page[-1].next_at, page[-1].valid_until, page[-1].id)
    assert sorted(seen) == [f"m{number}" for number in range(7)]
    assert len(seen) == 7


@pytest.mark.parametrize("status", ["held", "in_doubt"])
async def test_what_waits_for_its_time(store: Sqlite, status: str) -> None:
    for id_, priority in (("m1", 2), ("m2", 0), ("m3", 1)):
        await store.have(id_, priority=priority)
        await store.have_sending(id_)
        shut = Shut(1, ("open",), "in_doubt" if status == "in_doubt" else "refused", NOW)
        await store.do(id_, Step(id_, ("sending",), Change(status, "rule", None, NOW + int(id_[1:])), shut=(shut,)))
    assert {m.id for m in store.query.read_waiting(status, NOW + 2, 10)} == {"m1", "m2"}
    assert store.query.find_next_waiting(status) == NOW + 1
    assert store.query.read_waiting("scheduled", NOW + 9, 10) == []
    assert store.query.find_next_waiting("scheduled") is None


async def test_what_was_sent_and_waits_for_its_receipt(store: Sqlite) -> None:
    for number, lane in enumerate(("a", "b", "a")):
        id_ = f"m{number}"
        await store.have(id_)
        await store.do(id_, Step(id_, ("queued",), sending(), open=attempt(id_, provider=lane)))
        shut = (Shut(1, ("open",), "accepted", NOW),)
        await store.do(f"{id_} sent", Step(id_, ("sending",), Change("sent", None, lane, NOW + number), shut=shut))
    found = store.query.read_awaiting("a", NOW + 9, 10)
    assert [(m.id, each and each.id) for m, each in found] == [("m0", "m0/1"), ("m2", "m2/1")]
    assert [m.id for m, _ in store.query.read_awaiting("a", NOW + 1, 10)] == ["m0"]
    assert (store.query.find_next_sent("a"), store.query.find_next_sent("b")) == (NOW, NOW + 1)
    assert store.query.find_next_sent("c") is None
    assert store.query.find_sent_lanes() == ["a", "b"]
    assert await store.do("later", Move([("m0", "a", NOW + 7), ("m1", "a", NOW + 7)], is_sent=True)) is Answer.DONE
    assert (store.query.find_next_sent("a"), store.query.find_next_sent("b")) == (NOW + 2, NOW + 1)  # only its own lane's


async def test_of_several_attempts_the_last_accepted_one_is_awaited(store: Sqlite) -> None:
    await store.have("m")
    for n in (1, 2):
        await store.do(f"open {n}", Step("m", ("queued",), sending(n), open=attempt("m", n)))
        await store.do(f"shut {n}", Step("m", ("sending",), Change("queued", None, "a", NOW), shut=(Shut(n, ("open",), "accepted", NOW),)))
    await store.do("sent", Step("m", ("queued",), Change("sent", None, "a", NOW)))
    [(_, found)] = store.query.read_awaiting("a", NOW, 10)
    assert found is not None
    assert found.n == 2
    await store.do("moved", Step("m", ("sent",), Change("sent", None, "b", NOW)))
    [(_, found)] = store.query.read_awaiting("b", NOW, 10)
    assert found is None


async def test_held_messages_in_pages(store: Sqlite) -> None:
    for number in range(11):
        id_ = f"m{number:02}"
        store.accept(message(id_, priority=number % 3, valid_until=NOW + 100 + number % 2))
        cause = "no_credit" if number % 4 else "paused"
        store.put(f"h{number}", Step(id_, ("queued",), Change("held", cause, None, NOW + 100 + number % 2)))
    await store.journal.wait_committed()
    counts: dict[str | None, int] = {None: 11, "no_credit": 8, "paused": 3, "rule": 0}
    for held_for, count in counts.items():
        seen: list[Any] = []
        while page := store.query.read_held(held_for, seen[-1] if seen else None, 3):
            seen += page
        assert len({m.id for m in seen}) == len(seen) == count == store.query.count_held(held_for)
        assert [m.priority for m in seen] == sorted(m.priority for m in seen)


async def test_expired(store: Sqlite) -> None:
    await store.have("m1", valid_until=NOW + 5)
    await store.have("m2", valid_until=NOW + 6, lane=None)
    await store.have("m3", valid_until=NOW + 5)
    await store.have_sending("m3")
    assert await store.query.find_expired(NOW + 4, 10) == []
    assert await store.query.find_expired(NOW + 5, 10) == ["m1"]
    assert sorted(await store.query.find_expired(NOW + 9, 10)) == ["m1", "m2"]
    assert len(await store.query.find_expired(NOW + 9, 1)) == 1


async def test_strays_go_to_the_router(store: Sqlite) -> None:
    """At a start: rows that wait for a provider which is no more."""
    await store.have("m1", lane="a")
    await store.have("m2", lane="gone")
    await store.have("m3", lane=None)
    store.writer.adopt_strays(["a", "b"])
    assert [getattr(store.query.find_message(id_), "lane", "?") for id_ in ("m1", "m2", "m3")] == ["a", None, None]
    store.writer.adopt_strays([])
    assert getattr(store.query.find_message("m1"), "lane", "?") is None


@pytest.mark.parametrize("seed", range(3))
async def test_due_is_what_a_list_would_say(store: Sqlite, seed: int) -> None:
    drawn = random.Random(seed)
    lanes: list[str | None] = ["a", "b", None]
    expected: dict[tuple[str | None, int], list[int]] = {}
    for number in range(150):
        lane, priority, at = drawn.choice(lanes), drawn.randrange(3), drawn.randrange(10)
        id_ = f"m{number}"
        store.accept(message(id_, lane=lane, priority=priority, next_at=NOW + at))
        if drawn.randrange(3):
            expected.setdefault((lane, priority), []).append(at)
        else:
            store.put(f"{id_} held", Step(id_, ("queued",), Change("held", "rule", None, NOW + at)))
    await store.journal.wait_committed()
    assert {answer for _, answer in store.answers} == {Answer.DONE}
    for lane in lanes:
        for priority in (0, 1, 2):
            times = sorted(expected.get((lane, priority), []))
            for now in (0, 4, 9):
                due = store.query.read_due(lane, priority, NOW + now, 100)
                assert [m.next_at - NOW for m in due] == [at for at in times if at <= now]
