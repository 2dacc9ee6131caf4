"""Batches: what shares a commit, what waits for company, and what waits for a commit (DESIGN, Store)."""

import pytest
import trio
import trio.testing

from broker.store.contract import Answer, Move
from tests.store.rig import NOW, Sqlite, message

DONE = Answer.DONE
Clock = trio.testing.MockClock


async def test_what_nobody_waits_for_waits_for_company(store: Sqlite, autojump_clock: Clock) -> None:
    """At most 20 ms; and not at all behind something that somebody waits for."""
    start = trio.current_time()
    store.put("quiet", Move([("m1", None, NOW)]))
    await store.journal.wait_committed()
    assert trio.current_time() - start == pytest.approx(0.020)
    store.put("quiet", Move([("m1", None, NOW)]))
    await trio.sleep(0.005)
    commits = store.journal.commits
    store.accept(message("m1"))
    await store.journal.wait_committed()
    assert trio.current_time() - start == pytest.approx(0.025)
    assert store.journal.commits == commits + 1


async def test_many_operations_share_a_commit(store: Sqlite) -> None:
    before = store.journal.commits
    for number in range(1_200):
        store.accept(message(f"m{number}"))
    await store.journal.wait_committed()
    assert store.journal.commits == before + 3  # of 500 at most
    assert store.query.count_queued() == 1_200


async def test_waiting_for_what_was_handed_over_only(store: Sqlite) -> None:
    """Under load there is no quiet moment to wait for."""
    stop = False

    async def load() -> None:
        number = 0
        while not stop:
            store.accept(message(f"load{number}"))
            number += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(load)
        for number in range(5):
            store.accept(message(f"m{number}"))
            with trio.fail_after(5):
                await store.journal.wait_committed()
            assert (f"m{number}", DONE) in store.answers
        stop = True
