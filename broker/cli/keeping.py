"""`backup` and `verify`: the store itself, with the broker running or not."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from broker.cli.command import Command
from broker.cli.output import print_json, say, show_count
from broker.cli.places import find_places
from broker.cli.trouble import DONE, FAILED, Trouble

SYSTEM_STATE = "/var/lib/broker"


def find_store(args: Namespace) -> Path:
    """The store's file: where broker.toml says, else the first folder that holds one (CONTRACT §3). Raises Trouble."""
    places = find_places(args.config, is_whole=True)
    tables = {name: table for name, table in places.tree.items() if isinstance(table, dict)}
    url = tables.get("store", {}).get("url")
    name = url.removeprefix("sqlite:") if isinstance(url, str) else "broker.db"
    home = os.path.dirname(os.path.abspath(places.file)) if places.file is not None else os.getcwd()
    said = tables.get("broker", {}).get("data_dir")
    if isinstance(said, str):
        return Path(os.path.join(home, said, name))
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    folders = [folder for folder in (state, SYSTEM_STATE, os.path.join(home, "var")) if folder]
    for folder in folders:
        path = Path(folder, name)
        if path.is_file():
            return path
    raise Trouble(f"no store: looked for {name} in {', '.join(folders)}; name the broker's file with --config FILE", FAILED, "no_store")


def _add_backup(parser: ArgumentParser) -> None:
    parser.add_argument("dest", metavar="DEST", help="the file to write, or a folder to write it in; it must not be there yet")


def backup(args: Namespace) -> int:
    """Copy the store."""
    from broker.store.contract import StoreError
    from broker.store.keeping import back_up

    source = find_store(args)
    try:
        size = back_up(source, Path(args.dest))
    except StoreError as error:
        raise Trouble(str(error), FAILED, "failed") from None
    dest = Path(args.dest, source.name) if Path(args.dest).is_dir() else Path(args.dest)
    if args.json:
        print_json({"ok": True, "store": str(source), "copy": str(dest), "bytes": size})
    else:
        say(f"{source} copied to {dest}: {size:,} bytes")
        say("to go back to it: stop the broker, put it in the store's place without the -wal and -shm files there, start the broker")
    return DONE


def verify(args: Namespace) -> int:
    """Look at the whole store."""
    from broker.store.contract import StoreError
    from broker.store.keeping import count_rows, inspect

    path = find_store(args)
    try:
        problems = list(inspect(path))
        counts = {} if problems else count_rows(path)
    except StoreError as error:
        raise Trouble(str(error), FAILED, "failed") from None
    if args.json:
        print_json({"ok": not problems, "store": str(path), "problems": problems, **counts})
        return FAILED if problems else DONE
    if not problems:
        told = ", ".join(show_count(counts[name], name) for name in ("message", "attempt", "event"))
        say(f"{path} is whole: {told}")
        return DONE
    for problem in problems:
        say(problem)
    say(f"{show_count(len(problems), 'problem')} in {path}. Stop the broker, keep the file as it is, and put the newest good copy")
    say("(`broker backup`) in its place, without the -wal and -shm files there. What the copy does not know is lost: ask the providers.")
    return FAILED


COMMANDS = {
    "backup": Command(
        "Copy the store while the broker runs: one file, whole as of one moment. It holds texts and numbers: keep it as you keep them.",
        ("broker backup /var/backups/broker-2026-11-22.db",),
        backup,
        _add_backup,
    ),
    "verify": Command(
        "Read the whole store: whether the file is damaged, and whether what it says of messages and attempts holds together."
        " Changes nothing; the broker may run meanwhile.",
        ("broker verify", "broker verify --config /etc/broker/broker.toml"),
        verify,
    ),
}
