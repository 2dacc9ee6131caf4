"""A proxy on the link to a house's SMSC, which spoils one submit or its answer.

`plan` is what happens to the next of them; everything else passes. The twin's `sent` is the handsets' ledger.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from trio.testing import memory_stream_pair

from broker.provider.twin import converse
from tests.daemon.house import House

SUBMIT, ANSWER = 0x00000004, 0x80000004
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
Fault = Callable[["Line", bytes], Awaitable[None]]
"""What is done in place of passing a PDU on."""


class Line:
    """One link. `esme` is the broker's end as we hold it, `smsc` the twin's."""

    def __init__(self, esme: trio.abc.Stream, smsc: trio.abc.Stream) -> None:
        self.esme = esme
        self.smsc = smsc
        self.is_silent = False

    async def cut(self) -> None:
        """Both ends, at once."""
        await trio.aclose_forcefully(self.esme)
        await trio.aclose_forcefully(self.smsc)


class SmppProxy:
    """Before the SMSCs of `house`: `plan` holds at most one (command id, fault)."""

    def __init__(self, house: House, nursery: trio.Nursery) -> None:
        self.house = house
        self.plan: list[tuple[int, Fault]] = []
        self._nursery = nursery

    async def open_link(self, host: str, port: int) -> trio.abc.Stream:
        """What sessions connect with."""
        await trio.lowlevel.checkpoint()
        broker_end, esme = memory_stream_pair()
        smsc, twin_end = memory_stream_pair()
        line = Line(esme, smsc)
        self._nursery.start_soon(converse, self.house.twins[host], self.house.now, twin_end)
        self._nursery.start_soon(self._pass, line, line.esme, line.smsc)
        self._nursery.start_soon(self._pass, line, line.smsc, line.esme)
        return broker_end

    async def _pass(self, line: Line, source: trio.abc.Stream, to: trio.abc.Stream) -> None:
        rest = b""
        with suppress(*GONE):
            while data := bytes(await source.receive_some()):
                rest += data
                while len(rest) >= 16 and len(rest) >= (length := int.from_bytes(rest[:4], "big")):
                    pdu, rest = rest[:length], rest[length:]
                    await self._hand_on(line, to, pdu)
        await line.cut()

    async def _hand_on(self, line: Line, to: trio.abc.Stream, pdu: bytes) -> None:
        command = int.from_bytes(pdu[4:8], "big")
        if self.plan and self.plan[0][0] == command:
            await self.plan.pop()[1](line, pdu)
        elif not (line.is_silent and to is line.esme):
            await to.send_all(pdu)


async def cut_submit(line: Line, pdu: bytes) -> None:
    """Half a submit_sm reaches the SMSC."""
    await line.smsc.send_all(pdu[:20])
    await line.cut()


async def cut_answer(line: Line, pdu: bytes) -> None:
    """Half an answer comes."""
    await line.esme.send_all(pdu[:10])
    await line.cut()


async def close_instead(line: Line, pdu: bytes) -> None:
    """The link ends in place of an answer."""
    await line.cut()


async def lose(line: Line, pdu: bytes) -> None:
    """No answer comes; everything else does."""


async def fall_silent(line: Line, pdu: bytes) -> None:
    """Nothing comes any more."""
    line.is_silent = True


async def dribble(line: Line, pdu: bytes) -> None:
    """An octet every five seconds."""
    for octet in pdu:
        await trio.sleep(5)
        await line.esme.send_all(bytes([octet]))


async def garble(line: Line, pdu: bytes) -> None:
    """Noise of its length."""
    await line.esme.send_all(bytes(octet ^ 0x55 for octet in pdu))


async def be_giant(line: Line, pdu: bytes) -> None:
    """An answer that says to be two gigabytes long."""
    await line.esme.send_all(b"\x7f\xff\xff\xff" + pdu[4:])


async def be_short(line: Line, pdu: bytes) -> None:
    """An answer that says to be shorter than its own header."""
    await line.esme.send_all(b"\0\0\0\x08" + pdu[4:])


async def answer_another(line: Line, pdu: bytes) -> None:
    """The answer to a submit that nobody has made."""
    await line.esme.send_all(pdu[:12] + b"\0\x01\0\0" + pdu[16:])


async def answer_twice(line: Line, pdu: bytes) -> None:
    """The same answer again."""
    await line.esme.send_all(pdu + pdu)


async def answer_late(line: Line, pdu: bytes) -> None:
    """After the response timer."""
    await trio.sleep(25)
    await line.esme.send_all(pdu)
