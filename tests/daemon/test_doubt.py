"""In doubt under `hold`: at most one copy, resolved by proof or a person, else `unknown`; and what a restart makes of an open attempt."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import House, loopback, mitake, path_of, rule, subito
from tests.daemon.site import with_callbacks

MINUTE = 60.0


async def make_doubt(make_house: MakeHouse, **more: Any) -> tuple[House, str]:
    """A house with one message in doubt at `a`, and `b` ready to take it."""
    house = await make_house({"providers": {"a": loopback("in_doubt", "accepted"), "b": loopback()}, "rules": [rule("a", "b", **more)]})
    id_ = await house.take()
    await house.until(id_, "in_doubt", within=1)
    return house, id_


async def test_a_person_says_accepted(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house)
    assert await house.order("resolve", id=id_, outcome="accepted") == {"ok": True, "id": id_, "status": "unconfirmed"}
    reply = await house.until(id_, "unconfirmed")
    assert path_of(reply)[-2:] == [("sent", "a", None), ("unconfirmed", "a", None)]
    assert [each["state"] for each in reply["attempts"]] == ["accepted"]


async def test_a_person_says_not_sent(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house)
    answer = await house.order("resolve", id=id_, outcome="not-sent")
    assert (answer["ok"], answer["id"], answer["status"]) == (True, id_, "queued")
    reply = await house.until(id_, "unconfirmed", within=10)
    assert [each["state"] for each in reply["attempts"]] == ["refused", "accepted"]
    assert reply["message"]["copies"] == 1
    assert house.ex.queued == 0


async def test_what_is_held_after_a_refusal_that_came_late_ends_by_its_validity(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback("in_doubt")}, "rules": [rule("a", on={"unreachable": "hold"})]})
    id_ = await house.take(validity="5m")
    await house.until(id_, "in_doubt", within=1)
    assert (await house.order("resolve", id=id_, outcome="not-sent"))["status"] == "held"
    await house.until(id_, "expired", within=6 * MINUTE)


@pytest.mark.parametrize(("outcome", "status", "state"), [("accepted", "unconfirmed", "accepted"), ("not-sent", "unknown", "refused")])
async def test_a_person_may_still_say_so_when_it_is_unknown(
    outcome: str, status: str, state: str, make_house: MakeHouse, autojump_clock: MockClock
) -> None:
    house, id_ = await make_doubt(make_house)
    await house.until(id_, "unknown", within=16 * MINUTE)
    answer = await house.order("resolve", id=id_, outcome=outcome)
    assert answer["ok"]
    reply = await house.until(id_, status)
    assert [each["state"] for each in reply["attempts"]] == [state]


@pytest.mark.parametrize(
    ("order", "code", "field"),
    [
        ({"id": "nothing", "outcome": "accepted"}, "not_found", "id"),
        ({"outcome": "accepted"}, "bad_request", "id"),
        ({"id": "ID", "outcome": "maybe"}, "bad_request", "outcome"),
        ({"id": "ID"}, "bad_request", "outcome"),
    ],
)
async def test_orders_that_cannot_be_done(
    order: dict[str, str], code: str, field: str, make_house: MakeHouse, autojump_clock: MockClock
) -> None:
    house, id_ = await make_doubt(make_house)
    error = (await house.order("resolve", **{key: value.replace("ID", id_) for key, value in order.items()}))["error"]
    assert (error["code"], error["field"]) == (code, field)
    assert house.find(id_) == "in_doubt"


async def test_what_is_not_in_doubt_is_not_resolved(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}})
    id_ = await house.take()
    await house.until(id_, "unconfirmed")
    assert (await house.order("resolve", id=id_, outcome="accepted"))["error"]["code"] == "not_in_doubt"


async def test_validity_does_not_end_a_doubt(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house, validity="1m", doubt_deadline="10m")
    await trio.sleep(5 * MINUTE)
    assert house.find(id_) == "in_doubt"
    await house.until(id_, "unknown", within=6 * MINUTE)


async def test_not_sent_after_validity_is_expired(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house, validity="1m", doubt_deadline="10m")
    await trio.sleep(5 * MINUTE)
    assert (await house.order("resolve", id=id_, outcome="not-sent"))["status"] == "expired"
    await house.until(id_, "expired")


async def test_a_reload_changes_no_open_doubt(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house, doubt_deadline="10m")
    house.write({"providers": {"a": loopback(), "b": loopback()}, "rules": [rule("a", "b", doubt_deadline="1m")]})
    assert (await house.order("reload"))["ok"]
    await trio.sleep(9 * MINUTE)
    assert house.find(id_) == "in_doubt"
    await house.until(id_, "unknown", within=2 * MINUTE)


async def test_a_doubt_outlives_a_restart(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house, id_ = await make_doubt(make_house)
    await trio.sleep(5 * MINUTE)
    await house.stop()
    await house.start(nursery)
    await trio.sleep(9 * MINUTE)
    assert house.find(id_) == "in_doubt"
    await house.until(id_, "unknown", within=2 * MINUTE)


async def test_an_attempt_open_at_the_end_is_in_doubt_at_the_start(
    make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = await make_house({"providers": {"a": loopback(delay=10_000), "b": loopback()}, "rules": [rule("a", "b")]})
    id_ = await house.take()
    await trio.sleep(1)
    await house.stop()
    assert house.ex.lanes["a"].in_flight == 1
    await house.start(nursery)
    reply = await house.until(id_, "in_doubt", within=1)
    assert path_of(reply)[1:] == [("sending", "a", None), ("in_doubt", "a", "in_doubt")]
    await house.until(id_, "unknown", within=16 * MINUTE)


async def test_the_credit_of_a_doubt_stays_reserved(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = await make_house({"providers": {"south": subito("south")}}, {"south": {"balance": 10, "answers": ["cut"]}})
    await trio.sleep(1)
    id_ = await house.take()
    await house.until(id_, "in_doubt", within=1)

    async def look() -> tuple[str, str]:
        (row,) = [row for row in (await house.order("balance"))["balance"] if row["bucket"] == "Foreign"]
        return row["usable"], row["reserved"]

    assert await look() == ("9", "1")
    await house.stop()
    await house.start(nursery)
    await trio.sleep(1)
    assert await look() == ("8", "1")  # the twin has taken one, and what is in doubt may be that one or not
    await house.until(id_, "unknown", within=16 * MINUTE)
    await trio.sleep(6 * MINUTE)
    assert await look() == ("9", "0")


async def test_a_repeat_of_a_key_at_the_provider_is_proof_and_no_second_copy(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"north": mitake("north", api="mtk", query=["10s"])}}, {"north": {"answers": ["cut"]}})
    id_ = await house.take(to="+886912345678")
    await house.until(id_, "in_doubt", within=1)
    reply = await house.until(id_, "sent", within=9)
    assert len(house.twins["north"].sent) == 1
    assert [each["state"] for each in reply["attempts"]] == ["accepted"]
    assert reply["attempts"][0]["provider_refs"] == [house.twins["north"].sent[0][2]]
    await house.until(id_, "delivered", within=60)
    assert house.ex.lanes["north"].ledger.buckets["points"].reserved == 0


async def test_a_repeat_says_where_to_call_as_the_first_request_did(
    make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path
) -> None:
    north = mitake("north", api="mtk", query=["24h"])
    house = await make_house(with_callbacks(str(tmp_path), providers={"north": north}), {"north": {"answers": ["html"]}})
    id_ = await house.take(to="+886912345678")
    await house.until(id_, "in_doubt", within=1)
    reply = await house.until(id_, "sent", within=9)  # the first was not taken: the repeat is what the provider has
    assert [each["state"] for each in reply["attempts"]] == ["accepted"]
    [taken] = house.twins["north"]._taken.values()
    attempt = house.query.find_attempts(id_)[0]
    assert attempt.token
    assert taken.fields["response"].endswith(f"/{attempt.token}")


async def test_no_repeat_after_validity(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"north": mitake("north", api="mtk")}}, {"north": {"answers": ["html"]}})
    id_ = await house.take(validity="1s")
    await house.until(id_, "unknown", within=16 * MINUTE)
    assert house.twins["north"].sent == []  # the first was not taken: a repeat would have been, after its time


async def test_no_repeat_of_what_the_provider_was_told_without_a_key(
    make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = await make_house({"providers": {"north": mitake("north")}}, {"north": {"answers": ["late"]}})
    id_ = await house.take(to="+886912345678")
    await house.until(id_, "sending", within=1)
    await trio.sleep(1)
    await house.stop()
    house.write({"providers": {"north": mitake("north", api="mtk")}})
    await house.start(nursery)
    await house.until(id_, "unknown", within=16 * MINUTE)
    assert len(house.twins["north"].sent) == 1


async def test_failover_sends_one_more_copy_to_the_next(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house, in_doubt="failover", doubt_wait="30s")
    await trio.sleep(29)
    assert house.find(id_) == "in_doubt"
    reply = await house.until(id_, "unconfirmed", within=5)
    assert [(each["provider"], each["state"]) for each in reply["attempts"]] == [("a", "abandoned"), ("b", "accepted")]
    assert reply["message"]["copies"] == 2
    assert path_of(reply)[1:] == [("sending", "a", None), ("in_doubt", "a", "in_doubt"), ("sending", "b", None), *path_of(reply)[4:]]
    assert house.ex.queued == 0


async def test_resend_goes_to_the_same_account_under_the_same_key(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house, in_doubt="resend")
    reply = await house.until(id_, "unconfirmed", within=70)
    assert [(each["provider"], each["state"]) for each in reply["attempts"]] == [("a", "abandoned"), ("a", "accepted")]
    keys = {attempt.key for attempt in house.query.find_attempts(id_)}
    assert len(keys) == 1


@pytest.mark.parametrize(("most", "copies"), [(1, 1), (2, 2), (3, 3)])
async def test_never_more_copies_than_the_rule_allows(most: int, copies: int, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    settings = {
        "providers": {name: loopback("in_doubt") for name in "abcd"},
        "rules": [rule(*"abcd", in_doubt="failover", max_copies=most, doubt_wait="10s", doubt_deadline="10m")],
    }
    house = await make_house(settings)
    id_ = await house.take()
    reply = await house.until(id_, "unknown", within=40 * MINUTE)
    assert [each["provider"] for each in reply["attempts"]] == list("abcd")[:copies]
    assert {each["state"] for each in reply["attempts"]} == {"abandoned"}
    assert reply["message"]["copies"] == copies


async def test_nobody_left_for_another_copy_is_waited_for(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house, in_doubt="failover", doubt_wait="10s")
    assert (await house.order("pause", name="b"))["ok"]
    await trio.sleep(60)
    assert house.find(id_) == "in_doubt"
    assert (await house.order("resume", name="b"))["ok"]
    reply = await house.until(id_, "unconfirmed", within=10)
    assert [each["state"] for each in reply["attempts"]] == ["abandoned", "accepted"]


async def test_no_copy_after_validity(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house, in_doubt="failover", doubt_wait="10s", validity="5s")
    reply = await house.until(id_, "unknown", within=20 * MINUTE)
    assert [each["provider"] for each in reply["attempts"]] == ["a"]


async def test_a_refused_copy_goes_on_and_never_ends_failed(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    settings = {
        "providers": {"a": loopback("in_doubt"), "b": loopback("rejected")},
        "rules": [rule("a", "b", in_doubt="failover", doubt_wait="10s")],
    }
    house = await make_house(settings)
    id_ = await house.take()
    reply = await house.until(id_, "unknown", within=20 * MINUTE)
    assert [each["state"] for each in reply["attempts"]] == ["abandoned", "refused"]


async def test_the_policy_is_the_one_of_the_opening(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house)  # hold
    house.write({"providers": {"a": loopback(), "b": loopback()}, "rules": [rule("a", "b", in_doubt="failover", doubt_wait="1s")]})
    assert (await house.order("reload"))["ok"]
    reply = await house.until(id_, "unknown", within=20 * MINUTE)
    assert len(reply["attempts"]) == 1


async def test_another_copy_over_a_restart(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house, id_ = await make_doubt(make_house, in_doubt="failover", doubt_wait="30s")
    await house.stop()
    await trio.sleep(100)
    await house.start(nursery)
    reply = await house.until(id_, "unconfirmed", within=5)
    assert [each["state"] for each in reply["attempts"]] == ["abandoned", "accepted"]


async def test_the_credit_of_what_was_given_up_comes_back_with_a_late_refusal(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    south = subito("south", credit={"every": "24h"}, prices={"*": "0.10"}, spend={"max": "1", "per": "24h"})
    house = await make_house({"providers": {"south": south}}, {"south": {"balance": 10, "answers": ["500"]}})
    await trio.sleep(1)
    id_ = await house.take()
    await house.until(id_, "unknown", within=16 * 60)
    ledger = house.ex.lanes["south"].ledger
    bucket = ledger.find_bucket("Foreign")
    assert (bucket.reserved, bucket.usable) == (0, 9_000_000)
    assert ledger.find_spend_end(1_000_000, house.now()) is not None
    assert (await house.order("resolve", id=id_, outcome="not-sent"))["ok"]
    assert (bucket.reserved, bucket.usable) == (0, 10_000_000)
    assert ledger.find_spend_end(1_000_000, house.now()) is None


async def test_another_copy_leaves_what_an_account_must_keep(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """Two are in doubt at once, and the credit of the next account is enough for one of them."""
    south = subito("south", rate="60/m", credit={"every": "24h", "stop": 9}, prices={"*": "0.10"})
    rules = [rule("a", "south", in_doubt="failover", doubt_wait="10s")]
    house = await make_house({"providers": {"a": loopback("in_doubt"), "south": south}, "rules": rules}, {"south": {"balance": 10}})
    await trio.sleep(1)
    ids = [await house.take(), await house.take()]
    await trio.sleep(20 * MINUTE)
    assert sorted(house.find(id_) for id_ in ids) == ["delivered", "unknown"]
    assert house.ex.lanes["south"].ledger.find_bucket("Foreign").usable == 9_000_000


async def test_no_copy_while_the_rule_s_window_is_closed(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house, id_ = await make_doubt(make_house, in_doubt="failover", doubt_wait="40m", doubt_deadline="50m", window="11:00-11:30 UTC")
    reply = await house.until(id_, "unknown", within=60 * MINUTE)
    assert [each["state"] for each in reply["attempts"]] == ["abandoned"]
