"""The types of events: the list that filters are held against names every one that the broker's code can say."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from broker.words.event import TYPES

ROOT = Path(__file__).parent.parent.parent / "broker"
is_type = re.compile(r"[a-z]+\.[a-z_]*").fullmatch
TELLS = {"happen", "say", "tell_suppressed", "keep_state", "_change", "_changed", "tell", "_tell"}


def find_types() -> Iterator[str]:
    """Every literal `word.word` handed to what makes events; of a name that is put together the part before the hole."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or getattr(node.func, "attr", getattr(node.func, "id", "")) not in TELLS:
                continue
            for inner in ast.walk(node):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and is_type(inner.value):
                    yield inner.value


def test_every_type_that_is_told_is_listed() -> None:
    found = set(find_types())
    assert {"node.started", "credit.dry", "suppress.added", "provider.suspended", "message.receipt", "provider."} <= found
    assert [kind for kind in sorted(found) if kind not in TYPES and not any(other.startswith(kind) for other in TYPES)] == []


def test_the_contract_s_own() -> None:
    """CONTRACT §6, typed from the page."""
    page = """
        message.scheduled message.queued message.held message.sending message.in_doubt message.sent message.delivered
        message.undelivered message.expired message.canceled message.blocked message.failed message.unknown message.unconfirmed
        message.receipt inbound.received lookup.done
        provider.up provider.down provider.suspended provider.paused provider.resumed provider.draining
        credit.updated credit.low credit.dry credit.drift config.applied config.refused node.started node.stopping
    """
    assert set(page.split()) - TYPES == set()
