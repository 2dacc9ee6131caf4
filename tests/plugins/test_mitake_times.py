"""Mitake's times: what is sent later, how long it is valid, and what becomes of it when it is canceled before."""

from typing import Any

import pytest

from broker.provider.contract import Reply, Secret, Send, Unsuitable
from broker.words.clock import DAY, HOUR, MINUTE, read_time
from plugins.mitake import plugin
from tests.plugins.test_mitake import (
    ABROAD,
    BLOCKS,
    BULK,
    CALLBACK,
    CALLBACK_ENCODED,
    CANARY,
    KEY,
    LONG_OLD,
    MTK,
    NEW,
    NOW,
    OLD,
    RECEIPTS,
    SMEXPRESS,
    ask,
    send,
    show,
)

LATER, UNTIL = "20261122143000", "20261123043000"  # on Taipei's clocks, for a schedule at 06:30 UTC
SOON: dict[str, Any] = {"validity": HOUR}
TIMED: dict[str, Any] = {"schedule": "2026-11-22T06:30:00Z", "validity": DAY + HOUR // 2, "callback": CALLBACK}
TIMES = f"&dlvtime={LATER}&vldtime={UNTIL}&response={CALLBACK_ENCODED}"
BUILDS_WITH_TIMES = [
    (SMEXPRESS, [send(**SOON)], f"{OLD}&dstaddr=0912345678&smbody=hi&vldtime=20261122050000"),
    (SMEXPRESS, [send(**TIMED)], f"{OLD}&dstaddr=0912345678&smbody=hi{TIMES}"),
    (SMEXPRESS, [send(text="x" * 71, **TIMED)], f"{LONG_OLD}&dstaddr=0912345678&smbody={'x' * 71}{TIMES}"),
    (
        SMEXPRESS,
        [send(**TIMED), send(ABROAD, n=2, **SOON)],
        f"{BLOCKS}[0]\r\ndstaddr=0912345678\r\nsmbody=hi\r\ndlvtime={LATER}\r\nvldtime={UNTIL}\r\nresponse={CALLBACK}\r\n"
        f"[1]\r\ndstaddr={ABROAD[1:]}\r\nsmbody=hi\r\nvldtime=20261122050000\r\n",
    ),
    (MTK, [send(**TIMED)], f"{NEW.format('SmSend?CharsetURL=UTF8')}&dstaddr=0912345678&smbody=hi&clientid={KEY.format(1)}{TIMES}"),
    (
        MTK,
        [send(**TIMED), send(ABROAD, n=2, **SOON)],
        f"{BULK}{KEY.format(1)}$$0912345678$${LATER}$${UNTIL}$$$${CALLBACK}$$hi\r\n"
        f"{KEY.format(2)}$${ABROAD[1:]}$$$$20261122050000$$$$$$hi\r\n",
    ),
]


@pytest.mark.parametrize(("config", "batch", "wire"), BUILDS_WITH_TIMES)
def test_what_leaves_with_times(config: plugin.Config, batch: list[Send], wire: str) -> None:
    assert show(plugin.build(config, batch, NOW)) == wire


def test_times_are_those_of_the_account_s_zone() -> None:
    athens = plugin.Config(username="demo", password=Secret(CANARY), timezone="Europe/Athens")
    wire = show(plugin.build(athens, [send(schedule="2026-11-22 08:30", validity=DAY)], NOW))
    assert wire.endswith("&dlvtime=20261122083000&vldtime=20261122220000")
    reply = Reply(200, {}, b"A1\t4\t20160808153248\r\n")
    assert plugin.parse_query(athens, reply, [ask("A1")])[0].at == read_time("2016-08-08T12:32:48Z")
    assert plugin.check(athens) == []
    for zone in ("Mars/Olympus", "", "Asia", "../x"):
        (problem,) = plugin.check(plugin.Config(username="demo", password=Secret(CANARY), timezone=zone))
        assert problem[0] == "timezone"


def test_a_schedule_that_passed_on_the_way_goes_at_once() -> None:
    late = send(schedule="2026-11-21T20:10:00Z")
    assert "dlvtime" in show(plugin.build(MTK, [late], NOW + 9 * MINUTE))
    assert "dlvtime" not in show(plugin.build(MTK, [late], NOW + 10 * MINUTE))


@pytest.mark.parametrize("config", [SMEXPRESS, MTK])
@pytest.mark.parametrize("schedule", ["soon", 7, "2026-11-21T20:00:00Z", "2026-11-23T20:00:00Z", "+1 day"])
def test_a_schedule_that_cannot_be_kept_is_refused_alone(config: plugin.Config, schedule: object) -> None:
    with pytest.raises(Unsuitable) as refusal:
        plugin.build(config, [send(schedule=schedule)], NOW)
    assert refusal.value.code == "options.schedule"
    assert str(schedule) not in refusal.value.detail
    assert plugin.shape(config, send(schedule=schedule)) is None


def test_what_is_canceled() -> None:
    asked = plugin.cancel(MTK, [ask("0939137671"), ask("#000000013"), ask()], NOW)
    assert show(asked) == f"{NEW.format('SmCancel')}&msgid=0939137671%2C%23000000013"
    with pytest.raises(ValueError, match="only `mtk`"):
        plugin.cancel(SMEXPRESS, [ask("0939137671")], NOW)


CANCELS: list[tuple[str, bytes, str]] = [
    ("the vendor's", b"A1=9\r\nB2=0\r\n", "canceled 9 progress 0"),
    ("any order, no end", b"B2=8\nA1=?", "query_error ? expired 8"),
    ("one prefix more", b"#A1=9\r\nB2=4\r\n", "canceled 9 delivered 4"),
    ("one is missing", b"B2=9\r\n", "query_error None canceled 9"),
    ("refused", b"statuscode=e\r\nError=x\r\n", "query_error e query_error e"),
    ("the letter alone", b"k\r\n", "query_error k query_error k"),
    ("unknown code", b"A1=Q\r\nB2=" + CANARY.encode(), "unrecognised Q unrecognised None"),
    ("page", b"<html>\nA1=9\nB2=9\n</html>", "query_error None query_error None"),
    ("empty", b"", "query_error None query_error None"),
    ("a text of a query", b"A1\t9\t20160808153248\r\n", "query_error None query_error None"),
]


@pytest.mark.parametrize(("body", "said"), [c[1:] for c in CANCELS], ids=[c[0] for c in CANCELS])
def test_answers_to_a_cancel(body: bytes, said: str) -> None:
    receipts = plugin.parse_cancel(MTK, Reply(200, {}, body), [ask("A1"), ask("B2")])
    assert " ".join(f"{receipt.class_} {receipt.code}" for receipt in receipts) == said
    assert [receipt.ref for receipt in receipts] == ["A1", "B2"]


@pytest.mark.parametrize(("code", "class_"), [*RECEIPTS.items(), ("?", "query_error")])
def test_every_code_of_a_cancel(code: str, class_: str) -> None:
    (receipt,) = plugin.parse_cancel(MTK, Reply(200, {}, f"#A1={code}\r\n".encode()), [ask("#A1")])
    assert (receipt.class_, receipt.code) == (class_, code)
