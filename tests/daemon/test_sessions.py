"""Accounts that keep a connection: what a session makes of a message's way through the whole broker."""

import trio
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, path_of, rule, smpp


async def test_a_message_by_smpp(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": smpp("a")}, "rules": [rule("a")]})
    await trio.sleep(1)
    reply = await house.until(await house.take(), "delivered", within=5)
    assert house.twins["a"].sent == [(TO, TEXT, "1000001")]
    assert path_of(reply)[1:] == [("sending", "a", None), ("sent", "a", "accepted"), ("delivered", "a", "delivered")]
    assert reply["attempts"][0]["provider_refs"] == ["1000001"]
