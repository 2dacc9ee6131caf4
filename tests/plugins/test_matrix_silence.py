"""The transport matrix keeps silent: no outcome and no log line tells what was sent, however the wire fails (DESIGN, promise 16)."""

import pytest
from trio.testing import MockClock

from tests.plugins.catalog import Variant
from tests.plugins.test_conformance import NUMBERS
from tests.plugins.test_matrix import CELLS, each_variant, run

CANARY = "canary 5&é\"'%+<"


@each_variant
@pytest.mark.parametrize("name", ["closed after the write", "silent", "not HTTP", "page", "nonsense", "too large"])
async def test_no_failure_tells_what_was_sent(
    autojump_clock: MockClock, variant: Variant, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    outcomes = await run(variant, CELLS[name].serve, secret=CANARY)
    for shown in (repr(outcomes), caplog.text):
        assert "canary" not in shown
        assert "ciao" not in shown
        assert NUMBERS.get(variant.name, "+4915")[-8:] not in shown
