"""Messages that are held for missing parts: some were taken, others not (CONTRACT §1, Parts). Whatever ends the hold without proof of
the missing ones gives up the attempt.
"""

from collections.abc import Callable

from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.policy import lay_out
from broker.store.contract import Answer, Change, Shut, Step
from broker.words.attempt import Attempt, Piece
from broker.words.message import Message
from broker.words.outcome import Outcome


def hold(ex: Exchange, lane: Lane, message: Message, attempt: Attempt, outcome: Outcome, heard: Callable[[str | None], None]) -> None:
    """Late answers say of a message in doubt that some parts were taken and others not: it waits for a person, whatever the rule says.

    `heard` is told the status once that is durable, None where it came too late.
    """
    known = dict(zip(attempt.refs, lay_out(attempt), strict=False))  # by id: late ones were taken in as they came, not in order
    pieces = tuple(known.get(ref, Piece("accepted")) if ref else Piece() for ref in outcome.refs)
    shut = Shut(attempt.n, ("in_doubt",), "in_doubt", None, None, outcome.code, outcome.detail, outcome.refs)
    shut.provider = lane.name if ex.is_by_ref(lane) else None
    shut.amends = (pieces, attempt.parts, attempt.price, attempt.credit)
    change = Change("held", "partial", None, message.valid_until)
    entry = ex.teller.tell(
        message, "held", ex.now(), attempt, class_=outcome.class_, code=outcome.code, detail="partial", ref=find_ref(outcome.refs)
    )

    def done(answer: Answer, _value: object) -> None:
        if answer is Answer.DONE:
            ex.queued += 1
            ex.sweep_bell.ring_at(change.next_at)
        heard("held" if answer is Answer.DONE else None)

    ex.journal.put(Step(message.id, ("in_doubt",), change, (entry,), None, (shut,), done))


def find_ref(refs: tuple[str, ...]) -> str | None:
    """The provider's id to name a message by: its first part's that has one."""
    return next(filter(None, refs), None)


def debit(ex: Exchange, attempt: Attempt) -> None:
    """An attempt in doubt is taken as charged."""
    lane = ex.lanes.get(attempt.provider)
    if lane is not None:
        lane.ledger.settle(attempt, debit=True)


def abandon(ex: Exchange, message: Message, step: Step) -> None:
    """A step that ends a hold for missing parts, without proof of them, gives up the attempt that is in doubt for their sake."""
    if message.status != "held" or message.detail != "partial":
        return
    doubted = [attempt for attempt in ex.query.find_attempts(message.id) if attempt.state == "in_doubt"]
    step.shut = (*step.shut, *(Shut(attempt.n, ("in_doubt",), "abandoned", None) for attempt in doubted))
    then = step.done

    def done(answer: Answer, value: object) -> None:
        if answer is Answer.DONE:
            for attempt in doubted:
                debit(ex, attempt)
        if then is not None:
            then(answer, value)

    step.done = done
