"""Accounts that keep a connection: what a session makes of a message's way through the whole broker."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.store import journal
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, House, loopback, path_of, rule, smpp

LONG = TEXT + " 0123456789" * 40  # three parts


async def make(make_house: MakeHouse, twin: dict[str, Any] | None = None, **more: Any) -> House:
    """A broker with one account, bound."""
    house = await make_house({"providers": {"a": smpp("a", **more)}, "rules": [rule("a")]}, {"a": twin or {}})
    await trio.sleep(1)
    return house


async def test_a_message_by_smpp(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    reply = await house.until(await house.take(), "delivered", within=5)
    assert house.twins["a"].sent == [(TO, TEXT, "1000001")]
    assert path_of(reply) == [("queued", None, None), ("sending", "a", None), ("sent", "a", "accepted"), ("delivered", "a", "delivered")]
    assert reply["attempts"][0]["provider_refs"] == ["1000001"]
    assert len(house.twins["a"].acknowledged) == 1


@pytest.mark.parametrize(
    "twin",
    [
        {"ids": ("hex", "decimal")},
        {"ids": ("decimal", "HEX"), "receipt_form": "text"},
        {"receipt_delay": -1, "delay": 500},
        {"repeat": 3, "reverse": True, "receipt_form": "tlv"},
        {"delay": 2_000, "shuffle": 3},
    ],
)
async def test_receipts_find_their_message(twin: dict[str, Any], make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, twin)
    for id_ in [await house.take(text=f"{TEXT} {n}") for n in range(9)]:
        await house.until(id_, "delivered", within=10)


async def test_a_long_message(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, {"receipt_delay": 1_000})
    reply = await house.until(await house.take(text=LONG), "delivered", within=5)
    assert (reply["attempts"][0]["provider_refs"], reply["attempts"][0]["parts"]) == (["1000001", "1000002", "1000003"], 3)
    assert [text for _, text, _ in house.twins["a"].sent] == [LONG]


async def test_a_part_that_is_not_delivered(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, {"receipts": ["DELIVRD", "UNDELIV", "DELIVRD"]})
    await house.until(await house.take(text=LONG), "undelivered", within=5)


async def test_a_part_that_is_never_taken(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, {"answers": ["0x00", "0x00"], "fault": "0x14"})
    reply = await house.until(await house.take(text=LONG), "held", within=60)
    assert reply["message"]["detail"] == "partial"
    assert (reply["attempts"][0]["state"], reply["attempts"][0]["detail"]) == ("in_doubt", "partial 2/3")


async def test_a_link_that_drops_with_the_answer(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, {"answers": ["drop"], "receipts": None})
    id_ = await house.take()
    reply = await house.until(id_, "in_doubt", within=5)
    assert reply["attempts"][0]["state"] == "in_doubt"
    await house.until(id_, "unknown", within=1_000)
    assert len(house.twins["a"].sent) == 1  # never a second copy


async def test_an_answer_that_comes_late_ends_the_doubt(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, {"answers": ["late"], "late": 40_000, "receipt_delay": 60_000})
    id_ = await house.take()
    await house.until(id_, "in_doubt", within=30)
    reply = await house.until(id_, "sent", within=30)
    assert reply["attempts"][0]["provider_refs"] == ["1000001"]
    await house.until(id_, "delivered", within=70)
    assert len(house.twins["a"].sent) == 1


async def test_too_fast(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, {"answers": ["0x58"] * 3})
    reply = await house.until(await house.take(), "delivered", within=60)
    assert {event["class"] for event in reply["events"] if event["type"] == "message.queued"} == {None, "throttled"}


async def test_what_is_not_bound_is_not_asked(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    settings = {"providers": {"a": smpp("a"), "b": smpp("b")}, "rules": [rule("a", "b")]}
    house = await make_house(settings, {"a": {"binds": ["0x0E"] * 100}})
    await trio.sleep(1)
    reply = await house.until(await house.take(), "delivered", within=30)
    assert reply["message"]["provider"] == "b"
    assert [attempt["provider"] for attempt in reply["attempts"]][-1] == "b"


async def test_a_reload_binds_anew_and_loses_nothing(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, {"delay": 3_000, "receipt_delay": 10_000})
    slow = await house.take()
    await house.until(slow, "sending", within=1)
    house.write({"providers": {"a": smpp("a", window=50)}, "rules": [rule("a")]})
    assert (await house.order("reload"))["ok"]
    await trio.sleep(10)
    assert len(house.twins["a"].lines) == 1
    await house.until(slow, "delivered", within=20)
    await house.until(await house.take(text=f"{TEXT} 2"), "delivered", within=30)


async def test_an_smsc_that_is_asked(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, registered_delivery=0, ask=True, query=["10s", "30s"])
    id_ = await house.take()
    await house.until(id_, "sent", within=1)
    await trio.sleep(15)
    assert house.find(id_) == "sent"
    next(iter(house.twins["a"].taken.values())).state = "DELIVRD"
    await house.until(id_, "delivered", within=20)


async def test_how_ids_are_written_is_known_after_a_restart(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house, {"ids": ("hex", "decimal")})
    for n in range(5):
        await house.until(await house.take(text=f"{TEXT} {n}"), "delivered", within=10)
    await house.stop()
    await house.start(house._nursery)
    lane = house.ex.lanes["a"]
    assert lane.carrier.session is not None
    await trio.sleep(1)
    assert lane.carrier.session._inbox._ids.settled == "decimal"  # type: ignore[attr-defined]  # it is by SMPP
    await house.until(await house.take(), "delivered", within=10)


@pytest.mark.parametrize(("in_flight", "least", "most"), [(20, 0.5, 0.8), (80, 0.98, 1.01)])
async def test_a_full_window_does_not_wait_for_the_disk(
    in_flight: int, least: float, most: float, make_house: MakeHouse, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit takes 10 ms, an answer 50: with slots for four windows the SMSC always has a whole one, with slots for one it cannot.

    A slot is given back when the outcome is durable, so this is what the slots beyond the window are for.
    """
    house = await make(make_house, {"delay": 50, "receipts": None}, window=20, max_in_flight=in_flight)
    monkeypatch.setattr(journal, "SMALL", 0)

    async def commit(work: Callable[[], None]) -> None:
        work()
        await trio.sleep(0.010)

    await house.order("pause", name="a")
    for n in range(300):
        await house.take(text=f"{TEXT} {n}")
    house.journal._runner = commit
    await house.order("resume", name="a")
    await trio.sleep(10)
    times = [taken.at for taken in house.twins["a"].taken.values()]
    assert len(times) == 300
    share = (len(times) - 20) / (times[-1] - times[0]) * 1000 / (20 * 1000 / 50)
    assert least <= share <= most


async def test_what_an_smsc_s_status_means_is_the_account_s_to_say(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """PROVIDERS.md: 0x45 is `unavailable`, "override per account: often credit"; written by its name."""
    account = smpp("a", codes={"ESME_RSUBMITFAIL": "unsuitable"})
    house = await make_house({"providers": {"a": account, "b": loopback()}, "rules": [rule("a", "b")]}, {"a": {"answers": ["0x45"]}})
    await trio.sleep(1)
    reply = await house.until(await house.take(), "unconfirmed", within=1)
    assert [(each["provider"], each["class"], each["code"]) for each in reply["attempts"]] == [
        ("a", "unsuitable", "0x45"), ("b", "accepted", "ok"),
    ]  # fmt: skip
