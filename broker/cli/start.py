"""`run` and `demo`: the two verbs that are the broker themselves. What they do, broker.daemon and broker.cli.demo say."""

import os
from argparse import ArgumentParser, Namespace

from broker.cli.command import Command
from broker.cli.trouble import BAD_CONFIG, Trouble


def _add_run(parser: ArgumentParser) -> None:
    parser.add_argument("--twins", action="store_true", help="replace every provider by its local twin: nothing leaves the machine")


def run(args: Namespace) -> int:
    """Run the daemon in the foreground."""
    from broker.config import ConfigError, find_config
    from broker.daemon import run_daemon

    try:
        return run_daemon(find_config(args.config, os.environ), twins=args.twins)
    except ConfigError as error:
        from broker.cli.settings import as_table

        raise Trouble("", BAD_CONFIG, "bad_config", problems=[as_table(problem) for problem in error.problems]) from None


def _add_demo(parser: ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help="leave it running at the end")


def demo(args: Namespace) -> int:
    """Run the demonstration."""
    from broker.cli.demo import run_demo

    return run_demo(args.keep, as_json=args.json)


COMMANDS = {
    "run": Command(
        "Run the broker in the foreground. SIGTERM ends it when what is in flight has been answered, a second one at once; SIGHUP"
        " reads broker.toml again. With --twins nothing leaves the machine, and secrets need not be there.",
        ("broker run --config broker.toml --twins",),
        run,
        _add_run,
        prints=False,
    ),
    "demo": Command(
        "Watch the broker at work in under a minute, on simulated providers: a batch to several countries, one provider out of"
        " credit, one unavailable, failover, receipts, prices. Exit 0 only if every message ended as it should.",
        ("broker demo", "broker demo --json | jq .checks"),
        demo,
        _add_demo,
    ),
}
