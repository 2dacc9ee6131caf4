"""Finds plugins, loads them, and holds each against the form that `contract` describes.

A plugin comes, in this order, from `plugin_path`, from the ones that ship with the broker, or from another package's entry
point (group `broker.plugins`). It is loaded as a private package, `_broker_plugin_NAME`, so that no package called
`plugins` lands anywhere; finding executes nothing. A plugin's code runs with the broker's rights: what
others could write to is refused (`writers`). The truth about a plugin is its own file.
"""

import importlib.util
import re
import sys
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

import broker
from broker.provider import writers
from broker.provider.contract import (
    Ask,
    Balance,
    Call,
    CallbackRequest,
    ContactChange,
    Outcome,
    Parsed,
    Receipt,
    Reply,
    Send,
    Session,
    Traits,
    Twin,
)
from broker.text import Verdict
from broker.words.message import Message
from broker.words.outcome import CLASSES
from broker.words.receipt import RECEIPT_CLASSES

__all__ = ["Plugin", "PluginError", "find_plugins", "load_plugin"]

GROUP = "broker.plugins"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PACKAGE = Path(broker.__file__).resolve().parent
_PAIRS = (
    ("build", "parse"),
    ("query", "parse_query"),
    ("balance", "parse_balance"),
    ("price", "parse_price"),
    ("cancel", "parse_cancel"),
    ("contact", "parse_contact"),
)
_OPTIONAL = ("buckets", "receipts", "open_session", "check", "shape", "measure", "read_code")


class PluginError(Exception):
    """A plugin cannot be used. The message says which file, what is wrong and what to do; `known` names those there are."""

    def __init__(self, message: str, known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.known = tuple(known)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Plugin:
    """One plugin, whole: its facts and its functions (`contract` says what each means); a function it lacks is None.

    `check(config)` gives (key, problem and remedy) for each fault in its own keys; only sends of one `shape(config, send)`
    share a request, None needs one of its own.
    """

    name: str
    path: Path
    title: str
    manual: str
    config_type: type[msgspec.Struct]
    traits: Traits
    codes: Mapping[str, str]
    query_codes: Mapping[str, str]
    build: Callable[[Any, Sequence[Send], int], Call] | None = None
    parse: Callable[[Any, Reply, Sequence[Send]], list[Outcome]] | None = None
    query: Callable[[Any, Sequence[Ask], int], Call] | None = None
    parse_query: Callable[[Any, Reply, Sequence[Ask]], list[Receipt]] | None = None
    balance: Callable[[Any, int], Call] | None = None
    parse_balance: Callable[[Any, Reply], list[Balance] | Outcome] | None = None
    price: Callable[[Any, Sequence[Send], int], Call] | None = None
    parse_price: Callable[[Any, Reply, Sequence[Send]], tuple[int, int] | Outcome] | None = None
    cancel: Callable[[Any, Sequence[Ask], int], Call] | None = None
    parse_cancel: Callable[[Any, Reply, Sequence[Ask]], list[Receipt]] | None = None
    contact: Callable[[Any, ContactChange, int], Call] | None = None
    parse_contact: Callable[[Any, Reply], Outcome] | None = None
    receipts: Callable[[Any, CallbackRequest, int], Parsed] | None = None
    buckets: Callable[[Any, Message, str | None], tuple[str, ...]] | None = None
    open_session: Callable[[Any, str], Session | None] | None = None
    check: Callable[[Any], Iterable[tuple[str, str]]] | None = None
    shape: Callable[[Any, Send], Hashable | None] | None = None
    measure: Callable[[Any, str], Verdict] | None = None
    read_code: Callable[[str], str] | None = None
    narrow: Callable[[Any], Traits] | None = None

    def __repr__(self) -> str:
        return f"Plugin({self.name})"

    def find_traits(self, config: Any) -> Traits:
        """The traits of one account: some hang on its keys, and then the plugin's own `traits(config)` says them."""
        return self.traits if self.narrow is None else self.narrow(config)

    @property
    def has_twin(self) -> bool:
        """True where the provider's side stands beside the plugin."""
        return self.path.name == "plugin.py" and self.path.with_name("twin.py").is_file()

    @cached_property
    def twin_type(self) -> Callable[..., Twin]:
        """The class `Twin` of its twin.py, loaded when it is first asked for. Raises PluginError where there is none."""
        path = self.path.with_name("twin.py")
        if not self.has_twin:
            raise PluginError(f'the plugin "{self.name}" has no twin: a file twin.py beside {self.path} would be it')
        check_writers(path)
        module = run_module(name_package(self.path, self.name), path)
        found = getattr(module, "Twin", None)
        if not isinstance(found, type):
            drop_modules(module.__name__)
            raise PluginError(f"{path}: has no class Twin; see broker/provider/contract.py for its form")
        return found


def find_plugins(plugin_path: Iterable[str | Path] = ()) -> dict[str, Path]:
    """Every plugin's name and file; nothing is executed. Raises PluginError for an entry of `plugin_path` that holds none.

    An entry is a folder that holds NAME/plugin.py, the folder of one plugin, or a file.
    """
    found: dict[str, Path] = {}
    for entry in plugin_path:
        inside = dict(look_into(Path(entry)))
        if not inside:
            raise PluginError(f"plugin_path: {entry} holds no plugin; put NAME/plugin.py there, or take the entry out")
        found = inside | found
    return find_entry_points() | dict(look_into(find_shipped())) | found


_loaded: dict[tuple[str, Path], Plugin] = {}


def load_plugin(name: str | Path, plugin_path: Iterable[str | Path] = ()) -> Plugin:
    """The plugin of that name, or in that file or folder. Loaded once in a process. Raises PluginError."""
    text = str(name)  # a Path without a folder is still a name
    if "/" in text or text.endswith(".py"):
        found = dict(look_into(Path(text), is_one=True))
        if not found:
            raise PluginError(f"{text}: there is no plugin; give the path of a plugin's file or folder")
        [(text, path)] = found.items()
    else:
        known = find_plugins(plugin_path)
        if text not in known:
            there = ", ".join(sorted(known)) or "none"
            raise PluginError(f'no plugin is called "{text}"; there are: {there}; plugin_path can add others', known)
        path = known[text]
    found_at = (text, path.resolve())
    if found_at not in _loaded:
        _loaded[found_at] = read_plugin(*found_at)
    return _loaded[found_at]


def find_shipped() -> Path:
    """The folder of the shipped plugins: inside the package where it came from a wheel, beside it in a checkout."""
    beside = _PACKAGE.parent / "plugins"
    # beside an installed package, a folder called plugins is somebody else's
    is_checkout = (_PACKAGE.parent / "pyproject.toml").is_file() and beside.is_dir()
    return beside if is_checkout and not (_PACKAGE / "plugins").is_dir() else _PACKAGE / "plugins"


def look_into(entry: Path, is_one: bool = False) -> Iterator[tuple[str, Path]]:
    """Names and files of the plugins at `entry`; `is_one`: only the entry itself, not what it holds."""
    if entry.is_file() and entry.suffix == ".py":
        name = entry.resolve().parent.name if entry.name == "plugin.py" else entry.stem
        yield name, entry
    elif (entry / "plugin.py").is_file():
        yield entry.resolve().name, entry / "plugin.py"
    elif entry.is_dir() and not is_one:
        for folder in sorted(entry.iterdir()):
            if _NAME.fullmatch(folder.name) and (folder / "plugin.py").is_file():
                yield folder.name, folder / "plugin.py"


def find_entry_points() -> dict[str, Path]:
    """Plugins of other packages, by the file that their entry point's module is in: nothing of theirs is imported."""
    found = {}
    for point in entry_points(group=GROUP):
        try:
            top, *rest = point.module.split(".")
            spec = importlib.util.find_spec(top)
        except (AttributeError, ValueError):  # the entry point's text has no module's form
            continue
        if spec is None:
            continue
        places = [Path(place, *rest) for place in spec.submodule_search_locations or ()]
        files = [file for place in places for file in (place.with_suffix(".py"), place / "plugin.py") if file.is_file()]
        if not rest and spec.origin and spec.submodule_search_locations is None:
            files = [Path(spec.origin)]
        if files:
            found[point.name] = files[0]
    return found


def check_writers(path: Path) -> None:
    """Refuse a plugin that somebody other than root and the broker's own user could change. Raises PluginError.

    A shipped plugin is as safe as the broker's own files and is not looked at.
    """
    if path.is_relative_to(find_shipped().resolve()):
        return
    try:
        writers.check_writers(path)
    except writers.Unsafe as error:
        raise PluginError(f"{path}: refused, because {error}") from None


def name_package(path: Path, name: str) -> str:
    """The private package that a plugin's file is loaded in; two of one name get two packages."""
    package = "_broker_plugin_" + re.sub(r"\W", "_", name)
    origin = getattr(sys.modules.get(package), "__file__", None)
    return package if origin in (None, str(path)) else f"{package}_{sha256(str(path).encode()).hexdigest()[:8]}"


def run_module(package: str, path: Path) -> ModuleType:
    """Execute one file of a plugin inside its private package. Raises PluginError for whatever it raises."""
    if package not in sys.modules:
        parent = ModuleType(package)
        parent.__file__ = str(path)
        # siblings are found only where the folder is the plugin's own
        parent.__path__ = [str(path.parent)] if path.name == "plugin.py" else []
        parent.__spec__ = ModuleSpec(package, None, is_package=True)
        sys.modules[package] = parent
    name = f"{package}.{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a .py file always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        drop_modules(package, keep=before)
        raise PluginError(f"{path}: cannot be loaded: {type(error).__name__}: {error}; correct the file") from error
    return module


def drop_modules(package: str, keep: Collection[str] = ()) -> None:
    """Forget a package's modules, so that a corrected file loads afresh."""
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.") and name not in keep]:
        del sys.modules[name]


def read_plugin(name: str, path: Path) -> Plugin:
    """Load a plugin and hold it against the form. Raises PluginError naming all that is missing."""
    check_writers(path)
    package = name_package(path, name)
    module = run_module(package, path)
    faults = list(find_faults(module))
    if faults:
        drop_modules(package)
        raise PluginError(f"{path}: is no plugin yet: {'; '.join(faults)}. The form is in broker/provider/contract.py")
    functions = {key: getattr(module, key, None) for pair in (*_PAIRS, _OPTIONAL) for key in pair}
    return Plugin(
        name=name,
        path=path,
        title=module.TITLE,
        manual=module.MANUAL,
        config_type=module.Config,
        traits=module.TRAITS,
        codes=module.CODES,
        query_codes=getattr(module, "QUERY_CODES", {}),
        narrow=getattr(module, "traits", None),
        **functions,
    )


def find_faults(module: ModuleType) -> Iterator[str]:
    """What keeps a module from being a plugin, one phrase each."""
    for key in ("TITLE", "MANUAL"):
        if not isinstance(getattr(module, key, None), str):
            yield f"{key} is missing (a line of text)"
    config = getattr(module, "Config", None)
    if not (isinstance(config, type) and issubclass(config, msgspec.Struct)):
        yield "Config is missing (a msgspec.Struct)"
    if not isinstance(getattr(module, "TRAITS", None), Traits):
        yield "TRAITS is missing (a Traits value)"
    yield from _find_code_faults(module, "CODES", CLASSES)
    if hasattr(module, "QUERY_CODES"):
        yield from _find_code_faults(module, "QUERY_CODES", RECEIPT_CLASSES)
    for one, other in _PAIRS:
        if hasattr(module, one) != hasattr(module, other):
            there, missing = (one, other) if hasattr(module, one) else (other, one)
            yield f"{missing} is missing ({there} is there: they go in pairs)"
    if not hasattr(module, "build") and not hasattr(module, "open_session"):
        yield "build and parse are missing (or open_session)"
    for key in (*(key for pair in _PAIRS for key in pair), *_OPTIONAL, "traits"):
        if hasattr(module, key) and not callable(getattr(module, key)):
            yield f"{key} is no function"


def _find_code_faults(module: ModuleType, key: str, classes: Sequence[str]) -> Iterator[str]:
    codes = getattr(module, key, None)
    if not isinstance(codes, Mapping):
        yield f"{key} is missing (a table: the provider's code to a class)"
        return
    for code, class_ in codes.items():
        if class_ not in classes:
            yield f'{key} gives "{code}" the class "{class_}", and there is no such class'
