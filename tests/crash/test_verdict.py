"""The verdict itself: what is right of each message and wrong of all of them, and an end that came late. The long runs show the rest."""

from pathlib import Path

import pytest

from broker.store.rows import INSERT_MESSAGE, pack_message
from broker.store.sqlite import open_connection
from broker.words.clock import show_time
from broker.words.message import Message
from tests.crash.verdict import LATE, Tally, judge_shares, judge_times

BEGUN = 1_795_000_000_000
SHARES = [
    ({}, 0),
    ({"unknown": 100 + 80}, 0),
    ({"unknown": 100 + 81}, 1),
    ({"hooks": 5_000, "again": 100 + 80}, 0),
    ({"hooks": 5_000, "again": 100 + 81}, 1),
    ({"delivered": 19}, 1),
    ({"msgs": 199, "unknown": 199, "delivered": 0}, 0),
]


@pytest.mark.parametrize(("counts", "illegal"), SHARES)
def test_what_is_too_much_of_what_is_legal(counts: dict[str, int], illegal: int) -> None:
    tally = Tally(msgs=1_000, delivered=500)
    for name, count in counts.items():
        setattr(tally, name, count)
    judge_shares(tally, kills=2)
    assert tally.illegal == illegal, tally.findings


ENDS = [(LATE, 0, False), (LATE + 1, 0, True), (9 * LATE, 8 * LATE, False), (9 * LATE, 7 * LATE, True)]


@pytest.mark.parametrize(("late", "down", "told"), ENDS)
def test_an_end_that_came_late(tmp_path: Path, late: int, down: int, told: bool) -> None:
    """The time in which no daemon was there does not count."""
    conn = open_connection(tmp_path / "broker.db")
    message = Message("m1", "c", "+886912345678", "TW", "hi", "gsm7", 1, BEGUN, BEGUN + 5_000, status="expired", next_at=0)
    conn.execute(INSERT_MESSAGE, pack_message(message, None))
    conn.execute("UPDATE message SET key = 'k', final_at = ?", (BEGUN + 5_000 + late,))
    for seq, at in enumerate((BEGUN, BEGUN + 5_000 + down), 1):
        conn.execute("INSERT INTO event VALUES (?, ?, NULL, ?)", (seq, at, f'{{"at":"{show_time(at)}","type":"node.started"}}'))
    conn.close()
    tally = Tally()
    judge_times(tally, tmp_path / "broker.db")
    assert tally.illegal == told, tally.findings
