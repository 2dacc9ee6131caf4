"""`check` and `reload`: broker.toml read as `run` would read it, and applied to the running broker, all or nothing.

What a right file is, broker.config knows; here it is only told.
"""

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from broker.cli.command import Command
from broker.cli.doors import ask
from broker.cli.output import print_json, read_strings, say, show, show_count
from broker.cli.trouble import BAD_CONFIG, DONE, Trouble, show_problem

if TYPE_CHECKING:
    from broker.config import Problem
    from broker.words.settings import Settings


def _add_check(parser: ArgumentParser) -> None:
    parser.add_argument("--effective", action="store_true", help="print all of it as TOML: defaults filled in, secrets ***")
    parser.add_argument("--twins", action="store_true", help="as `run --twins` reads it: a secret that cannot be read is no error")


def check(args: Namespace) -> int:
    """Print every problem of the file, or that there is none."""
    from broker.cli.catalog import read_facts
    from broker.config import ConfigError, check_settings, find_config, read_settings

    try:
        file = find_config(args.config, os.environ)
        settings = read_settings(file, plugins=read_facts, twins=args.twins)
    except ConfigError as error:
        return _tell_errors([as_table(problem) for problem in error.problems], args)
    warnings = [as_table(problem) for problem in check_settings(settings, read_facts)]
    if args.effective:
        return _tell_effective(settings, args)
    if args.json:
        print_json({"ok": True, "file": settings.file, "hash": settings.hash, **_count(settings), "problems": warnings})
        return DONE
    for warning in warnings:
        say(show_problem(warning))
    say(_sum_up(settings, len(warnings)))
    return DONE


def as_table(problem: "Problem") -> dict[str, Any]:
    """A problem as plain values, its file as seen from here."""
    return {
        "file": shorten(problem.file),
        "line": problem.line,
        "key": problem.key,
        "message": problem.message,
        "severity": problem.severity,
    }


def shorten(file: str) -> str:
    """A path as seen from here, where that is shorter."""
    return min((file, os.path.relpath(file)), key=len) if file else file


def _tell_errors(problems: list[dict[str, Any]], args: Namespace) -> int:
    if args.json:
        print_json({"ok": False, "error": {"code": "bad_config", "problems": problems}})
        return BAD_CONFIG
    for problem in problems:
        say(show_problem(problem))
    say(f"{show_count(len(problems), 'error')}: `broker run` would refuse this")
    return BAD_CONFIG


def _tell_effective(settings: "Settings", args: Namespace) -> int:
    from broker.config import effective

    text = effective(settings)
    if not args.json:
        say(text.rstrip("\n"))
        return DONE
    import tomllib

    print_json(tomllib.loads(text))
    return DONE


def _count(settings: "Settings") -> dict[str, int]:
    enabled = sum(provider.enabled for provider in settings.providers.values())
    return {
        "providers": len(settings.providers),
        "enabled": enabled,
        "rules": len(settings.rules),
        "clients": len(settings.clients),
    }


def _sum_up(settings: "Settings", warnings: int) -> str:
    counts = _count(settings)
    facts = [show_count(counts["providers"], "provider"), show_count(counts["rules"], "rule")]
    if counts["enabled"] < counts["providers"]:
        facts[0] += f" ({counts['enabled']} enabled)"
    if counts["clients"]:
        facts.append(show_count(counts["clients"], "client"))
    facts.append("no feed" if settings.feed is None else f"feed on {show(settings.feed.listen)}")
    found = show_count(warnings, "warning") if warnings else "no warnings"
    return f"ok: {shorten(settings.file)}: {', '.join(facts)}; {found}"


def reload(args: Namespace) -> int:
    """Have the broker read its file again."""
    try:
        answer = ask(args, {"op": "reload"}, seconds=120)
    except Trouble as trouble:
        if trouble.code == "bad_config":
            file = (trouble.said or {}).get("file")
            if isinstance(file, str):
                trouble.problems = [{"file": shorten(file), **problem} for problem in trouble.problems]
            trouble.message = f"{show_count(len(trouble.problems), 'problem')}: nothing was applied, the broker goes on as before"
        raise
    if args.json:
        print_json(answer)
        return DONE
    changes, restart = read_strings(answer, "changes"), read_strings(answer, "restart")
    for key in changes:
        say(f"{show(key)}{' (needs a restart)' if key in restart else ''}")
    for key in restart:
        if key not in changes:
            say(f"{show(key)} (changed before, needs a restart)")
    applied = sum(key not in restart for key in changes)
    text = f"applied: {show_count(applied, 'change')}" if changes else "nothing has changed"
    say(text + (f"; {show_count(len(restart), 'key')} only after a restart" if restart else ""))
    return DONE


def _add_level(parser: ArgumentParser) -> None:
    parser.add_argument("level", metavar="LEVEL", choices=("debug", "info", "warning", "error"), help="debug, info, warning or error")


def log_level(args: Namespace) -> int:
    """Set the level of the running broker's log."""
    answer = ask(args, {"op": "log_level", "level": args.level})
    if args.json:
        print_json(answer)
    else:
        say(f"the broker logs from {show(answer.get('level'))} on, until it is reloaded or restarted")
    return DONE


COMMANDS = {
    "log-level": Command(
        "How much the running broker logs, until the next reload or restart; [broker].log is what holds then.",
        ("broker log-level debug",),
        log_level,
        _add_level,
    ),
    "check": Command(
        "Read broker.toml as `broker run` would and tell every problem in it with file, line, key and what to do; then what is"
        " allowed and probably not meant: rules that can never match, providers that no rule uses, countries with no route."
        " Exit 78 where `run` would refuse the file; warnings alone are exit 0.",
        ("broker check", "broker check --effective --config new.toml"),
        check,
        _add_check,
    ),
    "reload": Command(
        "Have the running broker read its file again. It is checked first and applied whole or not at all; what changed is"
        " listed, and which keys need a restart. Exit 78: refused, the broker goes on as before.",
        ("broker check && broker reload",),
        reload,
    ),
}
