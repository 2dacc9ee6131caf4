"""Durations on the command line: as broker.toml writes them, or plain seconds."""

from argparse import ArgumentTypeError

LONGEST_S = 366 * 24 * 3600


def read_seconds(text: str) -> float:
    """Seconds of "90s", "5m" or "90". Raises ArgumentTypeError, whose text argparse shows."""
    from broker.words.clock import SECOND, read_span

    try:
        seconds = read_span(text if text[-1:].isalpha() else f"{text}s") / SECOND
    except ValueError:
        raise ArgumentTypeError(f'"{text}" is no duration; write for example 90s or 5m') from None
    if seconds > LONGEST_S:
        raise ArgumentTypeError(f'"{text}" is longer than a year')
    return seconds
