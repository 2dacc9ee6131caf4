"""The log: one logfmt line per event on stderr, UTC; journald priorities where journald listens. Never a text, a number or a secret.

Messages are made of fixed words and `key=value` pairs by their callers; values are names, classes, codes and counts. Of what a library logs
only the place is told.
"""

import logging
import os
import sys
import time

LEVELS = ("debug", "info", "warning", "error", "critical")
_PRIORITY = {10: "<7>", 20: "<6>", 30: "<4>", 40: "<3>", 50: "<2>"}


class Line(logging.Formatter):
    """`2026-11-21T20:00:00.123Z info broker.store words key=value`; under journald without the time it adds itself."""

    def __init__(self, *, journald: bool) -> None:
        super().__init__("%(message)s")
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        """One line; of an exception its type and place, never its text."""
        if record.name.split(".")[0] == "broker":
            words = record.getMessage().replace("\n", " ")
        else:  # a library's: its words may be an address with a password in it, a peer's octets, anything
            words = f"a library has something to say at={record.module}:{record.lineno}"
        if record.exc_info and record.exc_info[0] is not None:
            words += f" error={record.exc_info[0].__name__}"
        level = record.levelname.lower()
        if self._journald:
            return f"{_PRIORITY.get(record.levelno, '<6>')}{level} {record.name} {words}"
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{at}.{int(record.msecs):03d}Z {level} {record.name} {words}"


def start_log(level: str) -> None:
    """Send the log to stderr from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line(journald="JOURNAL_STREAM" in os.environ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """The level of the broker's own log."""
    logging.getLogger("broker").setLevel(level.upper())
