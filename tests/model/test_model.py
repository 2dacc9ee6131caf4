"""The daemon against the reference: whatever is done in whatever order, statuses and attempts are what the reference says (F31).

The reference alone decides what may be done next, so a story is told to it first and to a real daemon afterwards, over each store.
MODEL_EXAMPLES in the environment: how many stories for each store.
"""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.model.reference import TAGS, VALIDITIES, Letter
from tests.model.stage import STORES, Script, play
from tests.sim.mutants import mutated

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "15"))
LENGTH = 30
ANSWERS = ("accepted", "accepted", "in_doubt", "in_doubt", "unsuitable", "rejected", "expired", "blocked")
RECEIPTS = ("progress", "delivered", "undelivered", "expired", "canceled", "blocked")
MOST_BLOCKED = 3
"""Five in a row would be the account's trouble: another test's matter."""
MOST_CRASHES = 1
"""Three would be poison."""


def is_heard(letter: Letter) -> bool:
    """True where a receipt of the newest attempt may come."""
    return letter.last.state in ("accepted", "in_doubt") or (letter.status == "unknown" and letter.last.state == "abandoned")


class Story(RuleBasedStateMachine):
    """One story. `store` is where the daemon's stands."""

    store = ""

    def __init__(self) -> None:
        super().__init__()
        self.script = Script()

    @property
    def letters(self) -> dict[str, Letter]:
        """All messages so far, as the reference has them."""
        return self.script.reference.letters

    def _pick(self, data: st.DataObject, fits: Callable[[Letter], bool]) -> str | None:
        names = [name for name, letter in self.letters.items() if fits(letter)]
        return data.draw(st.sampled_from(names)) if names else None

    @rule(tag=st.sampled_from(TAGS), validity=st.sampled_from(VALIDITIES))
    def submit(self, tag: str, validity: int) -> None:
        self.script.add("submit", f"m{len(self.letters)}", (tag, validity))

    @precondition(lambda self: self.letters)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        name = self._pick(data, lambda _letter: True)
        first = next(deed for deed in self.script.deeds if deed.letter == name)
        self.script.add("submit again", first.letter, first.how)

    @rule(data=st.data(), class_=st.sampled_from(ANSWERS))
    def answer(self, data: st.DataObject, class_: str) -> None:
        name = self._pick(data, lambda letter: letter.status == "sending")
        if name is not None and (class_ != "blocked" or self.script.reference.blocked < MOST_BLOCKED):
            self.script.add("answer", name, class_)

    @rule(data=st.data(), class_=st.sampled_from(RECEIPTS))
    def hear(self, data: st.DataObject, class_: str) -> None:
        name = self._pick(data, is_heard)
        if name is not None:
            self.script.add("hear", name, class_)

    @rule(data=st.data(), class_=st.sampled_from(("unsuitable", "rejected")))
    def refute(self, data: st.DataObject, class_: str) -> None:
        name = self._pick(data, lambda letter: letter.status == "in_doubt")
        if name is not None:
            self.script.add("refute", name, class_)

    @rule(data=st.data(), outcome=st.sampled_from(("accepted", "not-sent")))
    def resolve(self, data: st.DataObject, outcome: str) -> None:
        name = self._pick(data, lambda letter: letter.status == "in_doubt")
        if name is not None:
            self.script.add("resolve", name, outcome)

    @rule(data=st.data(), order=st.sampled_from(("release", "cancel")))
    def decide(self, data: st.DataObject, order: str) -> None:
        name = self._pick(data, lambda letter: letter.status == "held")
        if name is not None:
            self.script.add(order, name)

    @precondition(lambda self: self.letters and all(each.crashes < MOST_CRASHES for each in self.letters.values()))
    @rule()
    def crash(self) -> None:
        self.script.add("crash")

    @precondition(lambda self: self.letters)
    @rule()
    def reload(self) -> None:
        self.script.add("reload")

    @precondition(lambda self: self.letters)
    @rule(tens=st.integers(1, 6))
    def tick(self, tens: int) -> None:
        self.script.add("tick", how=tens * 10_000)

    def teardown(self) -> None:
        """The story is known: tell it to a daemon."""
        play(self.store, self.script.deeds)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", STORES)
def test_the_daemon_does_what_the_reference_says(store: str) -> None:
    told = settings(
        max_examples=EXAMPLES, stateful_step_count=LENGTH, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(type("Told", (Story,), {"store": store}), settings=told)


SHORT = VALIDITIES[0]
SEEN = {
    "silence is refusal": Script().add("submit", "m0", ("hold", SHORT)).add("answer", "m0", "in_doubt"),
    "requeue in doubt": Script().add("submit", "m0", ("hold", SHORT)).add("crash"),
    "receipt rank ignored": Script().add("submit", "m0", ("hold", SHORT)).add("answer", "m0", "accepted")
    .add("hear", "m0", "canceled").add("hear", "m0", "undelivered"),
    "keys ignored": Script().add("submit", "m0", ("hold", SHORT)).add("submit again", "m0", ("hold", SHORT)),
}  # fmt: skip


@pytest.mark.parametrize("name", SEEN)
def test_a_protection_turned_off_is_seen(name: str) -> None:
    play("sqlite in memory", SEEN[name].deeds)
    with mutated(name), pytest.raises(BaseExceptionGroup) as raised:
        play("sqlite in memory", SEEN[name].deeds)
    assert raised.group_contains(AssertionError)
