"""`check`, `plugins`, `run` and `demo`: what they make of a file, and what they hand to the rooms that do the work."""

import tomllib
from pathlib import Path

import pytest

from broker.cli import settings as settings_verbs
from broker.cli.catalog import read_facts
from broker.cli.verbs import VERBS
from broker.config import ConfigError, Problem
from broker.provider.registry import find_plugins, load_plugin
from tests.cli.office import Desk

PLUGINS = Path(__file__).parent.parent.parent / "plugins"

GOOD = """
[feed]
listen = "127.0.0.1:8781"

[providers.loop]
plugin = "loopback"

[providers.spare]
plugin = "loopback"
enabled = false

[[rules]]
name = "all"
use = ["loop", "spare"]
"""

WARNED = GOOD + '[[rules]]\nname = "late"\nmatch = { country = "TW" }\nuse = ["loop"]\n'

BAD = """
[providers.loop]
plugin = "loopback"
rate = "fast"

[[rules]]
name = "all"
use = ["lop"]
"""


def test_a_good_file(desk: Desk) -> None:
    desk.write(GOOD)
    ran = desk.run("check")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "ok: broker.toml: 2 providers (1 enabled), 1 rule, feed on 127.0.0.1:8781; no warnings\n"


def test_warnings_are_no_errors(desk: Desk) -> None:
    desk.write(WARNED)
    ran = desk.run("check")
    assert (ran.code, ran.err) == (0, "")
    *warnings, last = ran.out.splitlines()
    assert last.endswith("; 1 warning")
    assert warnings[0].startswith("broker.toml:17: rules[1].match: warning: this rule can never match")


def test_every_error_with_its_place(desk: Desk) -> None:
    desk.write(BAD)
    ran = desk.run("check")
    assert (ran.code, ran.err) == (78, "")
    rate, use, last = ran.out.splitlines()
    assert rate.startswith("broker.toml:4: providers.loop.rate: ")
    assert use.startswith("broker.toml:8: rules[0].use")
    assert last == "2 errors: `broker run` would refuse this"


def test_a_file_elsewhere_is_named_as_it_is_reached(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    file = desk.write(BAD)
    (desk.home / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(desk.home / "a" / "b")
    assert desk.run("check", "--config", str(file)).out.startswith("../../broker.toml:4: ")
    monkeypatch.chdir("/usr/lib")
    assert desk.run("check", "--config", str(file)).out.startswith(f"{file}:4: ")


@pytest.mark.parametrize("words", [("check",), ("run",)])
def test_no_file(desk: Desk, words: tuple[str, ...]) -> None:
    ran = desk.run(*words)
    assert ran.code == 78
    assert "give one with --config FILE" in ran.out + ran.err


def test_a_syntax_error_names_its_line(desk: Desk) -> None:
    desk.write("[broker]\nname = \n")
    ran = desk.run("check")
    assert ran.code == 78
    assert ran.out.startswith("broker.toml:2: ")


def test_json(desk: Desk) -> None:
    desk.write(WARNED)
    document = desk.run("check", "--json").json
    assert document["ok"] is True
    assert (document["providers"], document["enabled"], document["rules"]) == (2, 1, 2)
    (warning,) = document["problems"]
    assert (warning["severity"], warning["line"], warning["key"]) == ("warning", 17, "rules[1].match")
    desk.write(BAD)
    ran = desk.run("check", "--json")
    assert (ran.code, ran.json["ok"]) == (78, False)
    assert [(problem["line"], problem["severity"]) for problem in ran.json["error"]["problems"]] == [(4, "error"), (8, "error")]


SECRET = '[providers.m]\nplugin = "mitake"\nusername = "u"\npassword = "hush-hush"\n'


def test_effective_is_toml_without_secrets(desk: Desk) -> None:
    desk.write(SECRET)
    ran = desk.run("check", "--effective")
    assert ran.code == 0
    assert "hush" not in ran.out
    tree = tomllib.loads(ran.out)
    assert tree["providers"]["m"]["password"] == "***"
    assert tree["providers"]["m"]["timeout"] == "30s"
    assert desk.run("check", "--effective", "--json").json == tree


def test_twins_need_no_secret(desk: Desk) -> None:
    desk.write(SECRET.replace('"hush-hush"', '{ env = "NOT_THERE" }'))
    assert desk.run("check").code == 78
    assert desk.run("check", "--twins").code == 0


LOOPBACK = '[providers.v]\nplugin = "loopback"\nchannels = ["voice"]\n[[rules]]\nuse = ["v:voice"]\n'
CASH = '[providers.s]\nplugin = "smscru"\nusername = "u"\npassword = "p"\n'


def test_an_account_is_seen_as_its_own_keys_make_it(desk: Desk) -> None:
    """What hangs on a plugin's keys (here its channels, and whether credit is money) is the same as `run` sees."""
    desk.write(LOOPBACK)
    assert "no warnings" in desk.run("check").out
    desk.write(CASH)
    assert "prices" not in desk.run("check").out  # without its HTTP side nothing tells credit, and so no price is needed for it
    for name in find_plugins():
        plugin = load_plugin(name)
        facts = read_facts(name, ())
        names = ("config_type", "traits", "check", "narrow", "read_code")
        assert [getattr(facts, key) for key in names] == [getattr(plugin, key) for key in names]


CODES = '[providers.s]\nplugin = "smpp"\nhost = "h"\nusername = "u"\npassword = "p"\ncodes = { "%s" = "no_credit" }\n'


@pytest.mark.parametrize("code", ["0x45", "0x00000045", "ESME_RSUBMITFAIL", "rsubmitfail"])
def test_a_code_in_any_form_that_an_smsc_s_manual_has(desk: Desk, code: str) -> None:
    desk.write(CODES % code)
    tree = desk.run("check", "--effective", "--json").json
    assert tree["providers"]["s"]["codes"] == {"0x45": "no_credit"}


@pytest.mark.parametrize("code", ["45", "69", "no money", ""])
def test_what_is_no_code_of_a_plugin_is_refused(desk: Desk, code: str) -> None:
    """It would stand there and never be met."""
    desk.write(CODES % code)
    ran = desk.run("check")
    assert (ran.code, "broker.toml:6: providers.s.codes" in ran.out, 'write it as "0x58"' in ran.out) == (78, True, True)


WORDS = [("smscru", "9", "9"), ("smscru", "0x0000040A", "0x40A"), ("isms", "Insufficient credits.", "Insufficient credits."),
         ("isms", "RTHROTTLED", "0x58"), ("mitake", "Q", "Q"), ("subito", "-99", "-99")]  # fmt: skip


@pytest.mark.parametrize(("plugin", "code", "read"), WORDS)
def test_codes_of_the_others(desk: Desk, plugin: str, code: str, read: str) -> None:
    desk.write(f'[providers.s]\nplugin = "{plugin}"\nusername = "u"\npassword = "p"\ncodes = {{ "{code}" = "unavailable" }}\n')
    assert desk.run("check", "--effective", "--json").json["providers"]["s"]["codes"] == {read: "unavailable"}


def test_shorten() -> None:
    assert settings_verbs.shorten("") == ""


# ---- plugins


def test_plugins(desk: Desk) -> None:
    ran = desk.run("plugins")
    assert (ran.code, ran.err) == (0, "")
    names = [line.split()[0] for line in ran.out.splitlines()]
    assert names == ["plugin", *sorted(folder.parent.name for folder in PLUGINS.glob("*/plugin.py"))]
    document = desk.run("plugins", "--json").json
    mitake = next(plugin for plugin in document["plugins"] if plugin["name"] == "mitake")
    assert mitake["traits"]["unit"] == "points"
    assert mitake["traits"]["channels"] == ["sms"]
    assert mitake["codes"] > 10


def test_a_plugin_that_cannot_be_loaded_is_told(desk: Desk) -> None:
    (desk.home / "own" / "broken").mkdir(parents=True)
    desk.write("raise RuntimeError('no')\n", "own/broken/plugin.py")
    desk.write('[broker]\nplugin_path = ["own"]\n')
    ran = desk.run("plugins")
    assert ran.code == 1
    assert "broken: " in ran.out
    assert "plugin.py: cannot be loaded: RuntimeError: no" in ran.out
    assert "mitake" in ran.out
    broken = next(plugin for plugin in desk.run("plugins", "--json").json["plugins"] if plugin["name"] == "broken")
    assert "cannot be loaded" in broken["error"]


def test_a_plugin_path_with_nothing_in_it(desk: Desk) -> None:
    desk.write('[broker]\nplugin_path = ["nowhere"]\n')
    ran = desk.run("plugins")
    assert (ran.code, ran.out) == (1, "")
    assert f"{desk.home}/nowhere holds no plugin" in ran.err


@pytest.mark.parametrize("verb", ["check", "run"])
@pytest.mark.parametrize(("at", "told"), [("own/mine", "anybody can write to"), ("var/mine", "which the broker itself writes to")])
def test_a_plugin_that_others_could_change_is_no_plugin(desk: Desk, verb: str, at: str, told: str) -> None:
    folder = desk.home / at
    folder.mkdir(parents=True)
    desk.write("raise SystemExit('loaded')\n", f"{at}/plugin.py")
    folder.chmod(0o777)
    desk.write(f'[broker]\nplugin_path = ["{folder.parent.name}"]\n[providers.a]\nplugin = "mine"\n')
    ran = desk.run(verb)
    assert ran.code == 78
    assert told in ran.out + ran.err
    assert "loaded" not in ran.out + ran.err


# ---- run and demo


@pytest.mark.parametrize(("words", "twins"), [(("run",), False), (("run", "--twins"), True)])
def test_run(desk: Desk, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], twins: bool) -> None:
    ran_with: list[tuple[Path, bool]] = []

    def run_daemon(config: Path, *, twins: bool) -> int:
        ran_with.append((config, twins))
        return 7

    monkeypatch.setattr("broker.daemon.run_daemon", run_daemon)
    desk.write(GOOD)
    assert desk.run(*words).code == 7
    assert ran_with == [(Path("broker.toml"), twins)]


def test_run_with_a_bad_configuration(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: Path, *, twins: bool) -> int:
        raise ConfigError([Problem("rules[0]", 3, "what, and what to do", str(config.absolute()))])

    monkeypatch.setattr("broker.daemon.run_daemon", refuse)
    desk.write(GOOD)
    assert desk.run("run") == (78, "", "broker.toml:3: rules[0]: what, and what to do\n")


@pytest.mark.parametrize(
    ("words", "asked_for"),
    [(("demo",), (False, False)), (("demo", "--keep"), (True, False)), (("demo", "--json"), (False, True))],
)
def test_demo(desk: Desk, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], asked_for: tuple[bool, bool]) -> None:
    asked: list[tuple[bool, bool]] = []

    def run_demo(keep: bool, *, as_json: bool) -> int:
        asked.append((keep, as_json))
        return 1

    monkeypatch.setattr("broker.cli.demo.run_demo", run_demo)
    assert desk.run(*words).code == 1
    assert asked == [asked_for]


def test_every_verb_that_prints_prints_json(desk: Desk) -> None:
    """CONTRACT §2: all but `run`, which is the broker itself."""
    for verb in VERBS:
        assert ("--json" in desk.run(verb, "--help").out) == (verb != "run"), verb
