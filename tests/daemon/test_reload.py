"""Reload: all or nothing, live; the old configuration goes on where the new one has any fault (CONTRACT §3, §10)."""

from typing import Any

import trio
from trio.testing import MockClock

from broker.words.clock import read_time
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, TEXT, TO, House, Toml, loopback, rule, subito, tatango

MINUTE = 60.0
US = "+12025550143"


async def make(make_house: MakeHouse, **more: Any) -> House:
    return await make_house({"providers": {"a": loopback(), "b": loopback()}, "rules": [rule("a", "b")], **more})


async def test_a_bad_file_is_refused_whole(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    house.write(
        {
            "providers": {"a": loopback(rat="5/s"), "b": {"plugin": "lopback"}, "c": tatango("c", timeout="soon")},
            "rules": [rule("a", "nobody")],
        }
    )
    answer = await house.order("reload", ref="r")
    assert (answer["ok"], answer["error"]["code"], answer["ref"]) == (False, "bad_config", "r")
    problems = {problem["key"]: problem for problem in answer["error"]["problems"]}
    assert set(problems) >= {"providers.a.rat", "providers.b.plugin", "providers.c.timeout"}
    for problem in problems.values():
        assert set(problem) == {"key", "line", "message"}
        assert isinstance(problem["line"], int)
        assert SECRET not in problem["message"]
    assert "rate" in problems["providers.a.rat"]["message"]  # the nearest known key
    await trio.sleep(1)
    (refused,) = house.told("config.refused")
    assert [problem["key"] for problem in refused["problems"]] == [problem["key"] for problem in answer["error"]["problems"]]
    assert house.told("config.applied") == []
    assert (await house.until(await house.take(), "unconfirmed", within=1))["message"]["provider"] == "a"


async def test_a_rule_that_uses_nobody(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    house.write({"providers": {"a": loopback()}, "rules": [rule("a", "nobody")]})
    (problem,) = (await house.order("reload"))["error"]["problems"]
    assert problem["key"].startswith("rules[0].use")


async def test_a_syntax_error_names_its_line(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    house.config.write_text('[broker]\nname = "x"\nname 5\n')
    (problem,) = (await house.order("reload"))["error"]["problems"]
    assert problem["line"] == 3


async def test_check_changes_nothing(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    house.write({"providers": {"b": loopback()}, "rules": [rule("b")]})
    assert (await house.order("check"))["ok"]
    assert (await house.until(await house.take(), "unconfirmed", within=1))["message"]["provider"] == "a"
    assert house.told("config.applied") == []


async def test_new_rules_apply_to_what_waits(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    for name in ("a", "b"):
        await house.order("pause", name=name)
    waiting = await house.take()
    await house.until(waiting, "held", within=1)
    house.write({"providers": {"a": loopback(), "b": loopback(), "c": loopback()}, "rules": [rule("c")]})
    answer = await house.order("reload")
    assert answer["ok"]
    assert any("providers.c" in str(change) for change in answer["changes"]), answer
    await trio.sleep(1)
    (applied,) = house.told("config.applied")
    assert applied["changes"] == answer["changes"]
    assert applied["hash"] == answer["hash"]
    assert (await house.until(waiting, "unconfirmed", within=1))["message"]["provider"] == "c"
    assert (await house.until(await house.take(), "unconfirmed", within=1))["message"]["provider"] == "c"


async def test_no_rule_any_more_is_held_until_there_is_one(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    for name in ("a", "b"):
        await house.order("pause", name=name)
    id_ = await house.take()
    await trio.sleep(1)
    first = {"providers": {"a": loopback(), "b": loopback()}}
    house.write({**first, "rules": [rule("a", match={"country": "US"})]})
    await house.order("reload")
    await trio.sleep(1)
    assert (await house.submit())["error"]["code"] == "no_route"
    reply = await house.until(id_, "held", within=1)
    assert reply["message"]["detail"] in ("no_route", "paused")
    house.write({**first, "rules": [rule("b")]})
    for name in ("a", "b"):
        await house.order("resume", name=name)
    await house.order("reload")
    assert (await house.until(id_, "unconfirmed", within=1))["message"]["provider"] == "b"


async def test_queued_under_a_rule_that_is_gone(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback("unavailable", breaker={"failures": 1000})}, "rules": [rule("a", name="old")]})
    id_ = await house.take()
    await trio.sleep(1)
    assert house.find(id_) == "queued"
    house.write({"providers": {"a": loopback()}, "rules": [rule("a", name="other", match={"country": "US"})]})
    await house.order("reload")
    reply = await house.until(id_, "held", within=10)
    assert reply["message"]["detail"] == "no_route"
    house.write({"providers": {"a": loopback()}, "rules": [rule("a", name="new")]})
    await house.order("reload")
    assert (await house.until(id_, "unconfirmed", within=1))["message"]["rule"] == "new"


async def test_a_provider_that_is_gone_drains(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    before: Toml = {"providers": {"south": subito("south", query=["1m"], max_in_flight=1), "b": loopback()}, "rules": [rule("south", "b")]}
    house = await make_house(before, {"south": {"settle": 30_000}})
    sent = await house.take()
    await house.until(sent, "sent", within=1)
    house.write({"providers": {"b": loopback()}, "rules": [rule("b")]})
    assert (await house.order("reload"))["ok"]
    assert (await house.until(await house.take(), "unconfirmed", within=1))["message"]["provider"] == "b"
    await house.until(sent, "delivered", within=2 * MINUTE)  # its polls go on
    gone = next(each for each in (await house.order("providers"))["providers"] if each["name"] == "south")
    assert gone["state"] == "disabled"
    reply = await house.ask("explain", to=TO, text=TEXT)
    assert [each["provider"] for each in [*reply["candidates"], *reply["left_out"]]] == ["b"]
    house.write(before)
    assert (await house.order("reload"))["ok"]
    assert (await house.until(await house.take(), "sent", within=1))["message"]["provider"] == "south"


async def test_a_person_cannot_resume_what_is_gone(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    house.write({"providers": {"b": loopback()}, "rules": [rule("b")]})
    await house.order("reload")
    for op in ("resume", "pause", "drain"):
        assert (await house.order(op, name="a"))["error"]["code"] == "not_found"


async def test_what_is_under_way_ends_as_it_began(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(delay=5_000), "b": loopback()}, "rules": [rule("a", name="one")]})
    id_ = await house.take()
    await trio.sleep(1)
    house.write({"providers": {"b": loopback()}, "rules": [rule("b", name="two")]})
    await house.order("reload")
    reply = await house.until(id_, "unconfirmed", within=5)
    assert (reply["message"]["provider"], reply["message"]["rule"]) == ("a", "one")


async def test_a_suspension_ends_with_a_reload(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    settings: Toml = {"providers": {"south": subito("south")}}
    house = await make_house(settings, {"south": {"fault": "4"}})
    id_ = await house.take()
    await house.until(id_, "held", within=1)
    house.twins["south"].fault = None
    house.write(settings)
    assert (await house.order("reload"))["ok"]
    await house.until(id_, "sent", within=1)


async def test_an_account_that_was_missing_comes_back_with_its_doubts_and_its_spend(
    make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    south = subito("south", prices={"*": "0.10"}, spend={"max": "0.10", "per": "1h"})
    house = await make_house({"providers": {"south": south}}, {"south": {"balance": 10, "answers": ["cut"]}})
    await trio.sleep(1)
    await house.until(await house.take(), "in_doubt", within=1)
    await house.stop()
    house.write({"providers": {"a": loopback()}})
    await house.start(nursery)
    house.write({"providers": {"south": south}})
    assert (await house.order("reload"))["ok"]
    assert house.ex.lanes["south"].ledger.find_bucket("Foreign").reserved == 1_000_000
    id_ = await house.take()
    await trio.sleep(MINUTE)
    assert (house.find(id_), len(house.twins["south"].sent)) == ("queued", 1)  # one of 0.10 in this hour is all


async def test_limits_and_rates_apply_live(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    house.write(
        {"submit": {"max_segments": 1}, "providers": {"a": loopback(max_in_flight=2, rate="1/s")}, "rules": [rule("a", validity="5m")]}
    )
    answer = await house.order("reload")
    assert answer["ok"]
    assert (await house.submit(text="x" * 161))["error"]["code"] == "too_long"
    reply = await house.until(await house.take(), "unconfirmed", within=1)
    times = reply["message"]
    assert read_time(times["valid_until"]) - read_time(times["accepted_at"]) == 300_000
    assert (await house.order("providers"))["providers"][0]["rate"] == "1/s"


async def test_what_needs_a_restart_says_so(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make(make_house)
    house.write({"providers": {"a": loopback()}, "submit": {"socket": f"{house.folder}/other"}, "broker": {"data_dir": "elsewhere"}})
    answer = await house.order("reload")
    assert answer["ok"]
    assert set(answer["restart"]) == {"submit.socket", "broker.data_dir"}
    assert (await house.ask("ping"))["ok"]  # the sockets are where they were
    assert set((await house.order("reload"))["restart"]) == {"submit.socket", "broker.data_dir"}  # as long as it is so
    assert set((await house.order("check"))["restart"]) == {"submit.socket", "broker.data_dir"}
    house.write({"providers": {"a": loopback()}, "broker": {"data_dir": "elsewhere"}})
    answer = await house.order("reload")
    assert (answer["changes"], answer["restart"]) == (["submit.socket"], ["broker.data_dir"])  # back to what is in force: no restart


async def test_reloads_under_load_lose_nothing(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    def settings(n: int) -> Toml:
        more = {"a": tatango("a", max_in_flight=1 + n % 3), "b": tatango("b", rate=f"{50 + n}/s")}
        return {"providers": {name: more[name] for name in ("a", "b") if n % 4 != "ab".index(name) + 1} | {"c": loopback()}, "rules": []}

    def write(n: int) -> None:
        table = settings(n)
        house.write({**table, "rules": [rule(*table["providers"], name=f"r{n % 2}")]})

    first = settings(0)
    house = await make_house({**first, "rules": [rule(*first["providers"])]})
    ids = []
    for n in range(12):
        async with await house.connect() as wire:
            await wire.send(*[{"to": US, "text": f"{TEXT} {n} {m}"} for m in range(10)])
            ids += [(await wire.hear())["id"] for _ in range(10)]
        write(n)
        assert (await house.order("reload"))["ok"]
    for id_ in ids:
        await house.until(id_, "unconfirmed", within=MINUTE)
    copies = [sent[1] for twin in house.twins.values() for sent in twin.sent]
    assert len(copies) == len(set(copies))
    assert house.ex.queued == 0


async def test_a_changed_session_starts_after_the_old_ones_last_call(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(delay=2_000)}, "rules": [rule("a")]})
    slow = await house.take()
    await house.until(slow, "sending", within=1)
    old = house.ex.lanes["a"].carrier
    for delay in (1_000, 10):  # the second before the first could start
        house.write({"providers": {"a": loopback(delay=delay)}, "rules": [rule("a")]})
        assert (await house.order("reload"))["ok"]
    await trio.sleep(1)
    new = house.ex.lanes["a"].carrier
    assert (old.in_use, old.ended.is_set(), new.ended.is_set()) == (1, False, False)
    assert (await house.until(slow, "unconfirmed", within=3))["attempts"][0]["class"] == "accepted"
    await trio.sleep(1)
    assert (old.ended.is_set(), new.ended.is_set()) == (True, False)
    await house.until(await house.take(text="quick"), "unconfirmed", within=1)
