"""Replies that get lost: each message is taken by the provider, and no answer comes. What each policy makes of it, as handsets count.

The daemon's own code on virtual time, between twins whose `sent` is the handsets' ledger.
"""

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import trio
from trio.testing import MockClock

from broker.words.status import FINAL, TRANSITIONS
from tests.daemon.house import House, InMemory, Toml, mitake, rule, subito, tatango
from tests.faults.lines import Line

US, TW, HOUR = "+1202555{:04d}", "+88691234{:04d}", 3600.0


@dataclass(frozen=True)
class Policy:
    """`providers` under one rule with `more`; `more_copies` beside the first are allowed; `ends`: what every message has to end as.

    `script` of the twin loses the answer to one message that it took.
    """

    providers: Callable[[], Toml]
    more: Toml
    more_copies: int
    ends: str
    script: tuple[str, ...] = ("cut",)


PATIENT = {"failures": 10_000}
"""A breaker that stays closed: each of the messages is to meet the fault."""


def _by_key() -> Toml:
    return {"north": mitake("north", api="mtk", query=["10s"], breaker=PATIENT)}


def _without_key() -> Toml:
    return {"north": tatango("north", breaker=PATIENT), "south": subito("south", query=["10s"])}


TAKEN = ("cut", "1")
"""Mitake's twin asks its script twice: for the whole of the answer, and for the message."""
POLICIES = {
    "hold, nothing to ask by": Policy(_without_key, {}, 0, "unknown"),
    "hold, a key at the provider": Policy(_by_key, {}, 0, "delivered", TAKEN),
    "resend, a key at the provider": Policy(_by_key, {"in_doubt": "resend", "doubt_wait": "1s"}, 0, "delivered", TAKEN),
    "failover": Policy(_without_key, {"in_doubt": "failover", "doubt_wait": "30s"}, 1, "delivered"),
}


def lose_replies(name: str, count: int) -> Line:
    """`count` messages under policy `name`, the answer to each lost. `duplicated`: copies beyond what the policy allows."""
    with tempfile.TemporaryDirectory(prefix="broker-doubt-") as folder:
        return trio.run(_lose_replies, Path(folder), name, count, clock=MockClock(autojump_threshold=0))


async def _lose_replies(folder: Path, name: str, count: int) -> Line:
    policy = POLICIES[name]
    providers = policy.providers()
    house = House(
        folder, {"providers": providers, "rules": [rule(*providers, **policy.more)]}, {"north": {"answers": [*policy.script] * count}}
    )
    with InMemory(house):
        async with trio.open_nursery() as nursery:
            await house.start(nursery)
            texts = {await house.take(_number(policy, at), f"reply {at} lost"): f"reply {at} lost" for at in range(count)}
            await trio.sleep(0.5)
            lost = [house.find(id_) == "in_doubt" and copies == 1 for id_, copies in _count(house, texts).items()]
            await trio.sleep(HOUR)
            line = _judge(house, policy, texts, f"{count} replies lost: {name}")
            line.illegal += lost.count(False)  # not taken, or not in doubt: then this was no trial
            await house.stop()
    return line


def _number(policy: Policy, at: int) -> str:
    return (TW if policy.providers is _by_key else US).format(at)


def _judge(house: House, policy: Policy, texts: dict[str, str], name: str) -> Line:
    copies = _count(house, texts)
    line = Line(name, trials=1, msgs=len(texts), acked=len(texts))
    extra = 0
    for id_, count in copies.items():
        message = house.query.find_message(id_)
        if message is None or not count:
            line.lost += 1
            continue
        extra += count - 1
        line.duplicated += max(0, count - 1 - policy.more_copies)
        line.unknown += message.status == "unknown"
        line.stuck += message.status not in FINAL
        line.illegal += message.status != policy.ends or not _is_legal(_walk(house, id_))
    line.fault += f" (extra copies: {extra})"
    return line


def _count(house: House, texts: dict[str, str]) -> dict[str, int]:
    """Message -> how often handsets have it."""
    copies = Counter(text for twin in house.twins.values() for _, text, *_ in twin.sent)
    return {id_: copies[text] for id_, text in texts.items()}


def _walk(house: House, id_: str) -> list[str]:
    return [event["status"] for event in house.told(*[f"message.{status}" for status in TRANSITIONS]) if event["id"] == id_]


def _is_legal(statuses: list[str]) -> bool:
    return all(after in TRANSITIONS[before] for before, after in pairwise(statuses))
