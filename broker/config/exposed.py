"""Who else can read broker.toml, or change it: what its mode lets in. Reads the file's mode, never the file.

A secret that the file only points to does not lie in it; whoever can write to it chooses the programs that we start.
"""

import os
import stat
from collections.abc import Iterator
from typing import Any

import msgspec

from broker.config.problem import Path, dotted
from broker.words.secret import Secret
from broker.words.settings import Settings


def find_exposed(settings: Settings) -> Iterator[tuple[Path, str]]:
    """What is wrong with the file's mode: (way to a key, problem and remedy)."""
    try:
        mode = stat.S_IMODE(os.stat(settings.file).st_mode)
    except OSError:
        return  # it was there a moment ago; nothing can be said of it
    if mode & stat.S_IWOTH:
        yield (), f"anybody can change this file, and with it whom messages go to: run: chmod o-w {settings.file}"
    if not mode & stat.S_IROTH:
        return
    for path in _find_written(settings):
        if dotted(path) not in settings.secret_keys:
            yield path, "the value is written here, where anybody can read it: point to it, as in { file = \"…\" }, or chmod o-r the file"


def _find_written(settings: Settings) -> Iterator[Path]:
    """The ways to all secrets, those that are pointed to included."""
    for name, provider in settings.providers.items():
        yield from _walk(("providers", name), provider.config)
        yield from _walk(("providers", name, "callback_secret"), provider.callback_secret)
    for name, client in settings.clients.items():
        yield from _walk(("clients", name, "webhook_secret"), client.webhook_secret)
    for index, rule in enumerate(settings.inbound):
        yield from _walk(("inbound", index, "secret"), rule.secret)


def _walk(path: Path, value: Any) -> Iterator[Path]:
    match value:
        case Secret():
            if value:
                yield path
        case msgspec.Struct():
            for field in msgspec.structs.fields(value):
                yield from _walk((*path, field.encode_name), getattr(value, field.name))
        case dict():
            for name, item in value.items():
                yield from _walk((*path, str(name)), item)
        case tuple() | list():
            for item in value:
                yield from _walk(path, item)
