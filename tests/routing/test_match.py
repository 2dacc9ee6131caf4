"""`match`: each key by itself, any-of within a key, all keys together."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.routing import Rule
from tests.routing.desk import NOW, make_match, message


def is_match(match: Mapping[str, Any], now: int = NOW, **keys: Any) -> bool:
    return Rule(0, make_match(**match), ()).is_match(message(**keys), now)


def words(*given: str) -> frozenset[str]:
    return frozenset(given)


NORDIC = words("SE", "NO", "DK", "FI")  # a group comes resolved

CASES: list[tuple[str, Mapping[str, Any], Mapping[str, Any], bool]] = [
    ("nothing asked", {}, {}, True),
    ("country", {"country": words("TW", "JP")}, {}, True),
    ("another country", {"country": words("JP")}, {}, False),
    ("no country", {"country": words("TW")}, {"country": None}, False),
    ("a group", {"country": NORDIC | words("TW")}, {"country": "DK"}, True),
    ("outside the group", {"country": NORDIC}, {}, False),
    ("prefix", {"prefix": ("+1", "+8869")}, {}, True),
    ("another prefix", {"prefix": ("+8862",)}, {}, False),
    ("network", {"network": ("46601",)}, {"network": "46601"}, True),
    ("another network", {"network": ("46601",)}, {"network": "46692"}, False),
    ("network unknown", {"network": ("46601",)}, {}, False),
    ("mobile", {"type": words("mobile")}, {}, True),
    ("fixed", {"type": words("fixed")}, {"to": "+886222345678"}, True),
    ("not mobile", {"type": words("mobile")}, {"to": "+886222345678"}, False),
    ("either, as in the US", {"type": words("mobile_or_fixed")}, {"to": "+12025550123", "country": "US"}, True),
    ("sender", {"sender": words("ACME", "SHOP")}, {"sender": "ACME"}, True),
    ("another sender", {"sender": words("ACME")}, {"sender": "acme"}, False),
    ("no sender", {"sender": words("ACME")}, {}, False),
    ("client", {"client": words("unix:shop")}, {}, True),
    ("another client", {"client": words("unix:root")}, {}, False),
    ("one of its tags", {"tag": words("otp", "alert")}, {"tags": ("x", "otp")}, True),
    ("none of its tags", {"tag": words("otp")}, {"tags": ("x", "y")}, False),
    ("no tags", {"tag": words("otp")}, {}, False),
    ("channel", {"channel": words("sms")}, {}, True),
    ("another channel", {"channel": words("voice")}, {}, False),
    ("encoding", {"encoding": words("ucs2")}, {"encoding": "ucs2"}, True),
    ("another encoding", {"encoding": words("ucs2")}, {}, False),
    ("text", {"text": ("kod", r"c[o0]de \d+")}, {"text": "your code 123"}, True),
    ("text from its start", {"text": (r"^code",)}, {"text": "your code 123"}, False),
    ("text with a flag", {"text": (r"(?i)CODE",)}, {"text": "your code"}, True),
    ("text over lines", {"text": (r"(?m)^b",)}, {"text": "a\nb"}, True),
    ("text that is gone", {"text": ("code",)}, {"text": None}, False),
    ("two keys", {"country": words("TW"), "tag": words("otp")}, {"tags": ("otp",)}, True),
    ("one of two keys", {"country": words("TW"), "tag": words("otp")}, {}, False),
    ("the other of two keys", {"country": words("JP"), "tag": words("otp")}, {"tags": ("otp",)}, False),
]


@pytest.mark.parametrize(("match", "keys", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_key(match: Mapping[str, Any], keys: Mapping[str, Any], expected: bool) -> None:
    assert is_match(match, **keys) is expected


@pytest.mark.parametrize(
    ("forms", "allowed"),
    [
        (("2",), {2}),
        (("02",), {2}),
        ((">3",), {4, 5, 6}),
        ((">=2",), {2, 3, 4, 5, 6}),
        (("<4",), {1, 2, 3}),
        (("<=1",), {1}),
        (("1", ">4"), {1, 5, 6}),
    ],
)
def test_segments(forms: tuple[str, ...], allowed: set[int]) -> None:
    assert {count for count in range(1, 7) if is_match({"segments": forms}, segments=count)} == allowed


@pytest.mark.parametrize("form", ["", "=2", "> ", "two", "1-3", ">-1"])
def test_no_segments(form: str) -> None:
    with pytest.raises(ValueError, match="segments"):
        is_match({"segments": (form,)})


def at(zone: str, *when: int) -> int:
    return int(datetime(*when, tzinfo=ZoneInfo(zone)).timestamp() * 1000)  # type: ignore[misc, arg-type]  # year, month, day and so on


TAIPEI = "Asia/Taipei"
OFFICE = "Mon-Fri 08:00-20:00 Asia/Taipei"
NIGHT = "Fri-Sat 22:00-06:00 Asia/Taipei"
# 2026-11-20 is a Friday
TIMES = [
    (OFFICE, at(TAIPEI, 2026, 11, 20, 8, 0), True),
    (OFFICE, at(TAIPEI, 2026, 11, 20, 7, 59, 59), False),
    (OFFICE, at(TAIPEI, 2026, 11, 20, 19, 59, 59), True),
    (OFFICE, at(TAIPEI, 2026, 11, 20, 20, 0), False),
    (OFFICE, at(TAIPEI, 2026, 11, 21, 12, 0), False),
    (OFFICE, at("UTC", 2026, 11, 20, 0, 0), True),  # 08:00 there
    (OFFICE, at("UTC", 2026, 11, 20, 12, 0), False),  # 20:00 there
    (OFFICE, at("UTC", 2026, 11, 23, 0, 30), True),  # Monday there
    (NIGHT, at(TAIPEI, 2026, 11, 20, 22, 0), True),
    (NIGHT, at(TAIPEI, 2026, 11, 20, 21, 59), False),
    (NIGHT, at(TAIPEI, 2026, 11, 20, 5, 0), False),  # Thursday's night is not meant
    (NIGHT, at(TAIPEI, 2026, 11, 21, 5, 59), True),
    (NIGHT, at(TAIPEI, 2026, 11, 21, 6, 0), False),
    (NIGHT, at(TAIPEI, 2026, 11, 22, 5, 59), True),  # Sunday morning is Saturday's night
    (NIGHT, at(TAIPEI, 2026, 11, 22, 22, 30), False),
    ("Sat-Mon 00:00-24:00 UTC", at("UTC", 2026, 11, 20, 23, 59), False),
    ("Sat-Mon 00:00-24:00 UTC", at("UTC", 2026, 11, 21, 0, 0), True),
    ("Sat-Mon 00:00-24:00 UTC", at("UTC", 2026, 11, 23, 23, 59), True),
    ("Sat-Mon 00:00-24:00 UTC", at("UTC", 2026, 11, 24, 0, 0), False),
    ("Sat 12:00-13:00 UTC", at("UTC", 2026, 11, 21, 12, 30), True),
    ("Fri 12:00-13:00 UTC", at("UTC", 2026, 11, 21, 12, 30), False),
    # Clocks go back at 03:00 on 2026-10-25: both hours called 02:30 are within, whatever their offset.
    ("Sun 02:00-03:00 Europe/Berlin", at("UTC", 2026, 10, 25, 0, 30), True),
    ("Sun 02:00-03:00 Europe/Berlin", at("UTC", 2026, 10, 25, 1, 30), True),
    ("Sun 02:00-03:00 Europe/Berlin", at("UTC", 2026, 10, 25, 2, 30), False),
]


@pytest.mark.parametrize(("form", "now", "expected"), TIMES)
def test_time(form: str, now: int, expected: bool) -> None:
    assert is_match({"time": (form,)}, now) is expected


def test_one_of_two_times() -> None:
    forms = ("Mon 08:00-09:00 UTC", "Sat 12:00-12:01 UTC")
    assert is_match({"time": forms}, NOW)
    assert not is_match({"time": forms}, NOW + 60_000)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 7 * 24 * 60 - 1))
def test_days_of_the_week(first: int, last: int, minute: int) -> None:
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    now = at("UTC", 2026, 11, 16) + minute * 60_000  # a Monday
    day = minute // (24 * 60)
    inside = {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    assert is_match({"time": (f"{days[first]}-{days[last]} 00:00-24:00 UTC",)}, now) is (day in inside)
