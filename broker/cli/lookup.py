"""`lookup`: what is known of a number, and what a provider says of it when asked (HLR)."""

import sys
import time
from argparse import ArgumentParser, Namespace
from typing import Any

from broker.cli.command import Command
from broker.cli.doors import Line, open_line
from broker.cli.output import print_json, print_table, show
from broker.cli.send import ENDS, FIRST_LOOK_S, LAST_LOOK_S
from broker.cli.spans import read_seconds
from broker.cli.trouble import DONE, FAILED, NOT_KNOWN, Trouble

RESULT = ("status", "country", "network", "operator", "roaming", "code")


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("number", metavar="NUMBER", help="+886912345678, or a national number with default_country")
    parser.add_argument("--hlr", metavar="NAME", help="ask this provider; what it costs is in its channel_prices")
    parser.add_argument("--wait", metavar="SPAN", type=read_seconds, default=60.0, help="how long to wait for its answer (60s)")


def lookup(args: Namespace) -> int:
    """Print what is known of a number; with --hlr ask a provider and wait for its answer."""
    request = {"op": "lookup", "number": args.number} | ({"hlr": args.hlr} if args.hlr else {})
    with open_line(args, "control") as line:
        answer = line.demand(request)
        id_ = answer.get("id")  # of the lookup, where a provider is asked
        told = _wait(line, str(id_), args.wait) if id_ else {}
    result = told.get("result")
    if args.json:
        print_json(answer | ({"status": told.get("status"), "result": result} if id_ else {}))
    else:
        columns = ("number", "country", "type", "network")
        print_table(columns, [[answer.get(name) for name in columns]])
        if result is not None:
            print_table(("provider", *RESULT), [[args.hlr, *(result.get(name) for name in RESULT)]])
    return _end(str(id_), told) if id_ else DONE


def _wait(line: Line, id_: str, seconds: float) -> dict[str, Any]:
    """The lookup's `status` and, once there is one, its `result`."""
    end, pause = time.monotonic() + seconds, FIRST_LOOK_S
    while True:
        found = line.demand({"op": "status", "id": id_})
        done = [event for event in found.get("events") or [] if event.get("type") == "lookup.done"]
        message = found.get("message") or {}
        status, left = message.get("status"), end - time.monotonic()
        if done or status in ENDS or left <= 0:
            return {"status": status, "detail": message.get("detail"), "result": done[-1].get("result") if done else None}
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, LAST_LOOK_S)


def _end(id_: str, told: dict[str, Any]) -> int:
    if told["result"] is not None:
        return DONE
    if told["status"] in ENDS:
        why = f" ({show(told['detail'])})" if told.get("detail") else ""
        raise Trouble(f"the lookup is {show(told['status'])}{why}: no answer came; broker status {id_}", FAILED, "no_answer")
    sys.stderr.write(f"broker: no answer yet; it goes on: broker status {id_}\n")
    return NOT_KNOWN


COMMANDS = {
    "lookup": Command(
        "What is known of a number: its country and its type by the numbering plan, and its network where a lookup found it in the last"
        " 30 days. With --hlr a provider is asked (the same as a message of channel hlr, and paid like one), and its answer waited"
        " for: exit 0 with an answer, whatever it says, 1 without, 3 where it may still come.",
        ("broker lookup +886912345678", "broker lookup +886912345678 --hlr smscru --json"),
        lookup,
        _add,
    ),
}
