"""What a person wants done at the provider itself: its address book changed, a message given up that it keeps for later."""

from typing import Any

import pytest
import trio

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, Toml, loopback, rule

MOBILE = "+306912345678"


def isms(host: str, **more: Any) -> Toml:
    """An iSMS.gr account served by the twin of that name."""
    return {"plugin": "isms", "username": "demo", "password": SECRET, "url": f"http://{host}", "sender": "ACME", **more}


async def test_a_contact_is_added_and_deleted(make_house: MakeHouse) -> None:
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
async def test_what_is_no_order(make_house: MakeHouse, more: dict[str, Any], code: str | None, field: str | None) -> None:
    accounts = {"a": isms("a"), "b": loopback(), "c": isms("c")}
    house = await make_house({"providers": accounts, "rules": [rule("b")]})
    error = (await house.order("contacts", **({"action": "add", "mobile": MOBILE, "provider": "a"} | more)))["error"]
    assert code is None or (error["code"], error.get("field")) == (code, field)
    assert house.twins["a"].contacts == {}


@pytest.mark.parametrize(
    ("fault", "code"),
    [("Authentication error.", "unavailable"), ("503", "unavailable"), ("500", "outcome_unknown"), ("down", "unavailable")],
)
async def test_a_provider_that_does_not_do_it(make_house: MakeHouse, fault: str, code: str) -> None:
    house = await make_house({"providers": {"a": isms("a")}})
    if fault == "down":
        house.down.add("a")
    house.twins["a"].fault = fault
    error = (await house.order("contacts", action="add", mobile=MOBILE, name="Canary"))["error"]
    assert error["code"] == code
    assert "Canary" not in error["message"]
    assert MOBILE[3:] not in error["message"]


async def test_nobody_has_an_address_book(make_house: MakeHouse) -> None:
    house = await make_house({"providers": {"b": loopback()}})
    error = (await house.order("contacts", action="add", mobile=MOBILE))["error"]
    assert error["message"].endswith("none of the providers has an address book")


async def test_the_operator_who_goes_away_does_not_stop_it(make_house: MakeHouse) -> None:
    house = await make_house({"providers": {"a": isms("a")}})
    async with await house.connect("c") as wire:
        await wire.send({"op": "contacts", "action": "add", "mobile": MOBILE})
    await trio.sleep(1)
    assert list(house.twins["a"].contacts) == [MOBILE[1:]]


