"""`suppress`: who is never written to."""

from argparse import ArgumentParser, Namespace

from broker.cli.command import Command
from broker.cli.doors import ask
from broker.cli.output import print_json, print_table, say, show, show_count
from broker.cli.times import now, show_age
from broker.cli.trouble import DONE, USAGE, Trouble


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", choices=("list", "add", "remove"), help="list, add or remove")
    parser.add_argument("number", metavar="NUMBER", nargs="?", help="whom to add or remove, for example +886912345678")


def suppress(args: Namespace) -> int:
    """List, add or remove."""
    if args.action != "list" and args.number is None:
        raise Trouble(f"which number? write: broker suppress {args.action} +886912345678", USAGE, "usage")
    request = {"op": "suppress", "action": args.action}
    if args.number is not None:
        request["number"] = args.number
    answer = ask(args, request)
    if args.json:
        print_json(answer)
        return DONE
    if args.action != "list":
        word = "is now on the list" if args.action == "add" else "is off the list"
        say(f"{show(args.number)} {word}")
        return DONE
    rows = [row for row in answer.get("suppress") or [] if args.number in (None, row.get("recipient"))]
    if not rows:
        say("nobody is on the list" if args.number is None else f"{show(args.number)} is not on the list")
        return DONE
    at = now()
    columns = ["number", "barred for", "reason", "since"]
    print_table(columns, [(row.get("recipient"), row.get("scope"), row.get("reason"), show_age(row.get("at"), at)) for row in rows])
    say(show_count(len(rows), "entry").replace("entrys", "entries"))
    return DONE


COMMANDS = {
    "suppress": Command(
        "The list of those who are never written to. A provider's answer that a recipient has opted out adds to it by itself; a"
        " submit to somebody on it is refused as suppressed.",
        ("broker suppress list", "broker suppress add +886912345678", "broker suppress remove +886912345678"),
        suppress,
        _add,
    ),
}
