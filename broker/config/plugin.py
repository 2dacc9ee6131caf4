"""What the configuration knows of a plugin, and the reading of the keys that are a plugin's own.

Imports no plugin: `PluginTable` is handed in. A plugin's texts are scrubbed of the account's secrets before they are told.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

import msgspec

from broker.config.fields import core_type, find_secrets, read_field
from broker.config.forms import SECRET
from broker.config.spot import Fault, Report, Spot
from broker.config.tables import add_missing
from broker.words.secret import Secret

SHORTEST_SCRUBBED = 4


class Traits(Protocol):
    """The traits that the configuration is checked against; their meaning is the plugin contract's."""

    @property
    def channels(self) -> frozenset[str]: ...
    @property
    def batch(self) -> int: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def money(self) -> bool: ...
    @property
    def countries(self) -> frozenset[str]: ...


class PluginFacts(msgspec.Struct, frozen=True):
    """A plugin as the configuration sees it.

    `check` is the plugin's own look at its Config: (key, problem and remedy) for each fault; `narrow` gives the traits of one
    account where some hang on its Config; `read_code` reads a key of `codes`, None where any text may be one. It raises ValueError.
    """

    config_type: type[msgspec.Struct]
    traits: Traits
    check: Callable[[Any], Iterable[tuple[str, str]]] | None = None
    narrow: Callable[[Any], Traits] | None = None
    read_code: Callable[[str], str] | None = None

    def find_traits(self, config: Any) -> Traits:
        """The traits of one account."""
        return self.traits if self.narrow is None or config is None else self.narrow(config)


PluginTable = Callable[[str, tuple[str, ...]], PluginFacts]
"""Gives a plugin's facts by its name (or file) and [broker].plugin_path; raises, with a message, where there is none.

An exception with an attribute `known` (names) lets the nearest of them be told.
"""


def own_keys(facts: PluginFacts) -> list[str]:
    """The keys of the plugin's Config as the file writes them."""
    return [field.encode_name for field in msgspec.structs.fields(facts.config_type)]


def read_config(spot: Spot, facts: PluginFacts, core: Collection[str]) -> Any:
    """The plugin's Config from the provider's table at `spot`, or None with every fault reported."""
    table = spot.table()
    values: dict[str, Any] = {}
    is_whole, is_read = True, True
    for field in msgspec.structs.fields(facts.config_type):
        name = field.encode_name
        if name in core:  # the core's meaning wins; the plugin contract forbids such a key
            continue
        if name not in table:
            if field.required:
                add_missing(spot, name, SECRET.example if core_type(field.type) is Secret else "")
                is_whole = is_read = False
            continue
        here = spot.child(name)
        try:
            values[field.name] = read_field(here, field.type)
        except Fault as fault:
            if here.given is not None and here.given.is_stand_in and not field.required:
                continue  # a twin does with the default
            _add_field_fault(here, fault)
            is_whole, is_read = False, is_read and not field.required
    if is_whole:
        return _build(spot, facts, values)
    if is_read:
        _look_at_rest(spot, facts, values)
    return None


def _add_field_fault(here: Spot, fault: Fault) -> None:
    if here.given is not None and here.given.is_stand_in:
        here.add("cannot be read, and no stand-in is of its kind: give a value that can be read")
    elif here.given is None or not here.given.is_lost:
        here.add_fault(fault)


def _look_at_rest(spot: Spot, facts: PluginFacts, values: dict[str, Any]) -> None:
    """Report what the plugin says of the keys that were read, their defaults in place of those that were not."""
    aside = Spot(Report(), spot.path, spot.value)
    _build(aside, facts, values)
    read = {field.encode_name for field in msgspec.structs.fields(facts.config_type) if field.name in values}
    for path, message, at in aside.report.found:
        if len(path) > len(spot.path) and path[len(spot.path)] in read:
            spot.report.add(path, message, at)


def _build(spot: Spot, facts: PluginFacts, values: dict[str, Any]) -> Any:
    secrets = [found for value in values.values() for found in find_secrets(value)]
    secrets += [here.value for here in map(spot.child, spot.table()) if here.given and isinstance(here.value, str)]
    try:
        config = facts.config_type(**values)
        problems = list(facts.check(config)) if facts.check is not None else []
        facts.find_traits(config)  # is asked for again later; what it raises is told here
    except Exception as error:  # a plugin's own code may raise anything; the operator gets it as a problem
        spot.add(f"the plugin refuses these keys: {scrub(_explain(error), secrets)}")
        return None
    for key, message in problems:
        steps = key.split(".") if key else []
        given = spot.child(steps[0]).given if steps and steps[0] in spot.table() else None
        if given is None or not given.is_stand_in:
            spot.report.add((*spot.path, *steps), scrub(message, secrets))
    return config


def _explain(error: Exception) -> str:
    return str(error) or type(error).__name__


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` without any of the secrets; one so short that any text has it would only be betrayed by its gaps."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SCRUBBED:
            text = text.replace(secret, "***")
    return text
