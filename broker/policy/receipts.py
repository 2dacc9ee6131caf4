"""What a receipt changes: its rank decides, so that the order of arrival cannot matter (CONTRACT §1, Receipts and Parts).

Pure, and monotone: what is known of a part, of an attempt and of an ended message only rises in rank.
"""

from collections.abc import Iterable, Sequence

import msgspec

from broker.words.attempt import Attempt, Piece
from broker.words.message import Progress
from broker.words.receipt import FINAL_RECEIPTS, Receipt
from broker.words.status import FINAL, HARD, RANK

_SHORTEST = 7
"""A number of fewer digits agrees with nothing but itself."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """`receipt` is the attempt's receipt from now on; `status` the message's new status, None where it stays."""

    receipt: str | None
    status: str | None


def judge_receipt(status: str, class_: str | None, before: str | None, others_open: bool, others: str | None = None) -> Verdict:
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


def is_awaiting(attempt: Attempt) -> bool:
    """True while the attempt may still put the SMS on the handset."""
    if attempt.state in ("open", "in_doubt"):
        return True
    return attempt.state == "accepted" and attempt.receipt not in FINAL_RECEIPTS


PAST_PATIENCE = "sent"
"""How a visit ended whose provider took the message and told no fate of it for as long as the rule waits: `receipt_within`."""


def find_awaited(attempts: Iterable[Attempt], progress: Progress) -> Attempt | None:
    """The accepted attempt whose final receipt is awaited, so that no other copy is to follow; None without one.

    Not one whose rule's patience is over: another provider is to take the message although this one has it.
    """
    accepted = (each for each in attempts if each.state == "accepted" and is_awaiting(each))
    return next((each for each in accepted if progress.visited.get(each.candidate) != PAST_PATIENCE), None)


def find_highest(attempts: Iterable[Attempt]) -> str | None:
    """The highest-ranked final receipt of these attempts."""
    finals = [attempt.receipt for attempt in attempts if attempt.receipt is not None and attempt.receipt in FINAL_RECEIPTS]
    return max(finals, key=RANK.__getitem__, default=None)


def is_recipient(to: str, heard: str | None) -> bool:
    """True unless a receipt names another recipient than the message's: providers write one number in many ways, some of them national."""
    if heard is None or heard == to:
        return True
    if "@" in to:
        return heard.casefold() == to.casefold()
    digits = "".join(filter(str.isdigit, heard)).lstrip("0")
    whole = to.lstrip("+")
    return digits == whole or (len(digits) >= _SHORTEST and whole.endswith(digits))


# ---- the parts of one attempt


def find_known(attempt: Attempt, part: int) -> str | None:
    """The class of the highest-ranked receipt of one part, as `lay_out` has it."""
    return lay_out(attempt)[part].receipt if attempt.pieces else _find_known(attempt)


def _find_known(attempt: Attempt) -> str | None:
    return None if attempt.state in ("open", "in_doubt", "abandoned") else attempt.receipt or "accepted"


def lay_out(attempt: Attempt) -> tuple[Piece, ...]:
    """What is known of each part: as kept, or one for each of the provider's ids, or a single one."""
    if attempt.pieces:
        return attempt.pieces
    return (Piece(_find_known(attempt)),) * max(len(attempt.refs), 1)


def lay_out_partial(refs: Sequence[str], parts: int) -> tuple[Piece, ...]:
    """The parts of an attempt of which some were taken: those that have an id were, of the others nothing is known."""
    known = [Piece("accepted" if ref else None) for ref in refs]
    return (*known, *(Piece() for _ in range(parts - len(known))))


def add_receipt(pieces: tuple[Piece, ...], part: int | None, receipt: Receipt) -> tuple[Piece, ...]:
    """`pieces` with what `receipt` says of `part` (None: of all). Of two figures the higher one counts, whichever came first.

    Mere progress of no part in particular proves no more than one of those that are not proven.
    """
    if part is None and receipt.class_ == "progress":
        part = next((at for at, piece in enumerate(pieces) if piece.receipt is None), None)
    return tuple(_raise(piece, receipt) if part in (None, at) else piece for at, piece in enumerate(pieces))


def _raise(piece: Piece, receipt: Receipt) -> Piece:
    class_ = piece.receipt
    if receipt.class_ in RANK and (class_ is None or RANK[receipt.class_] > RANK[class_]):
        class_ = receipt.class_
    return Piece(class_, _higher(piece.cost, receipt.cost), _higher(piece.segments, receipt.segments))


def _higher(one: int | None, other: int | None) -> int | None:
    return one if other is None or (one is not None and one >= other) else other


def is_proven(pieces: Sequence[Piece]) -> bool:
    """True where the provider has every part."""
    return all(piece.receipt is not None for piece in pieces)


def prove_all(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """`pieces` as they are where somebody knows that the provider has every part."""
    return tuple(piece if piece.receipt is not None else Piece("accepted", piece.cost, piece.segments) for piece in pieces)


def roll_up(pieces: Sequence[Piece]) -> str | None:
    """The receipt of the whole: `delivered` when all parts are, else the lowest-ranked one once each has a final, progress until then."""
    finals = [piece.receipt for piece in pieces if piece.receipt is not None and piece.receipt in FINAL_RECEIPTS]
    if len(finals) == len(pieces):
        return min(finals, key=RANK.__getitem__)
    return "progress" if any(RANK.get(piece.receipt or "", 0) for piece in pieces) else None


def reckon(attempt: Attempt, pieces: tuple[Piece, ...], per_segment: int | None) -> tuple[int, int | None, int]:
    """(parts, price, credit) of the attempt by what `pieces` say was charged, where they say so; `attempt` as it was before them.

    `per_segment`: the credit that a segment takes, None where it takes its price.
    """
    before = lay_out(attempt)
    parts = _share(attempt.parts, [piece.segments for piece in before], [piece.segments for piece in pieces])
    costs = [piece.cost for piece in pieces]
    price = attempt.price
    if price is not None:
        price = _share(price, [piece.cost for piece in before], costs)
    elif None not in costs:
        price = sum(cost for cost in costs if cost is not None)
    if attempt.bucket is None:
        return parts, price, attempt.credit
    if per_segment is None:
        return parts, price, attempt.credit if price is None else price
    return parts, price, attempt.credit + per_segment * (parts - attempt.parts)


def _share(whole: int, before: Sequence[int | None], after: Sequence[int | None]) -> int:
    """`whole` with the figures known by now in place of the equal shares that unknown ones had, or of the figures known before."""
    unknown = before.count(None)
    rest = whole - sum(figure for figure in before if figure is not None)
    share = rest // unknown if unknown else 0
    return rest - share * (unknown - after.count(None)) + sum(figure for figure in after if figure is not None)
