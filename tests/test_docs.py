"""Holds README.md and broker.toml to the code: nothing in them that does not exist, and nothing left out.

The truth is the code's own tables. README's diagram of the statuses is drawn here: `python -m tests.test_docs` writes it anew.
"""

import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.api.control import LATER as LATER_OPS
from broker.cli import main, trouble
from broker.cli.verbs import LATER, VERBS
from broker.config import check_settings, read_settings
from broker.config import providers as provider_forms
from broker.config.hooks import inbound_forms, inbound_match_forms
from broker.config.places import Places
from broker.config.rules import match_forms, rule_forms
from broker.config.sections import (
    LATER_SECTIONS,
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
from broker.daemon import find_facts
from broker.delivery.submission import Submit
from broker.provider.registry import find_plugins, load_plugin
from broker.words import settings as words
from broker.words.channel import CHANNELS, SMS, TEXTLESS
from broker.words.clock import read_span
from broker.words.outcome import CLASSES
from broker.words.status import FINAL, HARD, HELD_CAUSES, LIVE, SELF_RELEASING, STATUSES, TRANSITIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLE = ROOT / "broker.toml"
SECRETS = ("MITAKE_PASSWORD", "TATANGO_KEY", "TATANGO_PASSWORD", "ISMS_PASSWORD", "SUBITO_PASSWORD", "SMSCRU_PASSWORD")
NOT_YET = "not in this version"


def section(title: str) -> str:
    """The text under a heading of README, up to the next."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found is not None, f"README has no section {title}"
    return found[1]


def rows(title: str) -> dict[str, str]:
    """The first table under a heading: what stands in backticks in the first cell → the rest of the row."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: line.split("|", 2)[2] for line in lines}


def block(language: str) -> str:
    """README's first block of code in that language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert found is not None, f"README has no block of {language}"
    return found[1]


# ---- the diagram of the statuses

_BOX = frozenset({"canceled", "expired", "undelivered", "blocked", "delivered"})


def draw_statuses() -> str:
    """TRANSITIONS as a mermaid diagram: what receipts decide stands in a box, and an arrow to the box leads to all in it."""
    lines = ["stateDiagram-v2", '    state "what a receipt decides" as receipt {']
    ranked = sorted(_BOX, key=lambda status: -len(TRANSITIONS[status]))
    assert all(TRANSITIONS[status] == set(ranked[n + 1 :]) for n, status in enumerate(ranked)), "the ranks are no chain"
    lines += [f"        {low} --> {high}" for low, high in pairwise(ranked)]
    lines += ["    }", "    [*] --> queued", "    [*] --> scheduled"]
    for status in STATUSES:
        if status in _BOX:
            continue
        targets = TRANSITIONS[status]
        if targets >= _BOX:
            targets = (targets - _BOX) | {"receipt"}
        lines += [f"    {status} --> {target}" for target in sorted(targets, key=[*STATUSES, "receipt"].index)]
    return "\n".join(lines) + "\n"


def test_diagram_is_drawn_from_the_table() -> None:
    assert block("mermaid") == draw_statuses(), "draw it anew: .venv/bin/python -m tests.test_docs"


# ---- words


def test_every_verb_is_there_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    named = {name.split()[0] for name in rows("The command")}
    assert named == set(VERBS)
    assert [name for name in rows("The command") if name not in {verb.shape for verb in VERBS.values()}] == []
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [verb for verb in named if f"  {verb}" not in shown] == []


def test_the_changelog_counts_them_right() -> None:
    assert f"{len(VERBS)} verbs" in (ROOT / "CHANGELOG.md").read_text()


def test_options_in_the_table_of_verbs_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in rows("The command").items():
        verb = name.split()[0]
        assert main([verb, "--help"]) == 0
        shown = capsys.readouterr().out
        missing = [option for option in re.findall(r"--[a-z-]+", text) if option not in shown]
        assert missing == [], f"broker {verb} has no {missing}"


def test_exit_codes() -> None:
    told = set(map(int, re.findall(r"[:,]\s(\d+) ", section("The command"))))
    known = {code for name, code in vars(trouble).items() if name.isupper() and isinstance(code, int)}
    assert told == known


def test_every_status() -> None:
    found = rows("Statuses of a message")
    assert list(found) == list(STATUSES)
    for status, text in found.items():
        kind = text.split("|")[0].strip()
        assert kind == ("live" if status in LIVE else "final" if status in HARD else "final, soft"), status
    assert set(found) == LIVE | FINAL


def test_every_class() -> None:
    assert list(rows("What an attempt came to, and what follows")) == list(CLASSES)


def test_every_held_cause() -> None:
    text = " ".join(section("Statuses of a message").partition("`held` has a cause:")[2].split())
    alone, _, others = text.partition(" At the end ")[0].partition("pass by themselves;")
    assert set(re.findall(r"`([a-z_]+)`", alone)) == SELF_RELEASING
    assert set(re.findall(r"`([a-z_]+)`", others)) == HELD_CAUSES - SELF_RELEASING


def test_fields_of_a_submit() -> None:
    sentence = re.search(r"A submit has (.*?); other", README, re.DOTALL)
    assert sentence is not None
    fields = {field.encode_name for field in msgspec.structs.fields(Submit)}
    assert set(re.findall(r"`([a-z_]+)`", sentence[1])) == fields - {"op", "id"}


def test_every_channel_is_told() -> None:
    assert set(rows("Channels")) == set(CHANNELS)
    for channel, text in rows("Channels").items():
        assert ("no text" in text) == (channel in TEXTLESS), channel
        assert ("a segment" in text) == (channel in SMS), channel


def test_what_is_not_in_this_version_is_listed() -> None:
    told = section("Not in this version")
    names = {*LATER, *LATER_SECTIONS, *provider_forms.LATER_PLUGINS}
    assert [name for name in sorted(names) if not re.search(rf"`\[*{name}\]*`", told)] == []
    assert {name.replace("_", "-") for name in LATER_OPS} <= LATER
    assert not set(VERBS) & LATER


@pytest.mark.parametrize("verb", sorted(LATER))
def test_a_verb_of_a_later_version_says_so(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb]) == 1
    assert NOT_YET in capsys.readouterr().err


def test_every_plugin_and_what_it_can_do() -> None:
    found = rows("One configuration, understood at sight")
    assert set(found) == set(find_plugins())
    for name, text in found.items():
        traits = load_plugin(name).traits
        _, learns, credit, sender = (cell.strip() for cell in text.strip("|").split("|"))
        assert ("asking" in learns) == ("poll" in traits.receipts), name
        assert ("unconfirmed" in learns) == (not traits.receipts), name
        assert (credit in ("not told", "none")) == (traits.unit is None), name
        assert (sender == "its own") == (traits.senders == {"none"}), name


def test_make_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


# ---- broker.toml, key by key

FORMS: dict[str, tuple[Mapping[str, Any], type[msgspec.Struct] | None]] = {
    "[broker]": (broker_forms(Places()), words.BrokerSettings),
    "[store]": (store_forms(Places()), words.StoreSettings),
    "[submit]": (submit_forms(Places()), words.SubmitSettings),
    "[control]": (control_forms(Places()), words.ControlSettings),
    "[feed]": (feed_forms(Places()), words.FeedSettings),
    "[callbacks]": (callback_forms(Places()), words.CallbackSettings),
    "[tokens.NAME]": (TOKEN_FORMS, None),
    '[clients."unix:USER"]': (client_forms({}), None),
    "[guard]": (guard_forms(Places()), words.GuardSettings),
    "[suppress]": (suppress_forms(Places()), words.SuppressSettings),
    "[providers.NAME]": (provider_forms.PROVIDER_FORMS, words.ProviderSettings),
    "[[rules]]": (rule_forms((), {}), words.RuleSettings),
    "[[inbound]]": ({**inbound_forms(Places(), ()), **inbound_match_forms(())}, None),
    "match": (match_forms({}), None),
}
INNER: dict[str, tuple[Mapping[str, Any], type[msgspec.Struct]]] = {
    "credit": (provider_forms._CREDIT, words.CreditSettings),
    "breaker": (provider_forms._BREAKER, words.BreakerSettings),
    "spend": (provider_forms._SPEND, words.SpendSettings),
    "on": ({"retry": None, "then": None}, words.Action),
}
# Words in backticks that are no key of their row: values, and a section that is spoken of.
NO_KEYS = {"[tokens.NAME]": {"submit", "read", "numbers", "text", "operate"}, '[clients."unix:USER"]': {"true"}}


def keys_of(name: str) -> set[str]:
    forms = set(FORMS[name][0])
    inner = {key for table, (keys, _) in INNER.items() if table in forms for key in keys}
    return forms | inner | ({"plugin"} if name == "[providers.NAME]" else set())


@pytest.mark.parametrize("name", FORMS)
def test_every_key_is_named_and_no_other(name: str) -> None:
    row = rows("Every key of broker.toml")[name]
    named = set(re.findall(r"`([a-z_0-9]+)`", row))
    cross = {"data_dir"} if name == "[store]" else {"blocked"} if name == "[suppress]" else set()
    assert keys_of(name) - named == set(), "not in README"
    assert named - keys_of(name) - NO_KEYS.get(name, set()) - cross == set(), "not in the code"


def test_sections_and_plugins_of_the_table_are_all_there() -> None:
    named = set(rows("Every key of broker.toml"))
    assert named == {*FORMS, "[currencies]", *find_plugins()}


@pytest.mark.parametrize("name", sorted(find_plugins()))
def test_every_key_of_a_plugin(name: str) -> None:
    fields = {field.name for field in msgspec.structs.fields(load_plugin(name).config_type)}
    named = set(re.findall(r"`([a-z_]+)`", rows("Every key of broker.toml")[name]))
    if name != "smpp" and "smpp" in named:  # its keys are told once
        assert fields - {field.name for field in msgspec.structs.fields(load_plugin("smpp").config_type)} <= named <= fields | {"smpp"}
    else:
        assert named == fields


def find_defaults() -> Iterator[tuple[str, str, Any]]:
    tables = [(row, forms, cls) for row, (forms, cls) in FORMS.items() if cls is not None]
    owner = {"on": "[[rules]]"}
    tables += [(owner.get(name, "[providers.NAME]"), forms, cls) for name, (forms, cls) in INNER.items() if name != "on"]
    for row, forms, cls in tables:
        for field in msgspec.structs.fields(cls):
            if field.encode_name not in forms or isinstance(field.default, msgspec.Struct):
                continue
            if field.default not in (None, "", msgspec.NODEFAULT) and field.default != ():
                yield row, field.encode_name, forms[field.encode_name].show(field.default)


@pytest.mark.parametrize(("row", "key", "shown"), list(find_defaults()))
def test_default(row: str, key: str, shown: Any) -> None:
    text = rows("Every key of broker.toml")[row]
    # from the key to the next one; inside { } the next follows a comma
    told = re.split(r" · |, `| }", text.partition(f"`{key}`")[2])[0]
    if key == "on" or (key == "currency" and row == "[providers.NAME]"):
        return  # an empty table; and the broker's own
    wanted = json.dumps(shown)
    spans = [read_span(span) for span in re.findall(r'"(\d+[a-z]+)"', told)]
    is_span = isinstance(shown, str) and re.fullmatch(r"\d+(ms|[smhd])", shown)
    assert read_span(shown) in spans if is_span else wanted in told, f"{key}: the default is {wanted}, README says {told}"


# ---- the examples


def read_checked(file: Path, monkeypatch: pytest.MonkeyPatch) -> words.Settings:
    for name in ("RUNTIME_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name in SECRETS:
        monkeypatch.setenv(name, "s3cret")  # SMPP has room for eight characters
    settings = read_settings(file, plugins=find_facts)
    assert [str(problem) for problem in check_settings(settings, find_facts)] == []
    return settings


def test_the_block_in_readme_passes_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(block("toml"))
    read_checked(file, monkeypatch)
    assert main(["check", "--config", str(file)]) == 0
    assert "no warnings" in capsys.readouterr().out
    for name in SECRETS:
        monkeypatch.delenv(name)
    assert main(["check", "--twins", "--config", str(file)]) == 0


def test_the_example_passes_check(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_checked(EXAMPLE, monkeypatch)
    assert set(settings.providers) == {"mitake", "tatango", "isms", "subito", "smscru"}
    assert {rule.order for rule in settings.rules} >= {"listed", "cheapest", "most_credit"}


def test_the_example_names_the_secrets_it_needs() -> None:
    assert set(re.findall(r'env = "(\w+)"', EXAMPLE.read_text())) == {*SECRETS, "SHOP_WEBHOOK", "CRM_WEBHOOK"}
    tree = tomllib.loads(EXAMPLE.read_text())
    for name, provider in tree["providers"].items():
        for key in ("password", "key"):
            assert not isinstance(provider.get(key, {}), str), f"a password of {name} stands in the file"


def is_local(listen: str) -> bool:
    return listen.startswith("unix:") or ipaddress.ip_address(listen.rpartition(":")[0].strip("[]")).is_loopback


@pytest.mark.parametrize("text", [EXAMPLE.read_text(), block("toml")], ids=["example", "readme"])
def test_every_listener_is_loopback(text: str) -> None:
    listeners = re.findall(r'^#?\s*listen = "([^"]+)"', text, re.MULTILINE)
    assert listeners
    assert all(map(is_local, listeners))
    assert not is_local("0.0.0.0:8781")


def test_no_path_of_the_example_leaves_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_checked(EXAMPLE, monkeypatch)
    for path in (settings.broker.data_dir, settings.submit.socket, settings.control.socket):
        assert Path(path).is_relative_to(ROOT / "var")
    assert re.findall(r'= "(?:/|~|\.\.)', EXAMPLE.read_text()) == []


def test_links_resolve() -> None:
    for name in ("README.md", "CHANGELOG.md", "deploy/README.md"):
        text = re.sub(r"^```.*?^```$", "", (ROOT / name).read_text(), flags=re.DOTALL | re.MULTILINE)
        for link in re.findall(r"\]\(([^)]+)\)", text):
            if not link.startswith("https://"):
                assert ((ROOT / name).parent / link).exists(), f"{name}: {link}"


# ---- what README says to type


@pytest.fixture
def running_broker() -> Iterator[Path]:
    """README's configuration under `run --twins`, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="docs-"))  # pytest's folders are too deep for a socket's path
    text = block("toml").replace('"127.0.0.1:8781"', '"unix:./feed.sock"')  # another test, or a person, may have the port
    (folder / "broker.toml").write_text(text)
    foreign = ("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "BROKER_CONFIG", "NOTIFY_SOCKET")
    environ = {name: value for name, value in os.environ.items() if name not in foreign}
    process = subprocess.Popen(
        [sys.executable, "-m", "broker", "run", "--twins"], cwd=folder, env={**environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 15
        while not (folder / "var/submit.sock").exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)  # a real process: there is no virtual time to wait in
        yield folder
    finally:
        process.terminate()
        process.communicate(timeout=15)
        shutil.rmtree(folder)


def test_what_readme_says_to_type_works(running_broker: Path) -> None:
    run = [sys.executable, "-c", block("python")]
    shown = subprocess.run(run, cwd=running_broker, capture_output=True, text=True, timeout=15, check=True).stdout
    assert shown.count("'ok': True") == 2
    line = block("sh").strip()
    said, _, told = line.partition(" | ")
    assert json.loads(said.removeprefix("echo '").removesuffix("'"))["to"]
    assert told == "nc -NU var/submit.sock"
    if shutil.which("nc"):
        answer = subprocess.run(["sh", "-c", line], cwd=running_broker, capture_output=True, text=True, timeout=15, check=True)
        assert json.loads(answer.stdout)["ok"] is True


if __name__ == "__main__":
    begin, _, rest = README.partition("```mermaid\n")
    (ROOT / "README.md").write_text(f"{begin}```mermaid\n{draw_statuses()}```{rest.partition('```')[2]}")
