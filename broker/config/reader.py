"""Reads broker.toml into Settings, or says everything that is wrong with it.

The truth of the file's form is CONTRACT §3. Nothing is applied here and nothing is written; a fault never ends the reading.
"""

import hashlib
import os
import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from broker.config.hooks import find_faults, read_inbound
from broker.config.lines import Lines
from broker.config.places import Places, places_of
from broker.config.plugin import PluginTable
from broker.config.problem import ConfigError, Problem, dotted
from broker.config.providers import is_written_to, read_provider
from broker.config.rules import read_rule, unnamed
from broker.config.secrets import Source, fetch_secrets
from broker.config.sections import (
    CURRENCIES,
    GROUPS,
    LATER_SECTIONS,
    TOKEN_FORMS,
    broker_forms,
    callback_forms,
    check_client,
    check_name,
    client_forms,
    control_forms,
    feed_forms,
    guard_forms,
    store_forms,
    submit_forms,
    suppress_forms,
)
from broker.config.spot import Fault, Report, Spot, quote
from broker.config.tables import Forms, check_names, read_struct, take
from broker.words.settings import (
    BrokerSettings,
    CallbackSettings,
    ClientSettings,
    ControlSettings,
    FeedSettings,
    GuardSettings,
    InboundSettings,
    ProviderSettings,
    RuleSettings,
    Settings,
    StoreSettings,
    SubmitSettings,
    SuppressSettings,
    TokenSettings,
)

S = TypeVar("S", bound=msgspec.Struct)

MOST_BYTES = 4 * 1024 * 1024

_SYNTAX_HINTS = {  # what people most often mean where tomllib says this
    "key part": " (a table in { } stands on one line, with no comma at its end)",
    "inline table": " (a table in { } stands on one line, with no comma at its end)",
    "Invalid value": " (texts and durations stand in quotes)",
    "after a statement": " (texts, durations and file modes stand in quotes)",
}

SECTIONS = (
    *("broker", "store", "submit", "control", "feed", "callbacks", "tokens", "clients"),
    *("suppress", "currencies", "groups", "providers", "rules", "inbound", "guard"),
)


def read_settings(path: Path, *, plugins: PluginTable, twins: bool = False, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in the file at `path`, every path absolute, every default filled in.

    Raises ConfigError with all problems found. With `twins` a secret that cannot be read stands as "twin".
    """
    file = os.path.abspath(path)
    raw = _read_bytes(file)
    text, tree = _parse(raw, file)
    places = places_of(file, environ)
    report = Report()
    root = Spot(report, (), fetch_secrets(tree, Source(places, environ, twins), report))
    settings = _read_root(root, places, plugins)
    if report.found:
        raise ConfigError(_problems(report, text, file))
    name = hashlib.sha256(raw).hexdigest()[:12]
    return msgspec.structs.replace(settings, file=file, hash=name, secret_keys=frozenset(report.secret_keys))


def _problems(report: Report, text: str, file: str) -> list[Problem]:
    """The findings with their lines, in the order of the file; the same finding once."""
    lines = Lines(text)
    found = dict.fromkeys(Problem(dotted(key), lines.find(at), message, file) for key, message, at in report.found)
    return sorted(found, key=lambda problem: problem.line or 0)


def _read_bytes(file: str) -> bytes:
    try:
        with open(file, "rb") as source:
            raw = source.read(MOST_BYTES + 1)
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or 'no reason given'}; name another with --config FILE"
        raise ConfigError([Problem("", None, message, file)]) from None
    if len(raw) > MOST_BYTES:
        raise ConfigError([Problem("", None, "the file is larger than 4 MB, so it is no configuration", file)])
    return raw


def _parse(raw: bytes, file: str) -> tuple[str, dict[str, Any]]:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem("", line, "not UTF-8 here: save the file as UTF-8", file)]) from None
    try:
        return text, tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:  # beside TOMLDecodeError: a number without end, nesting
        raise ConfigError([_syntax_problem(error, text, file)]) from None


def _syntax_problem(error: Exception, text: str, file: str) -> Problem:
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Problem("", None, "the file is no TOML that can be read: a number or a nesting in it has no end", file)
    found = re.search(r"\(at line (\d+), column (\d+)\)$", str(error))
    line = int(found[1]) if found else text.count("\n") + (not text.endswith("\n"))
    what = re.sub(r" \(at [^)]*\)$", "", str(error))
    where = f" in column {found[2]}" if found else " at the end"
    hint = next((hint for words, hint in _SYNTAX_HINTS.items() if words in what), "")
    return Problem("", line, f"no TOML{where}: {what[:1].lower()}{what[1:]}; mend this line{hint}", file)


def _read_root(root: Spot, places: Places, plugins: PluginTable) -> Settings:
    tree = root.table()
    check_names(root, tree, SECTIONS, LATER_SECTIONS, ())
    groups = _read_groups(root)
    broker = _read_section(root, "broker", BrokerSettings, broker_forms(places))
    providers = _read_providers(root, places, plugins, broker)
    enabled = tuple(name for name, provider in providers.items() if provider.enabled)
    settings = Settings(
        broker=_fill_broker(broker, places),
        store=_read_section(root, "store", StoreSettings, store_forms(places)),
        submit=_read_submit(root, places),
        control=_read_control(root, places),
        feed=_read_section(root, "feed", FeedSettings, feed_forms(places)) if "feed" in tree else None,
        callbacks=_read_section(root, "callbacks", CallbackSettings, callback_forms(places)) if "callbacks" in tree else None,
        tokens=_read_named(root, "tokens", TokenSettings, check_name, TOKEN_FORMS),
        clients=_read_named(root, "clients", ClientSettings, check_client, client_forms(groups)),
        suppress=_read_section(root, "suppress", SuppressSettings, suppress_forms(places)),
        currencies=(take(root.child("currencies"), CURRENCIES) or {}) if "currencies" in tree else {},
        groups=groups,
        providers=providers,
        rules=_read_rules(root, groups) if tree.get("rules", []) != [] else _make_rules(enabled),
        inbound=_read_inbounds(root, places) if "inbound" in tree else (),
        guard=_read_section(root, "guard", GuardSettings, guard_forms(places)) if "guard" in tree else None,
    )
    _check_together(root, settings)
    return settings


def _read_section(root: Spot, name: str, cls: type[S], forms: Forms) -> Any:
    """The section as a `cls`; its defaults where it is absent or cannot be read, None where it has no defaults."""
    try:
        spot = root.child(name) if name in root.table() else Spot(root.report, (name,), {})
        return read_struct(spot, cls, forms)
    except Fault as fault:
        spot.add_fault(fault)
        return None if cls in (FeedSettings, CallbackSettings) else cls()


def _tables(root: Spot, name: str) -> dict[str, Spot]:
    """The named tables under [name.…]."""
    if name not in root.table():
        return {}
    spot = root.child(name)
    try:
        return {key: spot.child(key) for key in spot.table()}
    except Fault:
        spot.add(f"must be tables: write [{name}.NAME] above the keys of each")
        return {}


def _read_named(root: Spot, name: str, cls: type[S], check: Callable[[str], object], forms: Forms) -> dict[str, S]:
    values: dict[str, S] = {}
    for key, spot in _tables(root, name).items():
        try:
            check(key)
        except Fault as fault:
            Spot(spot.report, spot.path, key).add_fault(fault)
        try:
            values[key] = read_struct(spot, cls, forms)
        except Fault as fault:
            spot.add_fault(fault)
    return values


def _read_groups(root: Spot) -> dict[str, tuple[str, ...]]:
    """[groups]; a faulty one stands as written, so that no rule is blamed for it."""
    if "groups" not in root.table():
        return {}
    spot = root.child("groups")
    groups = take(spot, GROUPS)
    if groups is not None:
        return groups
    return dict.fromkeys(spot.value, ()) if isinstance(spot.value, dict) else {}


def _fill_broker(broker: BrokerSettings, places: Places) -> BrokerSettings:
    name = broker.name or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).lstrip("._-")[:64] or "broker"
    return msgspec.structs.replace(broker, name=name, data_dir=broker.data_dir or places.state)


def _read_submit(root: Spot, places: Places) -> SubmitSettings:
    submit: SubmitSettings = _read_section(root, "submit", SubmitSettings, submit_forms(places))
    return msgspec.structs.replace(submit, socket=places.resolve_socket(submit.socket))


def _read_control(root: Spot, places: Places) -> ControlSettings:
    control: ControlSettings = _read_section(root, "control", ControlSettings, control_forms(places))
    return msgspec.structs.replace(control, socket=places.resolve_socket(control.socket))


def _read_providers(root: Spot, places: Places, plugins: PluginTable, broker: BrokerSettings) -> dict[str, ProviderSettings]:
    providers: dict[str, ProviderSettings] = {}
    state = Path(broker.data_dir or places.state)
    path = _keep_outside(root, broker.plugin_path, state)
    for name, spot in _tables(root, "providers").items():
        provider = read_provider(name, spot, plugins, path, places, broker.currency, state)
        if provider is not None:
            providers[name] = provider
    return providers


def _keep_outside(root: Spot, plugin_path: tuple[str, ...], state: Path) -> tuple[str, ...]:
    """The entries that are not in the broker's own folder; nothing is looked for in the others."""
    spot = root.child("broker").child("plugin_path") if plugin_path else None
    if spot is None or not isinstance(spot.value, list):
        return ()
    items = [spot.item(n, value) for n, value in enumerate(spot.value)]
    return tuple(entry for item, entry in zip(items, plugin_path, strict=True) if not is_written_to(item, entry, state))


def _read_rules(root: Spot, groups: Mapping[str, tuple[str, ...]]) -> tuple[RuleSettings, ...]:
    spot = root.child("rules")
    if not isinstance(spot.value, list):
        spot.add("must be a list of tables: write [[rules]] above the keys of each rule")
        return ()
    names = _names_of_providers(root)
    spots = [Spot(spot.report, ("rules", index), raw) for index, raw in enumerate(spot.value)]
    rules = [read_rule(here, index, names, groups) for index, here in enumerate(spots)]
    _check_rule_names(spots)
    return tuple(rule for rule in rules if rule is not None)


def _names_of_providers(root: Spot) -> list[str]:
    providers = root.table().get("providers")
    return list(providers) if isinstance(providers, dict) else []


def _read_inbounds(root: Spot, places: Places) -> tuple[InboundSettings, ...]:
    spot = root.child("inbound")
    if not isinstance(spot.value, list):
        spot.add("must be a list of tables: write [[inbound]] above the keys of each")
        return ()
    names = _names_of_providers(root)
    rules = [read_inbound(Spot(spot.report, ("inbound", index), raw), places, names) for index, raw in enumerate(spot.value)]
    return tuple(rule for rule in rules if rule is not None)


def _check_rule_names(spots: list[Spot]) -> None:
    """Two rules of one name could not be told apart in events and after a reload."""
    firsts: dict[object, int] = {}
    for index, spot in enumerate(spots):
        raw = spot.value.get("name") if isinstance(spot.value, dict) else None
        name = raw if isinstance(raw, str) else unnamed(index)
        if name in firsts:
            place = (*spot.path, "name")
            spot.report.add(place, f"{quote(name)} is already rules[{firsts[name]}]: give each rule its own name")
        firsts.setdefault(name, index)


def _make_rules(enabled: tuple[str, ...]) -> tuple[RuleSettings, ...]:
    """Without any rule: every enabled provider in file order."""
    return (RuleSettings(name="default", use=enabled),) if enabled else ()


def _check_together(root: Spot, settings: Settings) -> None:
    """Faults that no single value shows."""
    report, own = root.report, settings.broker.currency
    for name, provider in settings.providers.items():
        has_prices = provider.prices or provider.channel_prices
        if has_prices and provider.currency not in (own, *settings.currencies):
            message = (
                f"prices are compared in {own}, and {provider.currency} has no rate:"
                f' write {provider.currency} = "..." under [currencies], what one unit is worth in {own}'
            )
            place = ("providers", name, "currency")
            report.add(place, message)
    if settings.currencies.get(own, 1) != 1:
        report.add(("currencies", own), f"{own} is [broker].currency itself, so its rate is always 1: take it out")
    callbacks = settings.callbacks
    if callbacks is not None and callbacks.public_url is None and callbacks.listen.startswith("unix:"):
        message = 'is missing: no provider can be told a socket\'s path; write public_url = "https://sms.example.org"'
        report.add(("callbacks", "public_url"), message, ("callbacks",))
    if settings.submit.socket == settings.control.socket:
        report.add(("control", "socket"), "is the same as [submit].socket: give each its own path")
    for at, fault in find_faults(settings):
        report.add(at, fault)
