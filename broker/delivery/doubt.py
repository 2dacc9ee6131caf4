"""Attempts in doubt: proof looked for, another copy where the rule allows one, `unknown` at the deadline (DESIGN, "In doubt").

What may be done when is `policy.doubt`'s to say; here it is done. A repeat that proves something is no attempt of its own: its row is
the first one's, and the provider's memory keeps it from being a second copy. Another copy is an attempt like any other, opened in the
same transaction that abandons the one in doubt.
"""

import logging
from collections.abc import Callable

import msgspec
import trio

from broker.delivery.clock import date
from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.delivery.lookups import is_asked_soon
from broker.delivery.partial import debit, find_ref, hold
from broker.delivery.receipts import claim
from broker.policy import Decision, decide, prove_all
from broker.policy.doubt import find_due, judge_replay, may_be_repeated, plan_doubt
from broker.policy.polls import find_next_query
from broker.provider.contract import Send, Unstored
from broker.store.contract import Answer, Change, Shut, Step
from broker.store.failpoints import failpoint
from broker.words.attempt import Attempt
from broker.words.clock import SECOND
from broker.words.message import Message
from broker.words.outcome import Outcome
from broker.words.status import COPIES, FINAL, TRANSITIONS

log = logging.getLogger("broker.delivery")

AGAIN = 5 * SECOND
"""When nobody could take another copy, or its lane was full, it is tried again after this."""
AT_ONCE = 4
POISON = 3
"""A message that was open at so many crashes is suspected of causing them."""

Heard = Callable[[str | None], None]
"""Told the message's status once a resolution is durable, None where it came too late."""


def look_at_doubt(ex: Exchange, message: Message, now: int) -> None:
    """The time of a message in doubt has come: do what is due, and say when to look again."""
    attempts = ex.query.find_attempts(message.id)
    attempt = next((each for each in reversed(attempts) if each.state == "in_doubt"), None)
    copies = sum(each.state in COPIES for each in attempts)
    lane = None if attempt is None else ex.lanes.get(attempt.provider)
    memory = _find_memory(lane, attempt)
    due = "end" if attempt is None else find_due(attempt, copies, memory, now)
    if attempt is None or due == "end":
        end_doubt(ex, message, attempts, now)
        return
    if due is not None and message.progress.crashes >= POISON:
        hold_poison(ex, message, attempt)
        return
    at = plan_doubt(attempt, copies, memory, now).at
    if due == "copy":
        send_copy(ex, message, attempt, now)
        at = min(at, now + AGAIN)
    step = Step(message.id, ("in_doubt",), Change("in_doubt", message.detail, None, at), hurry=False)
    if due == "replay" and lane is not None:
        if may_replay(ex, lane, message, now):
            start_replay(ex, lane, message, attempt, step)
        elif lane.standing.out is None and step.change is not None:
            # Others took its turn: soon again, a little spread, not only when the next look is due.
            step.change.next_at = min(at, now + AGAIN + 11 * AGAIN * ex.draw() // 1_000_000)
    ex.journal.put(step)


def _find_memory(lane: Lane | None, attempt: Attempt | None) -> int:
    """Milliseconds for which the provider knows a repeat of this attempt's request."""
    # By another channel than its own the text is the rule's, which may have changed: then a repeat would be another message.
    return 0 if lane is None or attempt is None or attempt.channel is not None else lane.traits.memory


def hold_poison(ex: Exchange, message: Message, attempt: Attempt) -> None:
    """Three crashes found this message open: nothing more is done with it before a person has looked. What is in doubt counts as sent."""
    now = ex.now()
    shut = Shut(attempt.n, ("in_doubt",), "abandoned", None)
    entry = ex.teller.tell(message, "held", now, attempt, detail="poison")

    def done(answer: Answer, _value: object) -> None:
        if answer is Answer.DONE:
            debit(ex, attempt)
            ex.queued += 1
            ex.sweep_bell.ring_at(message.valid_until)

    ex.journal.put(Step(message.id, ("in_doubt",), Change("held", "poison", None, message.valid_until), (entry,), None, (shut,), done))


def end_doubt(ex: Exchange, message: Message, attempts: list[Attempt], now: int) -> None:
    """The deadline of a doubt is over: `unknown`; its attempts count as debited (CONTRACT §1, Money)."""
    doubted = [attempt for attempt in attempts if attempt.state == "in_doubt"]
    shuts = tuple(Shut(attempt.n, ("in_doubt",), "abandoned", None) for attempt in doubted)
    last = doubted[-1] if doubted else None
    detail = "no proof either way within doubt_deadline"
    entry = ex.teller.tell(message, "unknown", now, last, class_="in_doubt", code=last.code if last else None, detail=detail)
    change = Change("unknown", detail, None, 0, None, None, None, now)

    def done(answer: Answer, _value: object) -> None:
        if answer is Answer.DONE:
            for attempt in doubted:
                debit(ex, attempt)

    ex.journal.put(Step(message.id, ("in_doubt",), change, (entry,), None, shuts, done, False))


def send_copy(ex: Exchange, message: Message, attempt: Attempt, now: int) -> None:
    """Hand another copy to a lane that can take it now: the same account's for `resend`, the next candidate's for `failover`."""
    rule = ex.find_rule(message, now)
    if rule is None or now >= message.valid_until or ex.is_stopping:
        return
    progress = message.progress
    if attempt.doubt.mode == "failover":
        visited = {**progress.visited, attempt.candidate: "in_doubt"}
        progress = msgspec.structs.replace(progress, rule=rule.name, visited=visited, provider=None, trouble=None, retries=0, waits=0)
    route = ex.rank(rule, message, progress)
    for candidate in route.candidates:
        if attempt.doubt.mode == "failover" or candidate.name == attempt.candidate:
            again = msgspec.structs.replace(message, progress=progress)
            ex.lanes[candidate.provider].reopen(again, rule, candidate, attempt, ex.epoch)
            return


def may_replay(ex: Exchange, lane: Lane, message: Message, now: int) -> bool:
    """True where the account may be written to now, and the last repeat is over.

    Not past the validity: where the first was not taken, this one would be.
    """
    if now >= message.valid_until:
        return False
    if lane.standing.out is not None or ex.is_stopping or len(lane.repeated) >= AT_ONCE or message.id in lane.repeated:
        return False
    return not lane.rate.take(message.segments, now)


def start_replay(ex: Exchange, lane: Lane, message: Message, attempt: Attempt, step: Step) -> None:
    """Repeat the request once `step` is durable, which counts the repeat as a crash where one found the message open before.

    Without an answer that count stays: a message that brings the broker down is not repeated for ever.
    """
    lane.repeated.add(message.id)
    crashes = message.progress.crashes
    if crashes and step.change is not None:
        step.change.progress = msgspec.structs.replace(message.progress, crashes=crashes + 1)

    def go(answer: Answer, _value: object) -> None:
        if answer is not Answer.DONE or not lane.start_soon(replay, ex, lane, message, attempt):
            lane.repeated.discard(message.id)

    step.done = go


async def replay(ex: Exchange, lane: Lane, message: Message, attempt: Attempt) -> None:
    """Send the very same request again, and take its answer as proof of the first where it is one."""
    answers: list[Outcome] = []
    url = ex.callbacks.find_url(attempt) if ex.callbacks is not None else None
    send = Send(date(message, ex.clock), attempt.id, attempt.n, attempt.sender, attempt.key, url)
    failpoint("replay.sending")
    lane.carrier.in_use += 1
    try:
        await lane.carrier.submit([send], ex.clock.wall, lambda _index, outcome: answers.append(outcome))
    finally:
        lane.carrier.in_use -= 1
        lane.repeated.discard(message.id)
    failpoint("replay.answered")
    outcome = answers[0]
    by_bytes = "duplicate" in lane.traits.doubt and not ("key" in lane.traits.doubt and lane.traits.idempotency)
    verdict = judge_replay(outcome, by_bytes)
    log.info("asked again id=%s provider=%s class=%s proof=%s", message.id, lane.name, outcome.class_, verdict or "none")
    live = ex.query.find_live(message.id)
    if verdict is None:
        if live is not None and live.message.progress.crashes:  # it was answered: no crash
            change = Change("in_doubt", live.message.detail, None, live.message.next_at, message.progress)
            ex.journal.put(Step(message.id, ("in_doubt",), change, hurry=False))
        return
    now_is = next((each for each in live.attempts if each.n == attempt.n), None) if live is not None else None
    if live is None or now_is is None or now_is.state not in ("in_doubt", "abandoned"):
        return  # something else was proof before
    if verdict == "accepted":
        resolve_accepted(ex, live.message, now_is, "the provider knows the same request", lambda _status: None, outcome)
    else:
        resolve_refused(ex, live.message, now_is, "the provider refuses the same request", lambda _status: None, outcome)


async def refute(ex: Exchange, lane: Lane, attempt_id: str, outcome: Outcome) -> None:
    """The answer to an attempt of `lane`'s came late, and refuses it: return when that is durable, or no attempt is in doubt any more.

    An attempt that was abandoned becomes a refused one, and its message stays what it is: another copy was sent. `outcome` in doubt: of
    some parts it is known that they were refused, of others that they were taken. Where the request may have been repeated meanwhile,
    nothing follows from it. Raises Unstored.
    """
    id_, _, n = attempt_id.rpartition("/")
    while True:
        live = ex.query.find_live(id_)
        attempt = next((each for each in live.attempts if str(each.n) == n), None) if live is not None else None
        if live is None or attempt is None or attempt.provider != lane.name or attempt.state not in ("in_doubt", "abandoned"):
            return
        told = trio.Event()
        answers: list[str | None] = []

        def heard(status: str | None, told: trio.Event = told, answers: list[str | None] = answers) -> None:
            answers.append(status)
            told.set()

        detail = f"refused, as a late answer says: {outcome.code or outcome.class_}"
        if outcome.class_ == "in_doubt":
            if attempt.state != "in_doubt" or live.message.status != "in_doubt" or ex.now() >= live.message.valid_until:
                return  # it waits for a person by now, or its end does not hang on this
            hold(ex, lane, live.message, attempt, outcome, heard)
        elif may_be_repeated(attempt, _find_memory(lane, attempt), ex.now()):
            return  # a repeat of the refused request may have been taken: that one's answer is the proof, or there is none
        elif attempt.state == "in_doubt":
            resolve_refused(ex, live.message, attempt, detail, heard, outcome)
        else:
            _note(ex, live.message, attempt, Shut(attempt.n, ("abandoned",), "refused", None), detail, heard)
        await told.wait()
        if answers[0] is not None:
            return
        again = ex.query.find_live(id_)
        if again is not None and (again.message.status, again.attempts) == (live.message.status, live.attempts):
            raise Unstored  # nobody was quicker: it could not be written


def resolve_accepted(ex: Exchange, message: Message, attempt: Attempt, detail: str, heard: Heard, outcome: Outcome | None = None) -> None:
    """It is known that the provider has an attempt that was in doubt."""
    now = ex.now()
    lane = ex.lanes.get(attempt.provider)
    outcome = outcome or Outcome("accepted")
    refs = outcome.refs or attempt.refs
    shut = Shut(attempt.n, (attempt.state,), "accepted", None, None, outcome.code, None, outcome.refs)
    if lane is not None and ex.is_by_ref(lane) and outcome.refs:
        shut.provider = lane.name
    if attempt.pieces:
        shut.amends = (prove_all(attempt.pieces), attempt.parts, attempt.price, attempt.credit)
    if message.status == "sending" or "sent" not in TRANSITIONS[message.status]:
        _note(ex, message, attempt, shut, detail, heard)  # another attempt, or the end, decides what the message is
        return
    others = [each for each in ex.query.find_attempts(message.id) if each.state == "in_doubt" and each.n != attempt.n]
    shuts = (shut, *(Shut(each.n, ("in_doubt",), "abandoned", None) for each in others))  # nobody would end them any more
    if lane is None or not lane.traits.receipts:
        status, next_at, lane_name, final_at = "unconfirmed", 0, None, now
    else:
        status, lane_name, final_at = "sent", lane.name, None
        can_ask, is_lookup = lane.can_query and bool(refs), is_asked_soon(lane, message)
        next_at = find_next_query(lane.settings, attempt.closed_at or now, now, can_ask, is_lookup=is_lookup)
    change = Change(status, detail, lane_name, next_at, None, None, None, final_at)
    ref = find_ref(refs)
    entries = [ex.teller.tell(message, "sent", now, attempt, detail=detail, ref=ref)]
    if status != "sent":
        entries.append(ex.teller.tell(message, status, now, attempt, detail=detail, ref=ref))

    def done(answer: Answer, _value: object) -> None:
        if answer is not Answer.DONE:
            heard(None)
            return
        if lane is not None:
            lane.poll_bell.ring_at(next_at)
        _settle(ex, attempt, debit=True)
        for each in others:
            debit(ex, each)
        ex.queued -= message.status in ("queued", "held", "scheduled")
        claim(ex, message.id, attempt.provider, refs)
        heard(status)

    ex.journal.put(Step(message.id, (message.status,), change, tuple(entries), None, shuts, done))


def resolve_refused(ex: Exchange, message: Message, attempt: Attempt, detail: str, heard: Heard, outcome: Outcome | None = None) -> None:
    """It is known that an attempt that was in doubt was not sent: the message goes on as after any such refusal."""
    now = ex.now()
    shut = Shut(attempt.n, (attempt.state,), "refused", None)
    rule = ex.find_rule(message, now)
    sides = ex.look_around(message, now, except_n=attempt.n)
    if message.status in FINAL or (attempt.state == "abandoned" and message.status != "held"):
        _note(ex, message, attempt, shut, detail, heard)  # another attempt, or the end, decides what the message is
        return
    if now >= message.valid_until or rule is None:
        status = "unknown" if sides.doubted else "expired" if sides.accepted is None else sides.accepted or "unconfirmed"
        decision = Decision("end", status, 0, message.progress, detail=detail)
    elif message.progress.crashes >= POISON:
        decision = Decision("hold", "held", message.valid_until, message.progress, detail="poison")
    else:
        decision = decide(message, outcome or Outcome("unreachable", None, detail), rule, attempt.candidate, now, lambda: sides)
    is_end = decision.kind == "end"
    if decision.status == "held":
        detail = decision.detail or detail  # its cause is what releases it
    change = Change(
        decision.status, detail, decision.lane, decision.at, decision.progress, rule.name if rule else None, None,
        now if is_end else None,
    )  # fmt: skip
    shown = decision.at if decision.status == "queued" else None
    entry = ex.teller.tell(message, decision.status, now, attempt, detail=detail, next_at=shown)

    def done(answer: Answer, _value: object) -> None:
        if answer is not Answer.DONE:
            heard(None)
            return
        _settle(ex, attempt, debit=False)
        ex.queued += (decision.status in ("queued", "held")) - (message.status == "held")
        ex.rouse(decision.status, decision.lane, decision.at, now)
        heard(decision.status)

    ex.journal.put(Step(message.id, (message.status,), change, (entry,), None, (shut,), done))


def _settle(ex: Exchange, attempt: Attempt, *, debit: bool) -> None:
    """The reservation of an attempt that was in doubt ends; an abandoned one has none, and was taken as charged."""
    lane = ex.lanes.get(attempt.provider)
    if lane is not None and attempt.state == "in_doubt":
        lane.ledger.settle(attempt, debit=debit)
    elif lane is not None and not debit:
        lane.ledger.give_back(attempt)


def _note(ex: Exchange, message: Message, attempt: Attempt, shut: Shut, detail: str, heard: Heard) -> None:
    """The message does not change by it: what is known is kept with the attempt, and the feed hears of it."""
    entry = ex.teller.tell(message, message.status, ex.now(), attempt, type_="message.receipt", detail=detail)

    def done(answer: Answer, _value: object) -> None:
        if answer is Answer.DONE:
            _settle(ex, attempt, debit=shut.state == "accepted")
        heard(message.status if answer is Answer.DONE else None)

    ex.journal.put(Step(message.id, (message.status,), None, (entry,), None, (shut,), done))
