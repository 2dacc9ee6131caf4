"""A batch gathered by statement writes what its operations write one by one, and answers the same."""

import random
from pathlib import Path
from typing import Any

import pytest

from broker.store.contract import Accept, Answer, Change, Move, Operation, Shut, Step
from broker.store.sqlite import Writer, open_connection
from broker.store.steps import HalfDone
from tests.store.rig import NOW, attempt, entry, message, sending

TABLES = ("message", "attempt", "event", "ref", "inbox")


def make_answer(id_: str, n: int, rng: random.Random) -> Step:
    """What an attempt came to."""
    refs = (f"ref-{id_}-{n}",) if rng.random() < 0.7 else ()
    shut = Shut(n, ("open",), "accepted", NOW + 1, "accepted", rng.choice((None, "ok")), None, refs, provider="a" if refs else None)
    return Step(id_, ("sending",), Change("sent", None, "a", NOW + 9_000), (entry("sent", id_),), shut=(shut,))


def make_receipt(id_: str, n: int, rng: random.Random) -> Step:
    """What is reported of it."""
    shut = Shut(n, ("accepted",), "accepted", None, receipt="delivered")
    change = Change("delivered", rng.choice((None, "seen")), None, 0, final_at=NOW + 2)
    return Step(id_, ("sent",), change, (entry("delivered", id_),), shut=(shut,), drop=(7,) if rng.random() < 0.2 else ())


def make_odd(id_: str, n: int, rng: random.Random) -> Operation:
    """What is not gathered, or does not fit."""
    made: list[Operation] = [
        Step(id_, ("queued",), Change("canceled", "by a person", None, 0, final_at=NOW), (entry("canceled", id_),)),
        Step(id_, ("sent", "queued"), Change("failed", None, None, 0, final_at=NOW), (entry("failed", id_),)),
        Step(id_, ("sent",), None, (entry("told", id_),)),
        Step(id_, ("sending",), None, (), shut=(Shut(n, ("open",), "refused", NOW, "rejected", amends=((), 2, 5, 6)),)),
        Move([(id_, "b", NOW + 5)]),
    ]
    return rng.choice(made)


def make_life(id_: str, rng: random.Random) -> list[Operation]:
    """The whole life of a message."""
    return [
        Accept(message(id_, ref=rng.choice((None, "r"))), entry("queued", id_), lambda *_: None),
        Step(id_, ("queued",), sending(), (entry("sending", id_),), open=attempt(id_)),
        make_answer(id_, 1, rng),
        make_receipt(id_, 1, rng),
    ]


def make_batch(rng: random.Random, ids: list[str]) -> list[Operation]:
    """Operations in an order that mostly makes sense."""
    batch: list[Operation] = []
    for id_ in ids:
        chain = make_life(id_, rng)
        if rng.random() < 0.3:
            chain.insert(rng.randrange(1, len(chain) + 1), make_odd(id_, 1, rng))
        batch += [op for op in chain if rng.random() < 0.95]
    return batch


def split(batch: list[Operation], rng: random.Random) -> list[list[Operation]]:
    """The same in transactions of any size, the messages among each other but each one's operations in their order."""
    rows: dict[str, list[Operation]] = {}
    for op in batch:
        key = op.message.id if isinstance(op, Accept) else op.rows[0][0] if isinstance(op, Move) else op.message  # type: ignore[union-attr]
        rows.setdefault(key, []).append(op)
    mixed = []
    while rows:
        key = rng.choice(list(rows))
        mixed.append(rows[key].pop(0))
        if not rows[key]:
            del rows[key]
    cuts = sorted(rng.sample(range(len(mixed) + 1), min(3, len(mixed))))
    return [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True) if a < b]


def write(folder: Path, batches: list[list[Operation]], *, careful: bool) -> tuple[list[Any], dict[str, list[Any]], int]:
    """(answers, every table's rows, batches that had to be done again)"""
    conn = open_connection(folder / ("careful.db" if careful else "gathered.db"))
    writer = Writer(conn)
    answers, again = [], 0
    for batch in batches:
        writer.begin()
        try:
            results, _ = writer.write(batch, NOW, careful=careful)
        except HalfDone:
            again += 1
            writer.undo()
            writer.begin()
            results, _ = writer.write(batch, NOW, careful=True)
        conn.execute("COMMIT")
        answers += [answer for answer, _ in results]
    rows = {name: conn.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in TABLES}  # noqa: S608  # our own names
    conn.close()
    return answers, rows, again


@pytest.mark.parametrize("seed", range(60))
def test_gathered_is_as_one_by_one(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    batches = split(make_batch(rng, [f"m{n}" for n in range(8)]), rng)
    gathered, careful = write(tmp_path, batches, careful=False), write(tmp_path, batches, careful=True)
    assert gathered[0] == careful[0]
    assert gathered[1] == careful[1]


def test_what_makes_sense_is_done_at_once(tmp_path: Path) -> None:
    """No second try, and one row of a message for all that a batch holds of it."""
    rng = random.Random(1)
    ids = [f"m{n}" for n in range(20)]
    opened = [[op for id_ in ids for op in make_life(id_, rng)[:2]], [op for id_ in ids for op in make_life(id_, rng)[2:]]]
    answers, rows, again = write(tmp_path, opened, careful=False)
    assert set(answers) == {Answer.DONE}
    assert again == 0
    assert len(rows["event"]) == 80


def test_an_answer_and_its_receipt_are_one_row(tmp_path: Path) -> None:
    conn = open_connection(tmp_path / "broker.db")
    writer, rng = Writer(conn), random.Random(1)
    first, second = make_life("m1", rng)[:2], make_life("m1", rng)[2:]
    before = conn.total_changes
    for batch in (first, second):
        writer.begin()
        writer.write(batch, NOW)
        conn.execute("COMMIT")
    # message and attempt inserted, each updated once, two events each time, the provider's id once
    assert conn.total_changes - before == 2 + 2 + 2 + 2 + len(second[0].shut[0].refs)  # type: ignore[union-attr]  # a Step
    conn.close()
