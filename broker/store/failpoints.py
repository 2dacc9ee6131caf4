"""Named points around each durable write and each external effect, where a test may kill the process. Unset, they cost nothing.

`BROKER_FAILPOINTS="commit.before=kill@3,attempt.opened=kill@1"`: the third time that point is passed, SIGKILL. Only `kill` exists.
Points: `commit.before` `commit.after` `commit.told` `attempt.opened` `attempt.answered` `poll.answered` `router.page` `sweep.page`
`recover.page` `recover.done`.
"""

import os
import signal
from collections.abc import Callable


def _pass(_name: str) -> None:
    """No failpoint is set."""


def read_failpoints(text: str) -> Callable[[str], None]:
    """The function to call at each point. Raises ValueError naming the part that cannot be read."""
    if not text:
        return _pass
    counts: dict[str, int] = {}
    for part in text.split(","):
        name, _, action = part.strip().partition("=")
        verb, _, at = action.partition("@")
        if verb != "kill" or not name or not (at or "1").isdigit():
            raise ValueError(f'BROKER_FAILPOINTS: "{part}" is not of the form point=kill@N')
        counts[name] = int(at or "1")

    def reach(name: str) -> None:
        if name in counts:
            counts[name] -= 1
            if counts[name] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach


failpoint: Callable[[str], None] = read_failpoints(os.environ.get("BROKER_FAILPOINTS", ""))
"""Call it with a point's name; the environment is read once, at import."""
