"""The mass-terminal guard alone: what counts as in a row, and what is set free."""

from broker.delivery.mass import MOST, WITHIN, BlockedRow


def test_five_different_messages_within_a_minute() -> None:
    row = BlockedRow()
    assert [row.note(f"m{n}", n) for n in range(MOST + 1)] == [False] * 4 + [True, True]


def test_one_message_alone_is_no_row() -> None:
    row = BlockedRow()
    assert not any(row.note("m", n) for n in range(20))


def test_five_in_more_than_a_minute_are_no_row() -> None:
    row = BlockedRow()
    assert not any(row.note(f"m{n}", n * (WITHIN // 4 + 1)) for n in range(20))


def test_a_row_is_counted_once_however_long_it_is() -> None:
    row = BlockedRow()
    for n in range(400):
        row.note(f"m{n}", n * 1_000)
    assert row.rows == 1
    row.end()
    for n in range(MOST):
        row.note(f"n{n}", 500_000 + n)
    assert row.rows == 2


def test_another_answer_ends_the_row() -> None:
    row = BlockedRow()
    for n in range(4):
        row.note(f"m{n}", n)
        row.add((f"+1{n}", "all"), n)
    row.end()
    assert not row.note("m9", 9)
    assert row.take_entries() == []


def test_only_what_the_row_barred_is_given_back_and_once() -> None:
    row = BlockedRow()
    row.add(("+10", "all"), 0)
    for n in range(1, 5):
        row.add((f"+1{n}", "all"), WITHIN + n)
        row.note(f"m{n}", WITHIN + n)
    assert row.note("m5", WITHIN + 5)
    assert row.take_entries() == [(f"+1{n}", "all") for n in range(1, 5)]
    assert row.take_entries() == []
