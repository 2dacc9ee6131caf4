"""Runs what a verb has to wait for on trio, and brings back its one exception as it was raised."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any


def run_loop(work: Callable[..., Awaitable[Any]], *args: Any) -> None:
    """Run `work(*args)` to its end. Raises the exception that ended it, without the groups that nurseries wrap it in."""
    import trio

    try:
        trio.run(work, *args)
    except BaseExceptionGroup as group:
        raise find_cause(group) from None


def find_cause(group: BaseExceptionGroup[Any]) -> BaseException:
    """The exception to tell of: an interruption before all others, else the first."""
    leaves = list(_walk(group))
    return next((leaf for leaf in leaves if isinstance(leaf, KeyboardInterrupt)), leaves[0])


def _walk(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for inner in group.exceptions:
        if isinstance(inner, BaseExceptionGroup):
            yield from _walk(inner)
        else:
            yield inner
