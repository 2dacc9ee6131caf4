"""A plugin that fails as the text says: `raise`, `memory`, `recursion`, `exit`, `loop` for ever, `regex` for ever in C, `cpu` for a while.

Manual: none; this is its whole description. Anything else is refused.
"""

import re
import sys
import time
from collections.abc import Sequence

import msgspec

from broker.provider.contract import Call, Outcome, Reply, Send, Traits, Unsuitable

TITLE = "Venom: for tests"
MANUAL = "none; see this file"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


TRAITS = Traits(senders=frozenset({"none"}))
CODES: dict[str, str] = {}
SPIN = 1.0


def build(config: Config, sends: Sequence[Send], now: int) -> Call:
    """Do what the first message's text says."""
    kind = (sends[0].message.text or "").split()[0]
    if kind == "raise":
        raise RuntimeError(sends[0].message.text)
    if kind == "memory":
        bytearray(1 << 62)
    if kind == "recursion":
        return build(config, sends, now)
    if kind == "exit":
        sys.exit(3)
    while kind == "loop":
        pass
    if kind == "regex":
        re.match("(a+)+$", "a" * 64 + "b")
    until = time.monotonic() + SPIN
    while kind == "cpu" and time.monotonic() < until:
        pass
    raise Unsuitable("venom", "it does nothing else")


def parse(config: Config, reply: Reply, sends: Sequence[Send]) -> list[Outcome]:
    """There is never an answer."""
    return []
