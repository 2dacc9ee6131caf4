"""Inbound messages and the queues of endpoints in the store: once, whole or not at all, in order, and forgotten in time."""

import sqlite3
from typing import Any

import pytest

from broker.store import inbound
from broker.store.contract import Answer, Hook, Put, Receive
from broker.store.inbound import drop_inbound, drop_inbound_texts
from broker.store.retention import erase_traces
from broker.words.inbound import Received
from tests.store.rig import NOW, Sqlite, entry

DONE, EXISTS = Answer.DONE, Answer.EXISTS


def received(id_: str = "i1", **keys: Any) -> Received:
    given: dict[str, Any] = {
        "provider": "a", "sender": "+1", "to": None, "text": "x", "ref": None, "at": NOW, "sent_at": None, "segments": 1, "country": None,
    }  # fmt: skip
    return Received(id_, **(given | keys))


def receive(id_: str = "i1", mark: bytes = b"m", since: int = 0, **keys: Any) -> Receive:
    put = Put(entries=(entry(f"inbound {id_}", id_),), hooks=(Hook("in:x", id_, "+1", NOW),), suppress=(("+1", "all", "STOP", NOW),))
    return Receive(received(id_, **keys), mark, since, put)


async def test_it_comes_back_as_it_was(store: Sqlite) -> None:
    op = receive(text="grüße \U0001f600", to="12345", ref="r", sent_at=5, segments=3, country="TW")
    assert await store.do("i", op) is DONE
    assert store.query.find_received("i1") == op.received
    assert store.query.find_received("i2") is None
    assert store.events() == ["inbound i1"]
    assert store.query.read_suppressions() == [("+1", "all", "STOP", NOW)]
    assert [(hook.key, hook.chain, hook.since) for hook in store.query.read_hooks("in:x", 0, 9)] == [("i1", "+1", NOW)]


async def test_the_same_is_written_once_with_nothing_of_what_follows(store: Sqlite) -> None:
    await store.do("a", receive())
    assert await store.do("b", receive("i2")) is EXISTS
    assert store.values["b"] == "i1"
    assert (store.events(), store.query.count_hooks()) == (["inbound i1"], {"in:x": 1})
    assert await store.do("c", receive("i3", since=NOW)) is EXISTS
    assert await store.do("d", receive("i4", since=NOW + 1)) is DONE
    assert await store.do("e", receive("i5", b"another")) is DONE


async def test_one_that_cannot_be_written_leaves_nothing(store: Sqlite) -> None:
    bad = receive()
    bad.put.facts = (("x", "y", {}),)
    bad.put.hooks = (Hook("in:x", "i1", "\ud800", NOW),)
    good = receive("i2", b"other")
    store.journal.put(good)
    assert await store.do("bad", bad) is Answer.FAILED
    assert store.query.find_received("i1") is None
    assert store.query.find_received("i2") == good.received
    assert store.query.read_facts("x") == {}


async def test_a_place_in_a_queue_is_never_used_twice(store: Sqlite) -> None:
    """A reader goes on after the last place it saw: a place used again would never be read."""
    hooks = tuple(Hook("s", str(n), "c", NOW) for n in range(3))
    await store.do("a", Put(hooks=hooks))
    places = [hook.n for hook in store.query.read_hooks("s", 0, 9)]
    await store.do("b", Put(unhook=tuple(places)))
    await store.reopen()
    await store.do("c", Put(hooks=hooks[:1]))
    (last,) = store.query.read_hooks("s", 0, 9)
    assert last.n > max(places)
    assert store.query.read_hooks("s", last.n, 9) == []
    assert store.query.read_hooks("other", 0, 9) == []


async def forget(store: Sqlite, work: Any) -> int:
    counts: list[int] = []

    def page(conn: sqlite3.Connection) -> bool:
        counts.append(work(conn))
        return False

    await store.journal.forget(page)
    return counts[0]


async def test_texts_go_first_and_never_what_has_to_be_handed_on(store: Sqlite, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        await store.do(f"i{number}", receive(f"i{number}", str(number).encode(), at=NOW + number))
    waiting = store.query.read_hooks("in:x", 0, 9)
    await store.do("u", Put(unhook=tuple(hook.n for hook in waiting[1:])))
    monkeypatch.setattr(inbound, "PAGE", 2)
    counts = [await forget(store, lambda conn: drop_inbound_texts(conn, NOW + 4)) for _ in range(3)]
    assert counts == [2, 1, 0]
    texts = [found.text if (found := store.query.find_received(f"i{number}")) else "gone" for number in range(5)]
    assert texts == ["x", None, None, None, "x"]
    counts = [await forget(store, lambda conn: drop_inbound(conn, "i4")) for _ in range(3)]
    assert counts == [2, 1, 0]
    assert [store.query.find_received(f"i{number}") is None for number in range(5)] == [False, True, True, True, False]


async def test_who_is_forgotten_leaves_no_event_and_nothing_to_hand_on(store: Sqlite) -> None:
    await store.do("i1", receive("i1"))
    await store.do("i2", receive("i2", b"2", sender="+2"))
    await store.do("e", Put(entries=(entry("later"),)))
    assert await forget(store, lambda conn: erase_traces(conn, "+1")) == 1
    assert store.events() == ["inbound i2", "later"]
    assert [hook.key for hook in store.query.read_hooks("in:x", 0, 9)] == ["i2"]
    assert store.query.find_received("i1") is None
