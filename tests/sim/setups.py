"""The configurations of the simulated worlds: a few families, each with variants to reload to, read once and kept.

A message's tag picks its rule, and with it how many copies there may be: that is the same in every variant.
"""

import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import tomli_w

from broker.daemon import load_settings
from broker.provider.registry import Plugin
from broker.words.settings import Settings
from tests.daemon.house import SECRET, Toml, mitake, rule, smpp, subito, tatango

FAMILIES = 24
VARIANTS = 3
LIMITS = {"hold": 1, "resend": 2, "failover": 2, "within": 2, "again": 9}
"""How many copies a message with that tag may have."""
NAMES = ("a", "b", "c", "m", "s", "i", "t", "x", "y")
"""Every provider that there may be: sessions of our own (`tests.sim.line`), then Mitake, Subito, iSMS, Tatango and two SMSCs."""
CLIENT = "unix:root"
"""Every program of a world, whoever runs the test."""
LINE = str(Path(__file__).with_name("line.py"))
ON: tuple[Any, ...] = ("next", "fail", "hold", "retry", {"retry": 2, "then": "hold"}, {"retry": 1, "then": "fail"})

Prepared = tuple[Settings, dict[str, Plugin]]


def _draw_provider(name: str, rng: random.Random, memory: int) -> Toml:
    most: Toml = {
        "max_in_flight": rng.choice((1, 3, 16)),
        "timeout": "3s",
        "receipt_wait": "10s",
        "query": ["2s", "5s"],
        "breaker": {"failures": rng.randint(1, 5), "window": "30s", "open": rng.choice(("1s", "4s")), "max_open": "8s"},
        "batch": rng.choice((1, 5)),
    }
    if rng.random() < 0.3:
        most["rate"] = rng.choice(("2/s", "100/m"))
    if rng.random() < 0.3:
        most |= {"prices": {"*": "0.10"}, "spend": {"max": rng.choice(("0.2", "1")), "per": "10s"}}
    credit = {"credit": {"every": "15s", "stop": rng.choice((0, 2))}}
    if name == "m":
        return mitake("m", **most, **credit, api=rng.choice(("smexpress", "mtk")))
    if name == "s":
        return subito("s", **most, **credit)
    if name == "i":
        return {"plugin": "isms", "username": "demo", "password": SECRET, "url": "http://i", "sender": "ACME", **most, **credit}
    if name == "t":
        return tatango("t", **most)
    if name in ("x", "y"):
        return smpp(name, **most, **_draw_links(rng))
    return {"plugin": LINE, "memory": memory, **most}


def _draw_links(rng: random.Random) -> Toml:
    return {
        "response_timer": rng.choice(("1s", "2s")),
        "enquire_every": rng.choice(("1s", "5s")),
        "window": rng.choice((1, 3, 10)),
        "bind": rng.choice(("transceiver", "transceiver", "pair")),
        "binds": rng.choice((1, 1, 2)),
        "concat": rng.choice(("udh", "udh", "sar", "payload")),
        "udh_bits": rng.choice((8, 16)),
        "ask": rng.random() < 0.5,
    }


def draw_settings(family: int, variant: int) -> Toml:
    """One configuration: all variants of a family have the same providers, but some may be missing after the first."""
    fixed, rng = random.Random(family), random.Random(f"{family}.{variant}")
    names = fixed.sample(NAMES, fixed.choice((1, 2, 2, 3, 3, 4)))
    if has_callbacks(family) and not {"m", "i"} & set(names):
        names[0] = fixed.choice(("m", "i"))  # one that calls back
    memory = {name: fixed.choice((0, 0, 43_200_000)) for name in names}
    there = names if not variant else rng.sample(names, rng.randint(1, len(names)))
    rules = [_draw_rule(tag, there, rng) for tag in LIMITS]
    found: Toml = {"providers": {name: _draw_provider(name, rng, memory[name]) for name in there}, "rules": rules}
    if has_callbacks(family):
        found["callbacks"] = {"listen": "unix:/sim/cb", "public_url": "https://sim.example.org/in"}
    if has_feed(family):
        found["feed"] = {"listen": "unix:/sim/feed"}
    if has_hooks(family):
        found["inbound"] = [{"to": "http://outside/in", "cleartext": True, "secret": SECRET}]
        found["clients"] = {CLIENT: {"webhook": "http://outside/status", "webhook_cleartext": True, "webhook_secret": SECRET}}
    return found


def has_feed(family: int) -> bool:
    """True where the feed is read by websocket; else subscribers stand where a websocket would."""
    return family % 3 == 2


def has_hooks(family: int) -> bool:
    """True where statuses and inbound messages are handed on."""
    return family % 6 == 1


def has_callbacks(family: int) -> bool:
    """True where providers are told of a door to call back at."""
    return family % 3 != 0


def list_names(family: int) -> list[str]:
    """The providers that some variant of this family has."""
    return sorted({name for variant in range(VARIANTS) for name in draw_settings(family, variant)["providers"]})


def _draw_rule(tag: str, there: list[str], rng: random.Random) -> Toml:
    more: Toml = {"name": tag, "match": {"tag": tag}, "order": rng.choice(("listed", "listed", "cheapest", "most_credit", "weighted"))}
    more |= {"doubt_wait": "3s", "doubt_deadline": rng.choice(("5s", "12s")), "max_copies": 2}
    if rng.random() < 0.3:
        more["max_attempts"] = rng.randint(1, 6)
    on = {class_: rng.choice(ON) for class_ in rng.sample(("unavailable", "throttled", "rejected", "no_credit", "misconfigured"), 2)}
    if tag in ("resend", "failover"):
        more["in_doubt"] = tag
    if tag == "within":
        more["receipt_within"] = "3s"
    if tag == "again":
        on["undelivered"] = "next"
    return rule(*rng.sample(there, rng.randint(1, len(there))), **more, on=on, **{"else": rng.choice(("fail", "hold"))})


def name_config(family: int, variant: int) -> Path:
    """The path by which a daemon of the simulation knows a configuration; no file is there."""
    return Path(f"/sim/{family}/{variant}")


@cache
def read_prepared(family: int, variant: int) -> Prepared:
    """The configuration, read by the daemon's own code as from a file."""
    with tempfile.TemporaryDirectory(prefix="broker-sim-") as folder:
        file = Path(folder) / "broker.toml"
        # No path of this machine's, for the hash of the settings is in an event.
        own = {"broker": {"name": "t1", "data_dir": "/sim", "default_country": "TW"}, "submit": {"socket": "/sim/s"}}
        file.write_text(tomli_w.dumps({**own, "control": {"socket": "/sim/c"}, **draw_settings(family, variant)}))
        return load_settings(file, twins=False)


def load_prepared(config: Path, *, twins: bool) -> Prepared:
    """Stands in for the daemon's `load_settings`."""
    _, _, family, variant = config.parts
    settings, plugins = read_prepared(int(family), int(variant))
    return settings, dict(plugins)
