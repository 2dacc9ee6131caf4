"""`backup`, `verify` and `audit`: the store itself, with the broker running or not."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from broker.cli.command import Command
from broker.cli.output import Column, Columns, print_json, print_table, say, show, show_count
from broker.cli.places import find_places
from broker.cli.times import show_moment
from broker.cli.trouble import DONE, FAILED, USAGE, Trouble

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
        say(f"{path} is whole: {told}, {show_count(counts['audit'], 'record')} of the audit")
        return DONE
    for problem in problems:
        say(problem)
    say(f"{show_count(len(problems), 'problem')} in {path}. Stop the broker, keep the file as it is, and put the newest good copy")
    say("(`broker backup`) in its place, without the -wal and -shm files there. What the copy does not know is lost: ask the providers.")
    return FAILED


def _add_audit(parser: ArgumentParser) -> None:
    parser.add_argument("--last", metavar="N", default="50", help="how many orders, the newest ones (50)")


def audit(args: Namespace) -> int:
    """Show who ordered what."""
    from broker.store.contract import StoreError
    from broker.store.keeping import list_orders

    if not (args.last.isascii() and args.last.isdigit() and int(args.last) > 0):
        raise Trouble("--last is a number of orders, 1 or more", USAGE, "usage")
    path = find_store(args)
    try:
        found = list_orders(path, min(int(args.last), 1_000_000))
    except StoreError as error:
        raise Trouble(str(error), FAILED, "failed") from None
    if args.json:
        print_json({"ok": True, "store": str(path), **found})
        return DONE
    if not found["audit"]:
        say("nothing was ever ordered")
        return DONE
    columns: Columns = [Column("n", is_number=True), "when (UTC)", "user", "process", "order", "of what", "result", "configuration"]
    print_table(columns, [_show_order(row) for row in found["audit"]])
    say(f"the chain ends with record {found['head']['n']}, link {found['head']['link']}; `broker verify` follows it")
    return DONE


_OWN = frozenset({"n", "at", "user", "uid", "pid", "op", "config", "link", "result", "ended_at", "config_after", "count"})


def _show_order(row: dict[str, Any]) -> tuple[object, ...]:
    process = f"{row['pid']} (uid {row['uid']})" if row["pid"] is not None else None
    what = " ".join(f"{name}={show(value)}" if value is not True else name for name, value in row.items() if name not in _OWN)
    result = row["result"] if row.get("count") is None else f"{row['result']} ({row['count']:,})"
    config = row["config"] if row.get("config_after") in (None, row["config"]) else f"{row['config']}, then {row['config_after']}"
    return row["n"], show_moment(row["at"]), row["user"], process, row["op"], what, result, config


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
    "audit": Command(
        "Who ordered what of the broker, under which configuration, and what came of it: every order at the control socket, every"
        " start, stop and reload. Each is written down before it is carried out, in a chain that `broker verify` follows; an order"
        " without a result was not over when the broker ended. Numbers are masked. The broker need not run.",
        ("broker audit", "broker audit --last 500 --json"),
        audit,
        _add_audit,
    ),
}
