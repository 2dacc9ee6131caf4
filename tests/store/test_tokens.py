"""Attempts found by the token of the call that carried them; those without one cost its index nothing."""

from broker.store.contract import Answer, Step
from tests.store.rig import Sqlite, attempt, sending

ONE, TWO = "0" * 39 + "1", "0" * 39 + "2"


async def carry(store: Sqlite, id_: str, token: str, to: str, provider: str = "a") -> tuple[str, int, str, str]:
    await store.have(id_, to=to)
    opened = attempt(id_, provider=provider)
    opened.token = token
    assert await store.do(f"open {id_}", Step(id_, ("queued",), sending(), (), opened)) is Answer.DONE
    return id_, 1, provider, to


async def test_the_attempts_of_a_call(store: Sqlite) -> None:
    lone = await carry(store, "m1", ONE, "+886912345001")
    batch = [await carry(store, f"m2{n}", f"{TWO}.aaaaaaa{n}", f"+88691234510{n}", "b") for n in range(3)]
    await carry(store, "m3", "", "+886912345001")
    query = store.query
    assert query.find_call(ONE, "whatever") == [lone]
    assert query.find_call(TWO, "aaaaaaa1") == [batch[1]]
    assert query.find_call(TWO, "aaaaaaa9") == []
    assert query.read_call(ONE, 9) == [lone]
    assert query.read_call(TWO, 9) == batch
    assert len(query.read_call(TWO, 2)) == 2
    for nobody in ("", "0", ONE[:-1], f"{TWO}.", "0" * 39 + "3"):
        assert query.find_call(nobody, "") == query.read_call(nobody, 9) == []


async def test_only_those_with_a_token_are_in_the_index(store: Sqlite) -> None:
    for n in range(5):
        await carry(store, f"m{n}", "" if n else ONE, "+886912345001")
    assert store.conn.execute("SELECT count(*) FROM attempt INDEXED BY attempt_token WHERE token <> ''").fetchone() == (1,)
    for sql in ("a.token IN ('x', 'y')", "a.token >= 'x' AND a.token < 'y' LIMIT 2"):
        plan = store.conn.execute(f"EXPLAIN QUERY PLAN SELECT n FROM attempt a WHERE a.token <> '' AND {sql}").fetchall()  # noqa: S608
        assert "attempt_token" in str(plan)


async def test_what_is_open_keeps_a_provider(store: Sqlite) -> None:
    assert not store.query.has_open("a")
    await carry(store, "m1", ONE, "+886912345001")
    assert store.query.has_open("a")
    assert not store.query.has_open("b")
