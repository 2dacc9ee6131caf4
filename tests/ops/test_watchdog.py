"""The watchdog, in a process of its own: it ends one whose loop does not turn, and no other."""

import sys

import pytest
import trio

PROGRAM = """
import re, sys, time, trio
from broker.ops import watchdog
watchdog.STUCK = 0.5
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watchdog.run_watchdog)
        await trio.sleep(0.1)
        {what}
        nursery.cancel_scope.cancel()
    time.sleep({after})
trio.run(main)
"""


@pytest.mark.parametrize("what", ["while True: pass", "re.match('(a+)+$', 'a' * 64 + 'b')"], ids=["loop", "loop in C"])
async def test_a_loop_that_does_not_turn_ends_the_process(what: str) -> None:
    """Without a value of what it hung at: only where."""
    program = PROGRAM.format(what=what, after=0)
    done = await trio.run_process([sys.executable, "-c", program], capture_stderr=True, check=False)
    assert done.returncode == 1
    assert b"Timeout" in done.stderr
    assert b"in main" in done.stderr
    assert b"aaaa" not in done.stderr


async def test_one_that_turns_is_left_alone_and_so_is_one_that_has_ended() -> None:
    program = PROGRAM.format(what="await trio.sleep(1)", after=0.7)
    done = await trio.run_process([sys.executable, "-c", program], capture_stderr=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
