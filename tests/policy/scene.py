"""A scene for the policy's tests: a message under rules over accounts, the real ranking, and decisions told in a few words."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker.policy import Decision, Sides, decide, place
from broker.routing import Book, Standing, find_rule, rank
from broker.words.channel import CHANNELS, account_of
from broker.words.message import Message, Progress
from broker.words.outcome import Outcome, OutcomeClass
from broker.words.settings import RuleSettings
from tests.routing.desk import NOW, Traits, make_book, message, provider

HALF = 500_000
"""A draw that makes every wait half of its cap: 2.5 s, 5 s, 10 s, …"""


WIDE = Traits(channels=frozenset(CHANNELS))


class Scene:
    """`rules` over providers; `standings` may be changed as a test goes on. The message is under the first rule."""

    def __init__(self, *rules: RuleSettings, m: Message | None = None, **sides: Any) -> None:
        used = dict.fromkeys(account_of(name) for rule in rules for name in rule.use)
        self.book: Book = make_book(*(provider(name) for name in used), rules=rules, traits=dict.fromkeys(used, WIDE))
        self.standings = {name: Standing(name) for name in used}
        self.message = m or message()
        self.sides = {"draw": HALF} | sides
        self.now = NOW

    def look_around(self) -> Sides:
        return Sides(
            rank=lambda rule, progress: rank(rule, self.message, self.standings, progress.visited),
            next_rule=lambda progress: find_rule(self.book, self.message, self.now, progress),
            **self.sides,
        )

    def decide(self, class_: str, name: str, **outcome: Any) -> Decision:
        """The decision after `name` answered with `class_`; the message goes on from it."""
        rule = find_rule(self.book, self.message, self.now, self.message.progress)
        assert rule is not None
        made = msgspec.structs.replace(Outcome("rejected", **outcome), class_=class_)
        return self._follow(decide(self.message, made, rule, name, self.now, self.look_around))

    def place(self) -> Decision:
        """The decision for a message that waits for no lane."""
        rule = find_rule(self.book, self.message, self.now, self.message.progress)
        assert rule is not None
        return self._follow(place(self.message, rule, self.now, self.look_around()))

    def _follow(self, decision: Decision) -> Decision:
        self.message.progress = decision.progress
        if decision.status == "queued":
            self.now = max(self.now, decision.at)
        return decision


def rule(*use: str, name: str = "all", **keys: Any) -> RuleSettings:
    """A rule's settings; `else_` and `on` as they are called there."""
    return RuleSettings(name=name, use=use, **keys)


def tell(decision: Decision, now: int = NOW) -> str:
    """A decision in a few words: `retry a +2500`, `next b`, `round +2500`, `held rule`, `failed`."""
    under = "" if decision.progress.rule in (None, "all") else f" under {decision.progress.rule}"
    match decision.kind:
        case "sent" | "doubt":
            return decision.kind
        case "retry":
            return f"retry {decision.lane} +{decision.at - now}{under}"
        case "next":
            return f"next {decision.lane}{under}"
        case "new_round":
            return f"round +{decision.at - now}{under}"
        case "await":
            return f"await {decision.lane}"
        case "hold":
            return f"held {decision.detail}{under}"
    return decision.status + under


def outcome(class_: OutcomeClass, **keys: Any) -> Outcome:
    return Outcome(class_, **keys)


def progress(**keys: Any) -> Progress:
    return Progress(rule="all", **keys)


Change = Callable[[Scene], None]
Visited = Mapping[str, str]
