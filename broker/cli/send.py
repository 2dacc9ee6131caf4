"""`send` and `explain`: a message on its way, or what would become of it.

A submit is written once and never repeated here: without its answer nobody knows whether it was taken.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from typing import Any, NoReturn

from broker.cli.command import Command
from broker.cli.doors import Line, as_lost, open_line
from broker.cli.output import Column, name_candidate, print_json, print_table, say, show, show_count, show_price, show_status
from broker.cli.spans import read_seconds
from broker.cli.trouble import DONE, FAILED, NO_DAEMON, NOT_KNOWN, USAGE, Trouble, refusal_of
from broker.words.channel import CHANNELS, TEXTLESS

ENDS = {
    **dict.fromkeys(("delivered", "unconfirmed"), DONE),
    **dict.fromkeys(("failed", "undelivered", "expired", "blocked", "canceled"), FAILED),
    "unknown": NOT_KNOWN,
}
"""Final statuses, and what `send --wait` ends with (CONTRACT §2)."""

FIELDS = ("from", "key", "ref", "priority", "send_at", "validity", "channel", "provider", "max_price")
FIRST_LOOK_S = 0.05
LAST_LOOK_S = 1.0


def add_message(parser: ArgumentParser) -> None:
    """The arguments that say a message."""
    parser.add_argument("to", metavar="TO", help="the recipient: +886912345678, or a national number with default_country")
    parser.add_argument("text", metavar="TEXT", nargs="?", help="the text; - reads it from standard input")
    parser.add_argument("--from", metavar="SENDER", help="the sender id to show")
    parser.add_argument("--key", metavar="KEY", help="idempotency: the same key and message are taken once, however often sent")
    parser.add_argument("--ref", metavar="REF", help="your own reference, repeated in every event")
    parser.add_argument("--tag", metavar="TAG", action="append", default=[], help="a tag for rules and filters; may be repeated")
    parser.add_argument("--priority", choices=("high", "normal", "low"), help="who goes first when all wait")
    parser.add_argument("--validity", metavar="SPAN", help="how long it may be tried, for example 10m")
    parser.add_argument("--provider", metavar="NAME", help="this provider and no other")
    parser.add_argument("--max-price", metavar="PRICE", help="at most this for the message, in the broker's currency")
    parser.add_argument("--channel", metavar="CHANNEL", help=f"{', '.join(CHANNELS)} (sms)")
    option = "for the channel or provider, as subject=hello or voice=m2; may be repeated"
    parser.add_argument("--option", metavar="KEY=VALUE", action="append", default=[], help=option)
    parser.add_argument("--send-at", metavar="TIME", help="when to send it, as 2026-11-22T08:00:00+08:00; until then it can be canceled")


def _add_send(parser: ArgumentParser) -> None:
    add_message(parser)
    parser.add_argument("--wait", action="store_true", help="wait until it has ended, and tell each status")
    parser.add_argument("--timeout", metavar="SPAN", type=read_seconds, default=60.0, help="how long --wait waits (60s)")


def make_request(args: Namespace) -> dict[str, Any]:
    """The submit that the arguments say."""
    request: dict[str, Any] = {"to": args.to}
    if args.text is not None:
        request["text"] = _read_text(args.text)
    elif args.channel not in TEXTLESS:
        raise Trouble(f'the text is missing: broker {args.verb} {args.to} "…"', USAGE, "usage")
    request |= {name: getattr(args, name) for name in FIELDS if getattr(args, name) is not None}
    if args.tag:
        request["tags"] = args.tag
    if args.option:
        request["options"] = _read_options(args.option)
    for name, value in request.items():
        _check_letters(name, value)
    return request


def _read_options(words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key or key in options:
            what = "is given twice" if key in options else "is no KEY=VALUE"
            raise Trouble(f"--option {show(word)} {what}: write for example --option subject=hello", USAGE, "usage")
        options[key] = value
    return options


def _read_text(text: str) -> str:
    if text != "-":
        return text
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise Trouble("the text on standard input is not UTF-8", USAGE, "usage") from None


def _check_letters(name: str, value: object) -> None:
    """Python carries octets of the command line that are no UTF-8 as lone surrogates, which no message may hold."""
    for word in value if isinstance(value, list) else [*value, *value.values()] if isinstance(value, dict) else [value]:
        try:
            str(word).encode()
        except UnicodeEncodeError:
            raise Trouble(f"{name} is not UTF-8: look at the terminal's and the shell's encoding", USAGE, "usage") from None


def send(args: Namespace) -> int:
    """Submit; with --wait follow it to its end."""
    request = make_request(args)
    with open_line(args, "submit") as line:
        answer = _submit(line, request)
        if not args.wait:
            if args.json:
                print_json(answer)
            else:
                say(_show_taken(answer))
            return DONE
        return _follow(line, answer, args)


def _submit(line: Line, request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = line.ask(request)
    except Trouble as trouble:
        if trouble.exit_code != NO_DAEMON:
            raise
        raise as_lost(trouble, request.get("key")) from None
    if answer.get("ok") is True:
        return answer
    refusal = refusal_of(answer)
    raise as_lost(refusal, request.get("key")) if refusal.code == "outcome_unknown" else refusal


def _show_taken(answer: dict[str, Any]) -> str:
    parts = [show(answer.get("id")), show_status(show(answer.get("status"))), show(answer.get("country"))]
    parts.append(_show_cost(answer))
    if answer.get("transliterated"):
        parts.append("(spelled in plain letters, which saves segments)")
    if answer.get("duplicate"):
        parts.append("(taken before, under the same key)")
    return "  ".join(parts)


def _show_cost(answer: dict[str, Any]) -> str:
    return f"{show_count(answer.get('segments') or 0, 'segment')} {show(answer.get('encoding'))}"


def _follow(line: Line, answer: dict[str, Any], args: Namespace) -> int:
    """Ask for the status until it is final or the time is over; each change is told as it is seen."""
    if not args.json:
        say(_show_taken(answer))
    end = time.monotonic() + args.timeout
    known, pause = answer.get("status"), FIRST_LOOK_S
    found: dict[str, Any] = {}
    while True:
        try:
            found = line.demand({"op": "status", "id": answer["id"]})
        except Trouble as trouble:
            _raise_unseen(trouble, answer["id"])
        message = found.get("message") or {}
        status = message.get("status")
        if status != known and not args.json:
            say(f"{show(answer['id'])}  {show_status(show(status))}{_explain_end(message)}")
        known = status
        left = end - time.monotonic()
        if status in ENDS or left <= 0:
            break
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, LAST_LOOK_S)
    if args.json:
        print_json({**answer, "status": known, "message": found.get("message"), "attempts": found.get("attempts")})
    elif known not in ENDS:
        sys.stderr.write(f"broker: not ended after {args.timeout:g} s; it goes on: broker status {answer['id']}\n")
    return ENDS.get(str(known), NOT_KNOWN)


def _raise_unseen(trouble: Trouble, id_: str) -> NoReturn:
    """The message is taken; only its end was not seen."""
    message = f"{trouble.message}; the message was taken, its end was not seen: broker status {id_}"
    raise Trouble(message, NOT_KNOWN, trouble.code) from None


def _explain_end(message: dict[str, Any]) -> str:
    """Which provider a status came from, with its own code."""
    facts = [show(message[name]) for name in ("provider", "class", "code", "detail") if message.get(name)]
    price = [show_price(message["price"], message.get("currency"))] if message.get("price") else []
    return "".join(f"  {fact}" for fact in facts + price)


def explain(args: Namespace) -> int:
    """Ask what would happen to the message now."""
    with open_line(args, "submit") as line:
        answer = line.demand({**make_request(args), "op": "explain"})
    if args.json:
        print_json(answer)
        return DONE
    facts = [f"rule {show(answer.get('rule'))}", show(answer.get("country")), *([answer["channel"]] if answer.get("channel") else [])]
    facts.append(_show_cost(answer))
    if answer.get("waits_until"):
        facts.append(f"waits until {show(answer['waits_until'])}")
    say("  ".join(facts))
    if answer.get("before"):
        before, after = _show_cost(answer["before"]), _show_cost(answer["after"])
        say(f"the rule spells the text in plain letters: {before} as it came, {after} as it goes out")
    candidates = answer.get("candidates") or []
    rows: list[tuple[object, ...]] = [
        (
            n,
            name_candidate(each),
            show_price(each.get("price"), each.get("currency")),
            each.get("credit"),
            f"asked {'first' if n == 1 else 'next'}" + (f"; its own price of {show(each['quoted_at'])}" if each.get("quoted_at") else ""),
        )
        for n, each in enumerate(candidates, 1)
    ]
    rows += [("", name_candidate(each), "", "", each.get("reason")) for each in answer.get("left_out") or []]
    print_table([Column("order", is_number=True), "provider", Column("price", True), Column("credit", True), "why"], rows)
    if not candidates:
        say("nobody can take it now")
    return DONE


COMMANDS = {
    "send": Command(
        "Hand one message to the broker. It prints the message's id once the message is safe on disk; what becomes of it is for"
        " `broker status` and `broker tail`. With --wait it follows the message: exit 0 delivered (or sent, where the"
        " provider gives no receipts), 1 failed, 3 not known yet. Exit 3 without --wait: the answer was lost, and the message"
        " may or may not have been taken; the same --key makes a repetition safe.",
        ('broker send +886912345678 "Your code is 123456" --tag otp --key order-42', "date | broker send +12025550123 - --wait"),
        send,
        _add_send,
    ),
    "explain": Command(
        "Ask the broker what would happen to this message now: which rule takes it, which providers would be asked in which"
        " order and at what price, and why each of the others is left out. Nothing is sent and nothing is kept.",
        ('broker explain +886912345678 "Your code is 123456" --tag otp',),
        explain,
        add_message,
    ),
}
