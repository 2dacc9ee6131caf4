"""What a verb is made of: its words in `--help`, its arguments, and the function that does it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import NamedTuple

Add = Callable[[ArgumentParser], None]


def add_nothing(parser: ArgumentParser) -> None:
    """A verb without arguments of its own."""


class Command(NamedTuple):
    """One verb. `about` is a paragraph, `examples` whole command lines; `run` gives the exit code or raises Trouble."""

    about: str
    examples: tuple[str, ...]
    run: Callable[[Namespace], int]
    add: Add = add_nothing
    prints: bool = True
    """False: it has nothing that --json could say."""
