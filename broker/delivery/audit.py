"""The audit: each order of an operator's is written down before it is carried out, and what came of it behind it (S17).

Says who (as the kernel knows them), what, and under which configuration; the chain itself is the store's. Carries nothing out, and is
given nothing that may not be read by everybody who may read a log: no text, no secret, no whole number.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import trio

from broker.delivery.exchange import Exchange
from broker.store.audit import Link
from broker.store.contract import Answer, Put

log = logging.getLogger("broker.audit")

COUNTS = ("count", "asked", "not_cancelable", "messages", "inbound", "status", "state")
"""What of an answer is written with the result: numbers, and the one word that a message or a provider came to."""


class Actor(msgspec.Struct, frozen=True):
    """Who ordered: `unix:USER` with the process that spoke to us, or `signal`, whose sender nobody tells us."""

    user: str
    uid: int | None = None
    pid: int | None = None


SIGNAL = Actor("signal")


def write_order(ex: Exchange, actor: Actor, op: str, what: Mapping[str, Any], begin: Callable[[int | None], None] | None = None) -> None:
    """Write down that `actor` orders `op`; `begin` is called once it is durable, with its number, or None where it could not be written."""
    record = {"at": ex.clock.show(ex.now()), **msgspec.structs.asdict(actor), "op": op, **what, "config": ex.book.settings.hash}

    def done(answer: Answer, link: Link | None) -> None:
        if link is not None:
            # The log is somebody else's to keep: a chain that was made anew in the file does not agree with it.
            log.info("order n=%d op=%s user=%s uid=%s pid=%s link=%s", link.n, op, actor.user, actor.uid, actor.pid, link.digest)
        if begin is not None:
            begin(None if link is None else link.n)

    ex.journal.put(Put(audit=record, done=done))


def write_result(ex: Exchange, n: int, answer: Mapping[str, Any], told: Callable[[], None] | None = None) -> None:
    """Write down what came of order `n`: `done` or the refusal's code, and its counts. `told` is called once that is durable."""
    result = "done" if answer["ok"] else answer["error"]["code"]
    counts = {name: answer[name] for name in COUNTS if isinstance(answer.get(name), int | str)}
    record = {"at": ex.clock.show(ex.now()), "of": n, "result": result, **counts, "config": ex.book.settings.hash}
    ex.journal.put(Put(audit=record, done=None if told is None else lambda _answer, _link: told()))


async def wait_ordered(ex: Exchange, actor: Actor, op: str) -> int | None:
    """Write down an order and wait until it is durable: its number, None where it could not be written."""
    is_written, number = trio.Event(), None

    def begin(n: int | None) -> None:
        nonlocal number
        number = n
        is_written.set()

    write_order(ex, actor, op, {}, begin)
    await is_written.wait()
    return number
