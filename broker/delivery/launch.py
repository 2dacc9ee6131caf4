"""The opening of attempts: each made durable, with its message `sending`, before a byte leaves (promises 4 and 5)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.delivery.flight import Flight
from broker.store.contract import Answer, Change, Shut, Step

if TYPE_CHECKING:
    from broker.delivery.lane import Lane


def launch(lane: "Lane", batch: list[Flight], send: Callable[[list[Flight]], None]) -> None:
    """Journal the attempts of `batch`; `send` those whose opening stands, in one go, once that is known of all."""
    now = lane.ex.now()
    until = now + lane.settings.timeout
    ready: list[Flight] = []
    left = len(batch)
    if lane.ex.callbacks is not None:
        lane.ex.callbacks.name_call(lane, batch)

    def note(flight: Flight, answer: Answer) -> None:
        nonlocal left
        left -= 1
        if answer is Answer.DONE:
            _note_opened(lane, flight, until)
            ready.append(flight)
        else:
            lane.note_failed(flight)
        if not left and ready:
            send(ready)

    for flight in batch:
        _open(lane, flight, now, until, note)


def _note_opened(lane: "Lane", flight: Flight, until: int) -> None:
    # Not before: the row of a message just accepted is made from this very value, perhaps in this same commit.
    message = flight.message
    message.status, message.attempts, message.lane, message.next_at = "sending", flight.attempt.n, lane.name, until
    if flight.replaced is None:
        lane.ex.queued -= 1
        return
    before = lane.ex.lanes.get(flight.replaced.provider)
    if before is not None:
        before.ledger.settle(flight.replaced, debit=True)  # abandoned: taken as charged


def _open(lane: "Lane", flight: Flight, now: int, until: int, note: Callable[[Flight, Answer], None]) -> None:
    message, replaced = flight.message, flight.replaced
    entry = lane.ex.teller.tell(message, "sending", now, flight.attempt, rule=flight.rule.name)
    change = Change("sending", None, lane.name, until, None, flight.rule.name, flight.attempt.n)
    expect = "queued"
    shut: tuple[Shut, ...] = ()
    if replaced is not None:
        change.progress = message.progress
        expect, shut = "in_doubt", (Shut(replaced.n, ("in_doubt",), "abandoned", None),)
    step = Step(message.id, (expect,), change, (entry,), flight.attempt, shut, lambda answer, _value: note(flight, answer))
    lane.ex.journal.put(step)
