"""Named points around each durable write and each external effect, where a test may kill the process or have the disk fail.

`BROKER_FAILPOINTS="attempt.opened=kill@3,outcome.commit=error"`: `kill@N` is SIGKILL at the N-th pass, `error@N` what the code there has
to be ready for; without N the first. Unset, a point is a call that does nothing. What cannot be read is said in `TROUBLE`, and the
daemon then does not start.
"""

import errno
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from broker.store.contract import Accept, Operation, Put, Receive, Step

POINTS = {
    "start.opened": "the store is open and of this version; nothing has been looked at",
    "recover.page": "a page of attempts that a crash left open is on its way to be in doubt",
    "recover.done": "every attempt that was open is in doubt; ledgers and inbox have not been looked at",
    "recover.inbox": "recovery is over; no door is open",
    "start.doors": "the doors are open; no lane sends",
    "commit.before": "a batch is written, whatever is in it; its COMMIT has not begun",
    "commit.after": "a COMMIT is on the disk; nobody has been told",
    "commit.told": "whoever waited for a COMMIT has been told; the feed has not",
    "accept.commit": "a new message is written, not committed",
    "accept.committed": "a new message is durable; its client has not been told",
    "attempt.commit": "an attempt's opening is written, not committed",
    "attempt.committed": "an attempt is open, durably; its lane does not know",
    "attempt.opened": "its lane knows, and not one byte has left",
    "attempt.answered": "the provider's answer is here; nothing of it is written",
    "outcome.commit": "an outcome is written, not committed",
    "outcome.committed": "an outcome is durable; its slot is not free",
    "doubt.commit": "what becomes of an attempt in doubt is written, not committed",
    "doubt.committed": "the same is durable; nobody has been told",
    "replay.sending": "a request that proves something is about to be repeated",
    "replay.answered": "its answer is here; nothing of it is written",
    "receipt.commit": "a receipt is written, not committed",
    "receipt.committed": "a receipt is durable; whoever brought it has not been told",
    "inbound.commit": "an inbound message is written, not committed",
    "inbound.committed": "an inbound message is durable; whoever brought it has not been told",
    "deliver.kept": "parts of a long inbound message are durable, and not acknowledged",
    "deliver.stored": "what a session's peer delivered is durable; its deliver_sm_resp has not left",
    "callback.stored": "what a callback said is durable; its answer has not left",
    "web.answered": "the answer to a request at an HTTP door has left",
    "poll.answered": "the answer to a query for fates is here; nothing of it is written",
    "balance.answered": "a report of credit is here; nothing of it is booked",
    "hook.commit": "the place in an endpoint's queue is written, or its end, not committed",
    "hook.committed": "the same is durable",
    "hook.sending": "something is about to be handed on to an endpoint",
    "hook.answered": "the endpoint has answered; that it took it is not written",
    "router.page": "a page of messages has been placed, on its way to the disk",
    "sweep.page": "a page of messages whose time has come is on its way to the disk",
    "checkpoint.before": "a batch is committed; the log's pages are about to go into the store",
    "checkpoint.after": "they are in the store",
    "retention.commit": "what is past its time has been removed, not committed",
    "retention.committed": "it is gone for good",
    "reload.read": "a new configuration is read and found good; nothing of it is applied",
    "reload.lanes": "the lanes are the new ones; the endpoints are the old ones",
    "reload.applied": "all of a new configuration is applied; nobody has been told",
    "drain.begun": "a stop was asked for; attempts are in flight",
    "drain.over": "the drain is over; the journal is not",
}
"""Every point, and where the process is when it passes it."""

_DISK = ("commit.before", "commit.after", "checkpoint.before", "retention.commit")
_LINE = ("hook.sending", "balance.answered")
_FAILING = {
    **{name: "disk" for name in POINTS if name in _DISK or (name.endswith((".commit", ".committed")) and "retention" not in name)},
    **dict.fromkeys(_LINE, "line"),
}
"""The points where `error` is something that the code there has to be ready for."""


def _pass(_name: str) -> None:
    """No failpoint is set."""


def _pass_batch(_batch: Iterable[Operation], _when: str) -> None:
    """No failpoint is set: what a batch holds need not be known."""


def fail(name: str) -> None:
    """Raise what `name=error` stands for: an fsync that failed, or the other side's going away."""
    if _FAILING[name] == "line":
        raise OSError(errno.EIO, "as a failpoint says")
    error = sqlite3.OperationalError("as a failpoint says")
    error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
    raise error


def kill(name: str) -> None:
    """End the process as a power cut would, with a word of where."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, f"failpoint {name}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


ACTIONS = {"kill": kill, "error": fail}


def read_failpoints(text: str) -> Callable[[str], None]:
    """The function to call at each point. Raises ValueError naming the part that cannot be read, and what there is."""
    if not text:
        return _pass
    counts: dict[str, list[tuple[int, Callable[[str], None]]]] = {}
    passed: dict[str, int] = {}
    for part in text.split(","):
        name, _, action = part.strip().partition("=")
        verb, mark, at = action.partition("@")
        _check(part.strip(), name, verb, at if mark else "1")
        counts.setdefault(name, []).append((int(at or "1"), ACTIONS[verb]))

    def reach(name: str) -> None:
        if name in counts:
            passed[name] = passed.get(name, 0) + 1
            for at, act in counts[name]:
                if passed[name] == at:
                    act(name)

    return reach


def _check(part: str, name: str, verb: str, at: str) -> None:
    if verb not in ACTIONS or not (at.isascii() and at.isdigit()) or int(at) < 1:
        raise ValueError(f'BROKER_FAILPOINTS: "{part}" is not of the form POINT=ACTION or POINT=ACTION@N with an action of: kill, error')
    if name not in POINTS:
        near = get_close_matches(name, POINTS, 1)
        guess = f"; did you mean {near[0]}?" if near else "."
        raise ValueError(f'BROKER_FAILPOINTS: there is no point "{name}"{guess} The points are: {", ".join(POINTS)}')
    if verb == "error" and name not in _FAILING:
        raise ValueError(f'BROKER_FAILPOINTS: nothing can fail at "{name}", only be killed. `error` is for: {", ".join(_FAILING)}')


def _read(text: str) -> tuple[Callable[[str], None], str | None]:
    try:
        return read_failpoints(text), None
    except ValueError as error:
        return _pass, str(error)


failpoint, TROUBLE = _read(os.environ.get("BROKER_FAILPOINTS", ""))
"""`failpoint` is called with a point's name; the environment is read once, at import. TROUBLE: why it could not be, None where it was."""


def name_kinds(batch: Iterable[Operation]) -> set[str]:
    """What a batch holds, by the names of its points."""
    kinds = set()
    for op in batch:
        if isinstance(op, Accept):
            kinds.add("accept")
        elif isinstance(op, Receive):
            kinds |= {"inbound", "hook"} if op.put.hooks else {"inbound"}
        elif isinstance(op, Step):
            was = {state for shut in op.shut for state in shut.expect}
            is_told = op.from_outside or bool(op.drop)
            found = {"attempt": op.open is not None, "outcome": "open" in was, "doubt": "in_doubt" in was, "receipt": is_told}
            kinds |= {kind for kind, is_there in found.items() if is_there}
        elif isinstance(op, Put):
            kinds |= ({"receipt"} if op.strays else set()) | ({"hook"} if op.hooks or op.unhook else set())
    return kinds


def _reach_batch(batch: Iterable[Operation], when: str) -> None:
    for kind in name_kinds(batch):
        failpoint(f"{kind}.{when}")


batch_point: Callable[[Iterable[Operation], str], None] = _pass_batch if failpoint is _pass else _reach_batch
"""The same for a batch and `commit` or `committed`: the points that it passes are looked for only where one is set."""
