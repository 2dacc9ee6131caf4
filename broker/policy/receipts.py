"""What a receipt does to a message: rank decides, so that order and repetition cannot matter (CONTRACT §1, Receipts)."""

import msgspec

from broker.words.receipt import FINAL_RECEIPTS
from broker.words.status import FINAL, HARD, RANK


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """`receipt` is the attempt's receipt from now on; `status` the message's new status, None where it stays."""

    receipt: str | None
    status: str | None


def judge_receipt(status: str, class_: str, before: str | None, others_open: bool, others: str | None = None) -> Verdict:
    """The verdict on a receipt of `class_` for an attempt whose highest receipt so far is `before`.

    `status` is the message's; `others_open`: another attempt is open, in doubt or awaits its receipt, so that a negative final may
    not be set; `others`: the highest-ranked final receipt of the other attempts, which may have had to wait for this one. `delivered`
    from any attempt decides at once. What counts is what is known by now, not this receipt alone: asked again with a receipt that had
    to wait, or with any later one, the verdict is the one that any other order would have given.
    """
    if class_ not in RANK:
        return Verdict(before, None)
    highest = class_ if before is None or RANK[class_] > RANK[before] else before
    final = highest if highest in FINAL_RECEIPTS else None
    if final is not None and others is not None and RANK[others] > RANK[final]:
        final = others
    if final is None or status in HARD:
        return Verdict(highest, None)
    if final != "delivered" and (others_open or status in _UNDECIDED):
        return Verdict(highest, None)
    if status in FINAL and RANK[final] <= RANK[status]:
        return Verdict(highest, None)
    return Verdict(highest, final)


_UNDECIDED = frozenset({"scheduled", "queued", "held", "sending"})
"""Statuses in which an attempt is on its way or may follow. Not `in_doubt`: where that is another attempt, `others_open` says so;
where it is this one, its receipt is the proof."""
