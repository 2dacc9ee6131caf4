"""When to ask a provider for a message's fate (CONTRACT §10, `query`): times since `sent`, the last gap repeating."""

from broker.words.settings import ProviderSettings


def find_next_query(settings: ProviderSettings, sent_at: int, now: int, can_query: bool) -> int:
    """The next time after `now` to ask about a message sent at `sent_at`, or the end of `receipt_wait` where that comes first."""
    end = sent_at + settings.receipt_wait
    if not can_query or not settings.query:
        return end
    age = now - sent_at
    for after in settings.query:
        if after > age:
            return min(sent_at + after, end)
    last = settings.query[-1]
    gap = last - settings.query[-2] if len(settings.query) > 1 else last
    gap = max(gap, 1000)
    return min(sent_at + last + ((age - last) // gap + 1) * gap, end)
