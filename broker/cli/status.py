"""`status`: one message's timeline, with every attempt and what each came to.

Asks the control socket, and the submit socket where that one is not open to us: there a client sees its own messages.
"""

from argparse import ArgumentParser, Namespace
from typing import Any

from broker.cli.command import Command
from broker.cli.doors import ask
from broker.cli.output import Column, Columns, name_candidate, print_json, print_table, say, show, show_count, show_price, show_status
from broker.cli.times import now, show_age, show_clock, show_moment, show_took
from broker.cli.trouble import DONE

WIDTH = 12
"""Of a status in the timeline: the longest, `unconfirmed`, and a space."""


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the id that `broker send` printed")


def status(args: Namespace) -> int:
    """Print a message's story."""
    answer = ask(args, {"op": "status", "id": args.id}, "control", "submit")
    if args.json:
        print_json(answer)
        return DONE
    message = answer.get("message") or {}
    _say_facts(message)
    day = str(message.get("accepted_at") or "")[:10]
    events = answer.get("events") or []
    if events:
        say()
        for event in events:
            say(_show_event(event, day))
    for attempt in answer.get("attempts") or []:
        for receipt in attempt.get("receipts") or []:
            if receipt.get("waits"):
                say(_show_event({**receipt, "type": "receipt", "provider": attempt.get("provider"), "attempt": attempt.get("n")}, day))
    _say_attempts(answer.get("attempts") or [], day)
    return DONE


def _say_facts(message: dict[str, Any]) -> None:
    detail = f" ({show(message['detail'])})" if message.get("detail") else ""
    say(f"{show(message.get('id'))}  {show_status(show(message.get('status')))}{detail}")
    country = f" ({show(message['country'])})" if message.get("country") else ""
    size = f"{show_count(message.get('segments') or 0, 'segment')} {show(message.get('encoding'))}"
    facts = [f"to {show(message.get('to'))}{country}"]
    facts += [f"{label} {show(message[name])}" for label, name in (("from", "from"), ("ref", "ref")) if message.get(name)]
    facts.append(size)
    if message.get("channel"):
        facts.append(f"by {show(message['channel'])}")
    say("  " + ", ".join(facts))
    more = [f"{name} {show(message[name])}" for name in ("client", "rule", "tags", "priority") if message.get(name)]
    if more:
        say("  " + ", ".join(more))
    if message.get("text"):
        say(f'  text "{show(message["text"])}"')
    until, at = message.get("valid_until"), now()
    times = [f"accepted {show_moment(message.get('accepted_at'))} UTC ({show_age(message.get('accepted_at'), at)})"]
    if message.get("final_at"):
        times.append(f"took {show_took(message.get('accepted_at'), message['final_at'])}")
    elif until:
        times.append(f"valid until {show_moment(until)} ({show_age(until, at)})")
    if message.get("next_at"):
        times.append(f"next {show_age(message['next_at'], at)}")
    if (message.get("copies") or 0) > 1:
        times.append(f"{message['copies']} copies may have been sent")
    say("  " + ", ".join(times))


def _show_event(event: dict[str, Any], day: str) -> str:
    name = show(event.get("type")).removeprefix("message.")
    status = show_status(name) + " " * max(WIDTH - len(name), 1)
    facts = []
    if event.get("provider"):
        attempt = f" #{event['attempt']}" if event.get("attempt") else ""
        facts.append(f"{name_candidate(event)}{attempt}")
    facts += [f"{key} {show(value)}" for key, value in (event.get("result") or {}).items() if value is not None]
    facts += [show(event[key]) for key in ("class", "code", "detail") if event.get(key)]
    if event.get("provider_ref"):
        facts.append(f"ref {show(event['provider_ref'])}")
    if event.get("price") and name in ("sent", "unconfirmed", "delivered"):
        facts.append(show_price(event["price"], event.get("currency")))
    if event.get("next_at") and name in ("queued", "held"):
        facts.append(f"next at {show_clock(event['next_at'], day)}")
    return f"  {show_clock(event.get('at'), day)}  {status}{'  '.join(facts)}".rstrip()


def _say_attempts(attempts: list[dict[str, Any]], day: str) -> None:
    if not attempts:
        return
    say()
    rows = [
        (
            attempt.get("n"),
            name_candidate(attempt),
            attempt.get("state"),
            attempt.get("class"),
            attempt.get("code"),
            attempt.get("detail"),
            attempt.get("provider_refs"),
            show_price(attempt.get("price"), attempt.get("currency")),
            attempt.get("receipt"),
            show_clock(attempt.get("opened_at"), day),
            show_took(attempt.get("opened_at"), attempt.get("closed_at")),
        )
        for attempt in attempts
    ]
    columns: Columns = [
        *(Column("attempt", is_number=True), "provider", "state", "class", "code", "detail", "ref"),
        *(Column("price", is_number=True), "receipt", "opened", Column("took", is_number=True)),
    ]
    print_table(columns, rows)


COMMANDS = {
    "status": Command(
        "The story of one message: each change of its status, every attempt with provider, class, the provider's own code and"
        " price, and every receipt. Times are UTC. Who may not use the control socket sees only messages of their own.",
        ("broker status 01938e0c-7a51-7c2e-9d1e-3f6a5b0c8d21",),
        status,
        _add,
    ),
}
