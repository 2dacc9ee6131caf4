"""`contacts`: the address book that a provider keeps for the account, where it has one."""

from argparse import ArgumentParser, Namespace

from broker.cli.command import Command
from broker.cli.doors import ask
from broker.cli.output import print_json, say, show
from broker.cli.trouble import DONE

FIELDS = ("provider", "name", "surname", "comments")


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", choices=("add", "delete"), help="add or delete")
    parser.add_argument("number", metavar="NUMBER", help="the contact's, for example +306912345678")
    parser.add_argument("--provider", metavar="NAME", help="whose address book; not needed where one provider has any")
    parser.add_argument("--name", metavar="NAME", help="the contact's first name")
    parser.add_argument("--surname", metavar="NAME", help="the contact's surname")
    parser.add_argument("--comments", metavar="TEXT", help="what else is to be kept of it")


def contacts(args: Namespace) -> int:
    """Add or delete one contact."""
    given = {field: getattr(args, field) for field in FIELDS if getattr(args, field) is not None}
    answer = ask(args, {"op": "contacts", "action": args.action, "mobile": args.number, **given}, seconds=120)
    if args.json:
        print_json(answer)
        return DONE
    where = "is now in" if args.action == "add" else "is no longer in"
    say(f"{show(answer.get('mobile') or args.number)} {where} the address book of {show(answer.get('provider'))}")
    return DONE


COMMANDS = {
    "contacts": Command(
        "Add a contact to the address book that a provider keeps for the account, or delete one from it. The broker keeps no"
        " address book of its own: what it knows of a contact is this command.",
        ('broker contacts add +306912345678 --provider isms --name Ada --surname Lovelace --comments "first customer"',
         "broker contacts delete +306912345678"),
        contacts,
        _add,
    ),
}  # fmt: skip
