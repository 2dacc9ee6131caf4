"""Message ids: UUIDv7, rising strictly whatever the clock does."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from broker.words.identity import first_id, make_id

NOW = 1_795_262_400_000


def test_an_id_is_a_uuid_of_version_7() -> None:
    now = NOW + 10**9
    made = make_id(now)
    read = uuid.UUID(made)
    assert str(read) == made
    assert read.version == 7
    assert read.variant == uuid.RFC_4122
    assert read.int >> 80 == now


def test_ids_rise_within_one_millisecond() -> None:
    now = NOW + 2 * 10**9
    ids = [make_id(now) for _ in range(5_000)]  # more than the 4,096 that a millisecond has room for
    assert ids == sorted(set(ids))


@given(st.lists(st.integers(NOW - 10_000, NOW + 10_000), max_size=50))
def test_ids_rise_when_the_clock_steps_back(times: list[int]) -> None:
    ids = [make_id(at) for at in times]
    assert ids == sorted(set(ids))


@given(st.integers(0, 2**47))
def test_first_id_stands_before_all_of_its_time(at: int) -> None:
    made = f"{at:012x}"
    least = f"{made[:8]}-{made[8:]}-7000-8000-000000000000"
    before = f"{at - 1:012x}" if at else "0"
    assert first_id(at) < least
    assert f"{before[:8]}-{before[8:]}-7fff-bfff-ffffffffffff" < first_id(at) or not at
