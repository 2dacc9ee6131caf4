"""Waiting: full jitter under a doubling cap (CONTRACT §10, Retry backoff). Milliseconds."""

FIRST = 5_000
LONGEST = 300_000
RETRY_AFTER_CAP = 900_000


def backoff(times: int, draw: int, retry_after: int | None = None) -> int:
    """Milliseconds to wait before try `times` + 1 (0: the first retry). `draw` is uniform in 0..999_999.

    The cap is 5 s, doubling to 5 min; what a provider asks for (`retry_after`) is obeyed, up to 15 min. One that asks for no time at all
    asks for nothing: obeyed, that would be a loop at its rate.
    """
    if retry_after is not None and retry_after > 0:
        return min(retry_after, RETRY_AFTER_CAP)
    cap = min(FIRST << min(times, 10), LONGEST)
    return cap * draw // 1_000_000
