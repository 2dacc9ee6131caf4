"""`erase`: forget a recipient."""

from argparse import ArgumentParser, Namespace

from broker.cli.command import Command
from broker.cli.doors import ask
from broker.cli.output import print_json, say, show_count
from broker.cli.trouble import DONE


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("number", metavar="NUMBER", help="whom to forget, for example +886912345678")


def erase(args: Namespace) -> int:
    """Erase."""
    answer = ask(args, {"op": "erase", "number": args.number}, seconds=600)
    if args.json:
        print_json(answer)
        return DONE
    say(f"{show_count(answer.get('messages') or 0, 'message')} and {show_count(answer.get('inbound') or 0, 'inbound message')} erased")
    say("copies made by `broker backup` still have them; the suppression list keeps the number until `broker suppress remove`")
    return DONE


COMMANDS = {
    "erase": Command(
        "Forget everything that was sent to a number and everything that came from it: messages, attempts, receipts and events,"
        " overwritten in the store. Refused while a message to it is on its way.",
        ("broker erase +886912345678",),
        erase,
        _add,
    ),
}
