"""Providers in trouble, over their own HTTP forms: refusals that lead on, suspension, drought, blocking, and how each ends by itself."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.provider.contract import TwinReply, TwinRequest
from broker.words.clock import read_time
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, House, loopback, mitake, path_of, rule, subito, tatango

MINUTE = 60.0
US = "+12025550143"


def gap(first: dict[str, Any], second: dict[str, Any]) -> int:
    """Milliseconds between two events."""
    return read_time(second["at"]) - read_time(first["at"])


async def test_503_is_tried_once_more_within_five_seconds(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"north": tatango("north")}}, {"north": {"answers": ["503"]}})
    reply = await house.until(await house.take(US), "unconfirmed", within=6)
    refused = next(event for event in reply["events"] if event["class"] == "unavailable")
    assert (refused["provider"], refused["code"], refused["type"], refused["attempt"]) == ("north", "503", "message.queued", 1)
    again = [event for event in reply["events"] if event["type"] == "message.sending"][1]
    assert read_time(refused["next_at"]) - read_time(refused["at"]) == 2500  # half of five seconds: `draw` is in the middle
    assert 2500 <= gap(refused, again) < 2600
    assert [attempt["state"] for attempt in reply["attempts"]] == ["refused", "accepted"]
    assert [sent[1] for sent in house.twins["north"].sent] == [TEXT]


class Busy:
    """A provider's side that first says, once, when to come again."""

    def __init__(self, twin: Any, seconds: str) -> None:
        self._twin = twin
        self._seconds: str | None = seconds

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        if self._seconds is not None and request.query in ("", "action=send"):
            seconds, self._seconds = self._seconds, None
            return TwinReply(503, (("Retry-After", seconds),))
        reply: TwinReply = self._twin.answer(request, now)
        return reply


@pytest.mark.parametrize("host", ["south", "north"])  # where the transport reads 503, and where the plugin does
@pytest.mark.parametrize(("asked", "waited"), [("60", 60), ("86400", 15 * 60), ("0", 2.5)])
async def test_retry_after_is_obeyed(asked: str, waited: float, host: str, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {host: {"south": subito, "north": tatango}[host](host)}})
    house.twins[host] = Busy(house.twins[host], asked)
    reply = await house.until(await house.take(US), "sent", "unconfirmed", within=waited + 1)
    (refused,) = [event for event in reply["events"] if event["class"] == "unavailable"]
    assert read_time(refused["next_at"]) - read_time(refused["at"]) == int(waited * 1000)


async def test_two_dead_ones_and_a_third(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {
            "providers": {"north": tatango("north"), "south": subito("south"), "east": tatango("east")},
            "rules": [rule("north", "south", "east", on={"unreachable": "next"})],
        }
    )
    house.down = {"north", "south"}
    await trio.sleep(10)  # connections that are idle end
    reply = await house.until(await house.take(US), "unconfirmed", within=1)
    assert [(each["provider"], each["state"], each["class"]) for each in reply["attempts"]] == [
        ("north", "refused", "unreachable"),
        ("south", "refused", "unreachable"),
        ("east", "accepted", "accepted"),
    ]
    assert reply["message"]["copies"] == 1


async def test_the_breaker_opens_and_one_message_closes_it(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    breaker = {"failures": 2, "window": "30s", "open": "10s", "max_open": "15m"}
    house = await make_house(
        {"providers": {"north": tatango("north", breaker=breaker)}, "rules": [rule("north", validity="1h")]}, {"north": {"fault": "503"}}
    )
    ids = [await house.take(US, f"{TEXT} {n}") for n in range(10)]
    await trio.sleep(9)
    down = house.told("provider.down")
    assert [(event["provider"], event["code"]) for event in down] == [("north", "503")]
    assert (await house.order("providers"))["providers"][0]["state"] == "breaker"
    house.twins["north"].fault = None
    for id_ in ids:
        await house.until(id_, "unconfirmed", within=120)
    assert len(house.told("provider.up")) == 1
    assert sorted(sent[1] for sent in house.twins["north"].sent) == sorted(f"{TEXT} {n}" for n in range(10))


async def test_each_opening_of_the_breaker_is_longer(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    breaker = {"failures": 1, "window": "30s", "open": "10s", "max_open": "40s"}
    house = await make_house(
        {"providers": {"north": tatango("north", breaker=breaker)}, "rules": [rule("north", validity="1h")]}, {"north": {"fault": "503"}}
    )
    await house.take(US)
    await trio.sleep(300)
    down = house.told("provider.down")
    spans = [read_time(event["until"]) - read_time(event["at"]) for event in down]
    assert spans[:4] == [10_000, 20_000, 40_000, 40_000]
    assert len(house.told("message.sending")) == len(down)  # one message a time tries it


async def test_no_credit_goes_on_and_comes_back_with_a_report(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {"providers": {"south": subito("south"), "east": tatango("east")}, "rules": [rule("south", "east")]}, {"south": {"balance": 1}}
    )
    await house.until(await house.take(US), "sent", within=1)
    reply = await house.until(await house.take(US), "unconfirmed", within=1)
    assert path_of(reply)[-1] == ("unconfirmed", "east", None)  # nothing of it is asked of south: the last credit is gone
    house.twins["south"].balance["Foreign"] = 50
    await trio.sleep(5 * MINUTE)
    assert (await house.until(await house.take(), "sent", within=1))["message"]["provider"] == "south"


async def test_held_for_credit_until_a_report(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"south": subito("south")}}, {"south": {"answers": ["5"]}})
    house.twins["south"].balance["Foreign"] = 0
    await trio.sleep(6 * MINUTE)  # a report says so
    id_ = await house.take()
    reply = await house.until(id_, "held", within=1)
    assert reply["message"]["detail"] == "no_credit"
    held = (await house.order("held"))["held"]
    assert [(row["id"], row["cause"]) for row in held] == [(id_, "no_credit")]
    assert TO not in str(held)
    house.twins["south"].answers.clear()
    house.twins["south"].balance["Foreign"] = 9
    await house.until(id_, "sent", within=6 * MINUTE)
    assert house.told("credit.updated")


async def test_refused_for_credit_is_dry_until_a_better_report(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"south": subito("south")}}, {"south": {"answers": ["5", "5"]}})
    house.twins["south"].balance["Foreign"] = 0
    id_ = await house.take()
    await house.until(id_, "held", within=10)
    assert [event["bucket"] for event in house.told("credit.dry")] == ["Foreign"]
    house.twins["south"].answers.clear()
    house.twins["south"].balance["Foreign"] = 9
    await house.until(id_, "sent", within=MINUTE)


async def test_the_answer_that_refuses_for_credit_is_no_better_report(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """Mitake tells its points in every answer; only a report that is asked for after the refusal ends the drought (CONTRACT §1, Money)."""
    house = await make_house({"providers": {"m": mitake("m")}}, {"m": {"answers": ["s"]}})
    await trio.sleep(1)
    id_ = await house.take()
    reply = await house.until(id_, "sent", within=10)
    assert [(event["type"], event["detail"]) for event in reply["events"]][2] == ("message.held", "no_credit")


async def test_suspended_until_a_good_probe(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"south": subito("south")}}, {"south": {"fault": "4"}})
    id_ = await house.take()
    reply = await house.until(id_, "held", within=1)
    assert reply["message"]["detail"] == "misconfigured"
    suspended = house.told("provider.suspended")
    assert [(event["provider"], event["code"]) for event in suspended] == [("south", "4")]
    asked = len(house.told("message.sending"))
    await trio.sleep(12 * MINUTE)  # a bad probe after 5 min, the next 10 min later
    house.twins["south"].fault = None
    await house.until(id_, "sent", within=4 * MINUTE)
    assert len(house.told("message.sending")) == asked + 1  # no message was risked meanwhile
    assert [event["provider"] for event in house.told("provider.resumed")] == ["south"]


async def test_suspended_without_a_probe_lets_one_message_try(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"north": tatango("north")}}, {"north": {"fault": "401"}})
    ids = [await house.take(US, f"{TEXT} {n}") for n in range(20)]
    await trio.sleep(4 * MINUTE)
    risked = len(house.told("message.sending"))
    assert risked <= 16  # those that were on their way
    await trio.sleep(2 * MINUTE)
    assert len(house.told("message.sending")) == risked + 1
    house.twins["north"].fault = None
    for id_ in ids:
        await house.until(id_, "unconfirmed", within=20 * MINUTE)


async def test_a_suspension_outlives_a_restart(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = await make_house({"providers": {"south": subito("south")}}, {"south": {"fault": "4"}})
    id_ = await house.take()
    await house.until(id_, "held", within=1)
    await house.stop()
    await house.start(nursery)
    await trio.sleep(1)
    assert (await house.order("providers"))["providers"][0]["state"] == "suspended"
    assert house.find(id_) == "held"
    house.twins["south"].fault = None
    assert (await house.order("resume", name="south"))["ok"]
    await house.until(id_, "sent", within=1)


async def test_blocked_is_suppressed_for_that_sender(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback("blocked", "accepted", "accepted", sender="ACME")}})
    await house.until(await house.take(), "blocked", within=1)
    refused = await house.submit()
    assert (refused["error"]["code"], refused["error"]["field"]) == ("suppressed", "to")
    assert TO not in refused["error"]["message"]
    await house.until(await house.take(from_="OTHER"), "unconfirmed", within=1)
    listed = (await house.order("suppress", action="list"))["suppress"]
    assert [(row["recipient"], row["scope"]) for row in listed] == [(TO, "sender:ACME")]
    assert (await house.order("suppress", action="remove", number="0912345678"))["ok"]
    await house.until(await house.take(), "unconfirmed", within=1)


async def test_blocked_for_all_where_configured(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = await make_house({"suppress": {"scope": "all"}, "providers": {"a": loopback("blocked", "accepted", sender="ACME")}})
    await house.until(await house.take(), "blocked", within=1)
    assert (await house.submit(from_="OTHER"))["error"]["code"] == "suppressed"
    await house.stop()
    await house.start(nursery)
    assert (await house.submit())["error"]["code"] == "suppressed"


async def test_all_unavailable_goes_round_until_validity(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    breaker = {"failures": 1000, "window": "1s", "open": "10s"}
    house = await make_house(
        {
            "providers": {"a": loopback("unavailable", breaker=breaker), "b": loopback("unreachable", breaker=breaker)},
            "rules": [rule("a", "b", validity="30m")],
        }
    )
    id_ = await house.take()
    reply = await house.until(id_, "expired", within=31 * MINUTE)
    last = reply["events"][-1]
    assert gap(reply["events"][0], last) < 30 * MINUTE * 1000 + 1500
    assert len(reply["attempts"]) > 10
    assert {each["provider"] for each in reply["attempts"]} == {"a", "b"}
    late = [each for each in reply["attempts"] if read_time(each["opened_at"]) >= read_time(reply["message"]["valid_until"])]
    assert late == []  # no send after validity


async def test_one_message_never_leaves_after_its_validity(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"north": tatango("north")}})
    assert (await house.order("pause", name="north"))["ok"]
    id_ = await house.take(US, validity="1m")
    await trio.sleep(2 * MINUTE)
    assert house.find(id_) == "expired"
    assert (await house.order("resume", name="north"))["ok"]
    await trio.sleep(MINUTE)
    assert house.twins["north"].sent == []


async def test_a_plugin_that_fails_holds_its_message_as_poison(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Any) -> None:
    folder = tmp_path / "more" / "broken"
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text(BROKEN)
    house = await make_house(
        {
            "broker": {"plugin_path": [str(tmp_path / "more")]},
            "providers": {name: {"plugin": "broken"} for name in ("a", "b", "c", "d")} | {"ok": loopback()},
            "rules": [rule("a", "b", "c", "d", match={"tag": "bad"}), rule("ok", name="rest")],
        }
    )
    id_ = await house.take(tags=["bad"])
    reply = await house.until(id_, "held", within=1)
    assert reply["message"]["detail"] == "poison"
    assert [each["code"] for each in reply["attempts"]] == ["plugin_error"] * 3
    await house.until(await house.take(), "unconfirmed", within=1)  # the others do not feel it


BROKEN = '''
"""A plugin that fails before the wire."""
import msgspec
from broker.provider.contract import Traits
TITLE = MANUAL = "none"
class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing."""
TRAITS = Traits()
CODES = {}
def build(config, sends, now):
    raise RuntimeError(sends[0].message.text + sends[0].message.to)
def parse(config, reply, sends):
    return []
'''


@pytest.mark.parametrize("kind", ["html", "empty", "cut", "late"])
async def test_what_is_not_proven_is_in_doubt(kind: str, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {"providers": {"south": subito("south"), "east": tatango("east")}, "rules": [rule("south", "east")]}, {"south": {"answers": [kind]}}
    )
    id_ = await house.take()
    reply = await house.until(id_, "in_doubt", within=31)
    assert reply["attempts"][0]["state"] == "in_doubt"
    reply = await house.until(id_, "unknown", within=16 * MINUTE)
    assert gap(reply["events"][-2], reply["events"][-1]) in range(15 * 60_000, 15 * 60_000 + 1500)
    assert (len(reply["attempts"]), reply["attempts"][0]["state"], reply["message"]["copies"]) == (1, "abandoned", 1)
    assert house.twins["east"].sent == []


async def test_one_dead_provider_delays_nobody_else(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house: House = await make_house(
        {
            "providers": {"dead": loopback("unavailable", delay=29_000, max_in_flight=4), "well": loopback()},
            "rules": [rule("dead", name="d", match={"tag": "d"}), rule("well")],
        }
    )
    for n in range(300):
        await house.take(text=f"{TEXT} {n}", tags=["d"])
    await house.until(await house.take(), "unconfirmed", within=0.5)
