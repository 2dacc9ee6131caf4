"""Every failpoint has its place among the trials, and the ways there lead there: under load, at a start, at a reload, at a stop.

`python -m tests.crash.points` kills at all of them.
"""

from pathlib import Path

import pytest

from broker.store.failpoints import POINTS
from tests.crash.points import KILLS, PLACES, PointRound, draw_rounds
from tests.crash.trial import Kill
from tests.crash.worlds import WORLDS


def test_every_point_has_its_place() -> None:
    assert set(PLACES) == set(POINTS)
    assert {place.world for place in PLACES.values()} == set(WORLDS) == set(KILLS)


def test_every_seed_comes_to_every_point_once() -> None:
    for seed in range(3):
        rounds = list(draw_rounds(seed, list(POINTS)))
        assert sorted(kill.point or "" for _, kills in rounds for kill in kills) == sorted(POINTS)
        assert all(PLACES[kill.point or ""].world == world for world, kills in rounds for kill in kills)
        assert max(len(kills) for _, kills in rounds) <= max(KILLS.values())


@pytest.mark.crash
@pytest.mark.timeout(400)
async def test_they_are_reached(tmp_path: Path) -> None:
    ways = {"attempt.committed": False, "retention.committed": True, "reload.applied": False, "drain.over": False}
    round_ = PointRound(tmp_path, 7, "http")
    tally = await round_.run([Kill(point, 1, 60.0, early) for point, early in ways.items()])
    assert tally.is_clean, "\n".join(tally.findings[:20])
    assert round_.reached == dict.fromkeys(ways, 1)


@pytest.mark.crash
@pytest.mark.timeout(600)
async def test_those_of_callbacks_hooks_and_repeats_are_reached(tmp_path: Path) -> None:
    round_ = PointRound(tmp_path, 7, "hooks")
    points = ("callback.stored", "web.answered", "replay.answered")
    tally = await round_.run([Kill(point, 1, 60.0) for point in points])
    assert tally.is_clean, "\n".join(tally.findings[:20])
    assert round_.reached == dict.fromkeys(points, 1)
