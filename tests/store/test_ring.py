"""The ring and the table say the same by one cursor: whoever reads from either misses nothing and hears nothing twice (promise 11)."""

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from broker.store.ring import Ring
from tests.store.rig import Sqlite, entry, message


def fill(ring: Ring, *seqs: int) -> None:
    entries = [entry(f"e{seq}") for seq in seqs]
    for each, seq in zip(entries, seqs, strict=True):
        each.seq = seq
    ring.push(entries)


def read(ring: Ring, cursor: int, limit: int = 100) -> list[int] | None:
    entries = ring.read_after(cursor, limit)
    return None if entries is None else [each.seq for each in entries]


def test_what_it_holds() -> None:
    ring = Ring(2, 10)
    assert read(ring, 10) == []
    assert read(ring, 9) is None  # older than this ring: the table has it
    fill(ring, 11, 15)  # not dense
    assert read(ring, 10) == [11, 15]
    assert read(ring, 10, 1) == [11]
    assert read(ring, 12) == [15]
    assert read(ring, 99) == []
    assert ring.last == 15


def test_what_it_lets_go() -> None:
    ring = Ring(2, 0)
    fill(ring, 1, 2, 3, 4)
    assert read(ring, 0) == [1, 2, 3, 4]
    fill(ring, 5)  # more than twice its size: only the last two stay
    assert read(ring, 0) is None
    assert read(ring, 2) is None  # 3 is no more, and nothing may be left out silently
    assert read(ring, 3) == [4, 5]


@given(st.integers(1, 5), st.lists(st.lists(st.integers(1, 3), max_size=6), max_size=12), st.integers(0, 60))
def test_an_answer_of_the_ring_is_never_short(size: int, batches: list[list[int]], cursor: int) -> None:
    ring, seq, everything = Ring(size, 0), 0, []
    for steps in batches:
        seqs = []
        for step in steps:
            seq += step
            seqs.append(seq)
        fill(ring, *seqs)
        everything += seqs
    found = read(ring, cursor)
    expected = [each for each in everything if each > cursor]
    assert found in (None, expected)
    if len(expected) <= size:
        assert found == expected  # the newest `size` are always there


async def test_wakes_who_waits(autojump_clock: trio.testing.MockClock) -> None:
    ring = Ring(5, 0)
    heard: list[int] = []

    async def follow() -> None:
        cursor = 0
        while cursor < 3:
            await ring.wait_beyond(cursor)
            found = read(ring, cursor)
            assert found
            heard.extend(found)
            cursor = found[-1]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == []
        fill(ring, 1, 2)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [1, 2]
        fill(ring)  # nothing to tell
        fill(ring, 3)
    assert heard == [1, 2, 3]


@pytest.mark.parametrize("start", [0, 3, 17, 40])
async def test_one_cursor_over_ring_and_table(store: Sqlite, start: int) -> None:
    """A reader that begins anywhere, a small ring, a restart in between, and the writer going on meanwhile."""
    await store.reopen(ring=4)
    heard: list[tuple[int, str]] = []
    cursor = 0
    for number in range(60):
        if number == 30:
            await store.reopen(ring=4)
        store.accept(message(f"m{number:02}"))
        if number % 3 == 0:
            await store.journal.wait_committed()
        if number < start or number % 7:
            continue
        while cursor < store.ring.last:  # as the feed does: the ring where it reaches back so far, else the table
            entries = store.ring.read_after(cursor, 5)
            page = [(each.seq, each.body) for each in entries] if entries is not None else store.query.read_events(cursor, 5)
            assert page
            heard += [(seq, body.decode()) for seq, body in page]
            cursor = page[-1][0]
    await store.journal.wait_committed()
    heard += [(seq, body.decode()) for seq, body in store.query.read_events(cursor, 1_000)]
    assert heard == [(seq, body.decode()) for seq, body in store.query.read_events(0, 1_000)]
    assert len(heard) == 60
