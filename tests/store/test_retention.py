"""Retention: what is past its time goes, what is live or young stays, the last event always (CONTRACT §3: keep_text, keep, [feed].keep)."""

import sqlite3
from collections.abc import Callable

import pytest
import trio
import trio.testing

from broker.store import retention
from broker.store.contract import Accept, Answer, Change, Put, Shut, Step
from broker.store.retention import drop_events, drop_messages, drop_texts
from tests.store.rig import NOW, Sqlite, entry, message

LAST = "~"  # behind every id


async def end(store: Sqlite, id_: str, at: int, status: str = "delivered") -> None:
    """A message that ended at `at`, with an attempt."""
    await store.have_sending(id_)
    shut = (Shut(1, ("open",), "accepted", at),)
    assert await store.do(f"end {id_}", Step(id_, ("sending",), Change(status, None, None, 0, final_at=at), shut=shut)) is Answer.DONE


async def forget(store: Sqlite, work: Callable[[sqlite3.Connection], object]) -> list[object]:
    """What `work` says, done as retention does it."""
    said: list[object] = []

    def page(conn: sqlite3.Connection) -> bool:
        said.append(work(conn))
        return False

    await store.journal.forget(page)
    return said


async def test_texts(store: Sqlite) -> None:
    await end(store, "m1", NOW - 10)
    await end(store, "m2", NOW)
    await store.have("m3")
    assert await forget(store, lambda conn: drop_texts(conn, NOW, "", LAST)) == [(1, "")]
    assert [getattr(store.query.find_message(id_), "text", "?") for id_ in ("m1", "m2", "m3")] == [None, "hello", "hello"]
    assert await forget(store, lambda conn: drop_texts(conn, NOW, "", LAST)) == [(0, "")]
    assert store.states("m1") == ["accepted"]  # only the text goes


async def test_options_are_text_as_well(store: Sqlite) -> None:
    await store.have("m1", channel="email", text=None, options={"subject": "hello"})
    await store.have_sending("m1")
    await store.do("end", Step("m1", ("sending",), Change("failed", None, None, 0, final_at=NOW - 10)))
    assert await forget(store, lambda conn: drop_texts(conn, NOW, "", LAST)) == [(1, "")]
    assert store.query.find_message("m1").options is None  # type: ignore[union-attr]  # it is there


async def test_texts_in_pages(store: Sqlite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAGE", 3)
    for number in range(8):
        await end(store, f"m{number}", NOW - 10 if number % 2 else NOW + 10)
    counts: list[int] = []
    after = ""

    def page(conn: sqlite3.Connection) -> bool:
        nonlocal after
        count, after = drop_texts(conn, NOW, after, LAST)
        counts.append(count)
        return bool(after)

    while await store.journal.forget(page):
        assert len(counts) < 9
    assert counts == [1, 2, 1]
    assert [store.query.find_message(f"m{n}").text is None for n in range(8)] == [bool(n % 2) for n in range(8)]  # type: ignore[union-attr]  # all are there


async def test_messages(store: Sqlite) -> None:
    await end(store, "m1", NOW - 10)
    await end(store, "m2", NOW)
    await store.have("m3", accepted_at=NOW - 10**9)
    await end(store, "m4", NOW - 10)
    assert await forget(store, lambda conn: drop_messages(conn, NOW, "m4")) == [1]
    assert [store.status(id_) for id_ in ("m1", "m2", "m3", "m4")] == [None, "delivered", "queued", "delivered"]
    assert store.states("m1") == []
    assert store.states("m2") == ["accepted"]


async def test_a_live_message_stays_whatever_its_age(store: Sqlite) -> None:
    await store.have("m1", accepted_at=0, valid_until=1)
    await store.have_sending("m2")
    assert await forget(store, lambda conn: (drop_texts(conn, 10**15, "", LAST), drop_messages(conn, 10**15, LAST))) == [((0, ""), 0)]
    assert (store.status("m1"), store.status("m2")) == ("queued", "sending")


async def test_events(store: Sqlite, autojump_clock: trio.testing.MockClock) -> None:
    await store.have("m1", "m2")
    await trio.sleep(10)
    await store.have("m3")
    first, _, last = store.seqs()
    assert await forget(store, lambda conn: drop_events(conn, NOW + 5_000)) == [2]
    assert store.seqs() == [last]
    assert store.query.find_first_seq() == last
    assert first < last


async def test_the_last_event_stays(store: Sqlite) -> None:
    """`seq` goes on from it, also after a restart: a reader's cursor never meets an event of before."""
    await store.have("m1", "m2", "m3")
    last = store.seqs()[-1]
    assert await forget(store, lambda conn: drop_events(conn, 10**15)) == [2]
    assert await forget(store, lambda conn: drop_events(conn, 10**15)) == [0]
    assert store.seqs() == [last]
    await store.reopen()
    await store.have("m4")
    assert store.seqs()[-1] > last


async def test_events_in_pages(store: Sqlite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAGE", 4)
    await store.do("e", Put(entries=tuple(entry(f"e{number}") for number in range(10))))
    counts = [(await forget(store, lambda conn: drop_events(conn, 10**15)))[0] for _ in range(4)]
    assert counts == [4, 4, 1, 0]
    assert store.events() == ["e9"]


async def test_an_empty_store(store: Sqlite) -> None:
    assert await forget(store, lambda conn: (drop_messages(conn, NOW, LAST), drop_events(conn, NOW))) == [(0, 0)]


async def test_suppression_and_facts_stay(store: Sqlite) -> None:
    await store.do("x", Put(suppress=(("+1", "all", "stop", 1),), facts=(("provider", "a", {}),)))
    await forget(store, lambda conn: (drop_messages(conn, 10**15, LAST), drop_events(conn, 10**15)))
    assert store.query.read_suppressions()
    assert store.query.read_facts("provider")


async def test_writing_goes_on_around_it(store: Sqlite) -> None:
    """Under load there is no quiet moment: retention gets its turn between two batches, and no operation is lost for it."""
    count = pages = 0
    is_over = False

    def submit(_answer: Answer = Answer.DONE, _value: object = None) -> None:
        nonlocal count
        if not is_over:  # each answer brings the next message, so that something waits whenever a commit ends
            store.journal.put(Accept(message(f"m{count}"), entry("queued"), submit))
            count += 1

    def page(_conn: sqlite3.Connection) -> bool:
        nonlocal pages
        pages += 1
        return pages < 5

    for _ in range(10):
        submit()
    with trio.move_on_after(3):
        await trio.sleep(0.01)
        while await store.journal.forget(page):  # noqa: ASYNC110  # that is how retention goes
            await trio.sleep(0.01)
    is_over = True
    await store.journal.wait_committed()
    assert pages == 5
    assert store.query.count_queued() == count


async def test_it_never_shares_a_transaction(store: Sqlite, autojump_clock: trio.testing.MockClock) -> None:
    """Operations that wait for company come to their own commit, also when retention begins while they wait."""

    async def slow(work: Callable[[], None]) -> None:
        await trio.sleep(0.05)  # longer than company is waited for
        work()

    await store.close()
    store.runner = slow
    await store.open()
    store.put("quiet", Put(facts=(("kind", "name", {}),), hurry=False))
    await trio.sleep(0.001)
    assert await store.journal.forget(lambda conn: False) is False
    await store.journal.wait_committed()
    assert store.answers == [("quiet", Answer.DONE)]


async def test_trouble_puts_it_off(store: Sqlite, caplog: pytest.LogCaptureFixture) -> None:
    await end(store, "m1", NOW - 10)

    def fail(conn: sqlite3.Connection) -> bool:
        drop_messages(conn, NOW, LAST)
        raise sqlite3.OperationalError("database or disk is full")

    assert await store.journal.forget(fail) is False
    assert "put off" in caplog.text
    assert store.status("m1") == "delivered"  # rolled back whole
    await store.have("m2")
    assert store.status("m2") == "queued"


async def test_somebody_else_holds_the_store(store: Sqlite, autojump_clock: trio.testing.MockClock) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await store.journal.forget(lambda conn: True) is False
    other.execute("ROLLBACK")
    other.close()
    assert await store.journal.forget(lambda conn: True) is True
