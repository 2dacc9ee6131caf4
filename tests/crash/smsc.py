"""The SMSCs of the crash test: a process of its own with `broker.provider.smpp_twin`, which writes down what it took and was told.

`python -m tests.crash.smsc LEDGER BOOK SEED` prints two ports: `west` writes ids in hex in its answers and in decimal in receipts, `far`
both in decimal. LEDGER gets `account text` of every message before a byte of its answer leaves, of a long one when its last part is here;
BOOK one line for each receipt or part of an inbound message that we had a deliver_sm_resp for: `receipt account ref class`,
`inbound account part/parts text`. What is not acknowledged is delivered again. SIGUSR1: no more faults, no more inbound messages.
"""

import os
import random
import re
import sys
from functools import partial
from time import time

import trio
from msgspec.structs import replace

from broker.provider.smpp_twin import SmscTwin
from broker.provider.twin import converse
from broker.smpp.pdu import DeliverSm, SubmitSm
from tests.crash.web import open_book, open_door, port_of, wait_calm

REFUSALS = ("0x58", "0x14", "0x08")
FAULTS = ("silent", "late", "late refusal", "no id", "nack")
ENDS = ("drop", "cut", "unbind", "mismatch", "garbage")
"""Faults that end the link: a few, or the round is spent in binding."""
REFUSE, FAIL, END, REPEAT = 0.04, 0.02, 0.005, 0.1
LATE = 1_500
STATES = ("DELIVRD",) * 12 + ("UNDELIV", "EXPIRED", "REJECTD", "ACCEPTD", "ENROUTE")
CLASSES = {"DELIVRD": "delivered", "UNDELIV": "undelivered", "REJECTD": "undelivered", "EXPIRED": "expired"}
"""What a `stat` says; the others say that it is on its way."""
DELAYS = (-1, 0, 20, 200, 600)
INBOUND_EVERY = 0.15
LONG = 0.25

read_receipt = re.compile(rb"id:([0-9a-fA-F]+) .*stat:([A-Z]+)").match


class Smsc(SmscTwin):
    """One account's SMSC. `rng` decides what goes wrong."""

    def __init__(self, name: str, ledger: int, book: int, rng: random.Random, ids: tuple[str, str]) -> None:
        super().__init__(late=LATE, receipts=[rng.choice(STATES) for _ in range(211)], ids=ids)
        self.name = name
        self.is_calm = False
        self._ledger, self._book, self._rng = ledger, book, rng
        self._written = 0

    def calm(self) -> None:
        """No more faults."""
        self.is_calm = True

    def find_answer(self, pdu: SubmitSm, now: int) -> str:
        """By luck."""
        rng = self._rng
        self.receipt_delay = rng.choice(DELAYS)
        self.repeat = 2 if rng.random() < REPEAT else 1
        luck = 1.0 if self.is_calm else rng.random()
        if luck < REFUSE:
            return rng.choice(REFUSALS)
        if luck < REFUSE + FAIL:
            return rng.choice(FAULTS)
        return rng.choice(ENDS) if luck < REFUSE + FAIL + END else "0x00"

    def ring(self, to: str, text: str, ref: str, pdu: SubmitSm) -> None:
        """One write, so that no line is ever half."""
        os.write(self._ledger, f"{self.name} {text}\n".encode())

    def conclude(self, pdu: DeliverSm) -> None:
        """Acknowledged: from now on it is theirs."""
        octets, part = pdu.short_message, "1/1"
        found = read_receipt(octets)
        if found is not None:
            line = f"receipt {self.name} {found[1].decode()} {CLASSES.get(found[2].decode(), 'progress')}"
        else:
            if pdu.esm_class & 0x40:
                part, octets = f"{octets[5]}/{octets[4]}", octets[6:]
            line = f"inbound {self.name} {part} {octets.decode()}"
        os.write(self._book, f"{line}\n".encode())

    async def write_in(self) -> None:
        """Handsets write to us, a quarter of them in two parts, until it is calm."""
        while not self.is_calm:
            self._written += 1
            sender, text = f"88691{self._written:07d}", f"text mo-{self.name}-{self._written} of {self._rng.getrandbits(40):x}"
            pdu = DeliverSm(source_addr_ton=1, source_addr_npi=1, source_addr=sender, destination_addr="55555", short_message=text.encode())
            if self._rng.random() < LONG:
                for part in (1, 2):
                    header = bytes((5, 0, 3, self._written & 0xFF, 2, part))
                    piece = f"{text} part {part};".encode()
                    self.inject(replace(pdu, esm_class=0x40, short_message=header + piece))
            else:
                self.inject(pdu)
            await trio.sleep(self._rng.random() * 2 * INBOUND_EVERY)


def _find_now() -> int:
    return round(time() * 1000)


async def serve(ledger: str, book: str, seed: int) -> None:
    """Serve until killed; prints the ports."""
    files = open_book(ledger), open_book(book)
    twins = [
        Smsc("west", *files, random.Random(seed), ("hex", "decimal")),
        Smsc("far", *files, random.Random(seed + 1), ("decimal", "decimal")),
    ]

    def calm() -> None:
        for twin in twins:
            twin.calm()

    async with trio.open_nursery() as nursery:
        await nursery.start(wait_calm, calm)
        doors = [await open_door() for _ in twins]
        for twin, door in zip(twins, doors, strict=True):
            nursery.start_soon(twin.write_in)
            nursery.start_soon(partial(trio.serve_listeners, partial(converse, twin, _find_now), [door]))
        print(*map(port_of, doors), flush=True)


if __name__ == "__main__":
    trio.run(serve, sys.argv[1], sys.argv[2], int(sys.argv[3]))
