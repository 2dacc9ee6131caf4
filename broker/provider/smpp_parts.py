"""One message on its way through a session, part by part, and what its parts' answers together say of it (CONTRACT §1, Parts).

Pure bookkeeping: sends nothing, keeps no time. A message that goes whole is one part. Whoever owns the links asks `close` for the
outcome when every part has its own, and after it hears what comes late.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from broker.smpp.events import Response
from broker.smpp.pdu import GenericNack, Pdu, QuerySm, QuerySmResp, SubmitSmResp
from broker.smpp.receipt import read_state
from broker.smpp.statuses import judge_nack, judge_status, name_status, show_status
from broker.words.outcome import PASSING, Outcome, OutcomeClass
from broker.words.receipt import FINAL_RECEIPTS, Receipt
from broker.words.status import RANK

MOST_ROUNDS = 3
"""How often parts that were refused with a passing class are sent again."""

LATE = Outcome("expired", "validity", "validity passed before the first byte", evidence="not sent")
UNWRITTEN = Outcome("unreachable", None, "no link was free to send it in time", evidence="not sent")
ASKED = Outcome("accepted")
_DOUBTS = {
    "timeout": "no response within response_timer",
    "mismatch": "the response was that of another command",
    "malformed": "the response could not be read",
    "lost": "the link was lost before the response",
}


class Handover:
    """One message, from `submit` until its outcome; and after it, while a part is in doubt, the place of late proof.

    `pdus` are its parts; `outcomes` what each came to, None while it is under way; `sent` has a bit for each that was given to a link.
    `settle` is called once, by `close`. `until`: when its validity ends, by the broker's own time for waits.
    """

    __slots__ = ("attempt", "is_closed", "left", "outcomes", "pdus", "rounds", "sent", "settle", "until")

    def __init__(self, attempt: str, pdus: Sequence[Pdu], settle: Callable[[Outcome], None], until: float = math.inf) -> None:
        self.attempt = attempt
        self.until = until
        self.pdus = pdus
        self.settle = settle
        self.outcomes: list[Outcome | None] = [None] * len(pdus)
        self.left = len(pdus)
        self.rounds = 0
        self.sent = 0
        self.is_closed = False

    def __repr__(self) -> str:
        return f"Handover({self.attempt})"

    def judge(self, response: Response, codes: Mapping[str, OutcomeClass]) -> Outcome:
        """What a response says of the part that it answers."""
        return judge(response, codes)

    def note(self, part: int, outcome: Outcome) -> bool:
        """What one part came to. True when that was the last one awaited."""
        self.left -= self.outcomes[part] is None
        self.outcomes[part] = outcome
        return not self.left and not self.is_closed

    def amend(self, part: int, outcome: Outcome) -> Outcome:
        """What one part came to after all; what the whole message came to by now."""
        self.outcomes[part] = outcome
        return sum_up([each or UNWRITTEN for each in self.outcomes])

    def expire(self) -> None:
        """Nothing more is waited for: a part that a link has and that has no outcome is in doubt."""
        for part, outcome in enumerate(self.outcomes):
            if outcome is None and self.sent >> part & 1:
                self.outcomes[part] = doubt("timeout")

    def find_missing(self) -> list[int]:
        """The parts to send again, where some were taken and the others refused for now; none, where that is no use."""
        if len(self.pdus) == 1 or self.rounds >= MOST_ROUNDS:
            return []
        found = [(part, outcome.class_) for part, outcome in enumerate(self.outcomes) if outcome is not None]
        refused = [part for part, class_ in found if class_ not in ("accepted", "in_doubt")]
        if not any(class_ == "accepted" for _, class_ in found) or not all(class_ in PASSING for part, class_ in found if part in refused):
            return []
        return refused

    def reopen(self, parts: Sequence[int]) -> None:
        """These parts go out again."""
        self.rounds += 1
        for part in parts:
            self.outcomes[part] = None
            self.sent &= ~(1 << part)
        self.left += len(parts)

    def close(self) -> None:
        """Settle with what the parts came to; a part still under way without an outcome was not written."""
        if not self.is_closed:
            self.is_closed = True
            self.settle(sum_up([outcome or UNWRITTEN for outcome in self.outcomes]))


class Question(Handover):
    """One query_sm on its way, as if it were a message; `receipt` is what came of it."""

    __slots__ = ("receipt", "ref")

    def __init__(self, ref: str, pdu: QuerySm, settle: Callable[[Outcome], None]) -> None:
        super().__init__("", (pdu,), settle)
        self.ref = ref
        self.receipt = Receipt("query_error", ref)

    def judge(self, response: Response, codes: Mapping[str, OutcomeClass]) -> Outcome:
        """What the SMSC says became of the message."""
        pdu = response.pdu
        if response.status or not isinstance(pdu, QuerySmResp):
            self.receipt = Receipt("query_error", self.ref, code=show_status(response.status))
        else:
            word, class_ = read_state(pdu.message_state)
            detail = f"err {pdu.error_code}" if pdu.error_code else None
            self.receipt = Receipt(class_, self.ref, code=word, detail=detail)
        return ASKED


def combine(receipts: Sequence[Receipt]) -> Receipt:
    """What became of a message whose parts were asked for one by one: its lowest, and no final before each has one."""
    waiting = [receipt for receipt in receipts if receipt.class_ not in FINAL_RECEIPTS]
    return waiting[0] if waiting else min(receipts, key=lambda receipt: RANK[receipt.class_])


def sum_up(outcomes: Sequence[Outcome]) -> Outcome:
    """The message's outcome, from those of its parts in order."""
    if len(outcomes) == 1:
        return outcomes[0]
    taken = [outcome for outcome in outcomes if outcome.class_ == "accepted"]
    doubted = [outcome for outcome in outcomes if outcome.class_ == "in_doubt"]
    refused = [outcome for outcome in outcomes if outcome.class_ not in ("accepted", "in_doubt")]
    refs = tuple(outcome.refs[0] if outcome.class_ == "accepted" and outcome.refs else "" for outcome in outcomes)
    if not refused and not doubted:
        refs = refs if any(refs) else ()
        odd = next((outcome for outcome in outcomes if outcome.evidence), outcomes[0])
        return Outcome("accepted", odd.code, odd.detail, refs, evidence=odd.evidence)
    if taken and refused:
        code = refused[0].code
        return Outcome("in_doubt", code, f"partial {len(taken)}/{len(outcomes)}", refs, evidence="partial")
    if doubted:
        first = doubted[0]
        return Outcome("in_doubt", first.code, first.detail, refs, evidence=first.evidence)
    # Nobody has any of it. What is for good about one part is for good about the message.
    return next((outcome for outcome in refused if outcome.class_ not in PASSING), refused[0])


def doubt(reason: str) -> Outcome:
    """A part without proof: `reason` is a Doubt's, or `lost`."""
    return Outcome("in_doubt", None, _DOUBTS[reason], evidence="cut" if reason == "lost" else reason)


def judge(response: Response, codes: Mapping[str, OutcomeClass]) -> Outcome:
    """What a response says of the part that it answers. `codes`: the plugin's own classes, by `show_status`.

    An id beats a status (PROVIDERS.md, rules for every provider); a status without an id refuses.
    """
    status, pdu = response.status, response.pdu
    if isinstance(pdu, SubmitSmResp):
        ref = pdu.message_id
        if not status:
            return Outcome("accepted", None, None, (ref,) if ref else ())
        code = show_status(status)
        if ref.strip("0 "):
            return Outcome("accepted", code, f"{name_status(status)}, and yet an id", (ref,), evidence="anomaly")
        return Outcome(codes.get(code) or judge_status(status), code, name_status(status))
    if isinstance(pdu, GenericNack):
        code = show_status(status)
        return Outcome(judge_nack(status), code, f"generic_nack, {name_status(status)}", evidence="nack")
    return doubt("mismatch")
