"""A rule's window: open or not, and when it opens next, over days, midnights, clock changes and several zones."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.routing.window import Window
from broker.text import find_zones


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


TAIPEI, ATHENS, NEW_YORK, HONOLULU = "Asia/Taipei", "Europe/Athens", "America/New_York", "Pacific/Honolulu"

ROWS = [
    # window, recipient's zones, now, opens (None: open)
    ("08:00-20:00 local", (TAIPEI,), "2026-11-22T08:00:00+08:00", None),
    ("08:00-20:00 local", (TAIPEI,), "2026-11-22T19:59:59+08:00", None),
    ("08:00-20:00 local", (TAIPEI,), "2026-11-22T20:00:00+08:00", "2026-11-23T08:00:00+08:00"),
    ("08:00-20:00 local", (TAIPEI,), "2026-11-22T07:59:59+08:00", "2026-11-22T08:00:00+08:00"),
    ("08:00-20:00 Europe/Athens", (TAIPEI,), "2026-11-22T05:59:00+00:00", "2026-11-22T08:00:00+02:00"),
    ("22:00-06:00 local", (TAIPEI,), "2026-11-22T23:00:00+08:00", None),
    ("22:00-06:00 local", (TAIPEI,), "2026-11-22T05:59:00+08:00", None),
    ("22:00-06:00 local", (TAIPEI,), "2026-11-22T06:00:00+08:00", "2026-11-22T22:00:00+08:00"),
    ("Mon-Fri 08:00-20:00 local", (TAIPEI,), "2026-11-20T21:00:00+08:00", "2026-11-23T08:00:00+08:00"),  # Friday night
    ("Sun 08:00-20:00 local", (TAIPEI,), "2026-11-22T21:00:00+08:00", "2026-11-29T08:00:00+08:00"),
    ("Fri-Mon 08:00-20:00 local", (TAIPEI,), "2026-11-22T12:00:00+08:00", None),  # Sunday
    # put back at 04:00 on 2026-10-25: 03:30 comes twice, and is open twice
    ("03:30-04:30 local", (ATHENS,), "2026-10-25T03:30:00+03:00", None),
    ("03:30-04:30 local", (ATHENS,), "2026-10-25T03:30:00+02:00", None),
    # open in both, from the later one's morning to the earlier one's evening
    ("08:00-20:00 local", (NEW_YORK, HONOLULU), "2026-11-22T12:00:00-05:00", "2026-11-22T08:00:00-10:00"),
    ("08:00-20:00 local", (NEW_YORK, HONOLULU), "2026-11-22T14:00:00-05:00", None),
    # never open in both: the one in the middle counts
    ("08:00-10:00 local", (NEW_YORK, TAIPEI, ATHENS), "2026-11-22T08:30:00+02:00", None),
]


@pytest.mark.parametrize(("text", "zones", "now", "opens"), ROWS)
def test_open_or_when(text: str, zones: tuple[str, ...], now: str, opens: str | None) -> None:
    assert Window(text).find_opening(lambda: zones, at(now)) == (None if opens is None else at(opens))


def test_an_hour_that_does_not_exist_is_not_waited_for_for_ever() -> None:
    opens = Window("03:00-03:30 local").find_opening(lambda: (ATHENS,), at("2026-03-29T02:00:00+02:00"))
    assert opens == at("2026-03-30T03:00:00+03:00")


@given(st.integers(at("2026-01-01T00:00:00+00:00"), at("2027-01-01T00:00:00+00:00")), st.sampled_from([TAIPEI, ATHENS, NEW_YORK]))
def test_it_is_open_when_it_opens(now: int, zone: str) -> None:
    window = Window("Mon-Sat 08:15-19:45 local")
    opens = window.find_opening(lambda: (zone,), now)
    if opens is not None:
        assert now < opens <= now + 3 * 86_400_000
        assert window.find_opening(lambda: (zone,), opens) is None
        assert window.find_opening(lambda: (zone,), opens - 60_000) == opens


@pytest.mark.parametrize(
    ("number", "zones"),
    [("+886912345678", ("Asia/Taipei",)), ("+12025550100", ("America/New_York",)), ("+8835100000000", ("UTC",))],
)
def test_zones_of_a_number(number: str, zones: tuple[str, ...]) -> None:
    assert find_zones(number) == zones


def test_a_number_of_a_large_country_has_many() -> None:
    assert {"Europe/Moscow", "Asia/Vladivostok"} <= set(find_zones("+79161234567"))
