"""The decision after an outcome: one pure table over every class (CONTRACT §1, Outcome classes and Rounds).

`decide` answers "this attempt came to that: what now?"; `place` answers "who takes this message now?" for a message without a
lane (the router asks), and is the same onward step that `decide` takes after a visit. Neither performs anything.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from broker.policy.backoff import backoff
from broker.routing import Route, Rule
from broker.routing.standing import HELD_BY
from broker.words.message import Message, Progress
from broker.words.outcome import PASSING, UNCOUNTED, Outcome
from broker.words.settings import Action

Kind = Literal["sent", "retry", "next", "new_round", "hold", "end", "doubt"]


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What to do. `at` is when the message is due again (or its hold, doubt or receipt ends); `lane` who it waits for.

    `status` is the message's new status, `detail` its reason for a person, `progress` how far its rounds have come.
    """

    kind: Kind
    status: str
    at: int
    progress: Progress
    lane: str | None = None
    detail: str | None = None


class Sides(msgspec.Struct, frozen=True):
    """What surrounds a decision: ranking under any rule, the rule after one passed, and the copies that exist.

    `rank(rule, progress)` and `next_rule(progress)` are pure; `doubted`: another attempt is in doubt or abandoned; `accepted`: the
    highest-ranked receipt of an accepted attempt ("" where one has none yet), None where no provider ever accepted the message;
    `draw` is uniform in 0..999_999; `duplicate_window` is the provider's, in milliseconds.
    """

    rank: Callable[[Rule, Progress], Route]
    next_rule: Callable[[Progress], Rule | None]
    draw: int
    doubted: bool = False
    accepted: str | None = None
    duplicate_window: int = 0


DEFAULTS: dict[str, Action] = {
    "unreachable": Action(retry=1, then="next"),
    "unavailable": Action(retry=1, then="next"),
    "throttled": Action(then="next"),
    "no_credit": Action(then="next"),
    "misconfigured": Action(then="next"),
    "unsuitable": Action(then="next"),
    "rejected": Action(then="fail"),
    "retry_later": Action(then="next"),
    "duplicate": Action(then="next"),
    "undelivered": Action(then="fail"),
}
"""What happens to a class that the rule's `on` does not name. `throttled`, `retry_later` and `duplicate` wait first: see decide."""


def decide(
    message: Message, outcome: Outcome, rule: Rule, provider: str, now: int, look_around: Callable[[], Sides]
) -> Decision:
    """What to do with `message` after an attempt at `provider` under `rule` came to `outcome`.

    `look_around` is asked only where the outcome leaves a choice: most messages are accepted at once.
    """
    progress = message.progress
    class_ = outcome.class_
    if class_ == "accepted":
        return Decision("sent", "sent", 0, progress)
    if class_ == "in_doubt":
        return Decision("doubt", "in_doubt", 0, progress, detail=outcome.detail)
    sides = look_around()
    if class_ in ("blocked", "expired"):
        return _end(class_, sides, progress, outcome.detail)
    counted = progress.counted + (class_ not in UNCOUNTED)
    new_visit = progress.provider != provider
    progress = msgspec.structs.replace(
        progress,
        rule=rule.name,
        provider=provider,
        counted=counted,
        retries=0 if new_visit else progress.retries,
        waits=0 if new_visit else progress.waits,
    )
    limit = rule.settings.max_attempts
    if limit is not None and counted >= limit:
        return _end("failed", sides, progress, f"max_attempts = {limit} reached")
    named = rule.find_action(class_)
    action = named or DEFAULTS[class_]
    waiting = _wait(message, outcome, action, named is not None, progress, now, sides)
    if waiting is not None:
        return waiting
    if action.then == "fail":
        return _end("failed", sides, progress, outcome.detail or class_)
    if action.then == "hold":
        return Decision("hold", "held", message.valid_until, _leave(progress, provider, class_), detail="rule")
    return _go_on(message, rule, _leave(progress, provider, class_), now, sides, outcome.retry_after)


def _wait(
    message: Message, outcome: Outcome, action: Action, is_named: bool, progress: Progress, now: int, sides: Sides
) -> Decision | None:
    """Another attempt inside this visit, where the class or the rule asks for one and validity allows it."""
    class_ = outcome.class_
    if class_ in ("throttled", "retry_later") and not is_named:
        at = now + backoff(progress.waits, sides.draw, outcome.retry_after)
        more = msgspec.structs.replace(progress, waits=progress.waits + 1)
    elif class_ == "duplicate" and not is_named:
        if progress.waits:
            return None
        at = now + max(sides.duplicate_window, 1)
        more = msgspec.structs.replace(progress, waits=1)
    elif progress.retries < action.retry:
        at = now + backoff(progress.retries, sides.draw, outcome.retry_after)
        more = msgspec.structs.replace(progress, retries=progress.retries + 1)
    else:
        return None
    if at >= message.valid_until:
        return None  # "next if validity needs it": another provider may still make it
    return Decision("retry", "queued", at, more, lane=progress.provider, detail=outcome.detail)


def _leave(progress: Progress, provider: str, class_: str) -> Progress:
    """The visit at `provider` is over, with `class_`."""
    return msgspec.structs.replace(progress, visited={**progress.visited, provider: class_}, provider=None, retries=0, waits=0)


def place(message: Message, rule: Rule, now: int, sides: Sides) -> Decision:
    """Who takes a message that waits for no lane: a lane now, a new round later, a hold, the next rule, or the end."""
    return _go_on(message, rule, message.progress, now, sides, None)


def _go_on(message: Message, rule: Rule, progress: Progress, now: int, sides: Sides, retry_after: int | None) -> Decision:
    while True:
        route = sides.rank(rule, progress)
        if route.first is not None:
            return Decision("next", "queued", now, progress, lane=route.first.provider)
        if any(left.for_now for left in route.left_out):
            return _new_round(message, route, progress, now, sides, retry_after)
        ending = rule.settings.else_
        if ending == "hold":
            return Decision("hold", "held", message.valid_until, progress, detail="rule")
        if ending == "fail":
            return _end("failed", sides, progress, _why_none(route))
        progress = msgspec.structs.replace(progress, rule=None, passed=(*progress.passed, rule.name))
        following = sides.next_rule(progress)
        if following is None:
            return _end("failed", sides, progress, "no further rule matches")
        progress = msgspec.structs.replace(progress, rule=following.name)
        rule = following


def _new_round(message: Message, route: Route, progress: Progress, now: int, sides: Sides, retry_after: int | None) -> Decision:
    """Nobody can now, somebody may later: a new round, over those left out for now and those whose trouble passes."""
    cause = _find_cause(route, progress)
    fresh = {name: class_ for name, class_ in progress.visited.items() if class_ not in PASSING}
    begun = msgspec.structs.replace(progress, visited=fresh, provider=None, retries=0, waits=0)
    if cause is not None:
        return Decision("hold", "held", message.valid_until, begun, detail=cause)
    times = [left.until for left in route.left_out if left.for_now and left.until is not None]
    if not times or any(left.word == "visited" and left.for_now for left in route.left_out):
        times.append(now + backoff(progress.rounds, sides.draw, retry_after))
    at = min(times)
    begun.rounds += 1
    at = min(max(at, now + 1), message.valid_until)
    return Decision("new_round", "queued", at, begun, detail=_why_none(route))


def _find_cause(route: Route, progress: Progress) -> str | None:
    """The `held` cause when every candidate that may ever be asked again is paused, dry or suspended; else None."""
    cause: str | None = None
    for left in route.left_out:
        if not left.for_now:
            continue
        word = left.word
        held = HELD_BY.get(word)
        if word == "visited":
            # The visit's own class: it stands for the provider's present state, which ranking did not look at.
            held = {"no_credit": "no_credit", "misconfigured": "misconfigured"}.get(progress.visited[left.provider])
        if held is None:
            return None
        cause = cause or held
    return cause


def _why_none(route: Route) -> str:
    return "; ".join(f"{left.provider}: {left.reason}" for left in route.left_out) or "the rule has no candidate"


def _end(status: str, sides: Sides, progress: Progress, detail: str | None) -> Decision:
    """A final status, as far as other attempts allow it.

    With an attempt in doubt or abandoned a message never ends `failed` nor `expired` by our clock: it ends `unknown`. A message
    that any provider accepted ends with the highest-ranked receipt instead of `failed`.
    """
    if status == "failed":
        if sides.doubted:
            status = "unknown"
        elif sides.accepted is not None:
            status = sides.accepted or "unconfirmed"
    return Decision("end", status, 0, progress, detail=detail)
