"""What may be done about an attempt in doubt, and when: tables, and what must hold for every schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.policy.doubt import CONTENT, MARGIN, DoubtStep, find_due, judge_replay, plan_doubt
from broker.words.attempt import Attempt, DoubtPolicy
from broker.words.outcome import CLASSES, Outcome

S = 1_000
HALF_DAY = 43_200 * S


def attempt(mode: str = "hold", *, copies: int = 2, wait: int = 60, deadline: int = 900, opened: int = 0, begun: int = 10) -> Attempt:
    policy = DoubtPolicy(mode, wait * S, deadline * S, 1 if mode == "hold" else copies)
    return Attempt("m", 1, "a", "t", opened * S, "in_doubt", closed_at=begun * S, doubt=policy)


ROWS = [
    # the attempt, copies, memory, after (seconds), the step
    (attempt(), 1, 0, 10, DoubtStep("end", 910 * S)),
    (attempt("failover"), 1, 0, 10, DoubtStep("copy", 70 * S)),
    (attempt("failover"), 1, 0, 70, DoubtStep("end", 910 * S)),
    (attempt("failover"), 2, 0, 10, DoubtStep("end", 910 * S)),
    (attempt("failover", copies=3), 2, 0, 10, DoubtStep("copy", 70 * S)),
    (attempt("resend", wait=1000), 1, 0, 10, DoubtStep("end", 910 * S)),
    (attempt(), 1, HALF_DAY, 10, DoubtStep("replay", 12 * S)),
    (attempt(), 1, HALF_DAY, 12, DoubtStep("replay", 18 * S)),
    (attempt("resend"), 1, HALF_DAY, 55, DoubtStep("copy", 70 * S)),
    (attempt(), 1, 60 * S, 30, DoubtStep("end", 910 * S)),  # 55 s would be too near to the end of the provider's memory
    (attempt(begun=55), 1, 60 * S, 55, DoubtStep("end", 955 * S)),
]


@pytest.mark.parametrize(("doubted", "copies", "memory", "after", "step"), ROWS)
def test_the_next_step(doubted: Attempt, copies: int, memory: int, after: int, step: DoubtStep) -> None:
    assert plan_doubt(doubted, copies, memory, after * S) == step


@given(
    st.sampled_from(["hold", "resend", "failover"]), st.integers(1, 3), st.integers(0, 4), st.sampled_from([0, 60 * S, HALF_DAY]),
    st.integers(1, 2000), st.integers(1, 2000), st.integers(0, 4000),
)  # fmt: skip
def test_every_schedule_ends_and_bounds_the_copies(
    mode: str, most: int, copies: int, memory: int, wait: int, deadline: int, now: int
) -> None:
    doubted = attempt(mode, copies=most, wait=wait, deadline=deadline)
    step = plan_doubt(doubted, copies, memory, now * S)
    end = (10 + deadline) * S
    assert step.at >= min(now * S, end)
    assert step.at <= max(end, now * S)
    for due in (find_due(doubted, copies, memory, now * S), step.kind):
        if due == "copy":
            assert mode != "hold"
            assert copies < most
    if now * S >= end:
        assert find_due(doubted, copies, memory, now * S) == "end"
    if step.kind == "replay":
        assert step.at <= doubted.opened_at + memory - MARGIN


@pytest.mark.parametrize("class_", CLASSES)
@pytest.mark.parametrize("by_bytes", [False, True])
def test_what_a_repeat_proves(class_: str, by_bytes: bool) -> None:
    verdict = judge_replay(Outcome(class_, "45"), by_bytes)  # type: ignore[arg-type]  # one of CLASSES
    if class_ in ("accepted", "duplicate") or (by_bytes and class_ == "unavailable"):
        assert verdict == "accepted"
    else:
        assert verdict == ("refused" if class_ in CONTENT else None)


def test_no_answer_is_no_refusal() -> None:
    assert judge_replay(Outcome("unavailable"), by_bytes=True) is None  # the transport's word, not the provider's
