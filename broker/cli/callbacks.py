"""`callbacks`: the URLs to enter in the providers' panels, and new secrets for them."""

from argparse import ArgumentParser, Namespace
from typing import Any

from broker.cli.command import Command
from broker.cli.doors import ask
from broker.cli.output import NONE, print_json, print_table, say, show
from broker.cli.times import now, show_age
from broker.cli.trouble import DONE

COUNTS = {
    "answered": "answered",
    "repeated": "said again what was known",
    "unmatched": "named a token that is nobody's",
    "refused": "refused: no account's secret",
    "beyond": "beyond a limit",
    "unread": "not understood",
    "failed": "put off for the provider to repeat",
    "broken": "no HTTP, or too large",
    "late": "connections ended for being slow",
    "evicted": "connections ended to make room",
    "turned_away": "connections turned away",
}


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("--rotate", metavar="NAME", help="make a new secret for this provider; the old URL works for 7 more days")


def callbacks(args: Namespace) -> int:
    """Print the URLs."""
    request: dict[str, Any] = {"op": "callbacks"}
    if args.rotate:
        request |= {"action": "rotate", "name": args.rotate}
    answer = ask(args, request)
    if args.json:
        print_json(answer)
        return DONE
    urls, former = answer.get("callbacks") or {}, answer.get("former_until") or {}
    if args.rotate:
        urls = {name: url for name, url in urls.items() if name == args.rotate}
    if not urls:
        say("no provider here calls back")
        return DONE
    at = now()
    rows = [(name, url, show_age(former[name], at) if name in former else NONE) for name, url in urls.items()]
    print_table(["provider", "URL", "the one before ends"], rows)
    counts = answer.get("counts") or {}
    told = [f"{counts[name]:,} {words}" for name, words in COUNTS.items() if counts.get(name)]
    if told and not args.rotate:
        say(f"since the start: {', '.join(told)}")
    if args.rotate:
        say(f"enter it in the panel of {show(args.rotate)}; whoever knows this URL can report on its messages")
    return DONE


COMMANDS = {
    "callbacks": Command(
        "The URLs to enter in the providers' panels, where receipts and inbound messages are set up. Each holds its account's secret:"
        " whoever has the URL can speak for the provider. A new secret leaves the one before it working for 7 days.",
        ("broker callbacks", "broker callbacks --rotate mitake"),
        callbacks,
        _add,
    ),
}
