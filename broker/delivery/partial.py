"""Messages that are held for missing parts: some were taken, others not (CONTRACT §1, Parts). Whatever ends the hold without proof of
the missing ones gives up the attempt.
"""

from typing import TYPE_CHECKING

from broker.store.contract import Answer, Shut, Step
from broker.words.attempt import Attempt
from broker.words.message import Message

if TYPE_CHECKING:
    from broker.delivery.exchange import Exchange


def debit(ex: "Exchange", attempt: Attempt) -> None:
    """An attempt in doubt is taken as charged."""
    lane = ex.lanes.get(attempt.provider)
    if lane is not None:
        lane.ledger.settle(attempt, debit=True)


def abandon(ex: "Exchange", message: Message, step: Step) -> None:
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
