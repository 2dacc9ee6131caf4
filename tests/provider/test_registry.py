"""Finding and loading plugins: where from, in which order, what is refused, and what the refusal says."""

import grp
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.provider import registry, writers
from broker.provider.contract import Traits, TwinReply, TwinRequest
from broker.provider.registry import PluginError, find_plugins, load_plugin

PLUGIN = """
import msgspec
from broker.provider.contract import Call, Outcome, Traits
{more}
TITLE = "Semaphore (flags)"
MANUAL = "the flag book, 1866"


class Config(msgspec.Struct, frozen=True):
    flags: int = 2


TRAITS = Traits(batch=3)
CODES = {{"up": "accepted", "down": "rejected"}}


def build(config, sends, now):
    return Call("GET", "http://localhost/")


def parse(config, reply, sends):
    return [Outcome(CODES["up"]) for _ in sends]
"""
TWIN = """
from .plugin import CODES
from broker.provider.contract import TwinReply


class Twin:
    def __init__(self, **script):
        self.sent = []

    def answer(self, request, now):
        return TwinReply(body="".join(CODES).encode())
"""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No plugin of a test is left behind for another."""
    loaded = dict(registry._loaded)
    yield
    registry._loaded.clear()
    registry._loaded.update(loaded)
    for name in [name for name in sys.modules if name.startswith("_broker_plugin_semaphore")]:
        del sys.modules[name]


def write_plugin(folder: Path, name: str = "semaphore", text: str = PLUGIN, more: str = "", **files: str) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    (place / "plugin.py").write_text(text.format(more=more))
    for file, content in files.items():
        (place / f"{file}.py").write_text(content)
    return place / "plugin.py"


def refusal(*args: Any) -> str:
    with pytest.raises(PluginError) as caught:
        load_plugin(*args)
    return str(caught.value)


def test_a_plugin_whole(tmp_path: Path) -> None:
    path = write_plugin(tmp_path, twin=TWIN)
    plugin = load_plugin("semaphore", [tmp_path])
    assert (plugin.name, plugin.path, plugin.title, plugin.manual) == (
        "semaphore",
        path,
        "Semaphore (flags)",
        "the flag book, 1866",
    )
    assert plugin.traits == plugin.find_traits(plugin.config_type()) == Traits(batch=3)
    assert plugin.codes == {"up": "accepted", "down": "rejected"}
    assert plugin.query_codes == {}
    assert plugin.build is not None
    assert plugin.build(plugin.config_type(), [], 0).method == "GET"
    assert (plugin.query, plugin.parse_query, plugin.balance, plugin.parse_balance, plugin.buckets) == (None,) * 5
    assert (plugin.open_session, plugin.check, plugin.shape, plugin.narrow) == (None,) * 4
    assert repr(plugin) == "Plugin(semaphore)"
    assert load_plugin("semaphore", [tmp_path]) is plugin
    assert plugin.twin_type().answer(TwinRequest("GET", "/", "", {}, b""), 0) == TwinReply(body=b"updown")


def test_the_private_package(tmp_path: Path) -> None:
    write_plugin(tmp_path, more="from .flags import FLAGS", flags="FLAGS = 2")
    before = set(sys.modules)
    plugin = load_plugin("semaphore", [tmp_path])
    new = {name for name in set(sys.modules) - before if "semaphore" in name or name.startswith("plugin")}
    assert new == {"_broker_plugin_semaphore", "_broker_plugin_semaphore.plugin", "_broker_plugin_semaphore.flags"}
    assert plugin.config_type.__module__ == "_broker_plugin_semaphore.plugin"


def test_traits_of_an_account(tmp_path: Path) -> None:
    write_plugin(tmp_path, more="def traits(config):\n    return Traits(batch=config.flags)")
    plugin = load_plugin("semaphore", [tmp_path])
    assert plugin.find_traits(plugin.config_type()).batch == 2


@pytest.mark.parametrize("given", ["semaphore/plugin.py", "semaphore", "semaphore/"], ids=["file", "folder", "folder with a slash"])
def test_by_path(given: str, tmp_path: Path) -> None:
    path = write_plugin(tmp_path, twin=TWIN)
    plugin = load_plugin(f"{tmp_path}/{given}")
    assert (plugin.name, plugin.path) == ("semaphore", path)
    assert plugin is load_plugin("semaphore", [tmp_path])


def test_a_single_file(tmp_path: Path) -> None:
    write_plugin(tmp_path, twin=TWIN).rename(tmp_path / "semaphore.py")
    plugin = load_plugin("semaphore", [tmp_path / "semaphore.py"])
    assert plugin is load_plugin(tmp_path / "semaphore.py")
    with pytest.raises(PluginError, match=r'"semaphore" has no twin: a file twin\.py beside'):
        _ = plugin.twin_type


@pytest.mark.parametrize("entry", [".", "semaphore", "semaphore/plugin.py"])
def test_entries_of_plugin_path(entry: str, tmp_path: Path) -> None:
    path = write_plugin(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "notes").mkdir()
    found = find_plugins([tmp_path / entry])
    assert found["semaphore"] == path
    assert found.keys() == {*find_plugins(), "semaphore"}


def test_finding_executes_nothing(tmp_path: Path) -> None:
    write_plugin(tmp_path, text="raise SystemExit")
    assert "semaphore" in find_plugins([tmp_path])


def test_the_shipped_ones_are_there_and_whole() -> None:
    shipped = find_plugins()
    assert set(shipped) >= {"mitake", "tatango", "isms", "subito", "loopback"}
    for name in shipped:
        assert load_plugin(name).name == name


def test_in_a_wheel_they_stand_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plugin(tmp_path / "plugins", "stranger")  # somebody else's top-level package
    monkeypatch.setattr(registry, "_PACKAGE", tmp_path / "broker")
    assert find_plugins() == {}
    path = write_plugin(tmp_path / "broker" / "plugins")
    assert find_plugins() == {"semaphore": path}


def test_the_operators_plugin_comes_before_the_shipped_one(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    path = write_plugin(first, "mitake")
    write_plugin(second, "mitake", text="")
    assert find_plugins([first, second])["mitake"] == path
    assert find_plugins()["mitake"] != path
    ours, theirs = load_plugin("mitake"), load_plugin("mitake", [first, second])
    assert theirs.title == "Semaphore (flags)"
    assert ours.config_type is not theirs.config_type
    assert load_plugin("mitake") is ours


ENTRY = "[broker.plugins]\nsemaphore = acme_flags.sms:x\nmitake = acme_flags.sms\nlost = acme_lost.sms\nbad = 1 2\n"


def test_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_plugin(tmp_path / "acme_flags", "sms", twin=TWIN)
    (tmp_path / "acme_flags" / "__init__.py").write_text("raise SystemExit('imported')")
    info = tmp_path / "acme_flags-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-flags\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY)
    monkeypatch.syspath_prepend(tmp_path)
    found = find_plugins()
    assert found["semaphore"] == path
    assert found["mitake"].is_relative_to(registry.find_shipped())  # nobody's package takes the place of a shipped one
    assert not {"lost", "bad"} & found.keys()
    assert load_plugin("semaphore").twin_type().sent == []


def test_no_such_plugin(tmp_path: Path) -> None:
    write_plugin(tmp_path)
    with pytest.raises(PluginError, match=r'no plugin is called "mitke"; there are: .*mitake.*; plugin_path') as caught:
        load_plugin("mitke", [tmp_path])
    assert {"mitake", "semaphore"} <= set(caught.value.known)
    assert "there is no plugin" in refusal(f"{tmp_path}/nowhere")
    assert "there is no plugin" in refusal(f"{tmp_path}/")
    assert "there is no plugin" in refusal("nowhere.py")


def test_an_entry_that_holds_no_plugin(tmp_path: Path) -> None:
    for entry in (tmp_path, tmp_path / "nowhere"):
        assert refusal("mitake", [entry]).startswith(f"plugin_path: {entry} holds no plugin")


BROKEN: list[tuple[str, str, str]] = [
    ("syntax", "def", "SyntaxError"),
    ("import", "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ("raises", "1 / 0", "ZeroDivisionError"),
    ("ends the process", "raise SystemExit(3)", "SystemExit: 3"),
]


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_plugin(text: str, said: str, tmp_path: Path) -> None:
    path = write_plugin(tmp_path, text=text)
    message = refusal("semaphore", [tmp_path])
    assert message.startswith(f"{path}: cannot be loaded: ")
    assert said in message
    path.write_text(PLUGIN.format(more="") + "\n# corrected\n")
    assert load_plugin("semaphore", [tmp_path]).title == "Semaphore (flags)"


LACKING: list[tuple[str, str, str, str]] = [
    ("title", 'TITLE = "', 'OTHER = "', "TITLE is missing"),
    ("manual", 'MANUAL = "', 'OTHER = "', "MANUAL is missing"),
    ("config", "class Config(", "class Other(", "Config is missing"),
    ("config of another kind", "(msgspec.Struct, frozen=True)", "", "Config is missing"),
    ("traits", "TRAITS =", "OTHER =", "TRAITS is missing"),
    ("codes", "CODES =", "OTHER =", "CODES is missing"),
    ("class", '"rejected"', '"refused"', 'CODES gives "down" the class "refused"'),
    ("query class", "CODES =", 'QUERY_CODES = {{"x": "sent"}}\nCODES =', 'QUERY_CODES gives "x" the class "sent"'),
    ("build", "def build(", "def other(", "build is missing (parse is there: they go in pairs)"),
    ("parse", "def parse(", "def other(", "parse is missing (build is there: they go in pairs)"),
    ("pair", "def build(", "def query(c, a, n): ...\ndef build(", "parse_query is missing"),
    ("no function", "def build(", "buckets = 3\ndef build(", "buckets is no function"),
]


@pytest.mark.parametrize(("old", "new", "said"), [row[1:] for row in LACKING], ids=[row[0] for row in LACKING])
def test_a_plugin_that_lacks_something(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in PLUGIN
    path = write_plugin(tmp_path, text=PLUGIN.replace(old, new))
    message = refusal("semaphore", [tmp_path])
    assert message.startswith(f"{path}: is no plugin yet: ")
    assert said in message


def test_all_that_lacks_is_said_at_once(tmp_path: Path) -> None:
    write_plugin(tmp_path, text="")
    message = refusal("semaphore", [tmp_path])
    for name in ("TITLE", "MANUAL", "Config", "TRAITS", "CODES", "build and parse"):
        assert f"{name} " in message


@pytest.mark.parametrize(("twin", "said"), [("", "has no class Twin"), ("1 / 0", "ZeroDivisionError")], ids=["no class", "broken"])
def test_a_bad_twin(twin: str, said: str, tmp_path: Path) -> None:
    write_plugin(tmp_path, twin=twin)
    plugin = load_plugin("semaphore", [tmp_path])
    with pytest.raises(PluginError, match=said):
        _ = plugin.twin_type
    (tmp_path / "semaphore" / "twin.py").write_text(TWIN + "# corrected\n")
    assert plugin.twin_type.__module__ == "_broker_plugin_semaphore.twin"


@pytest.mark.parametrize("place", ["semaphore/plugin.py", "semaphore/twin.py", "semaphore", "."])
@pytest.mark.parametrize("mode", [0o777, 0o1777])  # a sticky folder of its own still takes anybody's new file
def test_what_anybody_can_write_to_is_refused(place: str, mode: int, tmp_path: Path) -> None:
    if place == "." and mode == 0o1777:
        return
    write_plugin(tmp_path, twin=TWIN, more="import broker.no_such_thing  # never reached")
    open_to_all = (tmp_path / place).resolve()
    open_to_all.chmod(mode)
    assert f"anybody can write to {open_to_all}; chmod o-w {open_to_all}" in refusal("semaphore", [tmp_path])


def test_a_twin_that_anybody_can_write_to_is_refused(tmp_path: Path) -> None:
    write_plugin(tmp_path, twin=TWIN)
    plugin = load_plugin("semaphore", [tmp_path])
    (tmp_path / "semaphore" / "twin.py").chmod(0o666)
    with pytest.raises(PluginError, match="anybody can write"):
        _ = plugin.twin_type


def test_a_shared_folder_on_the_way_is_fine_where_only_owners_rename(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    write_plugin(tmp_path / "mine")
    assert load_plugin("semaphore", [tmp_path / "mine"]).name == "semaphore"


OTHER = 4711
"""A user that the machine has no name for."""


@pytest.fixture
def as_root() -> None:
    """Owners can be given away by root alone."""
    if os.getuid() != 0:
        pytest.skip("not root: a file's owner goes UNCHECKED here")


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("place", ["semaphore/plugin.py", "semaphore/twin.py", "semaphore/more/a.py", "semaphore/more", "semaphore", "."])
def test_what_somebody_else_owns_is_refused(place: str, tmp_path: Path) -> None:
    write_plugin(tmp_path, twin=TWIN, more="import broker.no_such_thing  # never reached")
    (tmp_path / "semaphore" / "more").mkdir()
    (tmp_path / "semaphore" / "more" / "a.py").touch()
    theirs = (tmp_path / place).resolve()
    os.chown(theirs, OTHER, -1)
    assert f"the user {OTHER} owns {theirs}; chown root {theirs}" in refusal("semaphore", [tmp_path])


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("theirs", ["far", "far/more", "far/more/a.py"])
def test_what_a_link_leads_to_is_looked_at_with_the_way_there(theirs: str, tmp_path: Path) -> None:
    path = write_plugin(tmp_path)
    (tmp_path / "far" / "more").mkdir(parents=True)
    (tmp_path / "far" / "more" / "a.py").touch()
    (path.parent / "more").symlink_to(tmp_path / "far" / "more")
    os.chown(tmp_path / theirs, OTHER, -1)
    assert f"the user {OTHER} owns" in refusal(path)


@pytest.mark.usefixtures("as_root")
def test_what_the_brokers_own_user_owns_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_plugin(tmp_path)
    os.chown(path, OTHER, -1)
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    assert load_plugin("semaphore", [tmp_path]).path == path


@pytest.mark.usefixtures("as_root")
def test_whose_the_brokers_code_is_may_write_plugins_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout by an ordinary user, run by root."""
    os.chown(write_plugin(tmp_path / "plugins"), OTHER, -1)
    code = tmp_path / "broker" / "__init__.py"
    code.parent.mkdir()
    code.touch()
    os.chown(code, OTHER, -1)
    monkeypatch.setattr(writers, "_CODE", code)
    assert load_plugin("semaphore", [tmp_path / "plugins"]).name == "semaphore"


@pytest.mark.usefixtures("as_root")
def test_a_group_with_somebody_else_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_plugin(tmp_path)
    path.chmod(0o664)
    monkeypatch.setattr(pwd, "getpwall", lambda: [pwd.getpwuid(0)])
    assert load_plugin(path).name == "semaphore"  # root's own group: nobody else is in it
    nobody = pwd.getpwuid(65534)
    monkeypatch.setattr(pwd, "getpwall", lambda: [pwd.getpwuid(0), nobody])
    os.chown(path, -1, nobody.pw_gid)
    path.with_name("twin.py").touch()  # so that it is no longer the one that was loaded
    group = grp.getgrgid(nobody.pw_gid).gr_name
    with pytest.raises(PluginError, match=f"the group {group} can write to {path}; chmod g-w"):
        _ = load_plugin(path).twin_type
    os.chown(path, -1, OTHER)
    with pytest.raises(PluginError, match=f"the group {OTHER} can write"):
        _ = load_plugin(path).twin_type


@pytest.mark.parametrize("name", ["semaphore.py", "semaphore/plugin.py"])
def test_what_python_keeps_compiled_is_looked_at_too(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_plugin(tmp_path)
    if name == "semaphore.py":
        (tmp_path / "semaphore" / "plugin.py").rename(path)
    kept = path.parent / "__pycache__"
    kept.mkdir()
    kept.chmod(0o777)
    assert f"anybody can write to {kept}" in refusal(path)


def test_a_folder_that_is_no_plugins_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "MOST_FILES", 3)
    path = write_plugin(tmp_path, twin=TWIN, a="")
    (path.parent / ".git").mkdir()
    (path.parent / ".git" / "index").touch()
    assert load_plugin(path).name == "semaphore"
    (path.parent / "b.py").touch()
    with pytest.raises(PluginError, match="holds more than 3 files"):
        _ = load_plugin(path).twin_type
