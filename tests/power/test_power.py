"""Promise 1 under power loss: nothing acknowledged is lost; and the same trials lose where the protection is off, so they can fail."""

from pathlib import Path

import pytest

from tests.power.trial import Tally, make_template, run_trial

TRIALS = 150


@pytest.fixture
def template(tmp_path: Path) -> bytes:
    return make_template(tmp_path)


def run(template: bytes, trials: int, **how: object) -> Tally:
    total = Tally()
    for seed in range(trials):
        total.add(run_trial(template, seed, **how))  # type: ignore[arg-type]  # run_trial's own keywords
    return total


def test_nothing_acknowledged_is_lost(template: bytes) -> None:
    total = run(template, TRIALS)
    assert total.acked > TRIALS
    assert (total.lost, total.damaged) == (0, 0), total.findings[:5]


def test_without_a_sync_at_each_commit_the_trials_lose(template: bytes) -> None:
    assert run(template, 40, synchronous="NORMAL").lost > 0


def test_on_a_disk_that_lies_the_trials_lose(template: bytes) -> None:
    assert run(template, 40, is_lying=True).lost > 0
