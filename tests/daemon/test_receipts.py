"""Receipts by the provider's own id: matched, kept where they come too early, never moving what is not theirs (promises 8 to 10)."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.delivery import inbox as inbox_room
from broker.delivery import retention as retention_room
from broker.delivery import settle as settle_room
from broker.provider.contract import Outcome, Receipt, Unstored
from broker.store.contract import Answer
from broker.store.journal import SqliteJournal
from broker.words.clock import HOUR, MINUTE
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TO, House, Toml, path_of, rule
from tests.daemon.test_full import fill, make_room

HAND = str(Path(__file__).parent / "hand" / "plugin.py")


def hand(**more: Any) -> Toml:
    """An account worked by hand."""
    return {"plugin": HAND, "timeout": "10m", "max_in_flight": 1000, **more}


def session(house: House, name: str = "a") -> Any:
    """The account's session."""
    return house.ex.lanes[name].carrier.session


async def take(house: House, **more: Any) -> str:
    """A message that is being sent: its id."""
    id_ = await house.take(**more)
    await house.until(id_, "sending")
    return id_


async def have_sent(house: House, *refs: str, **more: Any) -> str:
    """A message that `a` accepted under those ids."""
    id_ = await take(house, **more)
    session(house).answer(f"{id_}/1", Outcome("accepted", "0", None, refs))
    await house.until(id_, "sent")
    return id_


def waiting(house: House) -> int:
    """Receipts in the inbox: by the store, which memory has to agree with."""
    strays = house.query.read_strays(0, 1000)
    assert [stray.id for stray in strays] == sorted(house.ex.inbox.strays)
    return len(strays)


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house({"providers": {"a": hand(), "b": hand()}, "rules": [rule("a", "b")]})


async def test_found_by_its_id(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "77")
    assert await session(house).hear(Receipt("delivered", "77", code="000")) == ["77"]
    reply = await house.until(id_, "delivered")
    assert path_of(reply)[-1] == ("delivered", "a", "delivered")
    assert reply["events"][-1]["provider_ref"] == "77"
    assert (reply["attempts"][0]["receipt"], waiting(house)) == ("delivered", 0)


async def test_found_after_a_restart_by_another_form_of_its_id(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "1A4")
    await house.stop()
    await house.start(house._nursery)
    assert await session(house).hear(Receipt("delivered", "420", forms=("1a4", "1A4"))) == ["1A4"]
    await house.until(id_, "delivered")


async def test_an_id_used_again_is_the_newest_ones(house: House, autojump_clock: MockClock) -> None:
    first = await have_sent(house, "5")
    second = await have_sent(house, "5")
    for _ in range(2):  # by what is at hand, then by the store
        await session(house).hear(Receipt("progress", "5"))
        await house.stop()
        await house.start(house._nursery)
    await session(house).hear(Receipt("delivered", "5"))
    assert (house.find(first), house.find(second)) == ("sent", "delivered")


@pytest.mark.parametrize("heard", [TO, TO[1:], "0912345678", "00886912345678", "+886 912 345 678"])
async def test_the_recipient_agrees(heard: str, house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "9")
    await session(house).hear(Receipt("delivered", "9", recipient=heard))
    assert house.find(id_) == "delivered"


@pytest.mark.parametrize("heard", ["+886912345679", "912345", "", "0"])
async def test_another_recipient_is_nobody_s(heard: str, house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "9")
    assert await session(house).hear(Receipt("delivered", "9", recipient=heard)) == [None]
    assert (house.find(id_), waiting(house)) == ("sent", 1)


async def test_an_id_for_many_is_told_apart_by_the_recipient(house: House, autojump_clock: MockClock) -> None:
    first, second = await have_sent(house, "9"), await have_sent(house, "9", to="+886911111111")
    await session(house).hear(Receipt("delivered", "9", recipient=TO))
    assert (house.find(first), house.find(second)) == ("delivered", "sent")


async def test_another_account_moves_nothing(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "77")
    assert await session(house, "b").hear(Receipt("delivered", "77"), Receipt("delivered", "77", f"{id_}/1")) == [None, None]
    await session(house, "b").hear(Receipt("delivered", None, f"{id_}/1"), Receipt("delivered", None, f"{id_}/2"), Receipt("delivered"))
    assert (house.find(id_), waiting(house)) == ("sent", 1)


@pytest.mark.parametrize("name", ["ref", "token"])
async def test_an_early_one_waits_for_the_answer(name: str, house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house)
    attempt = f"{id_}/1"
    receipt = Receipt("delivered", "77", attempt if name == "token" else None)
    assert await session(house).hear(receipt) == [None]
    assert (house.find(id_), waiting(house)) == ("sending", 1)  # durable before it is acknowledged, and nothing moved
    await trio.sleep(3)
    session(house).answer(attempt, Outcome("accepted", "0", None, ("77",)))
    reply = await house.until(id_, "delivered")
    assert path_of(reply)[-2:] == [("sent", "a", "accepted"), ("delivered", "a", "delivered")]
    assert "waited since 2026-" in reply["events"][-1]["detail"]
    assert waiting(house) == 0


async def test_after_a_crash_the_inbox_is_looked_at(house: House, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    id_ = await take(house)
    await session(house).hear(Receipt("undelivered", "77"))
    with monkeypatch.context() as patch:
        patch.setattr(settle_room, "claim", lambda *_: None)  # killed between the outcome and what waits for it
        session(house).answer(f"{id_}/1", Outcome("accepted", "0", None, ("77",)))
        await house.until(id_, "sent")
        await house.stop()
    await house.start(house._nursery)
    await house.until(id_, "undelivered")
    assert waiting(house) == 0


async def test_a_token_proves_an_attempt_that_a_crash_left_open(house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house)
    await session(house).hear(Receipt("progress", "77", f"{id_}/1"))
    await house.stop()
    await house.start(house._nursery)
    reply = await house.until(id_, "sent")
    assert [show["state"] for show in reply["attempts"]] == ["accepted"]
    assert reply["attempts"][0]["provider_refs"] == ["77"]  # learnt from the receipt, and so found by the next
    await session(house).hear(Receipt("delivered", "77"))
    await house.until(id_, "delivered")


async def test_one_that_stays_unknown_goes(house: House, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    assert inbox_room.KEPT == 72 * HOUR
    monkeypatch.setattr(retention_room, "KEPT", 10 * MINUTE)  # three days of a sweep's seconds take too long
    await session(house).hear(Receipt("delivered", "nobody's"))
    await trio.sleep(9 * 60)
    assert waiting(house) == 1
    await trio.sleep(3 * 60)
    assert waiting(house) == 0


async def test_the_inbox_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    monkeypatch.setattr(inbox_room, "MOST", 3)
    await session(house, "b").hear(Receipt("delivered", "b's"))
    await session(house).hear(*(Receipt("delivered", str(n)) for n in range(5)))
    await session(house).hear(*(Receipt("delivered", "4") for _ in range(9)))  # the very same wait once
    assert [stray.receipt.ref for stray in house.query.read_strays(0, 100)] == ["b's", "2", "3", "4"]
    assert house.ex.inbox.dropped == {"a": 2}
    assert waiting(house) == 4


async def test_a_replay_changes_and_tells_nothing(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "77")
    for _ in range(3):
        await session(house).hear(*[Receipt("progress", "77", code="1"), Receipt("delivered", "77", code="2")] * 30)
    reply = await house.until(id_, "delivered")
    assert path_of(reply)[-2:] == [("receipt", "a", "progress"), ("delivered", "a", "delivered")]


@pytest.mark.parametrize(
    ("first", "second", "end", "detail"),
    [
        ("delivered", "undelivered", "delivered", "contradicts delivered"),
        ("undelivered", "expired", "undelivered", "contradicts undelivered"),
        ("undelivered", "delivered", "delivered", "corrects undelivered"),
    ],
)
async def test_a_contradiction_is_told_once(
    first: Any, second: Any, end: str, detail: str, house: House, autojump_clock: MockClock
) -> None:
    id_ = await have_sent(house, "77")
    await session(house).hear(Receipt(first, "77"))
    for _ in range(3):
        await session(house).hear(Receipt(second, "77", detail="as they say"))
    reply = await house.until(id_, end)
    assert [event["detail"] for event in reply["events"]].count(f"as they say; {detail}") == 1
    assert reply["events"][-1]["type"] == ("message.delivered" if end == second else "message.receipt")


async def test_one_that_nobody_knows_is_kept_and_changes_nothing(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "77")
    for _ in range(3):
        await session(house).hear(Receipt("unrecognised", "77", code="XYZZY"))
    reply = await house.until(id_, "sent")
    assert [(event["type"], event["code"]) for event in reply["events"]][-1] == ("message.receipt", "XYZZY")
    assert len(reply["events"]) == 4


async def test_a_full_disk_takes_none(house: House, autojump_clock: MockClock) -> None:
    id_ = await have_sent(house, "77")
    fill(house)
    with pytest.raises(Unstored):
        await session(house).hear(*(Receipt("delivered", "x" * 3000 + str(n)) for n in range(30)))
    with pytest.raises(Unstored):
        await session(house).hear(Receipt("delivered", "77"))
    assert house.ex.inbox.strays == {}
    make_room(house)
    await trio.sleep(5)
    assert house.find(id_) == "sent"
    await session(house).hear(Receipt("delivered", "77"))
    assert house.find(id_) == "delivered"


async def test_an_outcome_under_way_comes_first(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hand(), "b": hand()}, "rules": [rule("a", "b", on={"undelivered": "next"})]})
    id_ = await have_sent(house, "77")
    await session(house).hear(Receipt("undelivered", "77"))
    await house.until(id_, "sending", within=5)
    await session(house).hear(Receipt("delivered", "77"))
    assert (house.find(id_), waiting(house)) == ("sending", 1)
    session(house, "b").answer(f"{id_}/2", Outcome("accepted", "0", None, ("88",)))
    reply = await house.until(id_, "delivered")
    assert [each["state"] for each in reply["attempts"]] == ["accepted", "accepted"]
    assert waiting(house) == 0


async def test_it_comes_before_the_next_try(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hand(), "b": hand()}, "rules": [rule("a", "b", on={"undelivered": "next"})]})
    id_ = await have_sent(house, "77")
    await session(house).hear(Receipt("undelivered", "77"))
    await house.until(id_, "sending", within=5)
    await session(house).hear(Receipt("delivered", "77"))
    session(house, "b").answer(f"{id_}/2", Outcome("unavailable", "8"))
    await house.until(id_, "delivered")
    await trio.sleep(600)
    assert len(session(house, "b").sent) == 1
    assert house.ex.queued == 0


async def test_delivered_ends_the_other_attempt_s_doubt(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hand(), "b": hand()}, "rules": [rule("a", "b", on={"undelivered": "next"})]})
    id_ = await have_sent(house, "77")
    await session(house).hear(Receipt("undelivered", "77"))
    await house.until(id_, "sending", within=5)
    session(house, "b").answer(f"{id_}/2", Outcome("in_doubt"))
    await session(house).hear(Receipt("delivered", "77"))
    reply = await house.until(id_, "delivered")
    assert [each["state"] for each in reply["attempts"]] == ["accepted", "abandoned"]


@pytest.mark.parametrize(("class_", "status"), [("progress", "sent"), ("delivered", "delivered"), ("undelivered", "undelivered")])
async def test_one_by_token_ends_a_doubt(class_: Any, status: str, house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house)
    session(house).answer(f"{id_}/1", Outcome("in_doubt"))
    await house.until(id_, "in_doubt")
    await session(house).hear(Receipt(class_, "77", f"{id_}/1"))
    reply = await house.until(id_, status)
    assert [each["state"] for each in reply["attempts"]] == ["accepted"]


async def test_one_by_token_still_corrects_unknown(house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house)
    session(house).answer(f"{id_}/1", Outcome("in_doubt"))
    await house.until(id_, "unknown", within=1000)
    await session(house).hear(Receipt("delivered", "77", f"{id_}/1"))
    reply = await house.until(id_, "delivered")
    assert [each["state"] for each in reply["attempts"]] == ["accepted"]


# ---- late refusals


async def test_a_late_refusal_lets_a_doubted_message_go_on(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": hand(), "b": hand()}, "rules": [rule("a", "b")]})
    id_ = await take(house)
    session(house).answer(f"{id_}/1", Outcome("in_doubt"))
    await house.until(id_, "in_doubt")
    port, other = session(house).port, session(house, "b").port
    assert port is not None
    assert other is not None
    await other.refute(f"{id_}/1", Outcome("unavailable", "8"))  # not its attempt
    await port.refute(f"{id_}/7", Outcome("unavailable", "8"))
    assert house.find(id_) == "in_doubt"
    await port.refute(f"{id_}/1", Outcome("unsuitable", "0x0A"))
    await house.until(id_, "sending", within=5)
    await port.refute(f"{id_}/1", Outcome("unsuitable", "0x0A"))  # again: nothing is in doubt any more
    session(house, "b").answer(f"{id_}/2", Outcome("accepted", "0", None, ("88",)))
    reply = await house.until(id_, "sent")
    assert [(each["provider"], each["state"]) for each in reply["attempts"]] == [("a", "refused"), ("b", "accepted")]


async def test_a_late_refusal_of_what_was_abandoned(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """Another copy was sent meanwhile: the message is what that one makes of it."""
    house = await make_house(
        {"providers": {"a": hand(), "b": hand()}, "rules": [rule("a", "b", in_doubt="failover", doubt_wait="10s", max_copies=2)]}
    )
    id_ = await take(house)
    session(house).answer(f"{id_}/1", Outcome("in_doubt"))
    await house.until(id_, "in_doubt")
    await house.until(id_, "sending", within=30)
    port = session(house).port
    assert port is not None
    await port.refute(f"{id_}/1", Outcome("unavailable", "8"))
    assert house.find(id_) == "sending"
    session(house, "b").answer(f"{id_}/2", Outcome("accepted", "0", None, ("88",)))
    reply = await house.until(id_, "sent")
    assert [each["state"] for each in reply["attempts"]] == ["refused", "accepted"]
    assert len(session(house).sent) == len(session(house, "b").sent) == 1


async def test_a_person_says_not_sent_while_another_copy_is_sent(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {"providers": {"a": hand(), "b": hand()}, "rules": [rule("a", "b", in_doubt="failover", doubt_wait="10s", max_copies=2)]}
    )
    id_ = await take(house)
    session(house).answer(f"{id_}/1", Outcome("in_doubt"))
    await house.until(id_, "in_doubt")
    await house.until(id_, "sending", within=30)
    assert (await house.order("resolve", id=id_, outcome="not-sent"))["status"] == "sending"
    session(house, "b").answer(f"{id_}/2", Outcome("accepted", "0", None, ("88",)))
    reply = await house.until(id_, "sent")
    assert [each["state"] for each in reply["attempts"]] == ["refused", "accepted"]
    assert len(session(house).sent) == 1


async def test_a_late_refusal_while_the_request_is_repeated_proves_nothing(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """The provider refuses what came first, takes the repeat, and whoever believed the refusal would send a second copy."""
    house = await make_house({"providers": {"a": hand(memory=43_200_000), "b": hand()}, "rules": [rule("a", "b")]})
    id_ = await take(house)
    session(house).answer(f"{id_}/1", Outcome("in_doubt"))
    await house.until(id_, "in_doubt")
    await trio.sleep(3)
    assert len(session(house).sent) == 2
    port = session(house).port
    assert port is not None
    await port.refute(f"{id_}/1", Outcome("unavailable", "8"))
    assert (await house.order("resolve", id=id_, outcome="not-sent"))["error"]["code"] == "unavailable"
    await trio.sleep(1)
    assert (house.find(id_), len(session(house, "b").sent)) == ("in_doubt", 0)
    session(house).answer(f"{id_}/1", Outcome("accepted", "0", None, ("88",)))
    reply = await house.until(id_, "sent")
    assert [(each["provider"], each["state"]) for each in reply["attempts"]] == [("a", "accepted")]


async def test_a_late_refusal_that_cannot_be_written(house: House, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = await take(house)
    session(house).answer(f"{id_}/1", Outcome("in_doubt"))
    await house.until(id_, "in_doubt")
    port = session(house).port
    assert port is not None
    with monkeypatch.context() as patch:
        patch.setattr(SqliteJournal, "put", lambda self, operation: operation.done(Answer.FAILED, None))
        with pytest.raises(Unstored):
            await port.refute(f"{id_}/1", Outcome("rejected", "0x0B"))
    await port.refute(f"{id_}/1", Outcome("rejected", "0x0B"))
    assert house.find(id_) == "failed"


async def test_status_tells_every_receipt(house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house)
    await session(house).hear(Receipt("progress", "77", f"{id_}/1", code="1", detail="at the network"), Receipt("delivered", "88"))
    [attempt] = (await house.ask("status", id=id_))["attempts"]
    assert [(each["class"], each["code"], each["waits"], each["status"]) for each in attempt["receipts"]] == [("progress", "1", True, None)]
    session(house).answer(f"{id_}/1", Outcome("accepted", "0", None, ("77",)))
    await house.until(id_, "sent")
    await session(house).hear(Receipt("unrecognised", "77", code="?"), Receipt("expired", "77", code="3"), Receipt("delivered", "77"))
    [attempt] = (await house.until(id_, "delivered"))["attempts"]
    assert [(each["class"], each["code"], each["status"], each["provider_ref"]) for each in attempt["receipts"]] == [
        ("progress", "1", None, "77"),
        ("unrecognised", "?", None, "77"),
        ("expired", "3", "expired", "77"),
        ("delivered", None, "delivered", "77"),
    ]
    assert not any(each["waits"] for each in attempt["receipts"])
    assert attempt["receipts"][0]["detail"].startswith("at the network; waited since ")
    assert attempt["receipts"][3]["detail"] == "corrects expired"


async def test_status_tells_no_outcome_as_a_receipt(house: House, autojump_clock: MockClock) -> None:
    id_ = await take(house)
    session(house).answer(f"{id_}/1", Outcome("blocked", "9"))
    [attempt] = (await house.until(id_, "blocked"))["attempts"]
    assert attempt["receipts"] == []
