"""What the tests of the configuration read with: two plugins that exist only here, and a reader of texts."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from broker.config import ConfigError, PluginFacts, Problem, read_settings
from broker.provider.contract import Traits
from broker.words.secret import Secret
from broker.words.settings import Duration, Rate, Settings, Url

CANARY = "c4n4ry-9f31-hunter2-5d0e77"


class PostConfig(msgspec.Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A plugin's Config with every kind of key."""

    username: str
    password: Secret
    url: Url = "https://sms.example.org"
    api: Literal["old", "new"] = "new"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    pause: Duration = Duration(5000)
    speed: Rate | None = None
    headers: dict[str, str] = {}
    keys: tuple[Secret, ...] = ()
    modes: list[Literal["fast", "slow"]] = []
    class_: str | None = None


class FreeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that needs nothing."""

    answers: list[str] = []


class NoPlugin(LookupError):
    """As the registry says it: with the names that there are."""

    known = ("post", "free")


def check_post(config: PostConfig) -> list[tuple[str, str]]:
    """The plugin's own look; its text betrays the password, as a careless one might."""
    if config.url.startswith("https://"):
        return []
    return [("url", f"must be https for {config.username} with {config.password.reveal()}: mend it")]


POST = PluginFacts(PostConfig, Traits(batch=10, unit="points"), check_post)
FREE = PluginFacts(FreeConfig, Traits())


def find_plugin(name: str, path: tuple[str, ...]) -> PluginFacts:
    """The plugin table of these tests."""
    if name in ("post", "free"):
        return POST if name == "post" else FREE
    raise NoPlugin(f"there is no such plugin as {name}")


def write(folder: Path, text: str) -> Path:
    """`text` as the folder's broker.toml."""
    file = folder / "broker.toml"
    file.write_bytes(text.encode())
    file.chmod(0o640)
    return file


def read(folder: Path, text: str, **more: Any) -> Settings:
    """The settings of `text`, with an empty environment unless one is given."""
    more.setdefault("environ", {})
    return read_settings(write(folder, text), plugins=find_plugin, **more)


def faults(folder: Path, text: str, **more: Any) -> list[Problem]:
    """The problems of `text`; empty where it is read."""
    try:
        read(folder, text, **more)
    except ConfigError as refused:
        return refused.problems
    return []


# The example of CONTRACT §3, without what is of a later version.
CONTRACT = """
[broker]
name = "sms1"
data_dir = "/var/lib/broker"
default_country = "TW"
currency = "EUR"
plugin_path = []
drain = "20s"
log = "info"
[store]
url = "sqlite:broker.db"
keep_text = "7d"
keep = "90d"
[submit]
socket = "submit.sock"
mode = "0660"
group = "broker"
max_segments = 6
max_queued = 1_000_000
[control]
socket = "control.sock"
[feed]
listen = "127.0.0.1:8781"
keep = "7d"
require_token = false
[callbacks]
listen = "127.0.0.1:8782"
public_url = "https://sms.example.org"
[tokens.shop]
sha256 = "%s"
scopes = ["submit", "read", "numbers", "text", "operate"]
[clients."unix:shop"]
senders = ["ACME"]
countries = ["TW"]
rate = "20/s"
pin_provider = false
[suppress]
scope = "sender"
[currencies]
TWD = "0.029"
[groups]
nordics = ["SE", "NO", "DK", "FI"]
[providers.mitake]
plugin = "free"
enabled = true
sender = "ACME"
senders = { GR = "ACME", US = "+12025550100" }
rate = "30/s"
max_in_flight = 16
batch = 1
timeout = "30s"
receipt_wait = "72h"
query = ["1m", "5m", "30m", "2h"]
currency = "TWD"
prices = { TW = "0.90", "+8869" = "0.85", "46601" = "0.80", "*" = "3.5" }
channel_prices = { voice = "1.9" }
credit = { every = "5m", low = 500, stop = 50, per_segment = 1 }
breaker = { failures = 5, window = "30s", open = "10s", max_open = "15m" }
spend = { max = "50", per = "1h" }
codes = { "16" = "unavailable" }
callback_secret = "c4n4ry-9f31-hunter2-5d0e77"
[providers.smscru]
plugin = "free"
[[rules]]
name = "otp"
match = { country = ["TW", "nordics"], tag = "otp" }
use = ["mitake", "smscru", "smscru:voice"]
texts = { voice = "ACME calls. {text}" }
order = "listed"
weights = { mitake = 9, "smscru:voice" = 1 }
max_price = "0.05"
min_credit = 100
validity = "24h"
max_attempts = 8
in_doubt = "hold"
doubt_wait = "60s"
doubt_deadline = "15m"
max_copies = 2
on = { unavailable = { retry = 2, then = "next" }, rejected = "fail", unsuitable = "retry", undelivered = "next" }
else = "fail"
""" % ("AB" * 32)
