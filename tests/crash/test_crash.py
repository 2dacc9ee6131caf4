"""The crash test in short: a kill at every failpoint and in recovery, in rounds that carry their folder over.

`python -m tests.crash` is the long one, with random times, and with mutants to see it fail.
"""

from pathlib import Path

import pytest

from tests.crash.trial import POINTS, RECOVERY_POINTS, Kill, Round


def _under_load(*points: tuple[str, int]) -> list[Kill]:
    return [Kill(point, n, 1.0) for point, n in points]


def _at_start(*points: str) -> list[Kill]:
    return [Kill(point, 1, 1.0, early=True) for point in points]


OPENING = _under_load(("commit.before", 30), ("commit.told", 25), ("attempt.opened", 40), ("accept.committed", 9), ("attempt.commit", 6))
ANSWERED = _under_load(("commit.after", 30), ("attempt.answered", 40), ("poll.answered", 2), ("outcome.committed", 9))
REST = _under_load(("accept.commit", 9), ("attempt.committed", 6), ("outcome.commit", 9))

ROUNDS = {
    "at steps under load": ("http", [*OPENING, Kill(after=0.2)]),
    "in recovery": ("http", [Kill(after=0.3), *_at_start(*RECOVERY_POINTS), *ANSWERED, *REST]),
    "over smpp": ("smpp", [*_under_load(("deliver.stored", 12)), *_at_start("recover.done")]),
    "called back and handed on": ("hooks", _under_load(("callback.stored", 15), ("hook.answered", 60))),
}


@pytest.mark.crash
@pytest.mark.parametrize("name", ROUNDS)
async def test_nothing_is_lost_or_sent_twice(tmp_path: Path, name: str) -> None:
    world, kills = ROUNDS[name]
    tally = await Round(tmp_path, seed=7, world=world).run(kills)
    print(tally.show(7))
    assert tally.is_clean, "\n".join(tally.findings[:20])
    assert tally.acked > 100
    assert tally.delivered > 50
    if world != "http":
        assert tally.receipts > 10
        assert tally.inbound > 5
    if world == "hooks":
        assert tally.hooks > 100


def test_every_failpoint_has_its_kill() -> None:
    killed = {kill.point for _, kills in ROUNDS.values() for kill in kills}
    assert {*POINTS, *RECOVERY_POINTS} - killed <= {"sweep.page", "router.page"}, "load does not reach these for sure"
