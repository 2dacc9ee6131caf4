"""`--effective` says everything and reads as the same again; `reload` tells what differs and what waits for a restart."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from broker.config import changes, effective, needs_restart
from broker.words.settings import Settings
from tests.config.desk import CANARY, CONTRACT, read

FULL = (
    CONTRACT.replace(
        '[providers.smscru]\nplugin = "free"\n',
        f"""
[providers.smscru]
plugin = "post"
username = {{ env = "C" }}
password = "{CANARY}"
pause = "250ms"
speed = "300/m"
port = 8080
headers = {{ "X-Key" = {{ env = "C" }}, plain = "y" }}
keys = [{{ env = "C" }}, "{CANARY}"]
class = "c"
senders = {{}}
""",
    )
    + """
[[rules]]
use = ["smscru"]
order = "weighted"
else = "next-rule"
[rules.match]
prefix = ["+8869", "+1"]
network = "46601"
type = ["mobile", "voip"]
sender = "ACME"
client = "unix:shop"
channel = "sms"
encoding = "ucs2"
segments = [">2", "1"]
text = '"[\\d]{4}"'
time = "Mon-Fri 08:00-20:00 Asia/Taipei"
[[rules]]
use = ["mitake"]
[[inbound]]
match = { to = "12345", from = ["+886912345678", "1"], keyword = ["INFO", "資訊"], provider = "smscru" }
to = "http://10.0.0.1:8080/x?y=z"
secret = { env = "C" }
cleartext = true
[[inbound]]
exec = ["./in.sh", "", "a b"]
[clients.crm]
webhook = "http://[::1]/x"
webhook_secret = { env = "C" }
webhook_cleartext = true
"""
)


def round_trip(folder: Path, settings: Settings) -> Settings:
    """What the effective text reads as, elsewhere and with the secrets put back."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    text = effective(settings)
    assert CANARY not in text
    again = read(elsewhere, text.replace("***", CANARY), environ={"STATE_DIRECTORY": "/x", "RUNTIME_DIRECTORY": "/y"})
    return msgspec.structs.replace(again, file=settings.file, hash=settings.hash, secret_keys=settings.secret_keys)


@pytest.mark.parametrize("text", ["", CONTRACT, FULL, '[providers.a]\nplugin = "free"\n'], ids=["empty", "contract", "full", "one"])
def test_effective_reads_as_the_same_settings(tmp_path: Path, text: str) -> None:
    settings = read(tmp_path, text, environ={"C": CANARY})
    assert round_trip(tmp_path, settings) == settings


DROPPABLE = [
    line
    for line in FULL.splitlines()
    if " = " in line
    and not line.startswith(
        (
            *("plugin", "username", "password", "sha256", "use", "match", "listen", "TWD", "nordics", "currency"),
            *("to", "cleartext", "exec"),
        )
    )
]


@given(st.sets(st.sampled_from(DROPPABLE)))
@hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_so_it_does_with_any_keys_left_away(tmp_path: Path, dropped: set[str]) -> None:
    text = "\n".join(line for line in FULL.splitlines() if line not in dropped)
    settings = read(tmp_path, text, environ={"C": CANARY})
    assert round_trip(tmp_path, settings) == settings


def test_effective_writes_defaults_and_forms_as_people_do(tmp_path: Path) -> None:
    tree = tomllib.loads(effective(read(tmp_path, FULL, environ={"C": CANARY})))
    assert tree["store"] == {"url": "sqlite:broker.db", "keep_text": "7d", "keep": "90d"}
    assert tree["submit"]["mode"] == "0660"
    smscru = tree["providers"]["smscru"]
    assert smscru["timeout"] == "30s"
    assert smscru["breaker"] == {"failures": 5, "window": "30s", "open": "10s", "max_open": "15m"}
    assert smscru["credit"] == {"every": "5m", "stop": 0, "per_segment": 1}
    assert (smscru["username"], smscru["password"], smscru["keys"]) == ("***", "***", ["***", "***"])
    assert smscru["headers"] == {"X-Key": "***", "plain": "y"}
    assert (smscru["pause"], smscru["speed"], smscru["api"]) == ("250ms", "300/m", "new")
    assert tree["providers"]["mitake"]["prices"]["TW"] == "0.90"
    assert tree["rules"][0]["on"]["unavailable"] == {"retry": 2, "then": "next"}
    assert tree["rules"][0]["max_price"] == "0.05"
    assert tree["rules"][2]["name"] == "rule-3"
    assert "max_price" not in tree["rules"][2]


CHANGES = [
    ("", []),
    ('drain = "20s"->drain = "20000ms"', []),
    ('drain = "20s"->drain = "21s"', ["broker.drain"]),
    ('rate = "30/s"->rate = "31/s"', ["providers.mitake.rate"]),
    ('TW = "0.90"->TW = "0.91"', ["providers.mitake.prices.TW"]),
    (', "*" = "3.5"->', ['providers.mitake.prices."*"']),
    ('stop = 50->stop = 51', ["providers.mitake.credit.stop"]),
    (f'callback_secret = "{CANARY}"->callback_secret = "another-of-22-letters-or-more"', ["providers.mitake.callback_secret"]),
    (f'password = "{CANARY}"->password = "new"', ["providers.smscru.password"]),
    ('username = { env = "C" }->username = "new"', ["providers.smscru.username"]),
    ('keys = [{ env = "C" }->keys = ["new"', ["providers.smscru.keys"]),
    ('[clients."unix:shop"]->[clients."unix:web"]', ['clients."unix:web"', 'clients."unix:shop"']),
    ("min_credit = 100->", ["rules[0].min_credit"]),
    ('tag = "otp"->tag = "sms"', ["rules[0].match.tag"]),
    ('\n[[rules]]\nuse = ["mitake"]\n->\n', ["rules[2]"]),
    ('listen = "127.0.0.1:8781"->listen = "127.0.0.1:8782"', ["feed.listen"]),
    ('[[inbound]]\nexec = ["./in.sh", "", "a b"]->', ["inbound[1]"]),
    ('keyword = ["INFO", "資訊"]->keyword = "INFO"', ["inbound[0].match.keyword"]),
    ('webhook_secret = { env = "C" }->webhook_secret = "new"', ["clients.crm.webhook_secret"]),
    ('scope = "sender"->stop = []', ["suppress.stop"]),
]


@pytest.mark.parametrize(("edit", "keys"), CHANGES)
def test_changes_names_the_keys_that_differ(tmp_path: Path, edit: str, keys: list[str]) -> None:
    before, _, after = edit.partition("->")
    assert before in FULL
    old = read(tmp_path, FULL, environ={"C": CANARY})
    new = read(tmp_path, FULL.replace(before, after, 1) if before else FULL, environ={"C": CANARY})
    assert changes(old, new) == keys


RESTARTS = [
    ('url = "sqlite:broker.db"->url = "sqlite:other.db"', ["store.url"]),
    ('socket = "submit.sock"->socket = "other.sock"', ["submit.socket"]),
    ('mode = "0660"->mode = "0600"', ["submit.mode"]),
    ('group = "broker"->group = "sms"', ["submit.group"]),
    ('socket = "control.sock"->socket = "other.sock"', ["control.socket"]),
    ('listen = "127.0.0.1:8781"->listen = "127.0.0.1:8783"', ["feed.listen"]),
    ('listen = "127.0.0.1:8782"->listen = "127.0.0.1:8783"', ["callbacks.listen"]),
    ('[feed]\nlisten = "127.0.0.1:8781"\nkeep = "7d"\nrequire_token = false\n->', ["feed.listen"]),
    ('data_dir = "/var/lib/broker"->data_dir = "/var/lib/other"', ["broker.data_dir"]),
    ('name = "sms1"->name = "sms2"', ["broker.name"]),
    ('drain = "20s"->drain = "1s"', []),
    ('rate = "30/s"->rate = "31/s"', []),
]


@pytest.mark.parametrize(("edit", "keys"), RESTARTS)
def test_needs_restart_names_what_is_opened_once(tmp_path: Path, edit: str, keys: list[str]) -> None:
    before, _, after = edit.partition("->")
    assert before in CONTRACT
    old, new = read(tmp_path, CONTRACT), read(tmp_path, CONTRACT.replace(before, after, 1))
    assert needs_restart(old, new) == keys
    assert needs_restart(new, old) == keys
    assert set(keys) < set(changes(old, new)) or keys == changes(old, new) or not keys
