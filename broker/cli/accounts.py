"""The providers and what a person decides about them: `providers`, `balance`, `pause`, `resume`, `drain`."""

from argparse import ArgumentParser, Namespace
from typing import Any

from broker.cli.command import Command
from broker.cli.doors import ask
from broker.cli.output import NONE, Column, Columns, print_json, print_table, say, show, show_status
from broker.cli.times import now, show_age
from broker.cli.trouble import DONE


def providers(args: Namespace) -> int:
    """Print every provider's state."""
    answer = ask(args, {"op": "providers"})
    rows = answer.get("providers") or []
    if args.json:
        print_json(answer)
        return DONE
    if not rows:
        say("no provider is configured; write a [providers.NAME] in broker.toml")
        return DONE
    at = now()
    is_plain = all(row.get("channels") in (None, ["sms"]) for row in rows)  # then the column would say nothing
    columns: Columns = [
        *("provider", "plugin", "channels", "state", "rate"),
        *(Column(title, is_number=True) for title in ("in flight", "waiting")),
        "credit",
        *(Column(title, is_number=True) for title in ("accepted", "refused", "delivered")),
    ]
    table = [
        (
            row.get("name"),
            row.get("plugin"),
            None if is_plain else row.get("channels"),
            _show_state(row, at),
            row.get("rate"),
            f"{row.get('in_flight') or 0}/{show(row.get('max_in_flight'))}",
            f"{row.get('waiting') or 0:,}",
            _show_credit(row.get("credit") or []),
            row.get("accepted"),
            row.get("refused"),
            _show_share(row.get("delivered_share")),
        )
        for row in rows
    ]
    print_table(columns, table)
    return DONE


def _show_state(row: dict[str, Any], at: int) -> str:
    """`suspended, again in 4m: 401 key refused`: the state, when it ends, and why."""
    state, until = show(row.get("state")), row.get("until")
    reason = str(row.get("reason") or "").removeprefix(state).lstrip(": ")  # most reasons begin with the state's word
    if not until and isinstance(row.get("breaker"), dict):
        until = row["breaker"].get("open_until")
    when = f", again {show_age(until, at)}" if until and state != "up" else ""
    return f"{state}{when}{f': {show(reason)}' if reason else ''}"


def _show_share(share: object) -> str:
    """`98.7%` for 0.987."""
    try:
        return NONE if share is None else f"{100 * float(str(share)):.1f}%"
    except ValueError:
        return show(share)


def _show_credit(buckets: list[dict[str, Any]]) -> str:
    """`39000 points`, bucket by bucket; their names where there is more than one."""
    parts = []
    for bucket in buckets:
        name = f"{show(bucket.get('bucket'))} " if len(buckets) > 1 else ""
        amount = "dry" if bucket.get("dry") else f"{show(bucket.get('usable'))} {show(bucket.get('unit'))}"
        parts.append(name + amount)
    return ", ".join(parts) or NONE


def _add_balance(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="this provider only")
    parser.add_argument("--refresh", action="store_true", help="ask the providers now")


def balance(args: Namespace) -> int:
    """Print the credit buckets."""
    request: dict[str, Any] = {"op": "balance"}
    if args.name:
        request["name"] = args.name
    if args.refresh:
        request["refresh"] = True
    answer = ask(args, request, seconds=120)
    rows = answer.get("balance") or []
    if args.json:
        print_json(answer)
        return DONE
    if not rows:
        say("no provider here tells its credit" if not args.name else f"{show(args.name)} tells no credit")
        return DONE
    at = now()
    numbers = [Column(title, is_number=True) for title in ("reported", "usable", "reserved", "low", "stop", "per hour")]
    columns: Columns = ["provider", "bucket", "unit", *numbers, "reported at", "runs dry"]
    table = [
        (
            row.get("provider"),
            row.get("bucket"),
            row.get("unit"),
            row.get("reported"),
            row.get("usable"),
            row.get("reserved"),
            row.get("low"),
            row.get("stop"),
            row.get("burn_per_hour"),
            show_age(row.get("reported_at"), at),
            "dry" if row.get("dry") else show_age(row.get("runs_dry_at"), at),
        )
        for row in rows
    ]
    print_table(columns, table)
    return DONE


def _add_name(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the provider")


def switch(args: Namespace) -> int:
    """Pause, resume or drain a provider."""
    answer = ask(args, {"op": args.verb, "name": args.name})
    if args.json:
        print_json(answer)
    else:
        say(f"{show(answer.get('name'))}  {show_status(show(answer.get('state')))}")
    return DONE


COMMANDS = {
    "providers": Command(
        "Every configured provider: its state (up, paused, draining, suspended, breaker, spend, probing, disabled) with reason and"
        " end, its rate, the requests in flight, what waits for it, its credit, and how much of what it took was delivered.",
        ("broker providers", "broker providers --json | jq '.providers[] | select(.state != \"up\") | .name'"),
        providers,
    ),
    "balance": Command(
        "The credit of the providers that tell it, bucket by bucket, in the provider's own unit: what was reported, what of it is"
        " usable after everything reserved and spent since, how fast it goes, and when it runs dry.",
        ("broker balance", "broker balance mitake --refresh"),
        balance,
        _add_balance,
    ),
    "pause": Command(
        "Give a provider nothing more until `broker resume`. What only it could take is held meanwhile, cause paused.",
        ("broker pause mitake",),
        switch,
        _add_name,
    ),
    "resume": Command(
        "Let a paused, draining or suspended provider work again; what was held for that is released.",
        ("broker resume mitake",),
        switch,
        _add_name,
    ),
    "drain": Command(
        "Give a provider nothing new and let others take its queue; its receipts and queries go on. `broker resume` ends it.",
        ("broker drain mitake",),
        switch,
        _add_name,
    ),
}
