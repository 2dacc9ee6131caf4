"""Fault x plugin x policy: what an attempt comes to, and how many copies the handset has in the end. The real daemon, the real twins.

Each cell of the transport matrix happens to one message. Twice: once the provider took the request before the wire failed, and once it
never saw it; the broker cannot tell these apart, and may not try. Virtual time.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.words.status import FINAL
from tests.daemon.house import SECRET, House, InMemory, Toml, rule
from tests.plugins.catalog import VARIANTS, Variant
from tests.plugins.test_conformance import NUMBERS
from tests.plugins.test_matrix import CELLS, STATUS_ALONE, Cell
from tests.proxy.proxy import HttpProxy

BLIND = ("closed before the write", "closed in the write")
"""Nobody has read a request by then: no twin can have taken it."""
ORDER = [*BLIND, *(name for name in CELLS if name not in BLIND)]
"""Those come first: later on somebody may ask for a fate on the connection that was meant for them."""
ASKING = {
    *("good", "good, chunked", "good, after a 100", "good, late", "good, and more behind it", "drips", "garbled", "garbled in the body"),
    *("cut in the status line", "cut in the head", "cut in the body", "cut in the chunks"),
}
"""These spoil the twin's own answer: it has taken the message."""
POLICIES: dict[str, Toml] = {
    "hold": {"in_doubt": "hold", "doubt_deadline": "100s"},
    "resend": {"in_doubt": "resend", "doubt_wait": "47s", "doubt_deadline": "100s"},
    "failover": {"in_doubt": "failover", "doubt_wait": "47s", "doubt_deadline": "100s"},
}
PATIENT = {"failures": 10_000}
KEYED = {"mitake-mtk"}
"""The provider knows a repeat by its key: whatever was lost is found by asking again, and there is never a second copy."""


@dataclass
class Expected:
    """Of one message: the class of its first attempt, its copies over all handsets, and the statuses that it may end with."""

    class_: str
    copies: int
    ends: frozenset[str]


def expect(name: str, cell: Cell, variant: Variant, policy: str, *, is_forwarding: bool) -> Expected:
    """What DESIGN, "In doubt", says of a cell."""
    class_ = cell.status_alone if variant.name in STATUS_ALONE and cell.status_alone else cell.class_
    has_copy = name in ASKING or (is_forwarding and name not in BLIND)
    if class_ == "accepted":
        return Expected(class_, int(has_copy), frozenset({"sent", "delivered", "unconfirmed"}))
    if variant.label in KEYED:
        return Expected(class_, 1, frozenset({"delivered"}))
    if policy == "hold":
        return Expected(class_, int(has_copy), frozenset({"unknown"}))
    return Expected(class_, int(has_copy) + 1, frozenset({"delivered", "unconfirmed"}))


def settings_for(variant: Variant, policy: str) -> Toml:
    """An account of this variant at the proxy, and a spare one of another provider."""
    account: dict[str, Any] = {"plugin": variant.name, "breaker": PATIENT, **variant.choices}
    own = {"url": "http://first", "long_url": "http://first", "soap_url": "http://first/soap", "username": "demo", "key": "demo"}
    fields = variant.plugin.config_type.__struct_fields__
    account |= {name: value for name, value in own.items() if name in fields} | {"password": SECRET}
    traits = variant.plugin.find_traits(variant.make_config())
    if "poll" in traits.receipts:
        account["query"] = ["5s"]
    if "none" not in traits.senders:
        account["sender"] = "ACME"
    spare = {"plugin": "loopback", "receipt": "delivered", "breaker": PATIENT}
    return {
        "broker": {"default_country": "TW"},
        "providers": {"first": account, "spare": spare},
        "rules": [rule("first", "spare", **POLICIES[policy], on={"misconfigured": "fail"})],
    }


async def send_all(house: House, proxy: HttpProxy, number: str) -> dict[str, str]:
    """A message for each cell: its id by the cell's name."""
    ids = {}
    for n, name in enumerate(ORDER):
        cell = CELLS[name]
        # Idle connections end: one that the last cell has closed is seen on a socket, and in memory it is not.
        await trio.sleep(12)
        if name in BLIND:
            proxy.blind = cell.serve
            ids[name] = await house.take(number, f"canary mk{n:02d}")
        else:
            proxy.plan[f"mk{n:02d}".encode()] = cell
            ids[name] = await house.take(number, f"canary mk{n:02d}")
    return ids


async def play(folder: Path, variant: Variant, policy: str, *, is_forwarding: bool) -> dict[str, tuple[Expected, str, int, str]]:
    """Every cell under one policy: what is expected of it, the class that came, the copies, the status in the end."""
    found: dict[str, tuple[Expected, str, int, str]] = {}
    house = House(folder, settings_for(variant, policy))
    async with trio.open_nursery() as nursery:
        proxy = HttpProxy(house, nursery, is_forwarding=is_forwarding)
        house.open_stream = proxy.open_stream  # type: ignore[method-assign]  # the seam
        with InMemory(house):
            await house.start(nursery)
            await trio.sleep(1)
            ids = await send_all(house, proxy, NUMBERS[variant.name])
            await trio.sleep(200)
            copies = Counter(sent[1] for sent in house.twins["first"].sent)
            for n, name in enumerate(ORDER):
                reply = await house.ask("status", id=ids[name])
                first, *others = reply["attempts"]
                spare = sum(each["provider"] == "spare" and each["class"] == "accepted" for each in others)
                expected = expect(name, CELLS[name], variant, policy, is_forwarding=is_forwarding)
                found[name] = (expected, first["class"], copies[f"canary mk{n:02d}"] + spare, reply["message"]["status"])
            await house.stop()
        nursery.cancel_scope.cancel()
    return found


def find_wrong(found: dict[str, tuple[Expected, str, int, str]]) -> list[str]:
    """A line for each cell that is not as expected."""
    return [
        f"{name}: {class_}, {copies} copies, {status}; expected {expected.class_}, {expected.copies}, {set(expected.ends)}"
        for name, (expected, class_, copies, status) in found.items()
        if (class_, copies) != (expected.class_, expected.copies) or status not in expected.ends
    ]


CASES = [(variant, policy, took) for variant in VARIANTS for policy in POLICIES for took in (True, False)]
PLAYED = CASES if os.environ.get("FAULT_MATRIX") == "whole" else CASES[::5]
"""In CI each variant at least once, and each policy with each of the two; `make faults ARGS="--only proxy"` plays all of them."""


@pytest.mark.parametrize(
    ("variant", "policy", "took"), PLAYED, ids=[f"{v.label}-{policy}-{'taken' if took else 'never seen'}" for v, policy, took in PLAYED]
)
async def test_every_cell(tmp_path: Path, autojump_clock: MockClock, variant: Variant, policy: str, took: bool) -> None:
    found = await play(tmp_path, variant, policy, is_forwarding=took)
    assert find_wrong(found) == []
    assert {status for *_, status in found.values()} <= FINAL | {"sent"}


def test_the_matrix_is_whole() -> None:
    assert ASKING | set(BLIND) <= CELLS.keys()
    assert {variant.label for variant in VARIANTS} >= KEYED
    assert {variant.label for variant, *_ in PLAYED} == {variant.label for variant in VARIANTS}
    assert len({case[1:] for case in PLAYED}) == 6
