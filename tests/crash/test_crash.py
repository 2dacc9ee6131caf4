"""The crash test in short: a kill at every failpoint and in recovery, in rounds that carry their folder over.

`python -m tests.crash` is the long one, with random times, and with mutants to see it fail.
"""

from pathlib import Path

import pytest

from tests.crash.trial import POINTS, RECOVERY_POINTS, Kill, Round

LOAD = [Kill(point, n, 1.0) for point, n in (("commit.before", 30), ("commit.told", 25), ("attempt.opened", 40))]
MORE = [Kill(point, n, 1.0) for point, n in (("commit.after", 30), ("attempt.answered", 40), ("poll.answered", 2))]
RECOVERY = [Kill(point, 1, 1.0, early=True) for point in ("recover.page", "recover.done", "commit.before")]

ROUNDS = {
    "at steps under load": [LOAD[0], LOAD[1], LOAD[2], Kill(after=0.2)],
    "in recovery": [Kill(after=0.3), *RECOVERY, *MORE],
}


@pytest.mark.crash
@pytest.mark.parametrize("name", ROUNDS)
async def test_nothing_is_lost_or_sent_twice(tmp_path: Path, name: str) -> None:
    tally = await Round(tmp_path, seed=7).run(ROUNDS[name])
    print(tally.show(7))
    assert tally.is_clean, "\n".join(tally.findings[:20])
    assert tally.acked > 100
    assert tally.delivered > 50


def test_every_failpoint_has_its_kill() -> None:
    killed = {kill.point for kills in ROUNDS.values() for kill in kills}
    assert {*POINTS, *RECOVERY_POINTS} - killed <= {"sweep.page", "router.page"}, "load does not reach these for sure"
