"""Orders: what a person decides. Cancel, release, resolve, pause, resume, drain, suppress; each one transaction, each an event.

Answers are given after the commit, through the `reply` that the door hands in; where a provider has to be asked, after its answer.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import trio

from broker.delivery.doubt import resolve_accepted, resolve_refused
from broker.delivery.errands import change_contact, find_kept, is_canceled, recall, recall_all
from broker.delivery.exchange import BY_A_PERSON, Exchange
from broker.delivery.lane import Lane
from broker.delivery.notes import keep_state
from broker.delivery.partial import abandon
from broker.delivery.router import put_decision
from broker.delivery.schedule import find_due
from broker.delivery.submission import Refused
from broker.policy import Decision
from broker.provider.contract import ContactChange, Outcome
from broker.store.contract import Answer, Change, Move, Put, Step
from broker.words.attempt import Attempt
from broker.words.message import Message

Reply = Callable[[dict[str, Any]], None]
CANCELABLE = ("scheduled", "queued", "held")
PAGE = 500


class Selection(msgspec.Struct, frozen=True):
    """Which messages an order is for: one id, or an operator's filters."""

    id: str | None = None
    provider: str | None = None
    tag: str | None = None
    cause: str | None = None
    all: bool = False

    def check(self) -> None:
        """Raises Refused unless something is selected."""
        if self.id is None and self.provider is None and self.tag is None and self.cause is None and not self.all:
            raise Refused("bad_request", "say which messages: `id`, or `provider` `tag` `cause`, or `all`", "id")


class Orders:
    """A person's orders over messages and providers. What has to wait for a provider waits in `nursery`, whoever goes away."""

    def __init__(self, ex: Exchange, nursery: trio.Nursery) -> None:
        self.ex = ex
        self._nursery = nursery

    def find_lane(self, name: str | None) -> Lane:
        """The lane of a provider. Raises Refused with the names that exist."""
        lane = self.ex.lanes.get(name or "")
        if lane is None or lane.is_gone:
            known = ", ".join(each.name for each in self.ex.lanes.values() if not each.is_gone) or "none"
            if name is None:
                raise Refused("bad_request", f"`name` is missing; there are: {known}", "name")
            raise Refused("not_found", f"no provider of this name; there are: {known}", "name")
        return lane

    def cancel_own(self, id_: str, client: str, reply: Reply) -> None:
        """A client cancels its own message. Raises Refused."""
        message = self.ex.query.find_message(id_)
        if message is None or message.client != client:
            raise Refused("not_found", "no message of yours has this id", "id")
        self._cancel_one(message, reply)

    def _cancel_one(self, message: Message, reply: Reply) -> None:
        kept = find_kept(self.ex, message)
        if kept is not None:
            self._nursery.start_soon(self._recall, message, *kept, reply)
            return
        if message.status not in CANCELABLE:
            raise Refused("not_cancelable", f"the message is {message.status}: it can no longer be canceled", "id")
        id_ = message.id

        def answer(is_done: bool) -> None:
            if is_done:
                reply(_show_canceled(id_))
            else:
                error = {"code": "not_cancelable", "field": "id", "message": "it has just begun to leave; look at its status"}
                reply({"ok": False, "error": error})

        self._end(message, "canceled", "canceled by a person", answer)

    async def _recall(self, message: Message, lane: Lane, attempt: Attempt, reply: Reply) -> None:
        """A provider keeps the message for its own schedule: canceled once it says so."""
        answer = await recall(self.ex, lane, [(message, attempt)])
        if is_canceled(self.ex, message.id):
            reply(_show_canceled(message.id))
            return
        said = answer if isinstance(answer, Outcome) else answer[0]
        why = f"{lane.name} does not say that it is canceled ({said.detail or said.code or said.class_})"
        reply({"ok": False, "error": {"code": "not_cancelable", "field": "id", "message": f"{why}; look at its status"}})

    def change_contact(self, change: ContactChange, provider: str | None, reply: Reply) -> None:
        """Have a provider change its address book; `provider` None where only one has any. Raises Refused."""
        books = [lane.name for lane in self.ex.lanes.values() if not lane.is_gone and lane.carrier.plugin.contact is not None]
        name = provider if provider is not None or len(books) != 1 else books[0]
        if name not in books:
            which = f"these have an address book: {', '.join(books)}" if books else "none of the providers has an address book"
            raise Refused("bad_request" if name is None or name in self.ex.lanes else "not_found", f"which provider? {which}", "provider")
        self._nursery.start_soon(self._change_contact, self.ex.lanes[name], change, reply)

    async def _change_contact(self, lane: Lane, change: ContactChange, reply: Reply) -> None:
        outcome = await change_contact(self.ex, lane, change)
        if outcome.class_ == "accepted":
            reply({"ok": True, "action": change.action, "provider": lane.name, "mobile": change.mobile})
            return
        reply({"ok": False, "error": _show_refusal(lane.name, outcome)})

    def _end(self, message: Message, status: str, detail: str, answer: Callable[[bool], None]) -> None:
        ex = self.ex
        now = ex.now()
        sides = ex.look_around(message, now)
        if sides.doubted:
            status = "unknown"
        elif sides.accepted is not None:
            status = sides.accepted or status
        change = Change(status, detail, None, 0, None, None, None, now)
        entry = ex.teller.tell(message, status, now, detail=detail)

        def done(result: Answer, _value: object) -> None:
            if result is Answer.DONE:
                ex.queued -= 1
            answer(result is Answer.DONE)

        step = Step(message.id, (message.status,), change, (entry,), done=done)
        abandon(ex, message, step)
        ex.journal.put(step)

    def cancel(self, selection: Selection, reply: Reply) -> None:
        """Cancel what is selected and can be canceled, here or at a provider that keeps it for later."""
        selection.check()
        if selection.id is not None:
            self._cancel_one(self._find(selection.id), reply)
            return
        self._nursery.start_soon(self._cancel_all, selection, reply)

    async def _cancel_all(self, selection: Selection, reply: Reply) -> None:
        """The answer counts the canceled ones, those of which a provider was asked, and those that are with one and stay there."""
        query, silent = self.ex.query, set[str]()
        chosen = {"provider": selection.provider, "tag": selection.tag, "cause": selection.cause}
        sent = await query.count_sent(**chosen)
        counts: dict[str, Any] = {}
        ended = trio.Event()

        def answered(found: dict[str, Any]) -> None:
            counts.update(found)
            ended.set()

        ordered = self._each(selection, CANCELABLE, lambda m, answer: self._end(m, "canceled", "canceled by a person", answer), answered)
        await ended.wait()
        asked, recalled, after = 0, list[str](), ""
        while rows := await query.find_scheduled_sent(**chosen, after=after, limit=PAGE):
            more, ids = await recall_all(self.ex, rows, silent)
            asked, recalled, after = asked + more, recalled + ids, rows[-1].id
        left = ordered - counts["count"] + max(sent - len(recalled), 0)
        ids = sorted([*counts["ids"], *recalled])[:100]
        reply({"ok": True, "count": counts["count"] + len(recalled), "ids": ids, "asked": asked, "not_cancelable": left})

    def release(self, selection: Selection, reply: Reply) -> None:
        """Let held messages go: routed again, from the start of a round."""
        selection.check()
        if selection.id is not None:
            message = self._find(selection.id)
            if message.status != "held":
                raise Refused("not_held", f"the message is {message.status}, not held", "id")
        self._each(selection, ("held",), self._release_one, reply)

    def _release_one(self, message: Message, answer: Callable[[bool], None]) -> None:
        now = self.ex.now()
        progress = msgspec.structs.replace(message.progress, visited={}, provider=None, retries=0, waits=0, faults=0, crashes=0)
        decision = Decision("next", "queued", now, progress, detail="released by a person")
        due = find_due(self.ex, message)
        if due > now:
            decision = Decision("schedule", "scheduled", min(due, message.valid_until), progress, detail="send_at")
        put_decision(self.ex, message, decision, ("held",), now, heard=answer)

    def retry(self, selection: Selection, reply: Reply) -> None:
        """Let queued messages that wait for a time be tried now."""
        selection.check()
        if selection.id is not None:
            message = self._find(selection.id)
            if message.status != "queued":
                raise Refused("not_queued", f"the message is {message.status}: only a queued one waits to be tried again", "id")
        self._each(selection, ("queued",), self._retry_one, reply)

    def _retry_one(self, message: Message, answer: Callable[[bool], None]) -> None:
        ex, now = self.ex, self.ex.now()

        def done(result: Answer, _value: object) -> None:
            ex.wake(message.lane, now, now)
            answer(result is Answer.DONE)

        ex.journal.put(Move(((message.id, message.lane, now),), done, True))

    def _find(self, id_: str) -> Message:
        message = self.ex.query.find_message(id_)
        if message is None:
            raise Refused("not_found", "no message has this id", "id")
        return message

    def _each(
        self,
        selection: Selection,
        statuses: Sequence[str],
        order: Callable[[Message, Callable[[bool], None]], None],
        reply: Reply,
    ) -> int:
        """Do `order` on every selected message, in pages, and answer with the count of those that it was done to; how many there are."""
        ids: list[str] = []
        after = ""
        left = 1
        count = 0

        def answered(id_: str) -> Callable[[bool], None]:
            def answer(is_done: bool) -> None:
                nonlocal left
                left -= 1
                if is_done:
                    ids.append(id_)
                if not left:
                    reply({"ok": True, "count": len(ids), "ids": sorted(ids)[:100]})

            return answer

        while True:
            if selection.id is not None:
                rows = [self._find(selection.id)]
            else:
                rows = self.ex.query.find_messages(
                    statuses, provider=selection.provider, tag=selection.tag, cause=selection.cause, after=after, limit=PAGE
                )
            for message in rows:
                left, count = left + 1, count + 1
                order(message, answered(message.id))
            if selection.id is not None or len(rows) < PAGE:
                break
            after = rows[-1].id
        answered("")(False)
        return count

    def resolve(self, id_: str, outcome: str, reply: Reply) -> None:
        """A person knows what became of an attempt in doubt: `accepted` or `not-sent`. Raises Refused."""
        if outcome not in ("accepted", "not-sent"):
            raise Refused("bad_request", "`outcome` is accepted or not-sent", "outcome")
        message = self._find(id_)
        doubted = [attempt for attempt in self.ex.query.find_attempts(id_) if attempt.state in ("in_doubt", "abandoned")]
        if not doubted:
            raise Refused("not_in_doubt", f"the message is {message.status}; none of its attempts is in doubt", "id")
        attempt = doubted[-1]
        lane = self.ex.lanes.get(attempt.provider)
        if outcome == "not-sent" and lane is not None and id_ in lane.repeated:
            reply(_STALE)  # the request is being repeated this very moment: nobody can know what becomes of that
            return

        def heard(status: str | None) -> None:
            reply(_STALE if status is None else {"ok": True, "id": id_, "status": status})

        if outcome == "accepted":
            resolve_accepted(self.ex, message, attempt, "a person says that the provider has it", heard)
        else:
            resolve_refused(self.ex, message, attempt, "a person says that it was not sent", heard)

    def pause(self, name: str | None, how: str) -> dict[str, Any]:
        """`paused` or `draining`: no new attempts; what is under way ends."""
        lane = self.find_lane(name)
        lane.health.paused = how
        self._changed(lane, f"provider.{how}", "by a person")
        return {"ok": True, "name": lane.name, "state": lane.health.state}

    def resume(self, name: str | None) -> dict[str, Any]:
        """Lifts a pause, a drain, a suspension and an open breaker."""
        lane = self.find_lane(name)
        lane.health.paused = None
        lane.health.lift()
        lane.health.note_good()
        self._changed(lane, "provider.resumed", "by a person")
        now = self.ex.now()
        for cause in ("paused", "misconfigured"):
            self.ex.release_at(cause, now)
        lane.expect(now, now)
        self.ex.hurry(lane.name)
        return {"ok": True, "name": lane.name, "state": lane.health.state}

    def _changed(self, lane: Lane, type_: str, reason: str) -> None:
        ex = self.ex
        lane.health.show(ex.now())
        ex.gain()
        keep_state(self.ex, lane, (type_, reason, None, None))
        lane.bell.ring_at(0)
        ex.router_bell.ring_at(0)

    def suppress(self, action: str, number: str | None, reply: Reply) -> None:
        """List, add or remove suppression entries. `number` is E.164. Raises Refused."""
        ex, show = self.ex, self.ex.clock.show
        if action == "list":
            reply({"ok": True, "suppress": [_show_barred(*row[:3], show(row[3])) for row in ex.query.read_suppressions()]})
            return
        if action not in ("add", "remove"):
            raise Refused("bad_request", "`action` is list, add or remove", "action")
        if number is None:
            raise Refused("bad_request", "`number` is missing", "number")
        now = ex.now()
        rows = [_show_barred(number, "all", BY_A_PERSON, show(now))] if action == "add" else []
        put = Put(done=lambda answer, _value: reply({"ok": answer is Answer.DONE, "suppress": rows}))
        if action == "add":
            put.unsuppress = ((number, "all"),)  # a person's reason takes the place of another
            put.suppress = ((number, "all", BY_A_PERSON, now),)
            ex.suppressions.add(number, "all", BY_A_PERSON)
            put.entries = (ex.teller.tell_suppressed("suppress.added", now, number, "all", BY_A_PERSON),)
        else:
            if not ex.suppressions.remove(number):
                raise Refused("not_found", "this number is not on the list", "number")
            put.unsuppress = ((number, None),)
            put.entries = (ex.teller.tell_suppressed("suppress.removed", now, number, None, BY_A_PERSON),)
        ex.journal.put(put)


_STALE = {"ok": False, "error": {"code": "unavailable", "message": "the message has just changed; look at its status and try again"}}


def _show_barred(recipient: str, scope: str, reason: str, at: str) -> dict[str, Any]:
    return {"recipient": recipient, "scope": scope, "reason": reason, "at": at}


def _show_canceled(id_: str) -> dict[str, Any]:
    return {"ok": True, "id": id_, "status": "canceled", "count": 1, "ids": [id_]}


def _show_refusal(provider: str, outcome: Outcome) -> dict[str, Any]:
    """The error of an errand that a provider refused, or of which nobody knows."""
    code = {"rejected": "invalid_recipient", "in_doubt": "outcome_unknown"}.get(outcome.class_, "unavailable")
    error = {"code": code, "message": f"{provider}: {outcome.detail or outcome.code or outcome.class_}"}
    return error | ({"field": "mobile"} if code == "invalid_recipient" else {})
