"""Times on a provider's wall: zones, summer time, and what `options.schedule` may say."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.words.clock import DAY, HOUR, MINUTE, read_time
from broker.words.wall import find_start, read_wall, read_zone, show_wall

TAIPEI, ATHENS = ZoneInfo("Asia/Taipei"), ZoneInfo("Europe/Athens")
STAMP = "%Y%m%d%H%M%S"

# the moment, a zone, what its clock shows
SHOWN = [
    ("2016-08-08T07:32:48Z", TAIPEI, "20160808153248"),
    ("2026-11-21T20:00:00.999Z", TAIPEI, "20261122040000"),
    ("2026-01-15T10:00:00Z", ATHENS, "20260115120000"),
    ("2026-07-15T10:00:00Z", ATHENS, "20260715130000"),
    ("2026-03-29T00:59:59Z", ATHENS, "20260329025959"),  # the hour after this one does not exist
    ("2026-03-29T01:00:00Z", ATHENS, "20260329040000"),
    ("2026-10-25T00:30:00Z", ATHENS, "20261025033000"),  # half past three comes twice
    ("2026-10-25T01:30:00Z", ATHENS, "20261025033000"),
]


@pytest.mark.parametrize(("moment", "zone", "shown"), SHOWN)
def test_what_the_wall_shows(moment: str, zone: ZoneInfo, shown: str) -> None:
    assert show_wall(read_time(moment), zone, STAMP) == shown


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "Asia", "../x", "/etc/passwd", "\0", "\ud800"])
def test_what_is_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_zone(name)


def test_what_the_wall_means() -> None:
    for moment, zone, shown in SHOWN:
        first = "2026-10-25T00:30:00Z" if "10-25" in moment else moment
        assert read_wall(shown, zone, STAMP) == read_time(first) // 1000 * 1000
    assert read_wall("20260329033000", ATHENS, STAMP) == read_time("2026-03-29T01:30:00Z")  # an hour that is skipped


@pytest.mark.parametrize("text", ["", "x", "20261308000000", "20260230000000", "202611221440", "20261122144000 "])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not match|unconverted|out of range"):
        read_wall(text, TAIPEI, STAMP)


@given(st.integers(0, 4_000_000_000), st.sampled_from([TAIPEI, ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")]))
def test_there_and_back(seconds: int, zone: ZoneInfo) -> None:
    assert read_wall(show_wall(seconds * 1000, zone, STAMP), zone, STAMP) == seconds * 1000


NOW = read_time("2026-11-21T20:00:00Z")
MEANT = [
    ("2026-11-22T14:40:00+02:00", "2026-11-22T12:40:00Z"),
    ("2026-11-22T12:40:00Z", "2026-11-22T12:40:00Z"),
    ("2026-11-22", "2026-11-21T22:00:00Z"),
    ("2026-11-22 14:40", "2026-11-22T12:40:00Z"),
    ("2026-11-22 14:40:55", "2026-11-22T12:40:55Z"),
    ("2026-11-22T14:40", "2026-11-22T12:40:00Z"),
]


@pytest.mark.parametrize(("schedule", "moment"), MEANT)
def test_what_a_schedule_means(schedule: str, moment: str) -> None:
    assert find_start(schedule, ATHENS, NOW, NOW + 2 * DAY, NOW) == read_time(moment)


NO_TIMES: list[object] = [None, 5, ["2026-11-22"], {}, True, "2026-11-22 14", "2026-11-22 24:00", "٢٠٢٦-١١-٢٢"]
REFUSED: list[tuple[object, str]] = [
    *((schedule, "no time") for schedule in ("", "+1 day", "next Thursday", "11 June 2027 11:00:00", "2026-13-01", "tomorrow", "\0")),
    *((value, "no time") for value in NO_TIMES),
    ("2026-11-21", "not in the future"),
    ("2026-11-21T20:00:00Z", "not in the future"),
    ("1000-01-01", "not in the future"),
    ("0001-01-01", "no time"),
    ("2026-11-23T20:00:00Z", "longer `validity`"),
    ("9999-12-31", "longer `validity`"),
]


@pytest.mark.parametrize(("schedule", "word"), REFUSED)
def test_what_no_provider_could_keep(schedule: object, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        find_start(schedule, ATHENS, NOW, NOW + 2 * DAY, NOW)


def test_an_hour_that_comes_twice() -> None:
    """The provider reads its own clock's time as the first of the two, and would send an hour too early: the second is refused."""
    begin = read_time("2026-10-24T20:00:00Z")
    for schedule in ("2026-10-25T00:30:00Z", "2026-10-25 03:30", "2026-10-25T02:00:00Z"):
        assert find_start(schedule, ATHENS, begin, begin + DAY, begin) is not None
    assert find_start("2026-10-25T01:30:00Z", TAIPEI, begin, begin + DAY, begin) is not None
    for schedule in ("2026-10-25T01:00:00Z", "2026-10-25T01:30:00.250Z", "2026-10-25T03:59:59+02:00"):
        with pytest.raises(ValueError, match="second of two hours"):
            find_start(schedule, ATHENS, begin, begin + DAY, begin)


def test_a_time_that_passed_on_the_way_means_at_once() -> None:
    ask = ("2026-11-21T20:10:00Z", ATHENS, NOW, NOW + HOUR)
    assert find_start(*ask, NOW + 9 * MINUTE) == NOW + 10 * MINUTE
    assert find_start(*ask, NOW + 10 * MINUTE) is None
