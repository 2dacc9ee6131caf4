"""Walks: whatever providers answer and however they stand, a message's way obeys the promises (1 to 3, 5, 12 of CONTRACT §1, Rounds).

A small model of lane and router goes along: it ranks again before each attempt, places what has no lane, and lets held messages go.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy import Decision
from broker.routing import find_rule
from broker.words.channel import account_of
from broker.words.outcome import CLASSES, PASSING, UNCOUNTED
from broker.words.settings import Action, RuleSettings
from broker.words.status import FINAL, SELF_RELEASING, TRANSITIONS
from tests.policy.scene import HALF, Scene, rule
from tests.routing.desk import NOW, message

NAMES = ("a", "b", "c", "d")
VALIDITY = 3_600_000
NAMEABLE = sorted(set(CLASSES) - {"accepted", "in_doubt", "blocked", "expired", "duplicate"})
ACTION = st.builds(Action, st.integers(0, 3), st.sampled_from(("next", "fail", "hold")))
OUTS = st.sampled_from([None, None, ("breaker open", 7_000), ("suspended: key", 300_000), ("paused", None), ("spend cap reached", 50_000)])


def make_rules(name: str) -> st.SearchStrategy[RuleSettings]:
    return st.builds(
        lambda use, **keys: rule(*use, name=name, **keys),
        st.lists(st.sampled_from((*NAMES, "a:voice", "a:viber", "b:voice")), min_size=1, max_size=5, unique=True),
        on=st.dictionaries(st.sampled_from(NAMEABLE), ACTION, max_size=3),
        else_=st.sampled_from(("fail", "hold", "next-rule")),
        max_attempts=st.none() | st.integers(1, 5),
    )


@dataclass
class Turn:
    """One answer, and how an account stands from then on."""

    class_: str
    retry_after: int | None
    draw: int
    who: int
    out: tuple[str, int | None] | None
    pause: int


TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from(sorted(set(CLASSES) - {"accepted", "in_doubt"})),
        st.none() | st.integers(-1, 2_000_000),
        st.integers(0, 999_999),
        st.integers(0, 3),
        OUTS,
        st.integers(0, 100_000),
    ),
    max_size=40,
)
AFTERWARDS = Turn("unavailable", None, HALF, 0, None, 60_000)


@dataclass
class Walk:
    """One message's way, and what was seen on it."""

    scene: Scene
    turns: list[Turn]
    visits: list[set[str]] = field(default_factory=lambda: [set()])
    visiting: str | None = None
    barred: set[str] = field(default_factory=set)
    counted: int = 0

    def next_turn(self) -> Turn:
        turn = self.turns.pop(0) if self.turns else AFTERWARDS
        self.scene.sides["draw"] = turn.draw
        standing = self.scene.standings.get(NAMES[turn.who])
        if standing is not None:
            reason = turn.out
            standing.out = None if reason is None else (reason[0], None if reason[1] is None else self.scene.now + reason[1])
        for each in self.scene.standings.values():  # what has a time ends by itself
            if each.out is not None and each.out[1] is not None and each.out[1] <= self.scene.now:
                each.out = None
        return turn

    def find_candidate(self, lane: str) -> str | None:
        """As a lane does: rank again just before the attempt opens. None where the message is not this lane's any more."""
        holding = find_rule(self.scene.book, self.scene.message, self.scene.now, self.scene.message.progress)
        assert holding is not None
        route = self.scene.look_around().rank(holding, self.scene.message.progress)
        staying = self.scene.message.progress.provider
        if staying is not None and account_of(staying) == lane:
            return next((candidate.name for candidate in route.candidates if candidate.name == staying), None)
        return route.first.name if route.first is not None and route.first.provider == lane else None

    def attempt(self, name: str, turn: Turn) -> Decision:
        """An attempt opens at the candidate `name` and comes to what `turn` says."""
        scene = self.scene
        holding = find_rule(scene.book, scene.message, scene.now, scene.message.progress)
        assert holding is not None
        limit = holding.settings.max_attempts
        assert limit is None or self.counted < limit, "no attempt beyond max_attempts"
        assert name not in self.barred, "who refused for good is not asked again"
        if name != self.visiting:
            assert name not in self.visits[-1], "nobody twice in a round"
            self.visits[-1].add(name)
            self.visiting = name
        self.counted += turn.class_ not in UNCOUNTED
        return scene.decide(turn.class_, name, retry_after=turn.retry_after)

    def note(self, decision: Decision, before: int) -> None:
        """What every decision must keep to."""
        until = self.scene.message.valid_until
        if decision.kind in ("new_round", "hold"):
            assert before <= decision.at <= max(until, before)
        if decision.kind == "new_round":
            assert decision.at > before or before >= until, "no round at once: that would be a loop"
        assert decision.lane is None or decision.lane in NAMES, "a lane is an account's"
        if decision.kind == "end":
            assert decision.status in FINAL
        else:
            assert decision.status in ("queued", "held")
        assert decision.status in TRANSITIONS["sending"]
        if decision.progress.provider is None:
            self.visiting = None
        if decision.kind in ("new_round", "hold"):
            self.visits.append(set())
        self.barred |= {name for name, class_ in decision.progress.visited.items() if class_ not in PASSING}

    def run(self) -> str:
        """Walk to the end: the final status, or `held rule` where a person has to come."""
        scene = self.scene
        decision = scene.place()
        self.note(decision, scene.now)
        for _ in range(3_000):
            if decision.kind == "end":
                return decision.status
            if decision.kind == "hold":
                if decision.detail not in SELF_RELEASING:
                    return f"held {decision.detail}"
                scene.now += 60_000
            if scene.now >= scene.message.valid_until:
                return "expired"  # the sweep, by our clock
            turn = self.next_turn()
            before = scene.now
            name = None if decision.lane is None or decision.kind == "new_round" else self.find_candidate(decision.lane)
            decision = scene.place() if name is None else self.attempt(name, turn)
            self.note(decision, before)
        raise AssertionError("no end")


RULES = st.tuples(make_rules("all"), make_rules("second"))


@given(RULES, TURNS)
def test_every_walk_ends_and_keeps_its_promises(rules: tuple[RuleSettings, ...], turns: list[Turn]) -> None:
    scene = Scene(*rules, m=message(valid_until=NOW + VALIDITY), duplicate_window=60_000)
    walk = Walk(scene, list(turns))
    walk.run()
    assert scene.message.progress.counted in (walk.counted, walk.counted - 1)  # `blocked` and `expired` end it uncounted


@settings(max_examples=60)
@given(RULES, TURNS, st.sampled_from((None, "", "canceled", "expired", "undelivered", "blocked")), st.booleans())
def test_never_failed_where_a_copy_may_be_out(
    rules: tuple[RuleSettings, ...], turns: list[Turn], accepted: str | None, doubted: bool
) -> None:
    scene = Scene(*rules, m=message(valid_until=NOW + VALIDITY), doubted=doubted, accepted=accepted)
    end = Walk(scene, list(turns)).run()
    if doubted:
        assert end in ("unknown", "blocked", "expired") or end.startswith("held")  # expired: the model's sweep, which knows no sides
    elif accepted is not None:
        assert end != "failed"


@settings(max_examples=30)
@given(RULES, TURNS)
def test_a_walk_is_determined_by_what_is_answered(rules: tuple[RuleSettings, ...], turns: list[Turn]) -> None:
    ends = []
    for _ in range(2):
        scene = Scene(*rules, m=message(valid_until=NOW + VALIDITY))
        ends.append((Walk(scene, list(turns)).run(), scene.message.progress, scene.now))
    assert ends[0] == ends[1]
