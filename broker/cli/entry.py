"""The way in: which verb, its arguments, and how it ends. Turns every exception into one line that a person can act on.

Never shows a traceback; an exception that nobody foresaw is told with the place it came from, to be reported.
"""

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import NoReturn

from broker import __version__
from broker.cli.command import Command
from broker.cli.trouble import DONE, FAILED, USAGE, Trouble, show_problem
from broker.cli.verbs import LATER, VERBS, make_help

DASHES = ' (words that begin with "-" go after "--")'
INTERRUPTED = 130
"""What a shell gives for SIGINT."""


class Usage(Exception):
    """The command line cannot be read; the text says why."""


class Parser(ArgumentParser):
    """An argument parser that raises Usage where argparse would print its whole usage and exit."""

    def error(self, message: str) -> NoReturn:
        if "ignored explicit argument" in message:  # a text such as -hi, which argparse reads as -h with an i
            message = f"unknown option{DASHES}"
        raise Usage(message)

    def format_help(self) -> str:
        from textwrap import fill

        self.description = fill(self.description or "", 88)  # the formatter must leave the examples' lines alone
        return super().format_help()


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; gives the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name or text must not fail on a terminal without its letters
    try:
        code = _start(words)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        # Our own output cannot be written: its reader has gone, or the disk is full. Python would flush once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"broker: the output cannot be written: {error.strerror}\n")
        return FAILED


def _start(words: list[str]) -> int:
    verb, as_json = "", "--json" in words
    try:
        given, verb, rest = _find_verb(words)
        if not verb:
            return DONE
        command = load_command(verb)
        args = _read_arguments(verb, command, rest, given)
        as_json = args.json
        return command.run(args)
    except SystemExit:  # argparse has printed a help that was asked for
        return DONE
    except Usage as usage:
        place = f"broker {verb}" if verb in VERBS else "broker"
        sys.stderr.write(f"{place}: {usage}; see `{place} --help`\n")
        return USAGE
    except Trouble as trouble:
        return _tell(trouble, as_json=as_json)
    except BrokenPipeError:
        raise
    except Exception as error:
        return _tell(_explain_fault(error), as_json=as_json)


def _find_verb(words: list[str]) -> tuple[Namespace, str, list[str]]:
    """What stands before the verb, the verb (empty: all is done already), and what follows it."""
    given = Namespace(config=None, json=False)
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option, is_joined, value = rest.pop(0).partition("=")
        if option == "--config" and (is_joined or rest):
            given.config = value if is_joined else rest.pop(0)
        elif option == "--json" and not is_joined:
            given.json = True
        elif option in ("--help", "-h"):
            sys.stdout.write(make_help(__version__))
            return given, "", []
        elif option == "--version":
            sys.stdout.write(f"broker {__version__}\n")
            return given, "", []
        else:
            needs = "needs a FILE" if option == "--config" else "is no option of `broker` itself; write it after the verb"
            raise Usage(f"{option} {needs}")
    if not rest:
        raise Usage("which verb?")
    if rest[0] == "help":  # `broker help send` is what people type
        rest = [*rest[1:2], "--help"]
        if rest == ["--help"]:
            sys.stdout.write(make_help(__version__))
            return given, "", []
    return given, rest[0], rest[1:]


def load_command(verb: str) -> Command:
    """The command of a verb. Raises Usage with the nearest names where there is none, Trouble for one of a later version."""
    if verb in LATER:
        raise Trouble(f"not in this version: broker {verb}", FAILED, "not_in_this_version")
    if verb not in VERBS:
        raise Usage(f'unknown verb "{verb}"{_nearest(verb, VERBS)}')
    commands: dict[str, Command] = import_module(f"broker.cli.{VERBS[verb].module}").COMMANDS
    return commands[verb]


def _nearest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def make_parser(verb: str, command: Command) -> Parser:
    """The parser of one verb's arguments."""
    examples = "\n".join(f"  {example}" for example in command.examples)
    parser = Parser(
        prog=f"broker {verb}",
        description=command.about,
        epilog=f"example:\n{examples}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add(parser)
    parser.add_argument("--config", metavar="FILE", help="the broker.toml to go by")
    if command.prints:
        parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _read_arguments(verb: str, command: Command, words: list[str], given: Namespace) -> Namespace:
    parser = make_parser(verb, command)
    args, extra = parser.parse_known_args(words, Namespace())
    if extra:
        options = [option for action in parser._actions for option in action.option_strings]
        unknown = extra[0].partition("=")[0]
        if unknown.startswith("-") and unknown != "-":
            near = _nearest(unknown, options) if unknown.startswith("--") else DASHES
            raise Usage(f"unknown option {unknown}{near}")
        raise Usage(f'"{extra[0]}" is one word too many (a text with spaces goes in quotes)')
    args.verb = verb
    args.config = args.config or given.config
    args.json = getattr(args, "json", False) or given.json
    return args


def _tell(trouble: Trouble, *, as_json: bool) -> int:
    for problem in trouble.problems:
        sys.stderr.write(f"{show_problem(problem)}\n")
    if trouble.message:
        sys.stderr.write(f"broker: {trouble.message}\n")
    if as_json:
        from broker.cli.output import print_json

        print_json(trouble.show())
    return trouble.exit_code


def _explain_fault(error: BaseException) -> Trouble:
    """An exception that is nobody's message: its kind and its place, never its text, which may hold anything."""
    if isinstance(error, BaseExceptionGroup):
        from broker.cli.loop import find_cause

        return _explain_fault(find_cause(error))
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return Trouble(f"{name}{error.strerror}", FAILED, "os_error")
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return Trouble(f"a fault of the broker itself: {type(error).__name__}{place}; please report this line", FAILED, "fault")
