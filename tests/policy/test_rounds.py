"""Rounds: who is asked again and when, what holds a message, how the next rule takes over (CONTRACT §1, Rounds; §10, Retry backoff)."""

from typing import Any

import pytest

from broker.policy import backoff
from broker.policy.backoff import RETRY_AFTER_CAP
from broker.words.outcome import CLASSES, PASSING
from broker.words.settings import Action
from tests.policy.scene import Scene, progress, rule, tell
from tests.routing.desk import DAY, NOW, message, standing

ONCE = {"unavailable": Action(0, "next"), "unreachable": Action(0, "next"), "throttled": Action(0, "next")}
"""`on` without retries, so that each answer ends its visit."""


def test_waits_double_to_five_minutes_with_full_jitter() -> None:
    caps = [backoff(times, 999_999) for times in range(8)]
    assert [round(cap / 1000) for cap in caps] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert backoff(10**9, 999_999) < 300_000
    assert [backoff(times, 0) for times in (0, 3, 9)] == [0, 0, 0]
    assert backoff(2, 500_000) == 10_000


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (60_000, 60_000), (10**9, 900_000)])
def test_retry_after_is_obeyed_up_to_fifteen_minutes(asked: int, given: int) -> None:
    assert backoff(0, 0, asked) == backoff(7, 999_999, asked) == given
    scene = Scene(rule("a", "b"))
    assert tell(scene.decide("unavailable", "a", retry_after=asked)) == f"retry a +{given}"


@pytest.mark.parametrize("asked", [0, -5])
def test_who_asks_for_no_time_gets_the_usual_wait(asked: int) -> None:
    assert backoff(1, 500_000, asked) == 5_000
    assert tell(Scene(rule("a", "b")).decide("throttled", "a", retry_after=asked)) == "retry a +2500"


def test_retries_are_counted_inside_one_visit() -> None:
    """Three more, whatever the class; and anew in the next visit."""
    scene = Scene(rule("a", "b", on=dict.fromkeys(("unavailable", "unreachable"), Action(3, "next"))))
    assert [scene.decide(class_, "a").kind for class_ in ("unavailable", "unreachable", "unavailable", "unreachable")] == [
        "retry",
        "retry",
        "retry",
        "next",
    ]
    assert [scene.decide("unavailable", "b").kind for _ in range(4)] == ["retry", "retry", "retry", "new_round"]
    assert scene.decide("unavailable", "a").kind == "retry"


def test_throttled_waits_as_long_as_validity_allows_and_uses_no_retry() -> None:
    scene = Scene(rule("a", "b"), m=message(valid_until=NOW + 400_000))
    kinds: list[str] = []
    while scene.now < NOW + 399_000 and len(kinds) < 50:
        kinds.append(scene.decide("throttled", "a").kind)
        if kinds[-1] != "retry":
            break
    assert kinds[-1] == "next"  # the other one may still make it
    assert len(kinds) > 5
    assert scene.message.progress.retries == 0
    assert scene.message.progress.counted == 0


def test_throttled_does_not_move_on_while_there_is_time() -> None:
    scene = Scene(rule("a", "b"), m=message(valid_until=NOW + 30 * DAY))
    assert {scene.decide("throttled", "a").kind for _ in range(100)} == {"retry"}


def test_retry_later_asks_the_same_until_validity() -> None:
    scene = Scene(rule("a", "b"))
    while scene.now < scene.message.valid_until:
        decision = scene.decide("retry_later", "a")
        assert (decision.kind, decision.lane) == ("retry", "a")
    assert decision.at == scene.message.valid_until  # where the sweep ends it as expired, and nobody else was asked


def test_duplicate_waits_out_the_window_once_in_a_visit() -> None:
    scene = Scene(rule("a", "b"), duplicate_window=60_000)
    assert tell(scene.decide("throttled", "a")) == "retry a +2500"  # a wait of another kind does not use it up
    before = scene.now
    assert tell(scene.decide("duplicate", "a"), before) == "retry a +60000"
    assert tell(scene.decide("duplicate", "a")) == "next b"
    before = scene.now
    assert tell(scene.decide("duplicate", "b"), before) == "retry b +60000"


@pytest.mark.parametrize("class_", sorted(set(CLASSES) - {"accepted", "in_doubt", "blocked", "expired"}))
def test_who_is_asked_again(class_: str) -> None:
    """After a class that passes in a new round, after any other never."""
    scene = Scene(rule("a", "b", on={"rejected": Action(0, "next"), **ONCE}))
    scene.message.progress = progress(provider="a", retries=9, repeats=9)
    if class_ == "retry_later":
        scene = Scene(rule("a", "b", on={"retry_later": Action(0, "next"), **ONCE}))
    assert tell(scene.decide(class_, "a")) == "next b"
    before = scene.now
    assert tell(scene.decide("unavailable", "b"), before) == "round +2500"
    lane = scene.place().lane
    assert lane == ("a" if class_ in PASSING else "b")


def test_no_provider_twice_in_a_round() -> None:
    scene = Scene(rule("a", "b", "c", on=ONCE))
    for _ in range(3):
        asked = []
        decision = scene.place()
        while decision.kind == "next":
            assert decision.lane is not None
            asked.append(decision.lane)
            decision = scene.decide("unavailable", decision.lane)
        assert asked == ["a", "b", "c"]
        assert decision.kind == "new_round"


def test_left_out_for_now_is_no_visit() -> None:
    scene = Scene(rule("a", "b", on=ONCE))
    scene.standings["a"] = standing("a", out=("breaker open", NOW + 9_000))
    assert tell(scene.place()) == "next b"
    decision = scene.decide("rejected", "b")
    assert decision.status == "failed"  # refused for good
    scene = Scene(rule("a", "b", on=ONCE))
    scene.standings["a"] = standing("a", out=("breaker open", NOW + 9_000))
    scene.place()
    assert tell(scene.decide("unsuitable", "b")) == "round +9000"  # when the breaker opens again
    scene.standings["a"].out = None
    assert tell(scene.place()) == "next a"
    assert scene.message.progress.counted == 1


BREAKER = standing("b", out=("breaker open", NOW + 7_000))
STALE = standing("b", out=("breaker open", NOW - 5))
PROBE = standing("b", out=("suspended: password", NOW + 300_000))
PAUSED = standing("b", out=("paused", None))


@pytest.mark.parametrize(
    ("other", "answer", "expected"),
    [
        (BREAKER, {}, "round +2500"),  # `a` may be asked again before the breaker of `b`
        (BREAKER, {"retry_after": 60_000}, "round +7000"),  # but not before the time that it asked for
        (PROBE, {"retry_after": 60_000}, "round +60000"),
        (PAUSED, {"retry_after": 60_000}, "round +60000"),
        (STALE, {"retry_after": 60_000}, "round +1"),  # a time that is past: at once, and never in the past
        (PROBE, {"retry_after": 10**9}, "round +300000"),
        (PAUSED, {"retry_after": 10**9}, "round +150000"),  # nobody knows when `b` returns: within five minutes it is looked at
    ],
)
def test_a_new_round_begins_when_the_first_may_be_usable(other: Any, answer: dict[str, Any], expected: str) -> None:
    scene = Scene(rule("a", "b", on=ONCE))
    scene.standings["b"] = other
    assert tell(scene.decide("unavailable", "a", **answer)) == expected


def test_who_asked_for_time_is_left_in_peace_until_then() -> None:
    """A new round that begins earlier, for another, does not ask it before."""
    scene = Scene(rule("a", "b", on=ONCE))
    assert tell(scene.decide("unavailable", "a", retry_after=60_000)) == "next b"
    asked: list[tuple[str | None, int]] = []
    decision = scene.decide("unavailable", "b")
    while decision.kind == "new_round" and scene.now < NOW + 100_000:
        decision = scene.place()
        asked.append((decision.lane, scene.now - NOW))
        assert decision.lane is not None
        decision = scene.decide("unavailable", decision.lane)
        if decision.kind == "next":
            assert decision.lane is not None
            asked.append((decision.lane, scene.now - NOW))
            decision = scene.decide("unavailable", decision.lane)
    before = [name for name, at in asked if at < 60_000]
    assert before
    assert set(before) == {"b"}
    assert ("a", 60_000) in asked


def test_it_waits_in_the_lane_of_the_one_expected_back_first() -> None:
    scene = Scene(rule("a", "b"))
    scene.standings = {"a": standing("a", out=("breaker open", NOW + 9_000)), "b": standing("b", out=("breaker open", NOW + 5_000))}
    assert scene.place().lane == "b"
    scene.message.progress = progress(visited={"b": "unavailable"})
    scene.standings["b"].out = None
    assert scene.place().lane is None  # only its own wait is over then, nothing comes back


def test_rounds_wait_longer_and_longer() -> None:
    scene = Scene(rule("a", on=ONCE), m=message(valid_until=NOW + 30 * DAY))
    waits = []
    for _ in range(9):
        before = scene.now
        decision = scene.decide("unavailable", "a")
        waits.append(decision.at - before)
        assert tell(scene.place(), scene.now) == "next a"
    assert waits == [2_500, 5_000, 10_000, 20_000, 40_000, 80_000, 150_000, 150_000, 150_000]


def test_a_round_never_begins_after_validity() -> None:
    scene = Scene(rule("a", on=ONCE), m=message(valid_until=NOW + 1_000))
    decision = scene.decide("unavailable", "a", retry_after=600_000)
    assert (decision.kind, decision.status, decision.at) == ("new_round", "queued", NOW + 1_000)


HELD = [
    ({"a": ("paused", None), "b": ("paused", None)}, {}, "held paused"),
    ({"a": ("draining", None), "b": ("paused", None)}, {}, "held paused"),
    ({"a": ("suspended: key", NOW + 9), "b": ("suspended: key", NOW + 9)}, {}, "held misconfigured"),
    ({"a": ("suspended: key", NOW + 9_000), "b": ("breaker open", NOW + 9_000)}, {}, "round +9000"),
    ({"a": ("paused", None), "b": ("spend cap reached", NOW + 9_000)}, {}, "round +9000"),
    ({"a": ("paused", None)}, {"b": "rejected"}, "held paused"),  # `b` is never asked again: `a` alone counts
    ({"a": ("paused", None)}, {"b": "unavailable"}, "round +2500"),  # `b` may be
    ({"a": ("paused", None), "b": ("suspended: key", NOW + 9)}, {}, "held paused"),
    ({}, {"a": "misconfigured", "b": "misconfigured"}, "round +2500"),  # not suspended any more
]


@pytest.mark.parametrize(("out", "visited", "expected"), HELD)
def test_held_or_queued(out: dict[str, tuple[str, int | None]], visited: dict[str, str], expected: str) -> None:
    scene = Scene(rule("a", "b"))
    scene.message.progress = progress(visited=visited)
    for name, reason in out.items():
        scene.standings[name] = standing(name, out=reason)
    decision = scene.place()
    assert tell(decision) == expected
    if decision.kind == "hold":
        assert (decision.status, decision.at, decision.lane) == ("held", scene.message.valid_until, None)
        assert not set(decision.progress.visited.values()) & PASSING  # released, it begins a new round
    assert set(visited.values()) - PASSING == set(decision.progress.visited.values())


def test_nobody_could_ever() -> None:
    """All refused for good or never could: `else`, not a wait."""
    scene = Scene(rule("a", "b"))
    scene.message.progress = progress(visited={"a": "unsuitable", "b": "rejected"})
    assert tell(scene.place()) == "failed"
    empty = Scene(rule("a"), m=message(pin="nobody"))
    assert tell(empty.place()) == "failed"


def test_the_next_rule_takes_over_with_its_own_settings() -> None:
    second = rule("a", "c", name="second", on={"unsuitable": Action(0, "hold")})
    scene = Scene(rule("a", "b", else_="next-rule"), second)
    assert tell(scene.decide("unsuitable", "a")) == "next b"
    decision = scene.decide("unsuitable", "b")
    assert tell(decision) == "next c under second"  # not `a`: visited stay visited
    assert decision.progress.passed == ("all",)
    assert decision.progress.visited == {"a": "unsuitable", "b": "unsuitable"}
    assert decision.progress.counted == 2
    assert tell(scene.decide("unsuitable", "c")) == "held rule under second"  # its own `on`
    assert scene.message.progress.counted == 3  # the count goes on


def test_the_next_rule_may_wait_for_its_own_round() -> None:
    scene = Scene(rule("a", else_="next-rule"), rule("b", name="second"))
    scene.standings["b"] = standing("b", out=("breaker open", NOW + 9_000))
    assert tell(scene.decide("unsuitable", "a")) == "round +9000 under second"
    scene.standings["b"].out = None
    assert tell(scene.place()) == "next b under second"


def test_else_is_for_when_no_round_is_left() -> None:
    scene = Scene(rule("a", "b", else_="next-rule", on=ONCE), rule("c", name="second"))
    scene.decide("unavailable", "a")
    before = scene.now
    assert tell(scene.decide("unsuitable", "b"), before) == "round +2500"


def test_no_further_rule() -> None:
    scene = Scene(rule("a", else_="next-rule"), rule("a", name="second", else_="next-rule"))
    decision = scene.decide("unsuitable", "a")
    assert decision.status == "failed"
    assert decision.progress.passed == ("all", "second")


def test_max_attempts_counts_over_rounds_and_rules() -> None:
    first = rule("a", "b", else_="next-rule", on=ONCE)
    scene = Scene(first, rule("c", name="second", max_attempts=3, on=ONCE))
    for class_ in ("unavailable", "throttled", "unreachable", "unavailable"):  # two of them count
        scene.decide(class_, "a")
    scene.decide("unsuitable", "a")
    assert scene.message.progress.counted == 3
    decision = scene.decide("unsuitable", "b")
    assert tell(decision) == "failed under second"  # reached already: the rule that takes over opens no other
    assert decision.detail == "max_attempts = 3 reached"


def test_max_attempts_of_a_reload_holds_at_the_next_look() -> None:
    scene = Scene(rule("a", "b", max_attempts=2))
    scene.message.progress = progress(counted=2)
    assert tell(scene.place()) == "failed"


def test_a_visit_under_way_goes_on_where_it_began() -> None:
    scene = Scene(rule("b", "a"))
    scene.message.progress = progress(visited={"b": "unavailable"})
    scene.decide("unavailable", "a")
    scene.message.progress.visited.clear()  # as if a round had begun: `b` ranks first again
    assert tell(scene.place()) == "next a"


def test_a_visit_cut_off_is_a_visit() -> None:
    """Its breaker opens while a retry waits: the round goes on with the next, and does not come back in the same round."""
    scene = Scene(rule("a", "b", on={"unavailable": Action(1, "next")}))
    assert scene.decide("unavailable", "a").kind == "retry"
    scene.standings["a"] = standing("a", out=("breaker open", scene.now + 4_000))
    decision = scene.place()
    assert tell(decision) == "next b"
    assert decision.progress.visited == {"a": "unavailable"}
    scene.standings["a"].out = None
    scene.decide("unavailable", "b")
    assert scene.decide("unavailable", "b").kind == "new_round"


def test_retry_later_waits_for_its_own_provider() -> None:
    scene = Scene(rule("a", "b"))
    scene.decide("retry_later", "a")
    scene.standings["a"] = standing("a", out=("breaker open", scene.now + 4_000))
    before = scene.now
    assert tell(scene.place(), before) == "round +4000"
    scene.standings["a"].out = None
    assert tell(scene.place()) == "next a"
    scene.standings["a"] = standing("a", out=("paused", None))
    assert tell(scene.place()) == "held paused"
    assert scene.message.progress.provider == "a"


def test_retry_later_at_a_provider_that_is_gone() -> None:
    scene = Scene(rule("a", "b"))
    scene.decide("retry_later", "a")
    scene.message.options = {"hue": 1}  # it can never take it any more, as after a reload
    assert scene.place().status == "failed"


def test_a_cap_on_what_providers_ask_for() -> None:
    scene = Scene(rule("a", "b", on=ONCE))
    scene.decide("unavailable", "a", retry_after=10**12)
    assert scene.message.progress.later == {"a": NOW + RETRY_AFTER_CAP}
