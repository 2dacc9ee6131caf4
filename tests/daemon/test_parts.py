"""Messages in several parts: their receipts roll up, what they cost counts, and missing parts wait for a person (CONTRACT §1, Parts)."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.provider.contract import Outcome, Receipt
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import House, path_of, rule
from tests.daemon.test_receipts import hand, have_sent, session, take, waiting

LONG = "canary text " * 40
PRICED = {"prices": {"*": "0.5"}, "currency": "EUR"}


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house({"providers": {"a": hand(splits=True, **PRICED), "b": hand(splits=True)}, "rules": [rule("a", "b")]})


async def have_partial(house: House, *refs: str, **more: Any) -> str:
    """A message of four parts of which `a` took those with an id: its id."""
    id_ = await take(house, text=LONG, **more)
    session(house).answer(f"{id_}/1", Outcome("in_doubt", "58", "partial 2/4", refs, evidence="partial"))
    await house.until(id_, "held")
    return id_


@pytest.mark.parametrize(
    ("classes", "end"),
    [
        (("delivered", "delivered", "delivered", "delivered"), "delivered"),
        (("delivered", "undelivered", "delivered", "delivered"), "undelivered"),
        (("undelivered", "expired", "delivered", "blocked"), "expired"),  # the lowest-ranked one
        (("progress", "delivered", "delivered", "delivered"), "sent"),
        (("delivered",), "sent"),
    ],
)
async def test_roll_up(classes: tuple[Any, ...], end: str, house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "1", "2", "3", "4", text=LONG)
    for n, class_ in reversed(list(enumerate(classes, 1))):
        assert await session(house).hear(Receipt(class_, str(n))) == [str(n)]
    reply = await house.until(id_, end)
    assert reply["attempts"][0]["provider_refs"] == ["1", "2", "3", "4"]
    assert f"part {len(classes)}/4" in [event["detail"] for event in reply["events"]]
    before = len(reply["events"])
    await session(house).hear(*(Receipt(class_, str(n)) for n, class_ in enumerate(classes, 1)))
    assert len((await house.until(id_, end))["events"]) == before  # repeated: nothing more


async def test_all_parts_at_once_are_one_after_the_other(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "1", "2", "3", "4", text=LONG)
    await session(house).hear(*(Receipt("delivered", str(n)) for n in (1, 2, 3, 4)))
    await house.until(id_, "delivered")


async def test_parts_that_come_early_wait(house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house, text=LONG)
    await session(house).hear(*(Receipt("delivered", str(n)) for n in (1, 2, 3, 4)))
    assert waiting(house) == 4
    session(house).answer(f"{id_}/1", Outcome("accepted", None, None, ("1", "2", "3", "4")))
    await house.until(id_, "delivered")
    assert waiting(house) == 0


async def test_missing_parts_wait_for_a_person_whatever_the_rule_says(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    settings = rule("a", "b", in_doubt="failover", doubt_wait="1s")
    house = await make_house({"providers": {"a": hand(splits=True, **PRICED), "b": hand(splits=True)}, "rules": [settings]})
    id_ = await have_partial(house, "1", "", "3", "")
    await trio.sleep(1000)
    reply = await house.until(id_, "held")
    assert (reply["message"]["detail"], reply["attempts"][0]["detail"]) == ("partial", "partial 2/4")
    assert [each["state"] for each in reply["attempts"]] == ["in_doubt"]
    assert len(session(house, "b").sent) == 0
    assert house.ex.queued == 1


async def test_receipts_of_the_parts_that_went_prove_nothing_of_the_others(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_partial(house, "1", "", "3", "")
    assert await session(house).hear(Receipt("delivered", "1"), Receipt("undelivered", "3")) == ["1", "3"]
    reply = await house.until(id_, "held")
    assert [each["state"] for each in reply["attempts"]] == ["in_doubt"]
    # Their own late proof does, part by part.
    await session(house).hear(Receipt("progress", "2", f"{id_}/1"))
    await session(house).hear(Receipt("delivered", "2"))
    assert house.find(id_) == "held"
    await session(house).hear(Receipt("progress", "4", f"{id_}/1"))
    reply = await house.until(id_, "sent")
    assert reply["attempts"][0]["provider_refs"] == ["1", "2", "3", "4"]
    assert house.ex.queued == 0
    await session(house).hear(Receipt("delivered", "4"))
    await house.until(id_, "undelivered")


async def test_release_sends_the_whole_again(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_partial(house, "1", "", "3", "")
    assert (await house.order("release", id=id_))["ids"] == [id_]
    await house.until(id_, "sending")
    session(house).answer(f"{id_}/2", Outcome("accepted", None, None, ("5", "6", "7", "8")))
    reply = await house.until(id_, "sent")
    assert [each["state"] for each in reply["attempts"]] == ["abandoned", "accepted"]
    assert reply["message"]["copies"] == 2
    assert house.ex.queued == 0
    await session(house).hear(*(Receipt("delivered", ref) for ref in "13"))
    assert house.find(id_) == "sent"  # two parts of four
    await session(house).hear(*(Receipt("delivered", ref) for ref in "5678"))
    await house.until(id_, "delivered")


@pytest.mark.parametrize(
    ("outcome", "status", "state"), [("accepted", "sent", "accepted"), ("not-sent", "queued", "refused")], ids=["accepted", "not-sent"]
)
async def test_resolve_closes_it(outcome: str, status: str, state: str, house: House, autojump_clock: MockClock) -> None:
    id_ = await have_partial(house, "1", "2", "3", "")
    answer = await house.order("resolve", id=id_, outcome=outcome)
    assert (answer["ok"], answer["status"]) == (True, status)
    reply = await house.ask("status", id=id_)
    assert reply["attempts"][0]["state"] == state
    if state == "accepted":
        assert house.ex.queued == 0
        await session(house).hear(*(Receipt("undelivered", ref) for ref in "123"))
        assert house.find(id_) == "sent"  # nobody has spoken of the fourth


@pytest.mark.parametrize("how", ["validity", "cancel"])
async def test_without_proof_it_ends_unknown(how: str, house: House, autojump_clock: MockClock) -> None:
    id_ = await have_partial(house, "1", "", "3", "", validity="5m")
    if how == "cancel":
        assert (await house.order("cancel", id=id_))["ok"]
    reply = await house.until(id_, "unknown", within=400)
    assert [each["state"] for each in reply["attempts"]] == ["abandoned"]
    assert house.ex.queued == 0


async def test_a_doubt_with_some_ids_is_ended_by_all_parts_only(house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house, text=LONG)
    session(house).answer(f"{id_}/1", Outcome("in_doubt", None, "no response", ("1", "", "3", "4"), evidence="timeout"))
    await house.until(id_, "in_doubt")
    await session(house).hear(*(Receipt("delivered", ref) for ref in "134"))
    assert house.find(id_) == "in_doubt"
    await session(house).hear(Receipt("progress", None, f"{id_}/1"))  # a late response without an id
    reply = await house.until(id_, "sent")
    assert path_of(reply)[-1] == ("sent", "a", "progress")


async def test_late_proof_is_of_one_part_though_none_had_an_id(house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house, text=LONG)
    session(house).answer(f"{id_}/1", Outcome("in_doubt", None, "no response", ("", "", "", ""), evidence="timeout"))
    await house.until(id_, "in_doubt")
    for ref in "324":
        await session(house).hear(Receipt("progress", ref, f"{id_}/1"), Receipt("delivered", ref))
        reply = await house.until(id_, "in_doubt")
        assert [each["state"] for each in reply["attempts"]] == ["in_doubt"]
    await session(house).hear(Receipt("progress", "1", f"{id_}/1"))
    reply = await house.until(id_, "sent")
    assert sorted(reply["attempts"][0]["provider_refs"]) == ["1", "2", "3", "4"]
    await session(house).hear(Receipt("delivered", "1"))
    await house.until(id_, "delivered")


async def test_a_late_refusal_of_one_part_waits_for_a_person(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """What is known by then is as if it had been known at once: no failover, for the handset has some of it."""
    settings = rule("a", "b", in_doubt="failover", doubt_wait="20s")
    house = await make_house({"providers": {"a": hand(splits=True), "b": hand(splits=True)}, "rules": [settings]})
    id_ = await take(house, text=LONG)
    session(house).answer(f"{id_}/1", Outcome("in_doubt", None, "no response", ("1", "", "", ""), evidence="timeout"))
    await house.until(id_, "in_doubt")
    port = session(house).port
    assert port is not None
    await session(house).hear(Receipt("progress", "3", f"{id_}/1"))  # as it came: its place is not said
    late = Outcome("in_doubt", "0x58", "partial 2/4", ("1", "", "3", ""), evidence="partial")
    for _ in range(2):
        await port.refute(f"{id_}/1", late)
    await trio.sleep(100)
    reply = await house.until(id_, "held")
    assert (reply["message"]["detail"], reply["attempts"][0]["detail"], reply["attempts"][0]["code"]) == ("partial", "partial 2/4", "0x58")
    assert (len(session(house, "b").sent), house.ex.queued) == (0, 1)
    await session(house).hear(Receipt("progress", "4", f"{id_}/1"))
    assert house.find(id_) == "held"
    await session(house).hear(Receipt("delivered", "1"), Receipt("delivered", "3"), Receipt("delivered", "4"))
    assert house.find(id_) == "held"  # the second is missing, wherever the others' ids stand
    assert (await house.order("release", id=id_))["ids"] == [id_]
    await house.until(id_, "sending")
    assert house.ex.queued == 0


async def test_what_was_sent_is_what_is_paid(house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house, text=LONG)
    session(house).answer(f"{id_}/1", Outcome("accepted", None, None, ("1",), parts=6))
    reply = await house.until(id_, "sent")
    [attempt] = reply["attempts"]
    assert (attempt["parts"], attempt["price"], reply["events"][-1]["price"]) == (6, "3.00", "3.00")


async def test_what_the_provider_charged_counts(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    account = hand(**PRICED, spend={"max": "10", "per": "1h"})
    house = await make_house({"providers": {"a": account}, "rules": [rule("a")]})
    id_ = await have_sent(house, "1")
    for _ in range(2):
        await session(house).hear(Receipt("progress", "1", cost=9_600_000, segments=2))
    reply = await house.until(id_, "sent")
    assert (reply["attempts"][0]["price"], reply["attempts"][0]["parts"]) == ("9.60", 2)
    assert (reply["events"][-1]["type"], reply["events"][-1]["price"]) == ("message.receipt", "9.60")
    await session(house).hear(Receipt("delivered", "1", cost=9_600_000, segments=2))
    assert (await house.until(id_, "delivered"))["events"][-1]["price"] == "9.60"
    await house.take()
    await trio.sleep(1)
    assert house.ex.standings["a"].out is not None  # the cap counts what was charged: 9.6, not 0.5
    await house.stop()
    await house.start(house._nursery)
    assert (await house.ask("status", id=id_))["attempts"][0]["price"] == "9.60"


async def test_every_part_may_have_its_price(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "1", "2", "3", "4", text=LONG)
    await session(house).hear(Receipt("delivered", "2", cost=700_000), Receipt("delivered", "3", cost=100_000))
    assert (await house.until(id_, "sent"))["attempts"][0]["price"] == "1.80"  # 0.7 and 0.1, and two at 0.5
    await session(house).hear(Receipt("delivered", "1", cost=0), Receipt("delivered", "4", cost=0), Receipt("delivered", "2", cost=700_000))
    assert (await house.until(id_, "delivered"))["attempts"][0]["price"] == "0.80"
