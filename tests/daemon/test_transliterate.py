"""`transliterate` of a rule: who gets which text, what the answers and `explain` say, over rounds, repeats and a restart."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, House, loopback, rule, subito

LONG = f"“{TEXT}” – " + "žluťoučký kůň " * 9  # 145 characters: three segments of UCS-2
PLAIN = f'"{TEXT}" - ' + "zlutoucky kun " * 9  # one
NEVER = "“Привет” " * 20
COSTS = {"before": {"encoding": "ucs2", "segments": 3}, "after": {"encoding": "gsm7", "segments": 1}}


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house({"providers": {"south": subito("south")}, "rules": [rule("south", transliterate=True)]})


async def test_a_text_that_saves_goes_out_in_plain_letters(house: House, autojump_clock: MockClock) -> None:
    answer = await house.submit(text=LONG)
    assert (answer["segments"], answer["encoding"], answer["transliterated"]) == (1, "gsm7", True)
    reply = await house.until(answer["id"], "sent", within=5)
    assert (reply["message"]["text"], reply["message"]["segments"], reply["attempts"][0]["parts"]) == (PLAIN, 1, 1)
    assert [text for _, text, _ in house.twins["south"].sent] == [PLAIN]


@pytest.mark.parametrize("text", [TEXT, "“short”", "a" * 200, NEVER])
async def test_any_other_goes_out_as_it_came(house: House, autojump_clock: MockClock, text: str) -> None:
    answer = await house.submit(text=text)
    assert "transliterated" not in answer
    assert (await house.until(answer["id"], "sent", within=5))["message"]["text"] == text
    explained = await house.ask("explain", to=TO, text=text)
    assert explained.keys() & COSTS.keys() == set()


async def test_it_is_off_unless_the_rule_says_so(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a")]})
    answer = await house.submit(text=LONG)
    assert (answer["segments"], answer["encoding"]) == (3, "ucs2")
    assert "transliterated" not in answer
    assert (await house.ask("explain", to=TO, text=LONG)).keys() & COSTS.keys() == set()


async def test_explain_shows_before_and_after(house: House, autojump_clock: MockClock) -> None:
    explained = await house.ask("explain", to=TO, text=LONG)
    assert {key: explained[key] for key in COSTS} == COSTS
    assert (explained["segments"], explained["encoding"]) == (1, "gsm7")
    dry = await house.submit(text=LONG, dry_run=True)
    assert {key: dry[key] for key in COSTS} == COSTS


async def test_a_repeated_key_is_answered_the_same(house: House, autojump_clock: MockClock) -> None:
    first = await house.submit(text=LONG, key="k")
    again = await house.submit(text=LONG, key="k")
    assert again == first | {"duplicate": True}
    conflict = await house.submit(text=PLAIN, key="k")  # another message, though the same would have gone out
    assert conflict["error"]["code"] == "key_conflict"


async def test_the_limit_is_for_what_goes_out(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    rules = [rule("a", name="plain", match={"tag": "as-is"}), rule("a", transliterate=True)]
    house = await make_house({"submit": {"max_segments": 2}, "providers": {"a": loopback()}, "rules": rules})
    assert (await house.submit(text=LONG))["segments"] == 1
    for more in ({"tags": ["as-is"]}, {"text": NEVER}, {"text": LONG * 3}):
        for op in ("submit", "explain"):
            refused = await house.ask(op, **({"to": TO, "text": LONG} | more))
            assert refused["error"]["code"] == "too_long", (op, more)


async def test_what_is_no_sms_keeps_its_letters(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {"providers": {"a": loopback(channels=["sms", "flash", "viber"])}, "rules": [rule("a", transliterate=True)]}
    )
    for channel, text in {"sms": PLAIN, "flash": PLAIN, "viber": LONG}.items():
        answer = await house.submit(text=LONG, channel=channel)
        assert (await house.until(answer["id"], "unconfirmed", within=5))["message"]["text"] == text


@pytest.mark.parametrize("transliterate", [True, False])
async def test_too_long_is_said_before_no_route(transliterate: bool, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    rules = [rule("a", match={"tag": "otp"}, transliterate=transliterate)]
    house = await make_house({"submit": {"max_segments": 2}, "providers": {"a": loopback()}, "rules": rules})
    answer = await house.submit(text=LONG * 3 if transliterate else LONG)
    assert answer["error"]["code"] == "too_long"


BY_COST: dict[str, dict[str, Any]] = {"encoding": {"encoding": "ucs2"}, "segments": {"segments": ">2"}, "text": {"text": "ž"}}


@pytest.mark.parametrize("name", BY_COST)
async def test_the_rule_that_took_it_keeps_it(
    name: str, make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Its `match` is of the text as it came, also after a restart, when that text is gone."""
    rules = [rule("a", name="long", match=BY_COST[name], transliterate=True), rule("b", name="rest")]
    house = await make_house({"providers": {"a": loopback(), "b": loopback()}, "rules": rules})
    await house.order("pause", name="a")
    answer = await house.submit(text=LONG)
    await trio.sleep(1)
    await house.stop()
    await house.start(nursery)
    await house.order("resume", name="a")
    reply = await house.until(answer["id"], "unconfirmed", within=600)
    assert (reply["message"]["provider"], reply["message"]["rule"], reply["message"]["text"]) == ("a", "long", PLAIN)


async def test_the_next_rule_gets_the_text_as_it_came(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    rules = [
        rule("off", name="first", transliterate=True, else_="next-rule"),
        rule("a", name="second", match={"encoding": "ucs2"}),
    ]
    rules[0]["else"] = rules[0].pop("else_")
    house = await make_house({"providers": {"off": loopback(enabled=False), "a": loopback()}, "rules": rules})
    answer = await house.submit(text=LONG)
    assert (answer["segments"], "transliterated" in answer) == (3, False)
    assert (await house.until(answer["id"], "unconfirmed", within=5))["message"]["text"] == LONG
