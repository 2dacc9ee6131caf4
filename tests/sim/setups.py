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
from tests.daemon.house import Toml, mitake, rule, subito

FAMILIES = 6
VARIANTS = 3
LIMITS = {"hold": 1, "resend": 2, "failover": 2, "within": 2, "again": 9}
"""How many copies a message with that tag may have."""
LINES = ("a", "b", "c")
FRONTS = ("m", "s")
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
    return {"plugin": LINE, "memory": memory, **most}


def draw_settings(family: int, variant: int) -> Toml:
    """One configuration: all variants of a family have the same providers, but some may be missing after the first."""
    fixed, rng = random.Random(family), random.Random(f"{family}.{variant}")
    names = fixed.sample((*LINES, *FRONTS), fixed.randint(2, 4))
    memory = {name: fixed.choice((0, 0, 43_200_000)) for name in names}
    there = names if not variant else rng.sample(names, rng.randint(1, len(names)))
    rules = [_draw_rule(tag, there, rng) for tag in LIMITS]
    return {"providers": {name: _draw_provider(name, rng, memory[name]) for name in there}, "rules": rules}


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
