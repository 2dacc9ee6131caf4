"""What a person wants done at the provider itself: its address book changed, a message given up that it keeps for later."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.delivery import orders
from broker.provider.contract import TwinReply, TwinRequest
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, House, Toml, loopback, mitake, rule, tatango

MOBILE = "+306912345678"


def isms(host: str, **more: Any) -> Toml:
    """An iSMS.gr account served by the twin of that name."""
    return {"plugin": "isms", "username": "demo", "password": SECRET, "url": f"http://{host}", "sender": "ACME", **more}


async def test_a_contact_is_added_and_deleted(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": isms("a"), "b": loopback()}, "rules": [rule("b")]})
    added = await house.order("contacts", action="add", mobile="+30 691 234 5678", name="Ada", surname="L", comments="c", ref="r")
    assert added == {"ok": True, "action": "add", "provider": "a", "mobile": MOBILE, "ref": "r"}
    assert house.twins["a"].contacts == {"306912345678": {"surname": "L", "name": "Ada", "comments": "c"}}
    assert (await house.order("contacts", action="delete", mobile=MOBILE, provider="a"))["ok"]
    error = (await house.order("contacts", action="delete", mobile=MOBILE))["error"]
    assert (error["code"], error["message"].split(":")[0]) == ("unavailable", "a")
    assert house.twins["a"].contacts == {}


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"action": "list"}, "bad_request", "action"),
        ({"action": None}, "bad_request", "action"),
        ({"mobile": None}, "bad_request", "mobile"),
        ({"mobile": "12"}, "invalid_recipient", "mobile"),
        ({"name": "x" * 201}, "bad_request", "name"),
        ({"surname": "a\nb"}, "bad_request", "surname"),
        ({"comments": "\ud800"}, None, None),
        ({"provider": None}, "bad_request", "provider"),
        ({"provider": "b"}, "bad_request", "provider"),
        ({"provider": "nobody"}, "not_found", "provider"),
    ],
)
async def test_what_is_no_order(
    make_house: MakeHouse, autojump_clock: MockClock, more: dict[str, Any], code: str | None, field: str | None
) -> None:
    accounts = {"a": isms("a"), "b": loopback(), "c": isms("c")}
    house = await make_house({"providers": accounts, "rules": [rule("b")]})
    error = (await house.order("contacts", **({"action": "add", "mobile": MOBILE, "provider": "a"} | more)))["error"]
    assert code is None or (error["code"], error.get("field")) == (code, field)
    assert house.twins["a"].contacts == {}


@pytest.mark.parametrize(
    ("fault", "code"),
    [("Authentication error.", "unavailable"), ("503", "unavailable"), ("500", "outcome_unknown"), ("down", "unavailable")],
)
async def test_a_provider_that_does_not_do_it(make_house: MakeHouse, autojump_clock: MockClock, fault: str, code: str) -> None:
    house = await make_house({"providers": {"a": isms("a")}})
    if fault == "down":
        house.down.add("a")
    house.twins["a"].fault = fault
    error = (await house.order("contacts", action="add", mobile=MOBILE, name="Canary"))["error"]
    assert error["code"] == code
    assert "Canary" not in error["message"]
    assert MOBILE[3:] not in error["message"]


async def test_nobody_has_an_address_book(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"b": loopback()}})
    error = (await house.order("contacts", action="add", mobile=MOBILE))["error"]
    assert error["message"].endswith("none of the providers has an address book")


async def test_the_operator_who_goes_away_does_not_stop_it(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": isms("a")}})
    async with await house.connect("c") as wire:
        await wire.send({"op": "contacts", "action": "add", "mobile": MOBILE})
    await trio.sleep(1)
    assert list(house.twins["a"].contacts) == [MOBILE[1:]]




# --- a message given up that its provider keeps for later ---


def mtk(**more: Any) -> Toml:
    return {"providers": {"m": mitake("m", api="mtk", **more)}}


LATER: Toml = {"options": {"schedule": "2026-11-18T11:10:00Z"}}  # the house opens at 11:06:40 of that day


async def test_what_is_kept_for_later_is_canceled_once_the_provider_says_so(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(mtk())
    twin, id_ = house.twins["m"], await house.take(**LATER)
    await house.until(id_, "sent")
    assert await house.ask("cancel", id=id_) == {"ok": True, "id": id_, "status": "canceled", "count": 1, "ids": [id_]}
    reply = await house.ask("status", id=id_)
    assert (reply["message"]["status"], reply["attempts"][0]["receipt"]) == ("canceled", "canceled")
    assert [event["type"] for event in reply["events"]][-1] == "message.canceled"
    await trio.sleep(400)
    assert house.find(id_) == "canceled"
    assert [code for code, _ in [twin._find_state(taken, house.now()) for taken in twin._taken.values()]] == ["9"]


async def test_the_operator_may_cancel_it_too(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(mtk())
    id_ = await house.take(**LATER)
    await house.until(id_, "sent")
    assert (await house.order("cancel", id=id_))["status"] == "canceled"
    assert (await house.order("cancel", id=id_))["error"]["code"] == "not_cancelable"  # it is final


async def test_what_left_meanwhile_is_not_canceled(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(mtk(query=["24h"]))
    id_ = await house.take(**LATER)
    await house.until(id_, "sent")
    await trio.sleep(202)
    error = (await house.ask("cancel", id=id_))["error"]
    assert (error["code"], error["field"]) == ("not_cancelable", "id")
    assert house.find(id_) == "delivered"  # the provider said so while it was asked


@pytest.mark.parametrize("fault", ["e", "503", "404", "down", "late"])
async def test_a_provider_that_does_not_confirm(make_house: MakeHouse, autojump_clock: MockClock, fault: str) -> None:
    house = await make_house(mtk(timeout="5s"))
    id_ = await house.take(**LATER)
    await house.until(id_, "sent")
    if fault == "down":
        house.down.add("m")
        await trio.sleep(70)  # no connection is left open
    if fault == "late":
        house.twins["m"].answer = lambda request, now: TwinReply(delay=60_000)
    house.twins["m"].fault = fault
    begun = trio.current_time()
    error = (await house.ask("cancel", id=id_))["error"]
    assert error["code"] == "not_cancelable"
    assert trio.current_time() - begun <= 5
    assert house.find(id_) == "sent"


def hear_cancels(house: House) -> list[str]:
    """The paths of the questions to give something up, as they come."""
    twin, heard = house.twins["m"], list[str]()
    answer = twin.answer

    def listen(request: TwinRequest, now: int) -> TwinReply:
        heard.extend([request.path] if request.path.endswith("/SmCancel") else [])
        reply: TwinReply = answer(request, now)
        return reply

    twin.answer = listen
    return heard


async def test_many_are_canceled_by_filter_in_few_calls(
    make_house: MakeHouse, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "PAGE", 3)
    house = await make_house(mtk(query=["24h"]))
    kept = [await house.take(f"+88691234500{n}", tags=["c"], **LATER) for n in range(7)]
    other = await house.take("+886912345100", tags=["d"], **LATER)
    gone = await house.take("+886912345101", tags=["c"])
    own = await house.take("+886912345102", tags=["c"], send_at="2026-11-18T11:10:00Z")
    for id_ in (*kept, other, gone):
        await house.until(id_, "sent")
    heard = hear_cancels(house)
    answer = await house.order("cancel", tag="c")
    assert answer == {"ok": True, "count": 8, "ids": sorted([*kept, own]), "asked": 7, "not_cancelable": 1}
    assert {house.find(id_) for id_ in (*kept, own)} == {"canceled"}
    assert (house.find(other), house.find(gone)) == ("sent", "sent")
    assert len(heard) == 3
    assert (await house.order("cancel", provider="m"))["count"] == 1  # the other one
    assert await house.order("cancel", all=True) == {"ok": True, "count": 0, "ids": [], "asked": 0, "not_cancelable": 1}


async def test_a_provider_that_does_not_answer_is_asked_for_no_more(
    make_house: MakeHouse, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "PAGE", 2)
    house = await make_house(mtk(query=["24h"]))
    kept = [await house.take(f"+88691234500{n}", **LATER) for n in range(5)]
    for id_ in kept:
        await house.until(id_, "sent")
    house.twins["m"].fault = "503"
    heard = hear_cancels(house)
    answer = await house.order("cancel", provider="m")
    assert answer == {"ok": True, "count": 0, "ids": [], "asked": 2, "not_cancelable": 5}
    assert len(heard) == 1
    assert {house.find(id_) for id_ in kept} == {"sent"}


async def test_who_has_gone_still_gets_it_canceled(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(mtk())
    id_ = await house.take(**LATER)
    await house.until(id_, "sent")
    async with await house.connect() as wire:
        await wire.send({"op": "cancel", "id": id_})
    await house.until(id_, "canceled")


@pytest.mark.parametrize(
    ("accounts", "more"),
    [
        ({"m": mitake("m", api="mtk")}, {}),  # nothing was asked to be kept
        ({"m": mitake("m")}, LATER),  # the old gateway keeps, and gives nothing up
        ({"a": isms("a")}, {**LATER, "to": MOBILE}),
    ],
)
async def test_what_nobody_can_give_up(make_house: MakeHouse, autojump_clock: MockClock, accounts: Toml, more: Toml) -> None:
    house = await make_house({"providers": accounts})
    id_ = await house.take(**more)
    await house.until(id_, "sent")
    error = (await house.ask("cancel", id=id_))["error"]
    assert (error["code"], error["message"]) == ("not_cancelable", "the message is sent: it can no longer be canceled")


@pytest.mark.parametrize(("more", "status"), [(LATER, "sent"), ({}, "unconfirmed")])
async def test_what_is_kept_for_later_is_waited_for_from_its_end(
    make_house: MakeHouse, autojump_clock: MockClock, more: Toml, status: str
) -> None:
    house = await make_house({"providers": {"a": isms("a", receipt_wait="1m", query=["40s"])}}, {"a": {"settle": 10**9}})
    id_ = await house.take(to=MOBILE, validity="4m", **more)
    await house.until(id_, "sent")
    await trio.sleep(240)
    assert house.find(id_) == status
    await house.until(id_, "unconfirmed", within=61)


async def test_only_its_own_client_may(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(mtk())
    error = (await house.ask("cancel", id="01938e0c-7a51-7c2e-9d1e-3f6a5b0c8d21"))["error"]
    assert error["code"] == "not_found"


# --- options that a provider does not know, or cannot keep ---


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        ({"schedule": "2026-11-18T11:10:00Z"}, "no_route", "channel: cannot schedule"),
        ({"colour": "red"}, "no_route", "channel: does not know options.colour"),
    ],
)
async def test_an_option_that_nobody_knows_is_refused_at_once(
    make_house: MakeHouse, autojump_clock: MockClock, options: Toml, code: str, word: str
) -> None:
    house = await make_house({"providers": {"t": tatango("t")}})
    error = (await house.submit("+12025550100", options=options))["error"]
    assert (error["code"], word in error["message"]) == (code, True)


async def test_who_does_not_know_an_option_is_left_out(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"t": tatango("t"), "m": mitake("m")}, "rules": [rule("t", "m")]})
    id_ = await house.take(**LATER)
    reply = await house.until(id_, "sent")
    assert [attempt["provider"] for attempt in reply["attempts"]] == ["m"]


@pytest.mark.parametrize("schedule", ["soon", 5, "+1 day", "2026-11-18T11:00:00Z", "2026-11-30T11:00:00Z"])
async def test_a_time_that_cannot_be_kept_is_unsuitable(make_house: MakeHouse, autojump_clock: MockClock, schedule: object) -> None:
    house = await make_house({"providers": {"m": mitake("m")}})
    id_ = await house.take(options={"schedule": schedule})
    reply = await house.until(id_, "failed")
    (attempt,) = reply["attempts"]
    assert (attempt["class"], attempt["code"]) == ("unsuitable", "options.schedule")
    assert attempt["detail"].startswith("options.schedule ")
    assert house.twins["m"].sent == []
