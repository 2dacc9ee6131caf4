"""The watchdog: ends the process when its loop has not turned for a minute, which a plugin that never returns brings about.

In C, by faulthandler: it needs no interpreter lock, so it also ends a regular expression that never returns. It writes to stderr where
the process hung, as file, line and function, never a value; then what is open is in doubt, as after a kill. Under systemd `delivery.watch`
is stricter, because it also looks for progress; this one needs nobody outside. A process stopped for longer ends when it goes on.
"""

import faulthandler
import io
import logging
import sys

import trio

log = logging.getLogger("broker.ops")

STUCK = 60.0
"""Seconds without a turn of the loop: longer than any answer is waited for, so that a slow disk is not taken for it."""


async def run_watchdog() -> None:
    """Put the end of the process off, again and again, until cancelled."""
    try:
        sys.stderr.fileno()
    except (AttributeError, io.UnsupportedOperation, ValueError):
        log.warning("no watchdog: stderr is no file")
        return
    try:
        while True:
            faulthandler.dump_traceback_later(STUCK, exit=True)
            await trio.sleep(STUCK / 6)
    finally:
        faulthandler.cancel_dump_traceback_later()
