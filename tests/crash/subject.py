"""A daemon with one protection off: `python -m tests.crash.subject CONFIG MUTANT`. (The daemon under test is `broker run` itself.)

The mutants are how the test shows that it can fail: each breaks one promise of DESIGN.md by patching a function from outside, and
nothing in the broker knows of them.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from broker.daemon import run_daemon
from broker.delivery import recover
from broker.delivery.carry import Carrier
from broker.delivery.exchange import Exchange
from broker.delivery.flight import Flight
from broker.delivery.lane import Lane
from broker.provider.contract import Outcome, Send, Settle
from broker.store.contract import Accept, Answer, Change, Operation, Shut, Step
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


MUTANTS = {"requeue": requeue_at_recovery, "ack-early": answer_before_commit, "send-early": send_before_commit}


def main() -> int:
    """Run the daemon; the exit code."""
    MUTANTS[sys.argv[2]]()
    return run_daemon(Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
