"""Where things are: the file itself, and the folders that relative names start at.

Opens nothing. CONTRACT §2 says where the file is looked for, §3 where its paths start.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from broker.config.problem import ConfigError, Problem
from broker.words.settings import Settings

SYSTEM_FILE = Path("/etc/broker/broker.toml")


class Places(msgspec.Struct, frozen=True):
    """`base`: the file's folder; `state`: where data_dir is by default; `runtime`: where sockets given by bare names are."""

    base: str = "/"
    state: str = "/var"
    runtime: str = "/var"

    def resolve(self, name: str) -> str:
        """`name` as an absolute path: a relative one starts at the file."""
        return os.path.normpath(os.path.join(self.base, name))

    def resolve_socket(self, name: str) -> str:
        """A bare name is in the runtime folder, a path with a slash starts at the file."""
        return self.resolve(name) if "/" in name else os.path.join(self.runtime, name)


def places_of(file: str, environ: Mapping[str, str]) -> Places:
    """The folders for `file` (absolute) under `environ`; systemd may name several in one variable, the first is ours."""
    base = os.path.dirname(file)
    var = os.path.join(base, "var")
    state = environ.get("STATE_DIRECTORY", "").split(":")[0] or var
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or var
    return Places(base, os.path.abspath(state), os.path.abspath(runtime))


def find_config(argument: str | None, environ: Mapping[str, str]) -> Path:
    """The file to read: the argument, $BROKER_CONFIG, ./broker.toml or /etc/broker/broker.toml, whichever is first.

    The first two are taken at their word, there or not: reading says what is wrong with them. Raises ConfigError where none
    is named and none is found.
    """
    named = argument or environ.get("BROKER_CONFIG", "")
    if named:
        return Path(named)
    here = Path("broker.toml")
    for place in (here, SYSTEM_FILE):
        if os.path.isfile(place):  # which takes a folder that is not for us as one without the file
            return place
    looked = f"{here.absolute()} and {SYSTEM_FILE}"
    message = (
        f"no configuration: neither --config nor $BROKER_CONFIG names one, and there is no file at {looked};"
        " give one with --config FILE, or write one there"
    )
    raise ConfigError([Problem("", None, message)])


def store_path(settings: Settings) -> Path:
    """The SQLite file of `store.url`, in data_dir unless it is absolute."""
    return Path(settings.broker.data_dir) / settings.store.url.removeprefix("sqlite:")
