"""The opening of attempts: each made durable, with its message `sending`, before a byte leaves (promises 4 and 5)."""

from collections.abc import Callable
from functools import partial

from broker.delivery.exchange import Exchange
from broker.delivery.flight import Flight
from broker.delivery.lane import Lane
from broker.store.contract import Answer, Change, Done, Shut, Step


def launch(ex: Exchange, lane: Lane, batch: list[Flight], send: Callable[[list[Flight]], None], fail: Callable[[Flight], None]) -> None:
    """Journal the attempts of `batch`; `send` those whose opening stands, in one go, once that is known of all; `fail` each other one."""
    now = ex.now()
    until = now + lane.settings.timeout
    if ex.callbacks is not None:
        ex.callbacks.name_call(lane, batch)
    launching = _Launching(ex, lane, len(batch), until, send, fail)
    for flight in batch:
        _open(ex, lane, flight, now, until, partial(launching.note, flight))


class _Launching:
    """One call to the provider whose attempts are being opened: how many are not known of yet, and those that stand."""

    __slots__ = ("_ex", "_fail", "_lane", "_left", "_ready", "_send", "_until")

    def __init__(
        self, ex: Exchange, lane: Lane, left: int, until: int, send: Callable[[list[Flight]], None], fail: Callable[[Flight], None]
    ) -> None:
        self._ex = ex
        self._lane = lane
        self._left = left
        self._until = until
        self._send = send
        self._fail = fail
        self._ready: list[Flight] = []

    def note(self, flight: Flight, answer: Answer, _value: object) -> None:
        """What became of one attempt's opening."""
        self._left -= 1
        if answer is Answer.DONE:
            _note_opened(self._ex, self._lane, flight, self._until)
            self._ready.append(flight)
        else:
            self._fail(flight)
        if not self._left and self._ready:
            self._send(self._ready)


def _note_opened(ex: Exchange, lane: Lane, flight: Flight, until: int) -> None:
    # Not before: the row of a message just accepted is made from this very value, perhaps in this same commit.
    message = flight.message
    message.status, message.attempts, message.lane, message.next_at = "sending", flight.attempt.n, lane.name, until
    if flight.replaced is None:
        ex.queued -= 1
        return
    before = ex.lanes.get(flight.replaced.provider)
    if before is not None:
        before.ledger.settle(flight.replaced, debit=True)  # abandoned: taken as charged


def _open(ex: Exchange, lane: Lane, flight: Flight, now: int, until: int, done: Done) -> None:
    message, replaced = flight.message, flight.replaced
    entry = ex.teller.tell(message, "sending", now, flight.attempt, rule=flight.rule.name)
    change = Change("sending", None, lane.name, until, None, flight.rule.name, flight.attempt.n)
    expect = "queued"
    shut: tuple[Shut, ...] = ()
    if replaced is not None:
        change.progress = message.progress
        expect, shut = "in_doubt", (Shut(replaced.n, ("in_doubt",), "abandoned", None),)
    ex.journal.put(Step(message.id, (expect,), change, (entry,), flight.attempt, shut, done))
