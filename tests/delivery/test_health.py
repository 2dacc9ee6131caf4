"""Breaker, suspension, pause, throttling and rate of one account, on a clock that is an argument."""

import pytest

from broker.delivery.health import PROBE_FIRST, PROBE_LONGEST, Health, RateBucket
from broker.routing import Standing
from broker.words.settings import BreakerSettings, Rate

BREAKER = BreakerSettings(failures=3, window=1_000, open=100, max_open=350)


def make_health(*, has_probe: bool = False) -> Health:
    return Health(Standing("x"), BREAKER, has_probe=has_probe)


def out(health: Health, now: int) -> str | None:
    health.show(now)
    return None if health.standing.out is None else health.standing.out[0]


def test_faults_within_the_window_open_the_breaker_and_each_reopening_doubles() -> None:
    health = make_health()
    assert not health.note_fault(0, half=False)
    assert not health.note_fault(2_000, half=False)  # the first has left the window
    assert not health.note_fault(2_100, half=False)
    assert health.note_fault(2_200, half=False)
    ends = []
    for _ in range(4):
        assert health.open_until is not None
        end = health.open_until
        assert out(health, end - 1) == "breaker open"
        assert out(health, end) is None  # one probe may go
        health.is_probing = True
        assert out(health, end) == "breaker open"
        assert health.note_fault(end, half=False)
        ends.append(health.open_until - end)
    assert ends == [200, 350, 350, 350]
    health.is_probing = True
    assert health.note_good()
    assert out(health, 10**6) is None
    assert not health.note_good()


def test_in_doubt_is_half_a_fault() -> None:
    health = make_health()
    opened = [health.note_fault(n, half=True) for n in range(6)]
    assert opened == [False] * 5 + [True]


def test_late_answers_of_before_do_not_open_it_further() -> None:
    health = make_health()
    for _ in range(3):
        health.note_fault(0, half=False)
    assert not health.note_fault(50, half=False)
    assert health.open_until == 100


def break_at(health: Health, at: int) -> int:
    """Three faults: how long the breaker stays open."""
    assert [health.note_fault(at, half=False) for _ in range(3)] == [False, False, True]
    assert health.open_until is not None
    return health.open_until - at


def test_a_good_answer_of_before_does_not_close_it() -> None:
    health = make_health()
    break_at(health, 0)
    assert not health.note_good(50)
    assert out(health, 99) == "breaker open"
    assert health.note_good(100)  # nothing is held back any more: it is an answer of now
    assert out(health, 100) is None


def test_one_that_comes_and_goes_rests_for_longer_each_time_until_it_was_well_for_a_while() -> None:
    health = make_health()
    assert break_at(health, 0) == 100
    assert health.note_good(100)
    assert break_at(health, 300) == 200
    assert health.note_good(500)
    assert break_at(health, 1_400) == 350
    assert health.note_good(1_750)
    assert break_at(health, 1_750 + 1_001) == 100  # a whole window long it was well
    assert health.note_good()  # a person, or a session that is bound again, knows better
    assert break_at(health, 2_800) == 100


def test_a_free_probe_that_fails_keeps_it_open_for_longer() -> None:
    health = make_health()
    health.extend(0)
    assert health.open_until is None
    for _ in range(3):
        health.note_fault(0, half=False)
    health.extend(90)
    assert health.open_until == 300


@pytest.mark.parametrize("has_probe", [True, False])
def test_a_suspension_waits_for_its_probe_or_lets_one_message_try(has_probe: bool) -> None:
    health = make_health(has_probe=has_probe)
    assert health.suspend("no account", 0)
    assert health.probe_at == PROBE_FIRST
    assert out(health, PROBE_FIRST - 1) == "suspended: no account"
    assert out(health, PROBE_FIRST) == ("suspended: no account" if has_probe else None)
    at = PROBE_FIRST
    for _ in range(6):
        assert not health.suspend("no account", at)
        gap, at = health.probe_at - at, health.probe_at
        assert PROBE_FIRST < gap <= PROBE_LONGEST
    assert gap == PROBE_LONGEST
    assert health.lift()
    assert not health.lift()
    assert out(health, at) is None


def test_a_pause_is_stronger_than_all_and_says_its_word() -> None:
    health = make_health()
    health.suspend("no account", 0)
    for word, shown in (("paused", "paused"), ("draining", "draining")):
        health.paused = word
        assert shown in (out(health, 0) or "")
        assert health.state == word


def test_throttling_waits_as_told_else_doubles() -> None:
    health = make_health()
    health.note_throttled(0, 7_000)
    assert health.throttled_until == 7_000
    health = make_health()
    waits = []
    for _ in range(7):
        health.throttled_until = 0
        health.note_throttled(0, None)
        waits.append(health.throttled_until)
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]


def test_a_rate_holds_one_second_and_a_large_message_goes_into_debt() -> None:
    rate = RateBucket(Rate(10, 1_000), 0)
    assert [rate.take(1, 0) for _ in range(10)] == [0] * 10
    assert rate.take(1, 0) == 100
    assert rate.take(1, 100) == 0
    rate = RateBucket(Rate(2, 1_000), 0)
    assert rate.take(6, 0) == 0
    assert rate.take(1, 0) == 2_500
    assert rate.take(1, 2_499) > 0
    assert rate.take(1, 2_500) == 0


def test_no_rate_is_no_limit_and_a_slow_one_still_sends() -> None:
    free = RateBucket(None, 0)
    assert [free.take(100, 0) for _ in range(5)] == [0] * 5
    slow = RateBucket(Rate(1, 3_600_000), 0)
    assert slow.take(1, 0) == 0
    assert slow.take(1, 0) == 3_600_000


def test_over_a_long_run_the_rate_holds() -> None:
    rate = RateBucket(Rate(50, 1_000), 0)
    now = sent = 0
    while now < 60_000:
        wait = rate.take(1, now)
        if wait:
            now += wait
        else:
            sent += 1
    assert 50 * 60 <= sent <= 50 * 61
