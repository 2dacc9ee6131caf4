"""What providers found of numbers: written with the receipt that told it or not at all, the newest of each provider's, forgotten by age."""

import sqlite3

from broker.store.contract import Answer, Change, Found, Step
from broker.store.lookups import drop_found
from broker.words.receipt import Lookup
from tests.store.rig import NOW, Sqlite
from tests.store.test_retention import forget

TO = "+886912345678"
WHOLE = Lookup("active", "TW", "46692", "Chunghwa", "JP", "000")


def found(provider: str, at: int, lookup: Lookup = WHOLE, number: str = TO) -> Found:
    return Found(number, provider, at, "delivered", lookup)


async def learn(store: Sqlite, id_: str, *all_: Found) -> None:
    await store.have_sending(id_)
    for each in all_:
        step = Step(id_, ("sending",), Change("sending", None, "a", NOW), found=each)
        assert await store.do(f"{id_} {each.provider} {each.at}", step) is Answer.DONE


async def test_it_comes_back_as_it_was(store: Sqlite) -> None:
    await learn(store, "m1", found("a", NOW), found("b", NOW + 1, Lookup("absent")))
    assert store.query.find_found(TO, "a") == found("a", NOW)
    assert store.query.find_found(TO, "b") == found("b", NOW + 1, Lookup("absent"))
    assert store.query.find_found(TO, "c") is None
    assert store.query.find_network(TO) == ("46692", NOW)
    await learn(store, "m2", found("a", NOW + 5, Lookup("active", network="46697")))
    assert store.query.find_network(TO) == ("46697", NOW + 5)
    assert store.query.read_networks(NOW, 10) == [(TO, "46697", NOW + 5)]
    assert store.query.read_networks(NOW + 5, 10) == []


async def test_a_refused_step_tells_nothing(store: Sqlite) -> None:
    await store.have("m1")
    step = Step("m1", ("sent",), Change("delivered", None, None, 0, final_at=NOW), found=found("a", NOW))
    assert await store.do("late", step) is Answer.STALE
    assert store.query.find_found(TO, "a") is None


async def test_it_goes_by_its_age(store: Sqlite) -> None:
    await learn(store, "m1", found("a", NOW - 2), found("b", NOW - 1), found("c", NOW))

    def work(conn: sqlite3.Connection) -> object:
        return drop_found(conn, NOW)

    assert await forget(store, work) == [2]
    assert [store.query.find_found(TO, name) is None for name in ("a", "b", "c")] == [True, True, False]
    assert await forget(store, work) == [0]
