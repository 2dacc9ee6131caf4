"""A daemon with one protection off: `python -m tests.crash.subject CONFIG MUTANT`. (The daemon under test is `broker run` itself.)

The mutants are how the test shows that it can fail: each breaks one promise of DESIGN.md by patching a function from outside, and
nothing in the broker knows of them.
"""

import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from broker.daemon import run_daemon
from broker.delivery import port
from broker.delivery.backlog import Item
from broker.delivery.bell import Bell
from broker.delivery.carrier import Carrier
from broker.delivery.dispatch import Dispatcher
from broker.delivery.endpoints import Verdict, Webhook
from broker.delivery.hooks import Stream
from broker.delivery.inbound import take_inbound
from broker.delivery.receipts import take_receipts
from broker.provider.contract import Outcome, Send, Settle, Unstored
from broker.store import inbound, sqlite
from broker.store.contract import Put, Receive
from tests.faults import mutants_sent


def acknowledge_before_commit() -> None:
    """Promise 9 off: a provider hears that its receipt or inbound message is safe while that is on its way to the disk."""

    async def take_receipts_early(*given: Any) -> list[str | None]:
        _in_background(take_receipts, *given)
        return [None for _ in given[2]]

    async def take_inbound_early(*given: Any) -> None:
        _in_background(take_inbound, *given)

    vars(port).update(take_receipts=take_receipts_early, take_inbound=take_inbound_early)


def _in_background(take: Callable[..., Coroutine[Any, Any, object]], *given: Any) -> None:
    """A quarter of a second late, as a slow disk would have it."""

    async def work() -> None:
        await trio.sleep(0.25)
        with suppress(Unstored):
            await take(*given)

    trio.lowlevel.spawn_system_task(work)


def hand_over_once() -> None:
    """At least once off: what waits for an endpoint leaves its queue before it is handed over."""
    hand_over = Stream._hand_over

    async def unhook_first(self: Stream, item: Item) -> None:
        self.ex.journal.put(Put(unhook=(item.hook.n,)))
        await self.ex.journal.wait_committed()
        await hand_over(self, item)

    Stream._hand_over = unhook_first  # type: ignore[method-assign]  # the mutant


def hand_over_twice() -> None:
    """Once where nothing fails off: what an endpoint took is handed over once more."""
    hand_over = Webhook.hand_over

    async def twice(self: Webhook, id_: str, body: bytes, now: int) -> Verdict:
        await hand_over(self, id_, body, now)
        return await hand_over(self, id_, body, now)

    Webhook.hand_over = twice  # type: ignore[method-assign]  # the mutant


def hand_over_nothing() -> None:
    """What is due to an endpoint stays in its queue."""

    async def wait(self: Stream, item: Item) -> None:
        await trio.sleep_forever()

    Stream._hand_over = wait  # type: ignore[method-assign]  # the mutant


def take_again_whatever_comes() -> None:
    """An inbound message that comes again is another one."""
    write = inbound.write_received

    def unmarked(conn: Any, op: Receive) -> Any:
        op.since = 1 << 60
        return write(conn, op)

    vars(sqlite)["write_received"] = unmarked


def sweep_late() -> None:
    """Promise 2 half off: what waits for its end is looked at a minute late."""
    wait = Bell.wait

    async def oversleep(self: Bell, now: Callable[[], int]) -> None:
        await wait(self, now)
        if sys._getframe(1).f_code.co_name == "_sweep_waiting":
            await trio.sleep(50)

    Bell.wait = oversleep  # type: ignore[method-assign]  # the mutant


def doubt_everything() -> None:
    """Nothing that a provider says is proof."""
    submit = Carrier.submit

    async def unread(self: Carrier, sends: Sequence[Send], now: Callable[[], int], settle: Settle) -> None:
        await submit(self, sends, now, lambda index, _outcome: settle(index, Outcome("in_doubt", evidence="unreadable")))

    Carrier.submit = unread  # type: ignore[method-assign]  # the mutant


def send_nothing() -> None:
    """Whatever was taken waits for its end."""
    Dispatcher._launch = lambda self, batch: None  # type: ignore[method-assign]  # the mutant


def _nobody() -> None:
    """Nobody here has to be told that a mutant was reached."""


requeue_at_recovery = partial(mutants_sent.requeue_at_recovery, _nobody)
answer_before_commit = partial(mutants_sent.answer_before_commit, _nobody)
send_before_commit = partial(mutants_sent.send_before_commit, _nobody)
MUTANTS: dict[str, Callable[[], None]] = {
    "requeue": requeue_at_recovery,
    "ack-early": answer_before_commit,
    "send-early": send_before_commit,
    "deliver-early": acknowledge_before_commit,
    "hook-once": hand_over_once,
    "hook-twice": hand_over_twice,
    "hook-never": hand_over_nothing,
    "inbound-twice": take_again_whatever_comes,
    "sweep-late": sweep_late,
    "doubt-all": doubt_everything,
    "send-nothing": send_nothing,
}


def main() -> int:
    """Run the daemon; the exit code."""
    MUTANTS[sys.argv[2]]()
    return run_daemon(Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
