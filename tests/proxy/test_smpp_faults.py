"""Fault of the link x policy: what an attempt over SMPP comes to, and how many copies the handset has. The real session, the real twin."""

from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock

from tests.daemon.house import TO, House, InMemory, rule, smpp
from tests.proxy import smpp as faults
from tests.proxy.smpp import ANSWER, SUBMIT, Fault, SmppProxy
from tests.proxy.test_http_faults import PATIENT, POLICIES


class Cell(NamedTuple):
    """What is done to which PDU, what the attempt comes to, whether the SMSC has it, and whether that comes to light by itself."""

    command: int
    fault: Fault
    class_: str = "in_doubt"
    has_copy: bool = True
    is_found: bool = False


CELLS: dict[str, Cell] = {
    "cut in the submit": Cell(SUBMIT, faults.cut_submit, has_copy=False),
    "closed before the submit": Cell(SUBMIT, faults.close_instead, has_copy=False),
    "lost submit": Cell(SUBMIT, faults.lose, has_copy=False),
    "cut in the answer": Cell(ANSWER, faults.cut_answer),
    "closed before the answer": Cell(ANSWER, faults.close_instead),
    "lost answer": Cell(ANSWER, faults.lose),
    "silence": Cell(ANSWER, faults.fall_silent),
    "dribble": Cell(ANSWER, faults.dribble),
    "garbage": Cell(ANSWER, faults.garble),
    "a giant length": Cell(ANSWER, faults.be_giant),
    "a short length": Cell(ANSWER, faults.be_short),
    "another's answer": Cell(ANSWER, faults.answer_another),
    "answered twice": Cell(ANSWER, faults.answer_twice, "accepted"),
    "answered late": Cell(ANSWER, faults.answer_late, is_found=True),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", CELLS)
async def test_every_cell(tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery, name: str, policy: str) -> None:
    cell = CELLS[name]
    spare = {"plugin": "loopback", "receipt": "delivered"}
    house = House(
        tmp_path,
        {"providers": {"first": smpp("first", breaker=PATIENT), "spare": spare}, "rules": [rule("first", "spare", **POLICIES[policy])]},
        {"first": {"receipts": []}},
    )
    proxy = SmppProxy(house, nursery)
    house.open_link = proxy.open_link  # type: ignore[method-assign]  # the seam
    with InMemory(house):
        await house.start(nursery)
        await trio.sleep(1)
        proxy.plan.append((cell.command, cell.fault))
        id_ = await house.take(TO, "canary smpp")
        await trio.sleep(200)
        reply = await house.ask("status", id=id_)
        await house.stop()
    assert proxy.plan == []
    first, *others = reply["attempts"]
    copies = len(house.twins["first"].sent) + sum(each["provider"] == "spare" for each in others)
    assert first["class"] == cell.class_, reply
    if cell.class_ == "accepted" or cell.is_found:
        assert (copies, first["state"], reply["message"]["status"]) == (1, "accepted", "sent")
    elif policy == "hold":
        assert (copies, reply["message"]["status"]) == (int(cell.has_copy), "unknown")
    else:
        assert copies == int(cell.has_copy) + 1
        assert reply["message"]["status"] in ("sent", "delivered")
