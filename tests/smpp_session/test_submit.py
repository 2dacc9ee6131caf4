"""What goes out over a session, and what each answer makes of it."""

import trio
from trio.testing import MockClock

from tests.smpp_session.rig import bound


async def test_one_message(autojump_clock: MockClock) -> None:
    async with bound() as rig:
        outcome = await rig.send("héllo €")
        assert (outcome.class_, outcome.refs) == ("accepted", ("1000001",))
        assert rig.twin.sent == [("+306912345678", "héllo €", "1000001")]
        await trio.sleep(1)
        assert [(receipt.class_, receipt.ref) for receipt in rig.port.receipts] == [("delivered", "1000001")]
        assert len(rig.twin.acknowledged) == 1
