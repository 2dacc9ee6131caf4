"""What waits and what a person decides about it: `queue`, `held`, `cancel`, `release`, `resolve`."""

from argparse import ArgumentParser, Namespace
from typing import Any

from broker.cli.command import Command
from broker.cli.doors import ask
from broker.cli.output import Column, Columns, print_json, print_table, say, show, show_count, show_status
from broker.cli.times import now, show_age
from broker.cli.trouble import DONE, USAGE, Trouble

FILTERS = ("provider", "tag", "cause")


def queue(args: Namespace) -> int:
    """Print what is queued, by lane and priority."""
    answer = ask(args, {"op": "queue"})
    if args.json:
        print_json(answer)
        return DONE
    rows, at = answer.get("queue") or [], now()
    scheduled = answer.get("scheduled") or {}
    if scheduled.get("count"):
        count = show_count(scheduled["count"], "message")
        say(f"{count} scheduled, the first for {show(scheduled.get('next_at'))} ({show_age(scheduled.get('next_at'), at)})")
    if not rows:
        say("nothing is queued")
        return DONE
    columns: Columns = ["provider", "priority", Column("messages", is_number=True), "first due"]
    table = [
        (row.get("lane") or "(to be routed)", row.get("priority"), f"{row.get('count') or 0:,}", show_age(row.get("next_at"), at))
        for row in rows
    ]
    print_table(columns, table)
    say(f"{show_count(answer.get('total') or 0, 'message')} in all")
    return DONE


def _add_held(parser: ArgumentParser) -> None:
    parser.add_argument("--cause", metavar="CAUSE", help="only this one: paused, no_credit, no_route, rule, poison, …")


def held(args: Namespace) -> int:
    """Print what is held."""
    answer = ask(args, {"op": "held"} | ({"cause": args.cause} if args.cause else {}))
    if args.json:
        print_json(answer)
        return DONE
    rows, total = answer.get("held") or [], answer.get("total") or 0
    if not rows:
        say("nothing is held" + (f" for {show(args.cause)}" if args.cause else ""))
        return DONE
    at = now()
    columns = ["id", "cause", "to", "accepted", "valid until", "provider", "tags"]
    table = [
        (
            row.get("id"),
            row.get("cause"),
            row.get("to"),
            show_age(row.get("accepted_at"), at),
            show_age(row.get("valid_until"), at),
            row.get("provider"),
            row.get("tags"),
        )
        for row in rows
    ]
    print_table(columns, table)
    more = f", the first {len(rows):,} shown" if total > len(rows) else ""
    say(f"{show_count(total, 'message')} held{more}; `broker release` and `broker cancel` decide")
    return DONE


def in_doubt(args: Namespace) -> int:
    """Print what is in doubt."""
    answer = ask(args, {"op": "in_doubt"})
    if args.json:
        print_json(answer)
        return DONE
    rows = answer.get("in_doubt") or []
    if not rows:
        say("nothing is in doubt")
        return DONE
    at = now()
    columns = ["id", "provider", "to", "since", "policy", "copies", "next look", "unknown", "why"]
    table = [
        (
            row.get("id"),
            row.get("provider"),
            row.get("to"),
            show_age(row.get("since"), at),
            row.get("policy"),
            row.get("copies"),
            show_age(row.get("next_at"), at),
            show_age(row.get("unknown_at"), at),
            row.get("detail"),
        )
        for row in rows
    ]
    print_table(columns, table)
    say(f"{show_count(len(rows), 'message')} in doubt; ask the provider, then: broker resolve ID accepted|not-sent")
    return DONE


def _add_chosen(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="one message")
    parser.add_argument("--provider", metavar="NAME", help="all that wait for this provider")
    parser.add_argument("--tag", metavar="TAG", help="all with this tag")
    parser.add_argument("--cause", metavar="CAUSE", help="all held for this cause")
    parser.add_argument("--all", action="store_true", help="all there are")


def _choose(args: Namespace) -> dict[str, Any]:
    """The messages that the arguments mean: one by its id, or those that every filter holds for."""
    filters = {name: getattr(args, name) for name in FILTERS if getattr(args, name)}
    if args.all:
        filters["all"] = True
    if bool(args.id) == bool(filters):
        which = "an ID or filters, not both" if args.id else "an ID, or --provider, --tag, --cause or --all"
        raise Trouble(f"which messages? give {which}; see `broker {args.verb} --help`", USAGE, "usage")
    return {"id": args.id} if args.id else filters


def decide(args: Namespace) -> int:
    """Cancel or release what the arguments mean."""
    chosen = _choose(args)
    doors = ("control", "submit") if args.verb == "cancel" and args.id else ("control",)
    answer = ask(args, {"op": args.verb, **chosen}, *doors, seconds=600)
    if args.json:
        print_json(answer)
        return DONE
    done = {"cancel": "canceled", "release": "released", "retry": "tried again"}[args.verb]
    count = answer.get("count")
    if count is None:  # the submit socket answers for one message
        say(f"{show(answer.get('id') or args.id)}  {show_status(show(answer.get('status') or done))}")
    elif args.id and count == 1:
        say(f"{show(args.id)}  {done}")
    else:
        say(f"{show_count(count, 'message')} {done}")
        if answer.get("asked"):
            say(f"of {show_count(answer['asked'], 'message')} the provider was asked, which keeps them for their own time")
        if answer.get("not_cancelable"):
            say(f"{show_count(answer['not_cancelable'], 'message')} can no longer be canceled: with a provider, or on the way to one")
    return DONE


def _add_resolve(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the message whose attempt is in doubt")
    parser.add_argument("outcome", metavar="OUTCOME", choices=("accepted", "not-sent"), help="accepted, or not-sent")


def resolve(args: Namespace) -> int:
    """Say what became of an attempt in doubt."""
    answer = ask(args, {"op": "resolve", "id": args.id, "outcome": args.outcome})
    if args.json:
        print_json(answer)
    else:
        say(f"{show(answer.get('id'))}  {show_status(show(answer.get('status')))}")
    return DONE


_CHOICE = " Give an id, or filters: they narrow each other, and --all means every one."

COMMANDS = {
    "queue": Command(
        "What is queued, by the provider it waits for and by priority: how many, and since when or from when the first is due.",
        ("broker queue",),
        queue,
    ),
    "held": Command(
        "What is held, and for what cause. paused, no_credit, misconfigured and no_route release themselves when the cause has"
        " passed; rule, guard, budget, poison and partial wait for you: `broker release` or `broker cancel`.",
        ("broker held --cause poison",),
        held,
        _add_held,
    ),
    "cancel": Command(
        "Stop messages that have not left: scheduled, queued or held ones become canceled. What a provider has already cannot be"
        f" called back, but for what it keeps for its own schedule (Mitake's mtk): it is asked.{_CHOICE}",
        ("broker cancel 01938e0c-7a51-7c2e-9d1e-3f6a5b0c8d21", "broker cancel --provider mitake --tag campaign-7"),
        decide,
        _add_chosen,
    ),
    "release": Command(
        f"Let held messages go on: they are queued and routed again.{_CHOICE}",
        ("broker release 01938e0c-7a51-7c2e-9d1e-3f6a5b0c8d21", "broker release --cause rule"),
        decide,
        _add_chosen,
    ),
    "in-doubt": Command(
        "Messages of which nobody knows whether they were sent: the answer was lost, or could not be understood. Where a rule says hold,"
        " nothing is sent again: proof is waited for until the time under unknown, and you may give it with `broker resolve`.",
        ("broker in-doubt", "broker in-doubt --json"),
        in_doubt,
    ),
    "retry": Command(
        f"Let queued messages that wait for a retry or a new round be tried now.{_CHOICE}",
        ("broker retry --provider mitake",),
        decide,
        _add_chosen,
    ),
    "resolve": Command(
        "Say what became of an attempt in doubt, after you have asked the provider: accepted (they have it: it counts as sent) or"
        " not-sent (they have not: it may be sent again).",
        ("broker resolve 01938e0c-7a51-7c2e-9d1e-3f6a5b0c8d21 not-sent",),
        resolve,
        _add_resolve,
    ),
}
