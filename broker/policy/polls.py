"""When to ask a provider for a message's fate (CONTRACT §10, `query`): times since `sent`, the last gap repeating."""

from broker.words.clock import MINUTE, SECOND
from broker.words.settings import ProviderSettings

LONGEST_GATHER = 5 * SECOND
SPREAD = 10
MOST_SPREAD = 5 * MINUTE
LOOKUP = (2 * SECOND, 8 * SECOND, 20 * SECOND)
"""A lookup is asked for at these times too, where they come before the account's own: a network answers in seconds, and somebody waits."""


def find_gather(settings: ProviderSettings, can_query: bool) -> int:
    """Milliseconds at least from one look at what is due to the next: a twelfth of the first time to ask, so that more are asked for
    in one query; 0.1 s where nobody is asked.
    """
    if not can_query or not settings.query:
        return 100
    return max(5, min(settings.query[0] // 12, LONGEST_GATHER))


def find_next_query(
    settings: ProviderSettings, sent_at: int, now: int, can_query: bool, draw: int = 0, deadline: int | None = None,
    *, is_lookup: bool = False,
) -> int:  # fmt: skip
    """The next time after `now` to ask about a message sent at `sent_at`, or `deadline` (the end of `receipt_wait`) if that comes first.

    `draw` (0..999_999) spreads those that would come at once: up to a tenth of the time since the one before, 5 minutes at most.
    """
    end = sent_at + settings.receipt_wait if deadline is None else deadline
    times = settings.query if can_query else ()
    soon = [each for each in LOOKUP if now - sent_at < each < times[0]] if is_lookup and times else None
    at = min(sent_at + soon[0], end) if soon else _find_time(times, sent_at, now, end)
    return min(at + min((at - now) // SPREAD, MOST_SPREAD) * draw // 1_000_000, end)


def _find_time(times: tuple[int, ...], sent_at: int, now: int, end: int) -> int:
    if not times:
        return end
    age = now - sent_at
    for after in times:
        if after > age:
            return min(sent_at + after, end)
    last = times[-1]
    gap = last - times[-2] if len(times) > 1 else last
    gap = max(gap, 1000)
    return min(sent_at + last + ((age - last) // gap + 1) * gap, end)
