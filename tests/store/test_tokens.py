"""Attempts found by the token of the call that carried them; those without one cost its index nothing."""

from broker.store.contract import Answer, Shut, Step
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
    for token, mark, expected in ((ONE, "whatever", [lone]), (TWO, "aaaaaaa1", [batch[1]]), (TWO, "aaaaaaa9", [])):
        found = query.find_call(token, mark)
        assert [(live.message.id, n, live.attempts[n - 1].provider, live.message.to) for live, n in found] == expected
        assert [live for live, _ in found] == [query.find_live(each[0]) for each in expected]
    assert query.read_call(ONE, 9) == [lone]
    assert query.read_call(TWO, 9) == batch
    assert len(query.read_call(TWO, 2)) == 2
    for nobody in ("", "0", ONE[:-1], f"{TWO}.", "0" * 39 + "3"):
        assert query.find_call(nobody, "") == []
        assert query.read_call(nobody, 9) == []


async def test_a_call_brings_every_attempt_of_its_message(store: Sqlite) -> None:
    await carry(store, "m1", ONE, "+886912345001")
    shut = Shut(1, ("open",), "refused", 1)
    second = attempt("m1", provider="b", n=2)
    second.token = TWO
    assert await store.do("shut", Step("m1", ("sending",), sending(), (), second, (shut,))) is Answer.DONE
    for token, n in ((ONE, 1), (TWO, 2)):
        assert store.query.find_call(token, "whatever") == [(store.query.find_live("m1"), n)]


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
