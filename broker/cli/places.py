"""Where the daemon's sockets and feed may be: the names in broker.toml, and the folders they are looked for in.

Reads the file cheaply (without pathlib, and with tomllib only where a socket is named), only for these few names: whether the rest
of it is right is for `check` to say. The truth of the order is CONTRACT §2 (the file) and §3 (the sockets); broker.config has the
same for the daemon, and costs too much for a verb.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from broker.cli.trouble import BAD_CONFIG, Trouble

SYSTEM_FILE = "/etc/broker/broker.toml"
OWN_FILE = "broker.toml"
SYSTEM_FOLDER = "/run/broker"
DEFAULTS = {"submit": "submit.sock", "control": "control.sock"}


class Places(NamedTuple):
    """What is known of the daemon's whereabouts. `note`: why the file could not be used, empty where it could or there is none."""

    file: str | None
    tree: dict[str, Any]
    note: str = ""

    def find_sockets(self, door: str, environ: Mapping[str, str] = os.environ) -> list[str]:
        """The paths that the socket of `door` (submit, control) may have, in the order of looking."""
        section = self.tree.get(door)
        name = section.get("socket") if isinstance(section, dict) else None
        return self.resolve(name if isinstance(name, str) and name else DEFAULTS[door], environ)

    def resolve(self, name: str, environ: Mapping[str, str] = os.environ) -> list[str]:
        """A path with a slash starts at the file; a bare name is looked for in the runtime folders."""
        home = os.path.dirname(os.path.abspath(self.file)) if self.file is not None else os.getcwd()
        if "/" in name:
            return [os.path.normpath(os.path.join(home, name))]
        runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        folders = [runtime, SYSTEM_FOLDER, os.path.join(home, "var")]
        return list(dict.fromkeys(os.path.abspath(os.path.join(folder, name)) for folder in folders if folder))

    @property
    def option(self) -> str:
        """The option that a hint needs for the same file: ` --config FILE`, empty where it would be found anyway."""
        return "" if self.file in (None, OWN_FILE, SYSTEM_FILE) else f" --config {self.file}"


def find_file(argument: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The file to go by (CONTRACT §2), None where none is named and none is found."""
    named = argument or environ.get("BROKER_CONFIG", "")
    return named or next(filter(os.path.isfile, (OWN_FILE, SYSTEM_FILE)), None)


def find_places(argument: str | None, environ: Mapping[str, str] = os.environ, *, is_whole: bool = False) -> Places:
    """What broker.toml says of the sockets. Raises Trouble where a file that was named cannot be read.

    A file with a fault in its TOML is no reason to give up, since the daemon may run on an earlier state of it: then the defaults
    hold. `is_whole`: read it even where it seems to say nothing of a socket.
    """
    file = find_file(argument, environ)
    if file is None:
        return Places(None, {})
    try:
        with open(file, "rb") as source:
            raw = source.read()
    except OSError as error:
        if argument or environ.get("BROKER_CONFIG"):
            message = f"{file} cannot be read: {error.strerror}; name another with --config FILE"
            raise Trouble(message, BAD_CONFIG, "bad_config") from None
        return Places(file, {}, f"{file} cannot be read: {error.strerror}")
    if b"socket" not in raw and not is_whole:
        return Places(file, {})  # parsing it would take longer than all the rest of `broker send`
    import tomllib

    try:
        return Places(file, tomllib.loads(raw.decode()))
    except (ValueError, RecursionError):
        return Places(file, {}, f"{file} is no TOML, so the default names were taken; see `broker check`")
