"""What is readable and probably not meant: `check` prints it, `run` logs it, nothing is refused for it.

Every finding is a Problem of severity `warning`. Reads the file once more, only to learn the lines.
"""

import grp
import hashlib
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path as File
from typing import Any

from broker.config.exposed import find_exposed
from broker.config.fields import show_value
from broker.config.hooks import find_oddities, host_of, is_loopback
from broker.config.lines import Lines
from broker.config.plugin import PluginTable, Traits
from broker.config.problem import Path, Problem, dotted
from broker.config.reach import countries_of, covers, find_never, reach_of
from broker.words.channel import CARRIERS, SMS, account_of, channel_of
from broker.words.money import convert, show_micro
from broker.words.settings import CallbackSettings, ProviderSettings, RuleSettings, Settings

Finding = tuple[Path, str]

LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path, unix(7)."""


def check_settings(settings: Settings, plugins: PluginTable) -> list[Problem]:
    """Everything worth a warning, in the order of the file. `plugins` is the table that the settings were read with."""
    traits = _find_traits(settings, plugins)
    found = [
        *_find_in_rules(settings, traits),
        *_find_in_countries(settings, traits),
        *_find_in_providers(settings, traits),
        *_find_in_listeners(settings),
        *find_oddities(settings),
        *find_exposed(settings),
    ]
    lines = _read_lines(settings)
    problems = [
        Problem(dotted(path), lines.find(path) if lines else None, message, settings.file, "warning") for path, message in found
    ]
    return sorted(problems, key=lambda problem: problem.line or 0)


def _read_lines(settings: Settings) -> Lines | None:
    """The file's lines, where it still is the file that was read."""
    try:
        raw = File(settings.file).read_bytes()
        is_same = hashlib.sha256(raw).hexdigest().startswith(settings.hash)
        return Lines(raw.decode()) if is_same else None
    except (OSError, ValueError):
        return None


def _find_traits(settings: Settings, plugins: PluginTable) -> dict[str, Traits]:
    traits: dict[str, Traits] = {}
    for name, provider in settings.providers.items():
        try:
            traits[name] = plugins(provider.plugin, settings.broker.plugin_path).find_traits(provider.config)
        except Exception:  # noqa: S112  # what no plugin serves was refused already; a warning less is no harm
            continue
    return traits


# ---- rules


def _find_in_rules(settings: Settings, traits: Mapping[str, Traits]) -> Iterator[Finding]:
    enabled = [name for name, provider in settings.providers.items() if provider.enabled]
    has_lookups = any(name not in traits or "hlr" in traits[name].channels for name in enabled)
    for index, rule in enumerate(settings.rules):
        here: Path = ("rules", index)
        never = find_never(rule.match, settings.submit.max_segments, has_lookups)
        early = next((n for n, other in enumerate(settings.rules[:index]) if _takes_all(other, rule)), None)
        if never is not None:
            yield (*here, "match", never[0]), f"this rule can never match: {never[1]}"
        elif early is not None:
            name = settings.rules[early].name
            yield (
                (*here, "match"),
                f'this rule can never match: rules[{early}] "{name}" comes first and takes all that it would;'
                " move it up, or narrow the other one",
            )
        used = [settings.providers[name] for name in accounts_of(rule) if name in settings.providers]
        if used and not any(provider.enabled for provider in used):
            yield (*here, "use"), "every provider here is disabled: its messages are refused; enable one"
        if rule.order != "weighted" and rule.weights:
            yield (*here, "weights"), f'has no effect with order "{rule.order}": write order = "weighted"'
        yield from _find_in_channels(here, rule, traits)
        yield from _find_in_prices(here, rule, settings)
        yield from _find_in_credit(here, rule, traits)


def accounts_of(rule: RuleSettings) -> list[str]:
    """The providers of a rule, each once."""
    return list(dict.fromkeys(map(account_of, rule.use)))


def _takes_all(early: RuleSettings, late: RuleSettings) -> bool:
    return early.else_ != "next-rule" and covers(early.match, late.match)


def _find_in_channels(here: Path, rule: RuleSettings, traits: Mapping[str, Traits]) -> Iterator[Finding]:
    for name in rule.use:
        own, channel = account_of(name), channel_of(name)
        if own in traits and channel is not None and channel not in traits[own].channels:
            taken = ", ".join(sorted(traits[own].channels))
            yield (*here, "use"), f'"{name}" can never serve: the provider sends by {taken}; take it out'
        elif channel is not None and channel not in CARRIERS and rule.match.channel is None:
            yield (*here, "use"), f'"{name}" takes only what is submitted as {channel}: an SMS cannot go by it'
    asked = rule.match.channel
    if asked is not None and all(name in traits and asked.isdisjoint(traits[name].channels) for name in accounts_of(rule)):
        yield (*here, "match", "channel"), "no provider of this rule takes such a message; add one that does to its use"


def _find_in_prices(here: Path, rule: RuleSettings, settings: Settings) -> Iterator[Finding]:
    if rule.max_price is None:
        return
    own = settings.broker.currency
    for name in rule.use:
        provider, channel = settings.providers.get(account_of(name)), channel_of(name)
        if provider is None:
            continue
        rate = Decimal(1) if provider.currency == own else settings.currencies.get(provider.currency)
        channels = frozenset({channel}) if channel is not None else rule.match.channel or SMS
        price = _lowest_price(provider, reach_of(rule.match), channels)
        if price is None or rate is None:
            message = "has no price for what this rule takes"
        elif convert(price, rate) > rule.max_price:
            message = f"costs at least {show_micro(convert(price, rate))} {own} a segment"
        else:
            continue
        yield (
            (*here, "max_price"),
            f'provider "{name}" can never serve here: it {message}; mend its prices, or raise max_price',
        )


def _lowest_price(provider: ProviderSettings, reach: frozenset[str] | None, channels: frozenset[str]) -> int | None:
    """The lowest price that a message by one of `channels` to a country of `reach` may have, a segment or, by no SMS, the whole."""
    fitting = [micro for key, micro in provider.prices.items() if reach is None or _is_price_for(key, reach)]
    found = [provider.channel_prices[channel] for channel in channels if channel in provider.channel_prices]
    if any(channel in SMS and channel not in provider.channel_prices for channel in channels):
        found += fitting
    return min(found, default=None)


def _is_price_for(key: str, reach: frozenset[str]) -> bool:
    if key.startswith("+"):
        return not countries_of(key).isdisjoint(reach)
    return key in reach or not key.isalpha()


def _find_in_credit(here: Path, rule: RuleSettings, traits: Mapping[str, Traits]) -> Iterator[Finding]:
    if rule.min_credit is None and rule.order != "most_credit":
        return
    key = "order" if rule.min_credit is None else "min_credit"
    for name in accounts_of(rule):
        if name in traits and traits[name].unit is None:
            effect = "comes last" if rule.min_credit is None else "always passes"
            yield (*here, key), f'provider "{name}" tells no credit, so it {effect} here; leave it out of use if not meant'


# ---- countries


def _find_in_countries(settings: Settings, traits: Mapping[str, Traits]) -> Iterator[Finding]:
    reached: set[str] = set()
    for rule in settings.rules:
        if find_never(rule.match, settings.submit.max_segments) is not None:
            continue
        reach = _reach_with_providers(rule, settings, traits)
        if reach is None:
            return  # one rule takes any country
        reached |= reach
    if not any(provider.enabled for provider in settings.providers.values()):
        return  # there is a finding of its own for that
    told: set[str] = set()
    for path, countries in _named_countries(settings):
        missing = sorted(countries - reached - told)
        told.update(missing)
        if missing:
            is_one = len(missing) == 1
            yield (
                path,
                f"{', '.join(missing)} {'has' if is_one else 'have'} no route: no rule takes a message there;"
                f" add {'it' if is_one else 'them'} to a rule's match.country",
            )
    names = sorted(country for country in reached if country)
    listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    yield (
        ("rules",),
        f"any other country than {listed or 'none'} has no route: messages there are refused; if that is not meant,"
        " end with a rule without country and prefix",
    )


def _reach_with_providers(rule: RuleSettings, settings: Settings, traits: Mapping[str, Traits]) -> frozenset[str] | None:
    """The countries that the rule and its enabled providers let through; None: any."""
    usable = [name for name in accounts_of(rule) if name in settings.providers and settings.providers[name].enabled]
    served = [traits[name].countries if name in traits else frozenset[str]() for name in usable]
    reach = reach_of(rule.match)
    if any(not countries for countries in served):
        return reach
    together = frozenset[str]().union(*served)
    return together if reach is None else reach & together


def _named_countries(settings: Settings) -> Iterator[tuple[Path, set[str]]]:
    """Where the file names countries, and which."""
    if settings.broker.default_country is not None:
        yield ("broker", "default_country"), {settings.broker.default_country}
    for name, countries in settings.groups.items():
        yield ("groups", name), set(countries)
    for name, client in settings.clients.items():
        yield ("clients", name, "countries"), set(client.countries or ())
    for name, provider in settings.providers.items():
        for key in provider.prices:
            countries_there = countries_of(key) if key.startswith("+") else {key} if key.isalpha() else set()
            if len(countries_there) == 1:
                yield ("providers", name, "prices", key), {country for country in countries_there if country}
        for key in provider.senders:
            yield ("providers", name, "senders", key), {key}


# ---- providers and listeners


def _find_in_providers(settings: Settings, traits: Mapping[str, Traits]) -> Iterator[Finding]:
    if not any(provider.enabled for provider in settings.providers.values()):
        yield ("providers",), "no provider is enabled: every message is refused; write a [providers.NAME]"
    used = {name for rule in settings.rules for name in accounts_of(rule)}
    for name, provider in settings.providers.items():
        here: Path = ("providers", name)
        if provider.enabled and name not in used:
            yield here, "no rule uses this provider: add it to a rule's use, or write enabled = false"
        yield from _find_cleartext(here, show_value(provider.config), settings.secret_keys)
        if provider.credit.low is not None and provider.credit.low < provider.credit.stop:
            yield (*here, "credit", "low"), "is below stop, so it would come too late: raise it above stop"
        if name in traits:
            yield from _find_against_traits(here, provider, traits[name])


def _find_against_traits(here: Path, provider: ProviderSettings, traits: Traits) -> Iterator[Finding]:
    if provider.batch > traits.batch:
        yield (*here, "batch"), f"the plugin takes at most {traits.batch} in a request, so {traits.batch} it is"
    if provider.prices and traits.channels.isdisjoint(SMS):
        least = min(traits.channels, default="voice")
        yield (*here, "prices"), f'are those of an SMS, and this provider sends none: write channel_prices = {{ {least} = "…" }}'
    if traits.unit is None:
        if provider.credit.low is not None or provider.credit.stop:
            yield (*here, "credit"), "this provider tells no credit, so low and stop have no effect: take them out"
    elif traits.money and provider.credit.per_segment is None and not (provider.prices or provider.channel_prices):
        yield (*here, "prices"), "its credit is money and no price is known, so nothing is reserved: write prices"


def _find_cleartext(path: Path, value: Any, secret_keys: frozenset[str]) -> Iterator[Finding]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _find_cleartext((*path, str(name)), item, secret_keys)
    elif isinstance(value, str) and value.lower().startswith("http://"):
        host = host_of(value)
        if not is_loopback(host):
            shown = "" if dotted(path) in secret_keys or host is None else f" to {host}"
            yield path, f"texts, numbers and passwords go{shown} in clear over http://; write https:// if it is served"


def _find_in_listeners(settings: Settings) -> Iterator[Finding]:
    if settings.feed is not None and settings.feed.require_token and not settings.tokens:
        yield ("feed", "require_token"), "nobody can read the feed: write a [tokens.NAME], or require no token"
    for name in settings.clients:
        if not name.startswith("unix:") and name not in settings.tokens:
            yield ("clients", name), f"no token has this name: write [tokens.{name}], or unix:USER for a user's programs"
    if settings.callbacks is not None:
        yield from _find_in_callbacks(settings.callbacks)
    if settings.submit.group is not None and not _is_group(settings.submit.group):
        advice = f"groupadd --system {settings.submit.group}"
        yield ("submit", "group"), f"this machine has no group of this name, and `run` ends without it: {advice}"
    sockets = {("submit", "socket"): settings.submit.socket, ("control", "socket"): settings.control.socket}
    if settings.feed is not None and settings.feed.listen.startswith("unix:"):
        sockets["feed", "listen"] = settings.feed.listen.removeprefix("unix:")
    if settings.callbacks is not None and settings.callbacks.listen.startswith("unix:"):
        sockets["callbacks", "listen"] = settings.callbacks.listen.removeprefix("unix:")
    for path, socket in sockets.items():
        if len(os.fsencode(socket)) > LONGEST_SOCKET:
            yield path, f"{socket} is longer than the {LONGEST_SOCKET} bytes of a socket's path: choose a shorter one"


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _find_in_callbacks(callbacks: CallbackSettings) -> Iterator[Finding]:
    if callbacks.public_url is None:
        yield (
            ("callbacks", "listen"),
            "without public_url providers are told this very address, where the world may not find it:"
            ' write public_url = "https://sms.example.org"',
        )
    elif callbacks.public_url.startswith("http://") and not is_loopback(host_of(callbacks.public_url)):
        yield (
            ("callbacks", "public_url"),
            "goes over the open network as it is, secret and numbers included: let a proxy speak TLS, and write https://",
        )
