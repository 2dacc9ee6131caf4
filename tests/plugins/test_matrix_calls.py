"""The transport matrix for everything that is no send: a wire that fails never ends a message, deletes a contact or finds a number."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace
from trio.testing import MockClock

from broker.provider.answers import judge
from broker.provider.contract import Ask, Call, ContactChange, Outcome, Reply, TwinRequest
from broker.provider.http import Account
from broker.words.receipt import FINAL_RECEIPTS
from tests.plugins.catalog import VARIANTS, Variant
from tests.plugins.samples import make_ask, make_send
from tests.plugins.test_conformance import NUMBERS
from tests.plugins.test_matrix import CELLS, HTML, PAGE, Cell, run_with, say, write

REF = "TWIN000001"


class Part(NamedTuple):
    """One pair of a plugin's functions, by name."""

    name: str
    variant: Variant

    def ask(self, config: Any, one: Ask) -> Call:
        """The call that it makes."""
        plugin = self.variant.plugin
        calls: dict[str, Callable[[], Call]] = {
            "query": lambda: plugin.query(config, [one], 0),
            "lookup": lambda: plugin.query(config, [replace(one, channel="hlr")], 0),
            "cancel": lambda: plugin.cancel(config, [one], 0),
            "balance": lambda: plugin.balance(config, 0),
            "contact": lambda: plugin.contact(config, ContactChange("add", one.recipient), 0),
        }
        return calls[self.name]()

    def read(self, config: Any, reply: Reply, one: Ask) -> list[Any]:
        """What it makes of an answer."""
        plugin = self.variant.plugin
        reads: dict[str, Callable[[], Any]] = {
            "query": lambda: plugin.parse_query(config, reply, [one]),
            "lookup": lambda: plugin.parse_query(config, reply, [replace(one, channel="hlr")]),
            "cancel": lambda: plugin.parse_cancel(config, reply, [one]),
            "balance": lambda: plugin.parse_balance(config, reply),
            "contact": lambda: plugin.parse_contact(config, reply),
        }
        found = reads[self.name]()
        return found if isinstance(found, list) else [found]


def find_parts() -> list[Part]:
    parts = []
    for variant in VARIANTS:
        plugin, traits = variant.plugin, variant.plugin.find_traits(variant.make_config())
        has = {
            "query": plugin.query is not None,
            "lookup": "hlr" in traits.channels,
            "cancel": traits.cancel,
            "balance": plugin.balance is not None,
            "contact": plugin.contact is not None,
        }
        parts += [Part(name, variant) for name, is_there in has.items() if is_there]
    return parts


PARTS = find_parts()
each_part = pytest.mark.parametrize("part", PARTS, ids=[f"{part.name}-{part.variant.label}" for part in PARTS])
FAILING = {name: cell for name, cell in CELLS.items() if not name.startswith("good")}


async def ask(part: Part, account: Account) -> list[Any]:
    config, one = part.variant.make_config(), make_ask(REF, NUMBERS[part.variant.name])
    reply = await account.call(part.ask(config, one))
    if isinstance(reply, Outcome):
        return [reply]
    judged = judge(reply, part.variant.plugin.find_traits(config).statuses, 0)
    return [judged] if judged is not None else part.read(config, reply, one)


def is_proof(found: Any) -> bool:
    """True where something would be believed of it."""
    class_ = getattr(found, "class_", None)
    return class_ is None or class_ == "accepted" or class_ in FINAL_RECEIPTS


@each_part
@pytest.mark.parametrize("cell", FAILING.values(), ids=list(FAILING))
async def test_a_wire_that_fails_proves_nothing(autojump_clock: MockClock, part: Part, cell: Cell) -> None:
    found = await run_with(part.variant, cell.serve, lambda account: ask(part, account))
    assert not any(map(is_proof, found))


@each_part
async def test_no_status_but_its_own_proves_anything(autojump_clock: MockClock, part: Part) -> None:
    good = b"OK"
    for status in (204, 303, 400, 401, 403, 404, 409, 429, 500, 502, 503, 599):
        for body, headers in ((good, ()), (PAGE, HTML)):
            found = await run_with(part.variant, say(write(status, body, headers)), lambda account: ask(part, account))
            assert not any(map(is_proof, found)), status


@each_part
async def test_a_wire_that_works_proves_what_the_twin_says(autojump_clock: MockClock, part: Part) -> None:
    """The other side of the matrix: the same parts do read a good answer, one octet at a time or at once."""
    for name in ("good", "good, chunked", "good, late"):
        found = await run_with(part.variant, CELLS[name].serve, lambda account: ask(part, account))
        assert len(found) >= 1
        if part.name in ("balance", "contact"):
            assert all(map(is_proof, found))
        else:  # a twin made anew knows no such id, and says so in its own words
            assert [each.class_ for each in found] == ["query_error"]


def test_a_twin_that_knows_the_id_proves_it() -> None:
    """So that the line above is not for want of reading: the same questions, of a twin that has the message."""
    for part in PARTS:
        if part.name not in ("query", "lookup", "cancel"):
            continue
        variant, config = part.variant, part.variant.make_config()
        plugin, twin, number = variant.plugin, variant.plugin.twin_type(settle=1), NUMBERS[variant.name]
        channel = "hlr" if part.name == "lookup" else "sms"
        send = make_send("" if channel == "hlr" else "ciao", number, channel=channel)
        send.message.options = {"schedule": "1970-01-01T12:00:00Z"} if part.name == "cancel" else None
        (outcome,) = plugin.parse(config, serve(twin, plugin.build(config, [send], 0), 0), [send])
        one = make_ask(outcome.refs[0], number)
        (found,) = part.read(config, serve(twin, part.ask(config, one), 5), one)
        assert found.class_ == ("canceled" if part.name == "cancel" else "delivered")


def serve(twin: Any, call: Call, now: int) -> Reply:
    path, _, query = call.url.removeprefix("http://gateway.test").partition("?")
    answer = twin.answer(TwinRequest(call.method, path, query, {k.lower(): v for k, v in call.headers}, call.body), now)
    return Reply(answer.status, {k.lower(): v for k, v in answer.headers}, answer.body)
