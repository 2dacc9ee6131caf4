"""What comes out of nurseries: the one exception that ended the work, an interruption before all others."""

import pytest
import trio

from broker.cli.loop import find_cause, run_loop


@pytest.mark.parametrize(
    ("group", "cause"),
    [
        (ExceptionGroup("one", [ValueError("a")]), ValueError),
        (ExceptionGroup("first", [ValueError("a"), OSError("b")]), ValueError),
        (ExceptionGroup("deep", [ExceptionGroup("in", [OSError("b")]), ValueError("a")]), OSError),
        (BaseExceptionGroup("late", [ValueError("a"), KeyboardInterrupt()]), KeyboardInterrupt),
        (BaseExceptionGroup("deep", [ValueError("a"), BaseExceptionGroup("in", [KeyboardInterrupt()])]), KeyboardInterrupt),
    ],
)
def test_find_cause(group: BaseExceptionGroup[BaseException], cause: type[BaseException]) -> None:
    assert type(find_cause(group)) is cause


def test_run_loop_brings_it_back_bare() -> None:
    async def fail() -> None:
        async with trio.open_nursery():
            raise ValueError("bare")

    with pytest.raises(ValueError, match="bare"):
        run_loop(fail)
