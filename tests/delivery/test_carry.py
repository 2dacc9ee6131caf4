"""The carrier: what a plugin's refusal before the first byte comes to, and what goes into one request."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from broker.delivery.carrier import Carrier
from broker.provider.contract import Call, Outcome, Reply, Send, Traits, Unsuitable
from tests.plugins.samples import make_send


class Silence:
    """A caller that nothing may reach."""

    async def call(self, call: Call) -> Reply | Outcome:
        raise AssertionError("a byte would have left")

    async def aclose(self) -> None:
        pass


def make_carrier(build: Any) -> Carrier:
    plugin: Any = SimpleNamespace(query=None, name="x", build=build, find_traits=lambda config: Traits())
    account: Any = SimpleNamespace(settings=SimpleNamespace(codes={}))
    return Carrier(plugin, None, account, Silence(), None, 1000)


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (Unsuitable("it is past", "options.schedule"), "options.schedule", "it is past"),
        (ValueError("hi"), "plugin_error", "the plugin failed: ValueError"),
    ],
)
async def test_what_build_refuses_is_unsuitable_and_never_leaves(error: Exception, code: str, detail: str) -> None:
    def build(config: Any, sends: Sequence[Send], now: int) -> Call:
        raise error

    found: list[tuple[int, Outcome]] = []
    await make_carrier(build).submit([make_send(), make_send(n=2)], lambda: 0, lambda n, outcome: found.append((n, outcome)))
    assert [(n, each.class_, each.code, each.detail) for n, each in found] == [(n, "unsuitable", code, detail) for n in (0, 1)]
