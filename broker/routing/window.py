"""A rule's `window`: the hours in which its messages may leave, by the recipient's clock or a zone's (CONTRACT §3).

Where the recipient may be in several zones, the window is open while it is open in all of them: nobody is woken. Where no such
moment exists, the zone in the middle of them counts. Pure: the zones and `now` are arguments.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from broker.words.clock import MINUTE

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LOCAL = "local"
MOST_KNOWN = 256
LOOK_AHEAD = 9
"""Days in which the next opening of any window is found."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Hours:
    """Hours of some days of the week, over midnight too, written "Mon-Fri 08:00-20:00" or "08:00-20:00"."""

    __slots__ = ("days", "start", "stop")

    def __init__(self, text: str) -> None:
        days, _, hours = text.rpartition(" ")
        first, _, last = (days or "Mon-Sun").partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        self.days = {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
        self.start, self.stop = (_minutes(part) for part in hours.split("-"))

    def is_within(self, local: datetime) -> bool:
        """True at the minute of `local`."""
        minute = local.hour * 60 + local.minute
        if self.start <= self.stop:
            return local.weekday() in self.days and self.start <= minute < self.stop
        # Over midnight: the hours after it belong to the day on which the span began.
        return (local.weekday() in self.days and minute >= self.start) or (
            (local.weekday() - 1) % 7 in self.days and minute < self.stop
        )


class Window:
    """One rule's window, "08:00-20:00 local" or "Mon-Fri 08:00-20:00 Europe/Athens"."""

    __slots__ = ("_hours", "_is_local", "_known", "_zone")

    def __init__(self, text: str) -> None:
        hours, _, zone = text.rpartition(" ")
        self._hours = Hours(hours)
        self._is_local = zone == LOCAL
        self._zone = zone
        self._known: dict[tuple[str, ...], tuple[int, int | None]] = {}

    def find_opening(self, find_zones: Callable[[], tuple[str, ...]], now: int) -> int | None:
        """None while the window is open, else when it opens next. `find_zones` gives the recipient's; it is asked only for `local`."""
        names = find_zones() if self._is_local else (self._zone,)
        minute = now - now % MINUTE  # no window opens or closes within one, and no clock is put forward or back
        known = self._known.get(names)
        if known is None or known[0] != minute:
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
            known = self._known[names] = minute, self._look(names, minute)
        return known[1]

    def _look(self, names: tuple[str, ...], now: int) -> int | None:
        zones = [ZoneInfo(name) for name in names]
        opening = self._find(zones, now)
        if opening is None:
            moment = _EPOCH + timedelta(milliseconds=now)
            zones.sort(key=lambda zone: moment.astimezone(zone).utcoffset() or timedelta())
            opening = self._find([zones[len(zones) // 2]], now)
        return None if opening is None or opening <= now else opening

    def _find(self, zones: list[ZoneInfo], now: int) -> int | None:
        """The first moment from `now` on at which it is open in every zone: now, or one zone's own opening."""
        moment = _EPOCH + timedelta(milliseconds=now)
        moments = [moment]
        for zone in zones:
            today = moment.astimezone(zone).date()
            for day in range(LOOK_AHEAD):
                clock = timedelta(minutes=self._hours.start)
                local = datetime.combine(today + timedelta(days=day), datetime.min.time(), zone) + clock
                moments.append(local.astimezone(UTC))
        for each in sorted(moments):
            if each >= moment and all(self._hours.is_within(each.astimezone(zone)) for zone in zones):
                return (each - _EPOCH) // timedelta(milliseconds=1)
        return None


def _minutes(text: str) -> int:
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute)
