"""The table of statuses: complete, and in agreement with rank (promise 8) and with CONTRACT §1."""

import pytest

from broker.words.receipt import FINAL_RECEIPTS, RECEIPT_CLASSES
from broker.words.status import (
    ATTEMPT_TRANSITIONS,
    COPIES,
    FINAL,
    HARD,
    HELD_CAUSES,
    LIVE,
    RANK,
    SELF_RELEASING,
    SOFT,
    STATUSES,
    TRANSITIONS,
    AttemptState,
)

ORDER = ["accepted", "progress", "canceled", "expired", "undelivered", "blocked", "delivered"]


def test_every_status_is_in_one_kind_and_in_the_table() -> None:
    assert set(STATUSES) == LIVE | HARD | SOFT == set(TRANSITIONS)
    assert len(STATUSES) == len(LIVE) + len(HARD) + len(SOFT) == 14
    assert FINAL == HARD | SOFT
    for after in TRANSITIONS.values():
        assert after <= set(STATUSES)


def test_hard_finals_never_change() -> None:
    for status in HARD:
        assert not TRANSITIONS[status]


@pytest.mark.parametrize("status", sorted(SOFT))
def test_soft_finals_change_only_upward(status: str) -> None:
    for after in TRANSITIONS[status]:
        if after in FINAL:
            assert RANK[after] >= RANK[status], (status, after)
            assert RANK[after] > RANK[status] or {status, after} == {"unknown", "unconfirmed"}
        else:
            assert (status, after) == ("unknown", "sent")  # late proof that the provider has it
    higher = {class_ for class_ in FINAL_RECEIPTS if RANK[class_] > RANK[status]}
    assert higher <= TRANSITIONS[status]


@pytest.mark.parametrize("status", sorted(LIVE))
def test_every_live_status_can_end(status: str) -> None:
    reached, todo = {status}, [status]
    while todo:
        for after in TRANSITIONS[todo.pop()]:
            if after not in reached:
                reached.add(after)
                todo.append(after)
    assert FINAL & reached
    assert status not in TRANSITIONS[status]


def test_rank_is_the_contracts() -> None:
    ranks = [RANK[class_] for class_ in ORDER]
    assert ranks == sorted(set(ranks))
    assert RANK["unknown"] == RANK["unconfirmed"] == RANK["accepted"]
    assert set(RANK) - {"accepted", "unknown", "unconfirmed"} == set(RECEIPT_CLASSES) - {"unrecognised", "query_error"}
    assert set(ORDER[2:]) == FINAL_RECEIPTS
    assert "failed" not in RANK  # no receipt says it, and none corrects it


def test_attempts() -> None:
    assert set(ATTEMPT_TRANSITIONS) == set(AttemptState.__args__)  # type: ignore[attr-defined]  # the values of a Literal
    assert {"accepted", "in_doubt", "abandoned"} == COPIES
    assert ATTEMPT_TRANSITIONS["in_doubt"] == {"accepted", "refused", "abandoned"}
    assert ATTEMPT_TRANSITIONS["abandoned"] == {"accepted", "refused"}
    assert not ATTEMPT_TRANSITIONS["accepted"] | ATTEMPT_TRANSITIONS["refused"]


def test_held_causes() -> None:
    assert {"paused", "no_credit", "misconfigured", "no_route"} == SELF_RELEASING
    assert {"rule", "guard", "budget", "poison", "partial"} == HELD_CAUSES - SELF_RELEASING
