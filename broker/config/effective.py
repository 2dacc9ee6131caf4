"""The settings as broker.toml would say them: all in one (`check --effective`), and what differs between two (`reload`).

A secret is `***` in the one and only its key in the other.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w

from broker.config.hooks import show_inbound
from broker.config.places import Places
from broker.config.problem import Path, dotted
from broker.config.providers import show_provider
from broker.config.rules import show_rule
from broker.config.sections import (
    CURRENCIES,
    GROUPS,
    TOKEN_FORMS,
    broker_forms,
    callback_forms,
    client_forms,
    control_forms,
    feed_forms,
    guard_forms,
    store_forms,
    submit_forms,
    suppress_forms,
)
from broker.config.tables import show_struct
from broker.words.secret import Secret
from broker.words.settings import Settings

HIDDEN = "***"

RESTART_KEYS = (
    *("broker.data_dir", "broker.name", "store.url"),
    *("submit.socket", "submit.mode", "submit.group", "control.socket", "feed.listen", "callbacks.listen"),
)
"""Keys that only a restart applies: what they name is opened once, at the start."""

_NOWHERE = Places()
_client_forms = client_forms({})


def tree_of(settings: Settings) -> dict[str, Any]:
    """The settings as the tables of broker.toml, every default filled in; what the plugin calls Secret is still one."""
    tree = {
        "broker": show_struct(settings.broker, broker_forms(_NOWHERE)),
        "store": show_struct(settings.store, store_forms(_NOWHERE)),
        "submit": show_struct(settings.submit, submit_forms(_NOWHERE)),
        "control": show_struct(settings.control, control_forms(_NOWHERE)),
        "feed": None if settings.feed is None else show_struct(settings.feed, feed_forms(_NOWHERE)),
        "callbacks": None if settings.callbacks is None else show_struct(settings.callbacks, callback_forms(_NOWHERE)),
        "tokens": {name: show_struct(token, TOKEN_FORMS) for name, token in settings.tokens.items()},
        "clients": {name: show_struct(client, _client_forms) for name, client in settings.clients.items()},
        "suppress": show_struct(settings.suppress, suppress_forms(_NOWHERE)),
        "currencies": CURRENCIES.show(settings.currencies),
        "groups": GROUPS.show(settings.groups),
        "providers": {name: show_provider(provider) for name, provider in settings.providers.items()},
        "rules": [show_rule(rule) for rule in settings.rules],
        "inbound": [show_inbound(rule) for rule in settings.inbound],
        "guard": None if settings.guard is None else show_struct(settings.guard, guard_forms(_NOWHERE)),
    }
    return {name: section for name, section in tree.items() if section}


def effective(settings: Settings) -> str:
    """The whole configuration as TOML with every default, secrets `***`. With those put back it reads as the same settings."""
    return tomli_w.dumps(_hide(tree_of(settings), (), settings.secret_keys))


def _hide(value: Any, path: Path, secret_keys: frozenset[str]) -> Any:
    if isinstance(value, Secret) or (path and dotted(path) in secret_keys):
        return HIDDEN
    if isinstance(value, dict):
        return {name: _hide(item, (*path, name), secret_keys) for name, item in value.items()}
    if isinstance(value, list):
        return [_hide(item, (*path, index), secret_keys) for index, item in enumerate(value)]
    return value


def changes(old: Settings, new: Settings) -> list[str]:
    """The dotted keys that differ; a table that came or went as a whole is one key."""
    return [dotted(path) for path in _differences(tree_of(old), tree_of(new), ())]


def _differences(old: Any, new: Any, path: Path) -> Iterator[Path]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*new, *old]):
            # A section that comes or goes is told by its keys: they may be such as need a restart.
            absent: Any = {} if not path else None
            yield from _differences(old.get(name, absent), new.get(name, absent), (*path, name))
    elif _is_tables(old) and _is_tables(new):
        for index in range(max(len(old), len(new))):
            before, after = (side[index] if index < len(side) else None for side in (old, new))
            yield from _differences(before, after, (*path, index))
    elif old != new:
        yield path


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """Of the keys that differ, those that only a restart applies."""
    return [key for key in changes(old, new) if key in RESTART_KEYS]
