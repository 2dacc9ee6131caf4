"""Inquiries: what happened to a message, and what would happen to one now. Changes nothing."""

from typing import Any

import msgspec

from broker.delivery.accept import Intake
from broker.delivery.clock import Clock
from broker.delivery.exchange import Exchange
from broker.delivery.submission import Refused, Submit
from broker.routing import Candidate, LeftOut, Route, Rule, rank
from broker.words.attempt import Attempt
from broker.words.channel import TEXTLESS
from broker.words.clock import show_time
from broker.words.message import Message
from broker.words.money import show_count, show_micro
from broker.words.receipt import RECEIPT_CLASSES
from broker.words.status import COPIES


class Inquiry:
    """Answers `status` and `explain` from every door."""

    def __init__(self, ex: Exchange, intake: Intake) -> None:
        self.ex = ex
        self.intake = intake

    def status(self, id_: str, client: str | None) -> dict[str, Any]:
        """A message with its attempts and events. `client` None: an operator, who may see every message. Raises Refused."""
        message = self.ex.query.find_message(id_)
        if message is None or (client is not None and message.client != client):
            raise Refused("not_found", f"no message{'' if client is None else ' of yours'} has this id", "id")
        attempts = self.ex.query.find_attempts(id_)
        events = [show_event(seq, body) for seq, body in self.ex.query.read_history(id_)]
        return {
            "ok": True,
            "message": self._show_message(message, attempts, events),
            "attempts": [
                show_attempt(attempt, message.channel, self.ex.clock)
                | {"receipts": list_receipts(attempt, events) + self._list_strays(attempt)}
                for attempt in attempts
            ],
            "events": events,
        }

    def _list_strays(self, attempt: Attempt) -> list[dict[str, Any]]:
        """Receipts of the attempt that still wait in the inbox, as `list_receipts` shows one."""
        waiting = self.ex.inbox.find(attempt.provider, attempt.message, attempt.refs)
        receipts = [
            (stray.seen_at, stray.receipt)
            for stray in waiting
            if stray.provider == attempt.provider and stray.receipt.token in (None, attempt.id)
        ]
        return [
            {
                "at": self.ex.clock.show(seen_at),
                "class": receipt.class_,
                "code": receipt.code,
                "detail": receipt.detail or "waits in the inbox",
                "provider_ref": receipt.ref,
                "status": None,
                "waits": True,
            }
            for seen_at, receipt in receipts
        ]

    def _show_message(self, message: Message, attempts: list[Attempt], events: list[dict[str, Any]]) -> dict[str, Any]:
        # Events are kept for a shorter time than messages: what they say is so of the message itself.
        gone = self.ex.teller.tell(message, message.status, message.accepted_at, attempts[-1] if attempts else None)
        changes = [event for event in events if event["type"].startswith("message.")]
        last = dict(changes[-1]) if changes else show_event(0, gone.body)
        del last["seq"]
        last.pop("channel", None)  # an event's is its attempt's
        final_at, rule = self.ex.query.find_times(message.id)
        show = self.ex.clock.show
        return last | {
            "id": message.id,
            "status": message.status,
            "detail": message.detail,
            "rule": last["rule"] or message.progress.rule or rule,
            "accepted_at": show(message.accepted_at),
            "valid_until": show(message.valid_until),
            "send_at": None if message.send_at is None else show_time(message.send_at),
            "final_at": None if final_at is None else show(final_at),
            "next_at": show(message.next_at) if final_at is None and message.next_at else None,
            "encoding": message.encoding,
            "priority": ("high", "normal", "low")[message.priority],
            "from": message.sender,
            "text": message.text,
            **({} if message.options is None else {"options": message.options}),
            "copies": sum(attempt.state in COPIES for attempt in attempts),
            **show_channel(message.channel),
        }

    def explain(self, request: Submit, client: str) -> dict[str, Any]:
        """What would happen to `request` now; or, with `id`, what would happen next to that message. Raises Refused."""
        ex = self.ex
        now = ex.now()
        reworded: dict[str, Any] = {}
        if request.id is not None:
            message = ex.query.find_message(request.id)
            if message is None or message.client != client:
                raise Refused("not_found", "no message of yours has this id", "id")
            rule = ex.find_rule(message, now)
            if rule is None:
                raise Refused("no_route", "no rule matches this message any more")
            route = ex.rank(rule, message, message.progress)
        else:
            if request.text is None and request.channel not in TEXTLESS:
                request = msgspec.structs.replace(request, text=".")
            message = self.intake.read(request, client, now)
            before = _show_cost(message)
            rule, route = self._route(message, now)
            if (after := _show_cost(message)) != before:
                reworded = {"before": before, "after": after}
        start = now if message.send_at is None else max(now, ex.clock.of_wall(message.send_at))
        return self._show_route(message, rule, route, ex.find_opening(rule, message, start) or start, now) | reworded

    def _route(self, message: Message, now: int) -> tuple[Rule, Route]:
        try:
            return self.intake.route(message, now)
        except Refused as refused:
            if refused.code != "no_route":
                raise
            rule = self.ex.find_rule(message, now)
            if rule is None:
                raise
            return rule, rank(rule, message, self.ex.standings, {})

    def _show_route(self, message: Message, rule: Rule, route: Route, leaves_at: int, now: int) -> dict[str, Any]:
        named = {each.provider for each in route.candidates} | {each.provider for each in route.left_out}
        left_out = [_name(left) | {"reason": left.reason} for left in route.left_out]
        for name, account in self.ex.book.accounts.items():
            if name not in named:
                reason = "disabled" if not account.enabled else f"rule {rule.name} does not use it"
                if message.pin is not None and account.enabled:
                    reason = f"rule: only {message.pin} was asked for"
                left_out.append({"provider": name, "reason": reason})
        return {
            "ok": True,
            "rule": rule.name,
            "order": rule.order,
            "country": message.country,
            "segments": message.segments,
            "encoding": message.encoding,
            "waits_until": None if leaves_at <= now else self.ex.clock.show(leaves_at),
            "candidates": [
                {
                    **_name(candidate),
                    "price": None if candidate.price is None else show_micro(candidate.price),
                    "currency": candidate.currency,
                    "credit": None if candidate.credit is None else show_count(candidate.credit),
                    **({} if candidate.quoted_at is None else {"quoted_at": self.ex.clock.show(candidate.quoted_at)}),
                }
                for candidate in route.candidates
            ],
            "left_out": left_out,
            **show_channel(message.channel),
        }


def _name(entry: Candidate | LeftOut) -> dict[str, Any]:
    """The provider, and the channel where it is not the message's own."""
    return {"provider": entry.provider} if entry.channel is None else {"provider": entry.provider, "channel": entry.channel}


def _show_cost(message: Message) -> dict[str, Any]:
    return {"encoding": message.encoding, "segments": message.segments}


def show_event(seq: int, body: bytes) -> dict[str, Any]:
    """An event as the feed shows it."""
    event: dict[str, Any] = {"seq": seq}
    event.update(msgspec.json.decode(body))
    return event


def show_attempt(attempt: Attempt, channel: str, clock: Clock) -> dict[str, Any]:
    """An attempt as `status` shows it (CONTRACT §4); `channel` is the message's own."""
    return {
        "n": attempt.n,
        "provider": attempt.provider,
        "state": attempt.state,
        "class": attempt.class_,
        "code": attempt.code,
        "detail": attempt.detail,
        "provider_refs": list(attempt.refs),
        "parts": attempt.parts,
        "price": None if attempt.price is None else show_micro(attempt.price),
        "currency": attempt.currency,
        "opened_at": clock.show(attempt.opened_at),
        "closed_at": None if attempt.closed_at is None else clock.show(attempt.closed_at),
        "receipt": attempt.receipt,
        **show_channel(attempt.channel or channel),
    }


def list_receipts(attempt: Attempt, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every receipt of an attempt as its message's events tell of it; `status` is what it made of the message, None for nothing."""
    own = [event for event in events if event.get("attempt") == attempt.n and event["type"].startswith("message.")]
    told = [event for event in own if event["class"] is not None]
    if any(event["type"] == "message.sending" for event in own):
        told = told[1:]  # the first is what became of the attempt; where it is forgotten, so is the sending
    return [
        {
            "at": event["at"],
            "class": event["class"],
            "code": event["code"],
            "detail": event["detail"],
            "provider_ref": event["provider_ref"],
            "status": None if event["type"] == "message.receipt" else event["status"],
            "waits": False,
        }
        for event in told
        if event["class"] in RECEIPT_CLASSES
    ]


def show_channel(channel: str) -> dict[str, str]:
    """The channel, where it is not the usual one."""
    return {} if channel == "sms" else {"channel": channel}
