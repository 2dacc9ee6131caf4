"""Recovery: what a crash left open. An attempt OPEN without a close is in doubt; it is never sent again blindly (promises 5 to 7).

Killed while recovering, it ends the same: each attempt is one transaction of its own (promise 17).
"""

import msgspec

from broker.delivery.exchange import Exchange
from broker.delivery.receipts import review_inbox
from broker.policy.doubt import plan_doubt
from broker.store.contract import Change, Shut, Step
from broker.store.failpoints import failpoint
from broker.words.attempt import Attempt


async def recover(ex: Exchange) -> int:
    """Turn every attempt that a crash left open into one in doubt, rebuild the ledgers, and look at every receipt that waits.

    Returns how many attempts there were.
    """
    found = 0
    for page in ex.query.read_open_attempts(("open",)):
        for attempt in page:
            _doubt(ex, attempt)
            found += 1
        failpoint("recover.page")
        await ex.journal.wait_committed()
    failpoint("recover.done")
    for page in ex.query.read_open_attempts(("in_doubt",)):
        for attempt in page:
            lane = ex.lanes.get(attempt.provider)
            if lane is not None:
                lane.ledger.reserve(attempt, ex.now())
    await review_inbox(ex)
    failpoint("recover.inbox")
    ex.queued = ex.query.count_queued()
    return found


def _doubt(ex: Exchange, attempt: Attempt) -> None:
    now = ex.now()
    message = ex.query.find_message(attempt.message)
    if message is None:
        return
    progress = msgspec.structs.replace(message.progress, crashes=message.progress.crashes + 1)
    detail = "the broker stopped before the answer came"
    attempt.closed_at = now
    lane = ex.lanes.get(attempt.provider)
    at = plan_doubt(attempt, 1, 0 if lane is None else lane.traits.memory, now).at
    change = Change("in_doubt", detail, None, at, progress)
    shut = Shut(attempt.n, ("open",), "in_doubt", now, "in_doubt", None, detail)
    entry = ex.teller.tell(message, "in_doubt", now, attempt, class_="in_doubt", detail=detail)
    ex.journal.put(Step(message.id, ("sending",), change, (entry,), None, (shut,), None, True))
