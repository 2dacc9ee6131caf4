"""The policy as one golden table: what follows each of the thirteen classes, in every situation that matters (CONTRACT §1)."""

from typing import Any

import pytest

from broker.config.rules import ON_CLASSES, UNCHANGEABLE
from broker.policy.decide import DEFAULTS
from broker.words.attempt import Attempt
from broker.words.outcome import CLASSES, UNCOUNTED
from broker.words.settings import Action
from tests.policy.scene import Scene, progress, rule, tell
from tests.routing.desk import NOW, message

WINDOW = 60_000
SECOND = rule("c", name="second")
OTHERS_OUT = {"b": "rejected"}

# Situations: the rules, the message's progress, what else there is. `a` has just answered.
SITUATIONS: dict[str, tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]] = {
    "first": ((rule("a", "b"),), {}, {}),
    "again": ((rule("a", "b"),), {"provider": "a", "retries": 1, "waits": 1, "repeats": 1}, {}),
    "fail": ((rule("a", "b"),), {"provider": "a", "retries": 1, "repeats": 1, "visited": OTHERS_OUT}, {}),
    "hold": ((rule("a", "b", else_="hold"),), {"provider": "a", "retries": 1, "repeats": 1, "visited": OTHERS_OUT}, {}),
    "rule": ((rule("a", "b", else_="next-rule"), SECOND), {"provider": "a", "retries": 1, "repeats": 1, "visited": OTHERS_OUT}, {}),
    "passing": ((rule("a", "b"),), {"provider": "a", "retries": 1, "repeats": 1, "visited": {"b": "unavailable"}}, {}),
    "ending": ((rule("a", "b"),), {}, {"m": message(valid_until=NOW + 1)}),
    "most": ((rule("a", "b", max_attempts=1),), {}, {}),
    "doubted": ((rule("a", "b"),), {"provider": "a", "retries": 1, "repeats": 1, "visited": OTHERS_OUT}, {"doubted": True}),
    "had": (
        (rule("a", "b", on={"undelivered": Action(0, "next")}),),
        {"provider": "a", "retries": 1, "repeats": 1, "visited": OTHERS_OUT},
        {"accepted": "undelivered"},
    ),
    "fated": ((rule("a", "b"),), {}, {"accepted": "undelivered"}),
    "awaited": ((rule("a", "b"),), {}, {"accepted": "", "awaited": Attempt("m", 1, "z", "", NOW, "accepted", "k", None)}),
}

# first: nothing before; again: the visit's retry and waits are used; fail, hold, rule: nobody else, `else` says it; passing: the other
# answered with a class that passes; ending: validity is all but over; most: max_attempts = 1; doubted: another attempt is abandoned;
# had: another provider accepted, and its receipt was undelivered, after which the rule goes on; fated: the same, and it does not, for this
# was another copy of what was in doubt; awaited: the one that was in doubt was accepted, and its receipt is still to come.
GOLDEN = """
class         | first          | again         | fail          | hold          | rule                | passing       | ending     | most          | doubted       | had           | fated       | awaited
accepted      | sent           | sent          | sent          | sent          | sent                | sent          | sent       | sent          | sent          | sent          | sent        | sent
unreachable   | retry a +2500  | next b        | round +2500   | round +2500   | round +2500         | round +2500   | next b     | retry a +2500 | round +2500   | round +2500   | undelivered | await z
unavailable   | retry a +2500  | next b        | round +2500   | round +2500   | round +2500         | round +2500   | next b     | failed        | round +2500   | round +2500   | undelivered | await z
throttled     | retry a +2500  | retry a +5000 | retry a +2500 | retry a +2500 | retry a +2500       | retry a +2500 | next b     | retry a +2500 | retry a +2500 | retry a +2500 | undelivered | await z
no_credit     | next b         | next b        | round +2500   | round +2500   | round +2500         | round +2500   | next b     | failed        | round +2500   | round +2500   | undelivered | await z
misconfigured | next b         | next b        | round +2500   | round +2500   | round +2500         | round +2500   | next b     | failed        | round +2500   | round +2500   | undelivered | await z
unsuitable    | next b         | next b        | failed        | held rule     | next c under second | round +2500   | next b     | failed        | unknown       | undelivered   | undelivered | await z
rejected      | failed         | failed        | failed        | failed        | failed              | failed        | failed     | failed        | unknown       | undelivered   | undelivered | await z
blocked       | blocked        | blocked       | blocked       | blocked       | blocked             | blocked       | blocked    | blocked       | blocked       | blocked       | blocked     | await z
retry_later   | retry a +2500  | retry a +5000 | retry a +2500 | retry a +2500 | retry a +2500       | retry a +2500 | retry a +1 | failed        | retry a +2500 | retry a +2500 | undelivered | await z
duplicate     | retry a +60000 | next b        | failed        | held rule     | next c under second | round +2500   | next b     | failed        | unknown       | undelivered   | undelivered | await z
expired       | expired        | expired       | expired       | expired       | expired             | expired       | expired    | expired       | unknown       | undelivered   | undelivered | await z
in_doubt      | doubt          | doubt         | doubt         | doubt         | doubt               | doubt         | doubt      | doubt         | doubt         | doubt         | doubt       | doubt
"""  # noqa: E501  # a table is read in rows

HEAD, *ROWS = [[cell.strip() for cell in line.split("|")] for line in GOLDEN.strip().splitlines()]
CELLS = [(row[0], situation, cell) for row in ROWS for situation, cell in zip(HEAD[1:], row[1:], strict=True)]


def test_the_table_is_whole() -> None:
    assert sorted(row[0] for row in ROWS) == sorted(CLASSES)
    assert HEAD[1:] == list(SITUATIONS)
    assert set(DEFAULTS) == set(CLASSES) - {"accepted", "in_doubt", "blocked", "expired"} | {"undelivered"}


@pytest.mark.parametrize(("class_", "situation", "expected"), CELLS, ids=[f"{c[0]}-{c[1]}" for c in CELLS])
def test_cell(class_: str, situation: str, expected: str) -> None:
    rules, before, around = SITUATIONS[situation]
    scene = Scene(*rules, duplicate_window=WINDOW, **around)
    scene.message.progress = progress(**before)
    decision = scene.decide(class_, "a", detail="why")
    assert tell(decision) == expected
    is_over = situation in ("fated", "awaited")
    assert (decision.progress.counted == 1) is (not is_over and class_ not in UNCOUNTED | {"accepted", "in_doubt", "blocked", "expired"})
    assert (decision.kind == "end") is (decision.at == 0 and decision.kind not in ("sent", "doubt"))


ACTIONS: dict[str, tuple[Action, list[str]]] = {
    # what `on` says, and what follows one answer after the other from `a`
    "fail": (Action(0, "fail"), ["failed"]),
    "next": (Action(0, "next"), ["next b"]),
    "hold": (Action(0, "hold"), ["held rule"]),
    "retry": (Action(1, "next"), ["retry a +2500", "next b"]),
    "retry 3, next": (Action(3, "next"), ["retry a +2500", "retry a +5000", "retry a +10000", "next b"]),
    "retry 2, fail": (Action(2, "fail"), ["retry a +2500", "retry a +5000", "failed"]),
    "retry 1, hold": (Action(1, "hold"), ["retry a +2500", "held rule"]),
}


@pytest.mark.parametrize("class_", ON_CLASSES)
@pytest.mark.parametrize("action", ACTIONS)
def test_on(class_: str, action: str) -> None:
    said, expected = ACTIONS[action]
    scene = Scene(rule("a", "b", on={class_: said}))
    for step in expected:
        before = scene.now
        assert tell(scene.decide(class_, "a"), before) == step


@pytest.mark.parametrize("class_", sorted({*UNCHANGEABLE} - {"duplicate"}))
def test_on_cannot_change(class_: str) -> None:
    """Even where the settings say so: config refuses it, and decide does not ask."""
    plain, told = Scene(rule("a", "b")), Scene(rule("a", "b", on={class_: Action(0, "hold")}))
    assert tell(plain.decide(class_, "a")) == tell(told.decide(class_, "a"))


def test_what_on_does_not_name_keeps_its_default() -> None:
    scene = Scene(rule("a", "b", on={"unavailable": Action(0, "fail")}))
    assert tell(scene.decide("unreachable", "a")) == "retry a +2500"


def test_undelivered_opens_a_new_visit_elsewhere() -> None:
    """`on.undelivered = "next"`: a proven negative of an accepted attempt; without it the receipt ends the message."""
    scene = Scene(rule("a", "b", on={"undelivered": Action(0, "next")}), accepted="undelivered")
    decision = scene.decide("undelivered", "a")
    assert tell(decision) == "next b"
    assert decision.progress.visited == {"a": "undelivered"}
    assert tell(scene.decide("unsuitable", "b")) == "undelivered"  # nobody left: never `failed`, as a provider had it
    assert tell(Scene(rule("a", "b"), accepted="undelivered").decide("undelivered", "a")) == "undelivered"


@pytest.mark.parametrize(
    ("class_", "accepted", "expected"),
    [
        ("unsuitable", "", "unconfirmed"),  # it has no receipt yet: it may still be delivered
        ("unsuitable", "expired", "expired"),
        ("unsuitable", "blocked", "blocked"),
        ("expired", "canceled", "expired"),  # the higher-ranked of the two
        ("expired", "blocked", "blocked"),
        ("blocked", "undelivered", "blocked"),
    ],
)
def test_ends_with_the_highest_ranked_receipt(class_: str, accepted: str, expected: str) -> None:
    scene = Scene(rule("a"), accepted=accepted)
    assert tell(scene.decide(class_, "a")) == expected


def test_doubt_stands_before_a_receipt() -> None:
    assert tell(Scene(rule("a"), accepted="undelivered", doubted=True).decide("unsuitable", "a")) == "unknown"


def test_sides_are_looked_at_only_where_there_is_a_choice() -> None:
    scene = Scene(rule("a", "b"))
    scene.sides = {"unknown": "this cannot be made"}
    assert tell(scene.decide("accepted", "a")) == "sent"
    assert tell(scene.decide("in_doubt", "a")) == "doubt"
    with pytest.raises(TypeError):
        scene.decide("unavailable", "a")


def test_an_unknown_window_is_waited_out_like_a_retry() -> None:
    scene = Scene(rule("a", "b"))
    assert tell(scene.decide("duplicate", "a")) == "retry a +2500"


def test_a_detail_for_a_person() -> None:
    scene = Scene(rule("a"))
    assert scene.decide("rejected", "a", detail="number unknown").detail == "number unknown"
    assert Scene(rule("a")).decide("rejected", "a").detail == "rejected"
    assert Scene(rule("a", max_attempts=1)).decide("unavailable", "a").detail == "max_attempts = 1 reached"
    assert Scene(rule("a")).decide("unsuitable", "a").detail == "a: visited: unsuitable"
