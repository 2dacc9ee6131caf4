"""The forms of every section but providers and rules, and the keys that CONTRACT §3 names for a later version.

Says what each key may be; reads nothing itself.
"""

import re
from collections.abc import Callable, Mapping

from broker.config.countries import COUNTRIES
from broker.config.forms import (
    COUNTRY,
    CURRENCY,
    FACTOR,
    FLAG,
    MODE,
    RATE,
    SENDER,
    SOME_SPAN,
    SPAN,
    TEXT,
    Form,
    as_set,
    choice,
    many,
    places_in,
    plain,
    read_currency,
    table_of,
    whole,
)
from broker.config.hooks import CLIENT_HOOK, WORDS
from broker.config.places import Places
from broker.config.spot import UNSHOWN, Fault, Later
from broker.config.tables import Forms

LOG_LEVELS = ("debug", "info", "warning", "error")
SCOPES = ("submit", "read", "numbers", "text", "operate")

LATER_SECTIONS: dict[str, str] = {
    "api": "[api]; programs submit on the socket and read [feed]; take the section out",
}

_is_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch
_is_hash = re.compile(r"[0-9a-fA-F]{64}").fullmatch
_is_origin = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(?:/[A-Za-z0-9._~/-]*)?").fullmatch
_is_address = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})").fullmatch


def check_name(value: object) -> str:
    """`value` where it may name a provider or a node. Raises Fault."""
    if not isinstance(value, str) or not _is_name(value):
        raise Fault("is no name: write letters, digits, '.', '_' and '-', at most 64, a letter or digit first")
    return value


def _path(places: Places) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not value or "\0" in value:
            raise Fault("is no path: write it as a string")
        if value.startswith("~"):
            raise Fault("begins with ~, which is not expanded here: write the whole path")
        return places.resolve(value)

    return read


def _socket(places: Places) -> Form[str]:
    resolve = _path(places)

    def read(value: object) -> str:
        path = resolve(value)
        return path if "/" in str(value) else places.resolve_socket(str(value))

    return plain(read, example='"submit.sock"')


def _listen(places: Places, example: str = '"127.0.0.1:8781"') -> Form[str]:
    def read(value: object) -> str:
        if isinstance(value, str) and value.startswith("unix:") and len(value) > 5:
            return "unix:" + places.resolve_socket(value[5:])
        found = _is_address(value) if isinstance(value, str) else None
        if found is None or int(found[2]) > 65_535:
            raise Fault(f'is no address: write {example}, "[::1]:8781" or "unix:feed.sock"')
        return found[0]

    return plain(read, example=example)


def _read_public_url(value: object) -> str:
    found = _is_origin(value) if isinstance(value, str) else None
    if found is None or int(found[1] or 0) > 65_535:
        raise Fault('is no address that a provider could be told: write "https://sms.example.org", without ? and #')
    return found[0].rstrip("/")


def _read_url(value: object) -> str:
    if isinstance(value, str) and value.startswith(("postgresql:", "postgres:")):
        raise Later('PostgreSQL; write "sqlite:broker.db"', UNSHOWN)  # a password may be in it
    name = value.removeprefix("sqlite:") if isinstance(value, str) else ""
    if not isinstance(value, str) or not value.startswith("sqlite:") or not name.strip("/:") or "\0" in name:
        raise Fault('is no store: write "sqlite:broker.db"', UNSHOWN)
    if name == ":memory:":
        raise Fault('would lose every message at the end: write "sqlite:broker.db"')
    return value


def _read_hash(value: object) -> str:
    if not isinstance(value, str) or not _is_hash(value):
        raise Fault("is no SHA-256: write the 64 hex digits that `printf %s TOKEN | sha256sum` prints", UNSHOWN)
    return value.lower()


def broker_forms(places: Places) -> Forms:
    """[broker]"""
    return {
        "name": plain(check_name),
        "data_dir": plain(_path(places)),
        "default_country": COUNTRY,
        "currency": CURRENCY,
        "plugin_path": many(plain(_path(places), example='"plugins"')),
        "drain": SPAN,
        "log": choice(LOG_LEVELS, "log level"),
    }


def store_forms(_places: Places) -> Forms:
    """[store]"""
    return {"url": plain(_read_url), "keep_text": SPAN, "keep": SOME_SPAN}


def submit_forms(places: Places) -> Forms:
    """[submit]"""
    return {
        "socket": _socket(places),
        "mode": MODE,
        "group": TEXT,
        "max_segments": whole(1, 255),
        "max_queued": whole(1),
    }


def control_forms(places: Places) -> Forms:
    """[control]"""
    return {"socket": _socket(places)}


def feed_forms(places: Places) -> Forms:
    """[feed]"""
    return {"listen": _listen(places), "keep": SOME_SPAN, "require_token": FLAG}


def callback_forms(places: Places) -> Forms:
    """[callbacks]"""
    return {"listen": _listen(places, '"127.0.0.1:8782"'), "public_url": plain(_read_public_url, example='"https://sms.example.org"')}


def guard_forms(_places: Places) -> Forms:
    """[guard]"""
    return {"per_prefix": RATE, "per_client": RATE, "prefix": whole(1, 15)}


def suppress_forms(_places: Places) -> Forms:
    """[suppress]"""
    return {"scope": choice(("sender", "all"), "scope"), "stop": WORDS, "start": WORDS}


TOKEN_FORMS: Forms = {
    "sha256": plain(_read_hash, example='"64 hex digits"'),
    "scopes": as_set(many(choice(SCOPES, "scope"))),
}


def client_forms(groups: Mapping[str, tuple[str, ...]]) -> Forms:
    """[clients."…"]"""
    return {
        "senders": many(SENDER),
        "countries": places_in(groups, is_single=False),
        "rate": RATE,
        "pin_provider": FLAG,
        **CLIENT_HOOK,
    }


def check_group(name: str) -> None:
    """Raises Fault for a group's name that a country has already."""
    if name in COUNTRIES:
        raise Fault("is a country's code: give the group another name")
    if not name:
        raise Fault("is no name: give the group one")


def check_client(name: str) -> None:
    """Raises Fault for a name that no client can have."""
    if not name or name == "unix:" or not name.isprintable():
        raise Fault('is no client: write "unix:USER" for a user of the socket, or a token\'s name')


CURRENCIES = table_of(FACTOR, read_currency)
GROUPS = table_of(many(COUNTRY, least=1), check_group)
