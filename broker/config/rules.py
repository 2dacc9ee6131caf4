"""[[rules]]: what each key may be. Which rule wins is routing's; here only what can be read.

The forms of `time` and `segments` are those that `broker.routing` compiles.
"""

import re
import warnings
from collections.abc import Collection, Mapping
from zoneinfo import ZoneInfo

from broker.config.forms import (
    FLAG,
    NETWORK,
    PREFIX,
    SOME_MONEY,
    SOME_SPAN,
    SPAN,
    TEXT,
    Form,
    any_of,
    as_set,
    choice,
    many,
    places_in,
    plain,
    table_of,
    whole,
)
from broker.config.spot import Fault, Spot, nearest, quote
from broker.config.tables import Forms, read_struct, show_struct, struct_of
from broker.routing.entry import HOLE
from broker.text import TextError, clean
from broker.words.channel import CARRIERS, CHANNELS, channel_of
from broker.words.outcome import CLASSES
from broker.words.settings import Action, Match, RuleSettings

TYPES = ("mobile", "fixed", "mobile_or_fixed", "voip", "toll_free", "premium", "other", "unknown")
ENCODINGS = ("gsm7", "ucs2")
ORDERS = ("listed", "cheapest", "most_credit", "weighted", "best_delivery")
UNCHANGEABLE = ("accepted", "in_doubt", "blocked", "expired", "duplicate")
ON_CLASSES = (*(name for name in CLASSES if name not in UNCHANGEABLE), "undelivered")
ACTIONS = ("fail", "next", "hold")

_DAY = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_is_time = re.compile(rf"((?:{_DAY})(?:-(?:{_DAY}))?) ([0-9]{{2}}):([0-9]{{2}})-([0-9]{{2}}):([0-9]{{2}}) (\S+)").fullmatch
_is_count = re.compile(r"(?:>=|<=|>|<)?[0-9]{1,3}").fullmatch


def _read_count(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1000:
        return str(value)
    if not isinstance(value, str) or not _is_count(value):
        raise Fault('is no number of segments: write "2", ">3", ">=2" or "<4"')
    return value


def _read_pattern(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Fault("is no regular expression: write it as a string")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful pattern is the user's own choice
            re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise Fault(f"is no regular expression: {error}") from None
    return value


def _read_time(value: object) -> str:
    found = _is_time(value) if isinstance(value, str) else None
    if found is None:
        raise Fault('is no time: write it as "Mon-Fri 08:00-20:00 Asia/Taipei"')
    _check_hours(found)
    return found[0]


def _read_window(value: object) -> str:
    found = _is_time(value if str(value)[:1].isalpha() else f"Mon-Sun {value}") if isinstance(value, str) else None
    if found is None:
        raise Fault('is no window: write it as "08:00-20:00 local", by the recipient\'s clock, or "Mon-Fri 08:00-20:00 Asia/Taipei"')
    _check_hours(found, "local")
    return str(value)


def _check_hours(found: re.Match[str], *words: str) -> None:
    start, stop = (int(found[n]) * 60 + int(found[n + 1]) for n in (2, 4))
    if start > 1439 or stop > 1440 or int(found[3]) > 59 or int(found[5]) > 59:
        raise Fault('has an hour that no clock shows: write "00:00" to "24:00"')
    if start == stop:
        raise Fault('lasts no time at all: the whole day is "00:00-24:00"')
    try:
        if found[6] not in words:
            ZoneInfo(found[6])
    except (LookupError, ValueError, OSError):
        raise Fault(f'names no time zone with {quote(found[6])}: write one such as "Asia/Taipei" or "UTC"') from None


def match_forms(groups: Mapping[str, tuple[str, ...]]) -> Forms:
    """`match` of a rule."""
    return {
        "country": places_in(groups, is_single=True),
        "prefix": any_of(PREFIX),
        "network": any_of(NETWORK),
        "type": as_set(any_of(choice(TYPES, "type of number"))),
        "sender": as_set(any_of(TEXT)),
        "client": as_set(any_of(TEXT)),
        "tag": as_set(any_of(TEXT)),
        "channel": as_set(any_of(choice(CHANNELS, "channel"))),
        "encoding": as_set(any_of(choice(ENCODINGS, "encoding"))),
        "segments": any_of(plain(_read_count, example='">1"')),
        "text": any_of(plain(_read_pattern)),
        "time": any_of(plain(_read_time, example='"Mon-Fri 08:00-20:00 Asia/Taipei"')),
    }


def _read_action(spot: Spot) -> Action:
    if isinstance(spot.value, dict):
        return read_struct(spot, Action, {"retry": whole(0, 100), "then": choice(ACTIONS, "action")})
    word = choice((*ACTIONS, "retry"), "action").read(spot)
    return Action(1, "next") if word == "retry" else Action(0, word)


def _show_action(action: Action) -> object:
    return {"retry": action.retry, "then": action.then} if action.retry else action.then


def _check_class(name: str) -> None:
    if name in UNCHANGEABLE:
        raise Fault(f"always does what it does: `on` may name {', '.join(ON_CLASSES)}")
    if name not in ON_CLASSES:
        raise Fault(f"is no outcome class: {nearest(name, ON_CLASSES)}")


def _user_of(providers: Collection[str]) -> Form[str]:
    """An entry of `use`: a provider, or PROVIDER:CHANNEL."""

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise Fault("must be a provider's name in quotes")
        name, colon, channel = value.partition(":")
        if name not in providers:
            raise Fault(f"is none of [providers]: {nearest(name, providers)}", name)
        if colon and channel not in CHANNELS:
            raise Fault(f"names no channel after its colon: {nearest(channel, CHANNELS)}")
        return value

    return plain(read, example=f'"{next(iter(providers), "mitake")}"')


def _read_use(names: Form[tuple[str, ...]]) -> Form[tuple[str, ...]]:
    def read(spot: Spot) -> tuple[str, ...]:
        use = names.read(spot)
        if twice := [name for name in dict.fromkeys(use) if use.count(name) > 1]:
            raise Fault("is there more than once: a round visits each once; take the others out", twice[0])
        return use

    return Form(read, names.show, names.example)


def _read_template(value: object) -> str:
    if not isinstance(value, str):
        raise Fault("must be a text in quotes")
    try:
        template = clean(value)
    except TextError as error:
        raise Fault(f"can be no message: {error}") from None
    if HOLE not in template:
        raise Fault(f"has no {HOLE} in it: that is where the message's own text goes")
    return template


def _check_carrier(channel: str) -> None:
    if channel not in CHANNELS:
        raise Fault(f"is no channel: {nearest(channel, CHANNELS)}")
    if channel not in CARRIERS:
        raise Fault("cannot carry an SMS, so it needs no text: take it out")


def rule_forms(providers: Collection[str], groups: Mapping[str, tuple[str, ...]]) -> Forms:
    """One of [[rules]]; `providers` and `groups` are the names that it may use."""
    return {
        "name": TEXT,
        "match": struct_of(Match, match_forms(groups)),
        "use": _read_use(many(_user_of(providers), least=1)),
        "texts": table_of(plain(_read_template, example='"You get a code: {text}"'), _check_carrier),
        "order": choice(ORDERS, "order"),
        "weights": table_of(whole(1, 1_000_000), str),
        "max_price": SOME_MONEY,
        "min_credit": whole(0),
        "validity": SOME_SPAN,
        "window": plain(_read_window, example='"08:00-20:00 local"'),
        "receipt_within": SOME_SPAN,
        "max_attempts": whole(1, 1_000_000),
        "in_doubt": choice(("hold", "resend", "failover"), "in-doubt policy"),
        "doubt_wait": SPAN,
        "doubt_deadline": SOME_SPAN,
        "max_copies": whole(1, 100),
        "transliterate": FLAG,
        "on": table_of(Form(_read_action, _show_action, '"next"'), _check_class),
        "else": choice(("fail", "hold", "next-rule"), "`else`"),
    }


def unnamed(index: int) -> str:
    """What a rule without a name is called."""
    return f"rule-{index + 1}"


def read_rule(spot: Spot, index: int, providers: Collection[str], groups: Mapping[str, tuple[str, ...]]) -> RuleSettings | None:
    """The rule at `spot`, or None with every fault reported. A rule without a name is called after its number."""
    try:
        rule = read_struct(spot, RuleSettings, rule_forms(providers, groups), name=unnamed(index))
    except Fault as fault:
        spot.add_fault(fault)
        return None
    for name in rule.weights:
        if name not in rule.use:
            place = (*spot.path, "weights", name)
            spot.report.add(place, f"{quote(name)} is not in this rule's use: add it there, or take its weight out")
    for channel in rule.texts:
        if channel not in map(channel_of, rule.use):
            remedy = f"write PROVIDER:{channel} there, or take its text out"
            spot.report.add((*spot.path, "texts", channel), f"no provider of this rule's use is asked to send by {channel}: {remedy}")
    return rule


def show_rule(rule: RuleSettings) -> dict[str, object]:
    """The rule as the file would say it."""
    return show_struct(rule, rule_forms((), {}))
