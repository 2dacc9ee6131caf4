"""The decision after an outcome: one pure table over every class (CONTRACT §1, Outcome classes and Rounds).

`decide` answers "this attempt came to that: what now?"; `place` answers "who takes this message now?" for a message without a
lane (the router asks), and is the same onward step that `decide` takes after a visit. Neither performs anything.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from broker.policy.backoff import LONGEST, RETRY_AFTER_CAP, backoff
from broker.routing import LeftOut, Route, Rule
from broker.routing.standing import HELD_BY
from broker.words.attempt import Attempt
from broker.words.channel import account_of
from broker.words.message import Message, Progress
from broker.words.outcome import PASSING, UNCOUNTED, Outcome
from broker.words.receipt import FINAL_RECEIPTS
from broker.words.settings import Action
from broker.words.status import RANK

Kind = Literal["sent", "retry", "next", "new_round", "schedule", "hold", "end", "doubt", "await"]


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
    `awaited`: another attempt, which turned out to be accepted while this one, a copy of it, was on its way;
    `draw` is uniform in 0..999_999; `duplicate_window` is the provider's, in milliseconds.
    """

    rank: Callable[[Rule, Progress], Route]
    next_rule: Callable[[Progress], Rule | None]
    draw: int
    doubted: bool = False
    accepted: str | None = None
    awaited: Attempt | None = None
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
    message: Message, outcome: Outcome, rule: Rule, name: str, now: int, look_around: Callable[[], Sides]
) -> Decision:
    """What to do with `message` after an attempt at the candidate `name` under `rule` came to `outcome`.

    `look_around` is asked only where the outcome leaves a choice: most messages are accepted at once.
    """
    progress = message.progress
    class_ = outcome.class_
    if class_ == "accepted":
        return Decision("sent", "sent", 0, progress)
    if class_ == "in_doubt" and outcome.evidence == "partial":
        return Decision("hold", "held", message.valid_until, progress, detail="partial")  # whatever the rule says
    if class_ == "in_doubt":
        return Decision("doubt", "in_doubt", 0, progress, detail=outcome.detail)
    sides = look_around()
    if sides.awaited is not None:
        detail = f"attempt {sides.awaited.n} was accepted meanwhile; another copy: {outcome.detail or class_}"
        return Decision("await", "sent", now, progress, lane=sides.awaited.provider, detail=detail)
    if class_ in ("blocked", "expired"):
        return _end(class_, sides, progress, outcome.detail)
    fate = sides.accepted
    if fate is not None and fate in FINAL_RECEIPTS and not sides.doubted and not goes_on_after(rule, fate):
        return _end(fate, sides, progress, outcome.detail)  # the other copy's, told while this one was on its way
    counted = progress.counted + (class_ not in UNCOUNTED)
    new_visit = progress.provider != name
    progress = msgspec.structs.replace(
        progress,
        rule=rule.name,
        provider=name,
        trouble=class_,
        counted=counted,
        retries=0 if new_visit else progress.retries,
        waits=0 if new_visit else progress.waits,
        repeats=0 if new_visit else progress.repeats,
    )
    if _is_used_up(rule, progress):
        return _end_used_up(rule, progress, sides)
    named = rule.find_action(class_)
    action = named or DEFAULTS[class_]
    waiting = _wait(message, outcome, action, named is not None, progress, now, sides)
    if waiting is not None:
        return waiting
    if action.then == "fail":
        return _end("failed", sides, progress, outcome.detail or class_)
    later = None if outcome.retry_after is None else now + min(outcome.retry_after, RETRY_AFTER_CAP)
    left = _leave(progress, name, class_, later)
    if action.then == "hold":
        return Decision("hold", "held", message.valid_until, left, detail="rule")
    return _go_on(message, rule, left, now, sides)


def goes_on_after(rule: Rule | None, receipt: str) -> bool:
    """True where the rule sends another copy after this receipt of the first: its `on` names it."""
    return receipt == "undelivered" and rule is not None and rule.find_action("undelivered") is not None


def _wait(
    message: Message, outcome: Outcome, action: Action, is_named: bool, progress: Progress, now: int, sides: Sides
) -> Decision | None:
    """Another attempt inside this visit, where the class or the rule asks for one and validity allows it."""
    class_ = outcome.class_
    lane = account_of(progress.provider or "")
    if class_ in ("throttled", "retry_later") and not is_named:
        at = now + backoff(progress.waits, sides.draw, outcome.retry_after)
        more = msgspec.structs.replace(progress, waits=progress.waits + 1)
        if class_ == "retry_later":
            at = min(at, message.valid_until)  # the recipient's condition, no provider's: nobody else is asked, validity ends it
            return Decision("retry", "queued", at, more, lane=lane, detail=outcome.detail)
    elif class_ == "duplicate" and not is_named:
        if progress.repeats:
            return None
        at = now + (sides.duplicate_window or backoff(0, sides.draw, outcome.retry_after))
        more = msgspec.structs.replace(progress, repeats=1)
    elif progress.retries < action.retry:
        at = now + backoff(progress.retries, sides.draw, outcome.retry_after)
        more = msgspec.structs.replace(progress, retries=progress.retries + 1)
    else:
        return None
    if at >= message.valid_until:
        return None  # "next if validity needs it": another provider may still make it
    return Decision("retry", "queued", at, more, lane=lane, detail=outcome.detail)


def _leave(progress: Progress, name: str, class_: str, later: int | None = None) -> Progress:
    """The visit at the candidate `name` is over, with `class_`; not before `later` it may be asked again, where it said so."""
    asked_off = progress.later
    if later is not None:
        asked_off = {**(asked_off or {}), name: later}
    visited = {**progress.visited, name: class_}
    return msgspec.structs.replace(
        progress, visited=visited, later=asked_off, provider=None, trouble=None, retries=0, waits=0, repeats=0
    )


def place(message: Message, rule: Rule, now: int, sides: Sides) -> Decision:
    """Who takes a message that waits for no lane: a lane now, a new round later, a hold, the next rule, or the end.

    A visit under way goes on where it began. Where that provider cannot take the message now, the visit is over, so that no round
    comes back to it; but after `retry_later` nobody else is asked, and the message waits for that provider.
    """
    progress = message.progress
    name, trouble = progress.provider, progress.trouble
    if name is None or trouble is None:
        return _go_on(message, rule, progress, now, sides)
    route = sides.rank(rule, progress)
    if any(candidate.name == name for candidate in route.candidates):
        return Decision("next", "queued", now, progress, lane=account_of(name))
    left = next((left for left in route.left_out if left.name == name and left.for_now), None)
    if left is None or trouble != "retry_later":
        return _go_on(message, rule, _leave(progress, name, trouble), now, sides)
    return _wait_for((left,), message, progress, now, sides)


def _is_used_up(rule: Rule, progress: Progress) -> bool:
    limit = rule.settings.max_attempts
    return limit is not None and progress.counted >= limit


def _end_used_up(rule: Rule, progress: Progress, sides: Sides) -> Decision:
    return _end("failed", sides, progress, f"max_attempts = {rule.settings.max_attempts} reached")


def _go_on(message: Message, rule: Rule, progress: Progress, now: int, sides: Sides) -> Decision:
    while True:
        if _is_used_up(rule, progress):
            return _end_used_up(rule, progress, sides)  # a rule that takes over, or a reload, may allow fewer than there were
        route = sides.rank(rule, progress)
        if route.first is not None:
            return Decision("next", "queued", now, progress, lane=route.first.provider)
        left_out = tuple(left for left in route.left_out if left.for_now)
        if left_out:
            return _wait_for(left_out, message, progress, now, sides, _why_none(route))
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


def _wait_for(
    left_out: tuple[LeftOut, ...], message: Message, progress: Progress, now: int, sides: Sides, detail: str | None = None
) -> Decision:
    """Nobody can now, `left_out` may later: a hold where a cause has to pass, else a new round when the first may be usable again.

    The new round forgets the visits that ended with a passing class, but for those that asked for more time than until then.
    """
    cause = _find_cause(left_out)
    at, lane = message.valid_until, None
    if cause is None:
        first, back = min(((_find_return(left, progress, now, sides.draw), left) for left in left_out), key=lambda pair: pair[0])
        at = min(max(first, now + 1), at)
        # It waits in the lane of the one expected back first, where that one's return finds it without another look.
        lane = back.provider if back.word == "breaker" or (back.until is not None and back.word != "visited") else None
    later = {name: until for name, until in (progress.later or {}).items() if cause is None and until > at}
    visited = {name: class_ for name, class_ in progress.visited.items() if class_ not in PASSING or name in later}
    begun = msgspec.structs.replace(progress, visited=visited, later=later or None)
    if cause is not None:
        return Decision("hold", "held", at, begun, detail=cause)
    begun.rounds += 1
    return Decision("new_round", "queued", at, begun, lane=lane, detail=detail)


def _find_return(left: LeftOut, progress: Progress, now: int, draw: int) -> int:
    """When a provider left out for now may be usable again: as it said, as its state says, or by the doubling wait."""
    if left.word == "visited":
        asked_off = (progress.later or {}).get(left.name, 0)
        return asked_off if asked_off > now else now + backoff(progress.rounds, draw)
    return now + LONGEST * draw // 1_000_000 if left.until is None else left.until


def _find_cause(left_out: tuple[LeftOut, ...]) -> str | None:
    """The `held` cause when every one that may ever be asked again is paused, dry or suspended; else None."""
    causes = [HELD_BY.get(left.word) for left in left_out]
    return None if None in causes else causes[0]


def _why_none(route: Route) -> str:
    return "; ".join(f"{left.name}: {left.reason}" for left in route.left_out) or "the rule has no candidate"


def _end(status: str, sides: Sides, progress: Progress, detail: str | None) -> Decision:
    """A final status, as far as other attempts allow it.

    With an attempt in doubt or abandoned a message never ends `failed` nor `expired`: it ends `unknown`. A message that any provider
    accepted never ends `failed`: it ends with the highest-ranked receipt; neither does it end under that rank.
    """
    if sides.doubted and status in ("failed", "expired"):
        status = "unknown"
    elif sides.accepted is not None and RANK.get(sides.accepted, 0) >= RANK.get(status, 0):
        status = sides.accepted or "unconfirmed"
    return Decision("end", status, 0, progress, detail=detail)
