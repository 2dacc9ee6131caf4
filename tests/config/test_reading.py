"""What a good file becomes: defaults, forms of values, paths, and which file it is."""

import hashlib
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.config import ConfigError, PluginFacts, find_config, forms, read_settings, store_path
from broker.config.countries import COUNTRIES
from broker.config.effective import tree_of
from broker.config.forms import Form
from broker.config.places import SYSTEM_FILE
from broker.config.spot import Report, Spot
from broker.routing.book import compile_match
from broker.text.prefixes import CODES, REGIONS
from broker.words.clock import DAY, HOUR, MINUTE, SECOND
from broker.words.money import MICRO
from broker.words.secret import Secret
from broker.words.settings import Action, Duration, Match, Rate, RuleSettings
from tests.config.desk import CANARY, CONTRACT, FreeConfig, PostConfig, faults, find_plugin, read, write


def test_the_contracts_own_example_is_read_key_by_key(tmp_path: Path) -> None:
    settings = read(tmp_path, CONTRACT)
    mitake, (rule,) = settings.providers["mitake"], settings.rules
    assert settings.broker.name == "sms1"
    assert settings.broker.drain == 20 * SECOND
    assert settings.submit.mode == 0o660
    assert settings.tokens["shop"].sha256 == "ab" * 32
    assert settings.clients["unix:shop"].rate == Rate(20, SECOND)
    assert settings.clients["unix:shop"].countries == frozenset({"TW"})
    assert settings.currencies == {"TWD": Decimal("0.029")}
    assert settings.groups == {"nordics": ("SE", "NO", "DK", "FI")}
    assert mitake.prices == {"TW": 900_000, "+8869": 850_000, "46601": 800_000, "*": 3_500_000}
    assert mitake.channel_prices == {"voice": 1_900_000}
    assert (mitake.credit.low, mitake.credit.stop, mitake.credit.per_segment) == (500 * MICRO, 50 * MICRO, MICRO)
    assert mitake.spend is not None
    assert (mitake.spend.max, mitake.spend.per) == (50 * MICRO, HOUR)
    assert mitake.query == (MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR)
    assert mitake.callback_secret == Secret(CANARY)
    assert rule.match == Match(country=frozenset({"TW", "SE", "NO", "DK", "FI"}), tag=frozenset({"otp"}))
    assert rule.max_price == 50_000
    assert rule.on == {
        "unavailable": Action(2, "next"),
        "rejected": Action(0, "fail"),
        "unsuitable": Action(1, "next"),
        "undelivered": Action(0, "next"),
    }


def test_defaults_are_the_ones_of_the_contract(tmp_path: Path) -> None:
    """The example writes the defaults out wherever it shows them, so leaving them away changes nothing."""
    optional = (
        *('currency = "EUR"', "drain", "log", "plugin_path", "keep", "keep_text", "url", "mode", "require_token", "scope"),
        *("max_segments", "max_queued", "max_in_flight", "max_copies", "enabled", "timeout", "receipt_wait", "query", "breaker"),
        *("pin_provider", "validity", "in_doubt", "doubt_wait", "doubt_deadline", "order", "else", "batch"),
    )
    kept = [line for line in CONTRACT.splitlines() if not re.match(rf"({'|'.join(optional)})\b", line)]
    kept = [line.replace('every = "5m", ', "").replace(", per_segment = 1", "") for line in kept]
    shorter = "\n".join(kept)
    assert len(kept) < len(CONTRACT.splitlines()) - 20
    assert tree_of(read(tmp_path, shorter)) == tree_of(read(tmp_path, CONTRACT))


def test_an_empty_file_is_a_configuration(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    assert settings.rules == ()
    assert settings.feed is None
    assert settings.callbacks is None
    assert settings.broker.name
    assert settings.hash == hashlib.sha256(b"").hexdigest()[:12]
    assert settings.file == str(tmp_path / "broker.toml")


def test_without_rules_every_enabled_provider_serves_in_file_order(tmp_path: Path) -> None:
    states = (("z", "true"), ("a", "false"), ("b", "true"))
    text = "".join(f'[providers.{name}]\nplugin = "free"\nenabled = {on}\n' for name, on in states)
    for more in ("", "rules = []\n"):
        assert read(tmp_path, more + text).rules == (RuleSettings(name="default", use=("z", "b")),)


def test_a_rule_without_a_name_is_called_by_its_number(tmp_path: Path) -> None:
    text = '[providers.a]\nplugin = "free"\n[[rules]]\nuse = ["a"]\n[[rules]]\nuse = ["a"]\nmatch = {}\n'
    assert [rule.name for rule in read(tmp_path, text).rules] == ["rule-1", "rule-2"]


def test_a_providers_currency_is_the_brokers_unless_said(tmp_path: Path) -> None:
    text = '[broker]\ncurrency = "TWD"\n[providers.a]\nplugin = "free"\nprices = { TW = 1 }\n'
    assert read(tmp_path, text).providers["a"].currency == "TWD"


def test_a_plugins_config_has_its_own_types(tmp_path: Path) -> None:
    text = (
        '[providers.a]\nplugin = "post"\nusername = "u"\npassword = "p"\nport = 80\npause = "250ms"\nspeed = "5/h"\n'
        'headers = { a = "b" }\nkeys = ["k"]\nclass = "c"\n[providers.b]\nplugin = "free"\nanswers = ["1"]\n'
    )
    settings = read(tmp_path, text)
    assert settings.providers["a"].config == PostConfig(
        username="u",
        password=Secret("p"),
        port=80,
        pause=Duration(250),
        speed=Rate(5, HOUR),
        headers={"a": "b"},
        keys=(Secret("k"),),
        class_="c",
    )
    assert isinstance(settings.providers["a"].config.pause, Duration)
    assert settings.providers["b"].config == FreeConfig(answers=["1"])


def test_the_plugin_table_is_asked_by_name_and_path(tmp_path: Path) -> None:
    asked = []

    def ask(name: str, path: tuple[str, ...]) -> PluginFacts:
        asked.append((name, path))
        return find_plugin(name, path)

    text = '[broker]\nplugin_path = ["more", "/etc/plugins"]\n[providers.a]\nplugin = "free"\n'
    read_settings(write(tmp_path, text), plugins=ask, environ={})
    assert asked == [("free", (str(tmp_path / "more"), "/etc/plugins"))]


# ---- places


def test_relative_paths_start_at_the_file_not_at_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "etc", '[broker]\ndata_dir = "../data"\nplugin_path = ["more"]\n[submit]\nsocket = "run/s.sock"\n')
    settings = read_settings(Path("etc/broker.toml"), plugins=find_plugin, environ={})
    assert settings.broker.data_dir == str(tmp_path / "data")
    assert settings.broker.plugin_path == (str(tmp_path / "etc/more"),)
    assert settings.submit.socket == str(tmp_path / "etc/run/s.sock")
    assert settings.control.socket == str(tmp_path / "etc/var/control.sock")
    assert store_path(settings) == tmp_path / "data/broker.db"


def test_systemds_folders_are_the_defaults(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/broker:/other", "RUNTIME_DIRECTORY": "/run/broker"}
    settings = read(tmp_path, '[feed]\nlisten = "unix:feed.sock"\n[store]\nurl = "sqlite:x.db"\n', environ=environ)
    assert settings.broker.data_dir == "/var/lib/broker"
    assert settings.submit.socket == "/run/broker/submit.sock"
    assert settings.feed is not None
    assert settings.feed.listen == "unix:/run/broker/feed.sock"
    assert store_path(settings) == Path("/var/lib/broker/x.db")
    settings = read(tmp_path, '[store]\nurl = "sqlite:/data/x.db"\n')
    assert settings.broker.data_dir == str(tmp_path / "var")
    assert store_path(settings) == Path("/data/x.db")


def test_a_plugin_given_as_a_file_starts_at_the_file_too(tmp_path: Path) -> None:
    (problem,) = faults(tmp_path, '[providers.a]\nplugin = "mine/post.py"\n')
    assert f'"{tmp_path}/mine/post.py"' in problem.message


def test_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("a.toml", {"BROKER_CONFIG": "b.toml"}) == Path("a.toml")
    assert find_config(None, {"BROKER_CONFIG": "b.toml"}) == Path("b.toml")
    monkeypatch.setattr("broker.config.places.SYSTEM_FILE", tmp_path / "etc.toml")
    with pytest.raises(ConfigError) as refused:
        find_config(None, {"BROKER_CONFIG": ""})
    for word in ("--config", "$BROKER_CONFIG", str(tmp_path / "broker.toml"), str(tmp_path / "etc.toml")):
        assert word in str(refused.value)
    (tmp_path / "etc.toml").write_text("")
    assert find_config(None, {}) == tmp_path / "etc.toml"
    (tmp_path / "broker.toml").write_text("")
    assert find_config(None, {}) == Path("broker.toml")
    assert Path("/etc/broker/broker.toml") == SYSTEM_FILE


# ---- forms


def through(form: Form[Any], value: object) -> Any:
    return form.read(Spot(Report(), ("x",), value))


@pytest.mark.parametrize(
    ("text", "milli"),
    [("250ms", 250), ("5s", 5 * SECOND), ("10m", 10 * MINUTE), ("24h", DAY), ("7d", 7 * DAY), ("0s", 0), ("3650d", 3650 * DAY)],
)
def test_durations(text: str, milli: int) -> None:
    assert through(forms.SPAN, text) == milli


@given(st.integers(0, 3650 * DAY))
def test_every_duration_is_written_so_that_it_is_read_again(milli: int) -> None:
    assert through(forms.SPAN, forms.SPAN.show(milli)) == milli


@given(st.builds(Rate, st.integers(1, 999_999_999), st.sampled_from([SECOND, MINUTE, HOUR, DAY])))
def test_every_rate_is_written_so_that_it_is_read_again(rate: Rate) -> None:
    assert through(forms.RATE, forms.RATE.show(rate)) == rate


@given(st.integers(0, 10**18))
def test_every_amount_is_written_so_that_it_is_read_again(micro: int) -> None:
    assert through(forms.MONEY, forms.MONEY.show(micro)) == micro
    assert through(forms.AMOUNT, forms.AMOUNT.show(micro)) == micro


@given(st.decimals("0.000000001", "1000000000", allow_nan=False))
def test_every_exchange_rate_is_written_so_that_it_is_read_again(factor: Decimal) -> None:
    assert through(forms.FACTOR, forms.FACTOR.show(factor)) == factor


def test_money_of_any_writing_is_exact(tmp_path: Path) -> None:
    """A TOML float never passes through a binary one."""
    text = '[providers.a]\nplugin = "free"\nprices = { TW = 0.1, SE = 1, NO = "0.3", DK = 1e-6 }\n'
    assert read(tmp_path, text).providers["a"].prices == {"TW": 100_000, "SE": MICRO, "NO": 300_000, "DK": 1}


def test_every_country_of_the_numbering_plans_has_a_code() -> None:
    assert {plan[0] for plan in CODES.values() if plan[0]} | set(REGIONS.values()) <= COUNTRIES
    assert len(COUNTRIES) == 249 + 3


GOOD_MATCHES = [
    {"time": ("Mon-Fri 08:00-20:00 Asia/Taipei", "Sat 22:00-06:00 UTC", "Fri-Mon 00:00-24:00 Europe/Madrid")},
    {"segments": ("2", ">3", ">=2", "<4", "<=9")},
    {"text": ("^code [0-9]+$", "a|b")},
    {"prefix": ("+886", "+1")},
    {"network": ("46601",)},
]


@pytest.mark.parametrize("match", GOOD_MATCHES)
def test_what_is_accepted_in_match_is_what_routing_compiles(tmp_path: Path, match: dict[str, tuple[str, ...]]) -> None:
    ((key, values),) = match.items()
    text = f'[providers.a]\nplugin = "free"\n[[rules]]\nuse = ["a"]\nmatch = {{ {key} = {list(values)} }}\n'
    got = read(tmp_path, text).rules[0].match
    assert getattr(got, key) == values
    assert len(compile_match(got)) == 1


def test_one_value_of_match_needs_no_brackets(tmp_path: Path) -> None:
    text = (
        '[providers.a]\nplugin = "free"\n[[rules]]\nuse = ["a"]\nmatch = { country = "TW", prefix = "+886", segments = 2,'
        ' type = "mobile", sender = "ACME", client = "unix:shop", channel = "sms", encoding = "gsm7", text = "x" }\n'
    )
    match = read(tmp_path, text).rules[0].match
    assert (match.country, match.prefix, match.segments) == (frozenset({"TW"}), ("+886",), ("2",))
    assert (match.type, match.text, match.channel) == (frozenset({"mobile"}), ("x",), frozenset({"sms"}))


@pytest.mark.parametrize("zone", sorted(available_timezones())[::40])
def test_time_zones_are_those_of_the_system(tmp_path: Path, zone: str) -> None:
    text = f'[providers.a]\nplugin = "free"\n[[rules]]\nuse = ["a"]\nmatch = {{ time = "Mon 08:00-09:00 {zone}" }}\n'
    assert read(tmp_path, text).rules[0].match.time == (f"Mon 08:00-09:00 {zone}",)
