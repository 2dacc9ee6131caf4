"""Time and durations: what is read, what is refused, and that what is shown is read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.words.clock import DAY, HOUR, MINUTE, SECOND, read_span, read_time, show_span, show_time

SPANS = [
    ("0ms", 0),
    ("250ms", 250),
    ("5s", 5 * SECOND),
    ("10m", 10 * MINUTE),
    ("24h", 24 * HOUR),
    ("7d", 7 * DAY),
    ("007s", 7 * SECOND),
]

NO_SPANS = ["", "5", "s", "ms", "5 s", " 5s", "5s ", "1.5h", "-5s", "+5s", "5sec", "5S", "5sm", "٣s", "5s\n", "1_0s", "9" * 13 + "s"]


@pytest.mark.parametrize(("written", "milli"), SPANS)
def test_span(written: str, milli: int) -> None:
    assert read_span(written) == milli


@pytest.mark.parametrize("written", NO_SPANS)
def test_no_span(written: str) -> None:
    with pytest.raises(ValueError, match='"250ms"'):
        read_span(written)


@pytest.mark.parametrize(
    ("milli", "written"),
    [(0, "0ms"), (250, "250ms"), (1_500, "1500ms"), (90_000, "90s"), (HOUR, "1h"), (25 * HOUR, "25h"), (2 * DAY, "2d")],
)
def test_span_shown(milli: int, written: str) -> None:
    assert show_span(milli) == written


@given(st.integers(0, 10**14))
def test_span_shown_and_read_again(milli: int) -> None:
    written = show_span(milli)
    if len(written.rstrip("msdh")) <= 12:
        assert read_span(written) == milli


NOON = 1_795_262_400_000
TIMES = [
    ("1970-01-01T00:00:00Z", 0),
    ("2026-11-21T12:00:00Z", NOON),
    ("2026-11-21t12:00:00z", NOON),
    ("2026-11-21 12:00:00Z", NOON),
    ("2026-11-21T20:00:00+08:00", NOON),
    ("2026-11-21T12:00:00.123Z", NOON + 123),
    ("2026-11-21T12:00:00.1234567Z", NOON + 123),
    ("2026-11-21T12:00:00.1Z", NOON + 100),
    ("1969-12-31T23:59:59.999Z", -1),
]

NO_TIMES = [
    "",
    "now",
    "2026-11-21",
    "2026-11-21T12:00:00",  # no zone
    "2026-11-21T12:00Z",  # RFC 3339 has seconds
    "2026-11-21X12:00:00Z",
    "2026-W47-6T12:00:00Z",
    "20261121T120000Z",
    "2026-11-21T24:00:00Z",
    "2026-02-30T12:00:00Z",
    "2026-11-21T12:00:00+25:00",
    "2026-11-21T12:00:00Z\n",
    "２026-11-21T12:00:00Z",
    "0001-01-01T00:00:00+23:59",  # before the first year
    "9999-12-31T23:59:59-23:59",
]


@pytest.mark.parametrize(("written", "at"), TIMES)
def test_time(written: str, at: int) -> None:
    assert read_time(written) == at


@pytest.mark.parametrize("written", NO_TIMES)
def test_no_time(written: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the texts of datetime's own errors are not ours to fix
        read_time(written)


@given(st.integers(0, 253_402_300_799_999))
def test_time_shown_and_read_again(at: int) -> None:
    written = show_time(at)
    assert read_time(written) == at
    assert len(written) == len("2026-11-21T20:00:00.123Z")


def test_each_second_gets_its_own_text() -> None:
    assert [show_time(at) for at in (NOON, NOON + 999, NOON + 1_000, NOON)] == [
        "2026-11-21T12:00:00.000Z",
        "2026-11-21T12:00:00.999Z",
        "2026-11-21T12:00:01.000Z",
        "2026-11-21T12:00:00.000Z",
    ]
