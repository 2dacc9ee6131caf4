"""The trials of the machine's faults in short: those that cost a little each. `python -m tests.machine` does all of them, and at length."""

from pathlib import Path

import pytest

from tests.machine.faults import FAULTS, IN_CI, LONG, SHORT, NotHere, run_fault


@pytest.mark.timeout(240)  # each starts several processes, and the machine may be busy
@pytest.mark.parametrize("name", IN_CI)
def test_a_fault_breaks_no_promise(tmp_path: Path, name: str) -> None:
    try:
        tally = run_fault(name, tmp_path, 7, SHORT[name])
    except NotHere as reason:
        pytest.skip(str(reason))
    print(f"{name} {tally.show(7)}")
    assert tally.is_clean, "\n".join(tally.findings[:20])
    assert tally.trials > 0
    assert tally.acked > 0


def test_every_fault_has_its_sizes() -> None:
    assert FAULTS.keys() == LONG.keys() == SHORT.keys()
    assert set(IN_CI) <= FAULTS.keys()
