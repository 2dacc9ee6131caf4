"""What a receipt does to a message: rank decides, so that order and repetition cannot matter (CONTRACT §1, Receipts)."""

import msgspec

from broker.words.status import FINAL, RANK


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """`receipt` is the attempt's receipt from now on; `status` the message's new status, None where it stays."""

    receipt: str | None
    status: str | None


def judge_receipt(status: str, class_: str, before: str | None, others_open: bool) -> Verdict:
    """The verdict on a receipt of `class_` for an attempt whose highest receipt so far is `before`.

    `status` is the message's; `others_open`: another attempt is open, in doubt or awaits its receipt, so that a negative final may
    not be set. `delivered` from any attempt decides at once.
    """
    rank = RANK.get(class_)
    if rank is None:
        return Verdict(before, None)
    highest = class_ if before is None or rank > RANK[before] else before
    if class_ == "progress" or highest != class_:
        return Verdict(highest, None)
    if status == "delivered" or status == "failed":
        return Verdict(highest, None)
    if class_ != "delivered" and (others_open or status in ("queued", "sending", "held", "in_doubt")):
        return Verdict(highest, None)
    if status in FINAL and rank <= RANK.get(status, 0):
        return Verdict(highest, None)
    return Verdict(highest, class_)
