"""An attempt in doubt: what may be done about it, and when (DESIGN, "In doubt"). Pure; performs nothing.

Proof is looked for first: the same request again under the provider's idempotency key, or identical bytes inside the window in which
the provider refuses them. Neither can make a second copy. Only then, and only where the rule says so, comes another copy.
"""

from typing import Literal

import msgspec

from broker.words.attempt import Attempt, DoubtPolicy
from broker.words.clock import MINUTE, SECOND
from broker.words.outcome import Outcome

REPLAYS = (2 * SECOND, 8 * SECOND, 20 * SECOND, 45 * SECOND, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, 60 * MINUTE)
"""Times since the doubt began at which the same request is sent again, where that proves something."""

MARGIN = 10 * SECOND
"""A repeat has to reach the provider this long before its memory of the first one may end."""

CONTENT = frozenset({"rejected", "unsuitable", "blocked"})
"""A repeat refused for what it says: the first one was refused for the same. Any other refusal may be of the moment alone."""

Kind = Literal["replay", "copy", "end"]


class DoubtStep(msgspec.Struct, frozen=True, gc=False):
    """The next thing to do, at `at` (milliseconds): look for proof, send another copy, or end as `unknown`."""

    kind: Kind
    at: int


def plan_doubt(attempt: Attempt, copies: int, memory: int, after: int) -> DoubtStep:
    """The first step later than `after` for an attempt in doubt.

    `copies` that exist, this one included; `memory`: milliseconds for which the provider, as it is now, knows a repeat of this request,
    by its key or by its bytes, 0 where it does not or where that proves nothing.
    """
    begun = attempt.closed_at or attempt.opened_at
    policy = attempt.doubt
    end = begun + policy.deadline
    steps = [DoubtStep("end", end)]
    last = attempt.opened_at + _find_memory(policy, memory) - MARGIN
    steps += [DoubtStep("replay", begun + wait) for wait in REPLAYS if begun + wait <= last and begun + wait < end][:20]
    if policy.mode != "hold" and copies < policy.max_copies and begun + policy.wait < end:
        steps.append(DoubtStep("copy", begun + policy.wait))
    coming = [step for step in steps if step.at > after]
    return min(coming, key=lambda step: step.at, default=DoubtStep("end", max(end, after)))


def find_due(attempt: Attempt, copies: int, memory: int, now: int) -> Kind | None:
    """What is due at `now`: the end before anything else, then another copy, then the latest look for proof; None for nothing yet."""
    begun = attempt.closed_at or attempt.opened_at
    policy = attempt.doubt
    if now >= begun + policy.deadline:
        return "end"
    if policy.mode != "hold" and copies < policy.max_copies and now >= begun + policy.wait:
        return "copy"
    if now >= begun + REPLAYS[0] and now <= attempt.opened_at + _find_memory(policy, memory) - MARGIN:
        return "replay"
    return None


def may_be_repeated(attempt: Attempt, memory: int, now: int) -> bool:
    """True where the request of this attempt may have been sent again by now: a late refusal of the first one then proves nothing."""
    begun = attempt.closed_at or attempt.opened_at
    return now >= begun + REPLAYS[0] and begun + REPLAYS[0] <= attempt.opened_at + _find_memory(attempt.doubt, memory) - MARGIN


def _find_memory(policy: DoubtPolicy, memory: int) -> int:
    """A reload may have given the account another API since: the provider knows again only what reached it by one that lets it."""
    return memory if policy.memory is None else min(memory, policy.memory)


def judge_replay(outcome: Outcome, by_bytes: bool) -> Literal["accepted", "refused"] | None:
    """What the answer to a repeat proves of the first one; None for nothing.

    `by_bytes`: the provider knows a repeat by its bytes alone, and has no code of its own for it: then its refusal as unavailable is one.
    """
    if outcome.class_ in ("accepted", "duplicate"):
        return "accepted"
    if by_bytes and outcome.class_ == "unavailable" and outcome.code is not None:
        return "accepted"
    return "refused" if outcome.class_ in CONTENT else None
