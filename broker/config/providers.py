"""[providers.NAME]: one account, its plugin's own keys included.

Knows no plugin by its work: facts come from the plugin table that is handed in.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from broker.config.fields import show_value
from broker.config.forms import (
    AMOUNT,
    CURRENCY,
    FLAG,
    MONEY,
    RATE,
    SECRET,
    SENDER,
    SOME_MONEY,
    SOME_SPAN,
    TEXT,
    Form,
    check_country,
    choice,
    many,
    read_network,
    read_prefix,
    table_of,
    whole,
)
from broker.config.places import Places
from broker.config.plugin import PluginFacts, PluginTable, own_keys, read_config, scrub
from broker.config.sections import check_name
from broker.config.spot import LATER, UNSHOWN, Fault, Later, Spot, nearest, quote
from broker.config.tables import Forms, add_missing, read_struct, show_struct, struct_of, take
from broker.words.channel import CHANNELS
from broker.words.money import MICRO
from broker.words.outcome import CLASSES
from broker.words.secret import PATH_FORM, Secret, is_path_secret
from broker.words.settings import BreakerSettings, CreditSettings, ProviderSettings, SpendSettings

LATER_PLUGINS = ("http",)
"""Plugins that CONTRACT §3 names and that are not built yet."""


def _read_query(spot: Spot) -> tuple[int, ...]:
    times = many(SOME_SPAN).read(spot)
    if any(late <= early for early, late in pairwise(times)):
        raise Fault('must rise: each is a time since the message was sent, for example ["1m", "5m", "30m"]')
    return times


def check_price_key(key: str) -> None:
    """Raises Fault for what is no key of `prices`."""
    if key == "*":
        return
    reader: Callable[[str], object] = read_prefix if key.startswith("+") else read_network if key[:1].isdigit() else check_country
    reader(key)


def _check_channel(key: str) -> None:
    if key not in CHANNELS:
        raise Fault(f"is no channel: {nearest(key, CHANNELS)}")


def _read_prices(spot: Spot) -> dict[str, int]:
    if isinstance(spot.value, str):
        raise Later('prices from a file; write them here, as in { TW = "0.90", "*" = "3.5" }')
    return _PRICES.read(spot)


def _read_breaker(spot: Spot) -> BreakerSettings:
    breaker = read_struct(spot, BreakerSettings, _BREAKER)
    if breaker.max_open < breaker.open:
        raise Fault("has a max_open shorter than its open: raise max_open", {})
    return breaker


_PRICES = table_of(MONEY, check_price_key)
_BREAKER: Forms = {"failures": whole(1), "window": SOME_SPAN, "open": SOME_SPAN, "max_open": SOME_SPAN}
_CREDIT: Forms = {"every": SOME_SPAN, "low": AMOUNT, "stop": AMOUNT, "per_segment": AMOUNT}
_SPEND: Forms = {"max": SOME_MONEY, "per": SOME_SPAN}

def _read_callback_secret(spot: Spot) -> Secret:
    secret = SECRET.read(spot)
    if not is_path_secret(secret.reveal()):
        raise Fault(f"{PATH_FORM}: `openssl rand -hex 16` makes one", UNSHOWN)
    return secret


PROVIDER_FORMS: Forms = {
    "enabled": FLAG,
    "sender": SENDER,
    "senders": table_of(SENDER, check_country),
    "rate": RATE,
    "max_in_flight": whole(1, 100_000),
    "batch": whole(1, 100_000),
    "timeout": SOME_SPAN,
    "receipt_wait": SOME_SPAN,
    "query": Form(_read_query, many(SOME_SPAN).show, '["1m", "5m"]'),
    "currency": CURRENCY,
    "prices": Form(_read_prices, _PRICES.show),
    "channel_prices": table_of(MONEY, _check_channel),
    "credit": struct_of(CreditSettings, _CREDIT),
    "breaker": Form(_read_breaker, lambda breaker: show_struct(breaker, _BREAKER)),
    "spend": struct_of(SpendSettings, _SPEND),
    "codes": table_of(choice(CLASSES, "outcome class"), str),
    "callback_secret": Form(_read_callback_secret, example=SECRET.example),
}
CORE_KEYS = frozenset({"plugin", *PROVIDER_FORMS})


def read_provider(
    name: str, spot: Spot, plugins: PluginTable, plugin_path: tuple[str, ...], places: Places, currency: str, state: Path
) -> ProviderSettings | None:
    """The account at `spot`, or None with every fault reported. `state`: the folder that the broker itself writes."""
    try:
        check_name(name)
    except Fault as fault:
        Spot(spot.report, spot.path, name).add_fault(fault)
    try:
        spot.table()
    except Fault as fault:
        spot.add_fault(fault)
        return None
    plugin = _read_plugin_name(spot, places, state)
    facts = None if plugin is None else _find_facts(spot.child("plugin"), plugin, plugins, plugin_path)
    config = None if facts is None else read_config(spot, facts, CORE_KEYS)
    try:
        settings = read_struct(
            spot,
            ProviderSettings,
            PROVIDER_FORMS,
            others=None if facts is None else ["plugin", *own_keys(facts)],
            name=name,
            plugin=plugin or "",
            config=config,
            currency=currency,
        )
    except Fault:  # cannot be: no key of the core is without a default
        return None
    return settings if facts is None else _fill_credit(_read_codes(settings, facts, spot), facts)


def _read_codes(settings: ProviderSettings, facts: PluginFacts, spot: Spot) -> ProviderSettings:
    """`codes` as the plugin's outcomes write them: an operator may know a code by another form or by its name."""
    if facts.read_code is None or not settings.codes:
        return settings
    codes: dict[str, str] = {}
    for key, class_ in settings.codes.items():
        try:
            codes[facts.read_code(key)] = class_
        except ValueError as error:
            spot.child("codes").child(key).add(f"is no code of this plugin: {error}")
    return msgspec.structs.replace(settings, codes=codes)


def _read_plugin_name(spot: Spot, places: Places, state: Path) -> str | None:
    if "plugin" not in spot.table():
        add_missing(spot, "plugin", '"mitake"')
        return None
    name = take(spot.child("plugin"), TEXT)
    if name is not None and ("/" in name or name.endswith(".py")):
        path = places.resolve(name)
        return None if is_written_to(spot.child("plugin"), path, state) else path
    return name


def is_written_to(spot: Spot, path: str, state: Path) -> bool:
    """True, and reported at `spot`, for a plugin's place in the broker's own folder: what it writes must never be code that it runs."""
    is_inside = Path(path).resolve().is_relative_to(state.resolve())
    if is_inside:
        shown = quote(spot.value) if spot.given is None else "the place"
        spot.add(f"{shown} is in {state}, which the broker itself writes to: keep plugins in a folder that it only reads")
    return is_inside


def _find_facts(spot: Spot, name: str, plugins: PluginTable, path: tuple[str, ...]) -> PluginFacts | None:
    try:
        return plugins(name, path)
    except Exception as error:  # a plugin's import may raise anything; the operator gets it as a problem
        shown = f'the plugin "{name}"' if spot.given is None else "the plugin"
        if name in LATER_PLUGINS:
            spot.add(f"{LATER}{shown}; take this provider out")
            return None
        text = f"{shown} cannot be used: {str(error) or type(error).__name__}"
        known = tuple(getattr(error, "known", ()))
        remedy = nearest(name, known)
        if known and (remedy.startswith("did") or not all(word in text for word in known)):  # a list is told once
            text += f"; {remedy}"
        spot.add(text if spot.given is None else scrub(text, [name]))
        return None


def _fill_credit(settings: ProviderSettings, facts: PluginFacts) -> ProviderSettings:
    """A segment takes one where credit is counted; where it is money, its price."""
    if facts.find_traits(settings.config).money or settings.credit.per_segment is not None:
        return settings
    credit = msgspec.structs.replace(settings.credit, per_segment=MICRO)
    return msgspec.structs.replace(settings, credit=credit)


def show_provider(provider: ProviderSettings) -> Mapping[str, Any]:
    """The account as the file would say it, secrets still Secret."""
    own = {} if provider.config is None else show_value(provider.config)
    return {"plugin": provider.plugin, **show_struct(provider, PROVIDER_FORMS), **own}
