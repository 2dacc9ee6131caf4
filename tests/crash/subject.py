"""A daemon with one protection off: `python -m tests.crash.subject CONFIG MUTANT`. (The daemon under test is `broker run` itself.)

The mutants are how the test shows that it can fail: each breaks one promise of DESIGN.md by patching a function from outside, and
nothing in the broker knows of them.
"""

import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from broker.daemon import run_daemon
from broker.delivery import port, recover
from broker.delivery.backlog import Item
from broker.delivery.carry import Carrier
from broker.delivery.exchange import Exchange
from broker.delivery.flight import Flight
from broker.delivery.hooks import Stream
from broker.delivery.inbound import take_inbound
from broker.delivery.lane import Lane
from broker.delivery.receipts import take_receipts
from broker.provider.contract import Outcome, Send, Settle, Unstored
from broker.store.contract import Accept, Answer, Change, Operation, Put, Shut, Step
from broker.store.journal import SqliteJournal
from broker.words.attempt import Attempt


def requeue_at_recovery() -> None:
    """Promise 5 off: what a crash left open goes back to the queue, as if nothing had been sent."""

    def requeue(ex: Exchange, attempt: Attempt) -> None:
        message = ex.query.find_message(attempt.message)
        assert message is not None
        shut = Shut(attempt.n, ("open",), "refused", ex.now(), "unreachable")
        entry = ex.teller.tell(message, "queued", ex.now(), attempt)
        ex.journal.put(Step(attempt.message, ("sending",), Change("queued", None, None, ex.now()), (entry,), None, (shut,)))

    recover._doubt = requeue  # type: ignore[attr-defined, unused-ignore]  # the mutant


def answer_before_commit() -> None:
    """Promise 1 off: `ok` at once, the commit later."""
    put = SqliteJournal.put

    def put_early(self: SqliteJournal, operation: Operation) -> None:
        if isinstance(operation, Accept):
            operation.done(Answer.DONE, None)
            operation.done = lambda _answer, _value: None
        put(self, operation)

    SqliteJournal.put = put_early  # type: ignore[method-assign]  # the mutant


def send_before_commit() -> None:
    """Promise 4 off: the bytes leave first, the attempt's row is written once the answer is there."""
    launch, submit = Lane._launch, Carrier.submit
    known: dict[str, Outcome] = {}

    async def submit_once(self: Carrier, sends: Sequence[Send], now: Callable[[], int], settle: Settle) -> None:
        for index, send in enumerate(sends):
            settle(index, known.pop(send.attempt))

    async def send(lane: Lane, batch: list[Flight]) -> None:
        sends = [Send(each.message, each.attempt.id, each.attempt.n, each.attempt.sender, each.attempt.key) for each in batch]
        await submit(lane.carrier, sends, lane.ex.now, lambda index, outcome: known.update({sends[index].attempt: outcome}))
        launch(lane, batch)

    def launch_late(self: Lane, batch: list[Flight]) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(send, self, batch)

    Carrier.submit = submit_once  # type: ignore[method-assign]  # the mutant
    Lane._launch = launch_late  # type: ignore[method-assign]  # as above


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


MUTANTS = {
    "requeue": requeue_at_recovery,
    "ack-early": answer_before_commit,
    "send-early": send_before_commit,
    "deliver-early": acknowledge_before_commit,
    "hook-once": hand_over_once,
}


def main() -> int:
    """Run the daemon; the exit code."""
    MUTANTS[sys.argv[2]]()
    return run_daemon(Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
