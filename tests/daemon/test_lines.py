"""The submit socket's framing and its refusals: a bad line costs that line alone, and answers come in the order of the requests."""

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, TO, House, loopback

LIMIT = 64 * 1024
GOOD = {"to": TO, "text": TEXT}


def line(**more: Any) -> bytes:
    return json.dumps({**GOOD, **{key.rstrip("_"): value for key, value in more.items()}}).encode()


BAD: dict[str, tuple[bytes, str, str | None]] = {
    "not JSON": (b"hello", "bad_json", None),
    "half an object": (b'{"to":"+886', "bad_json", None),
    "two objects": (line() + line(), "bad_json", None),
    "not UTF-8": (b'{"to":"+886912345678","text":"\xff\xfe"}', "bad_json", None),
    "a raw NUL": (b'{"to":"+886912345678","text":"a\0b"}', "bad_json", None),
    "a lone surrogate": (b'{"to":"+886912345678","text":"\\ud83d"}', "bad_json", None),
    "nested without end": (b'{"options":{"a":' + b"[" * 30_000, "bad_json", None),
    "nested and closed": (b'{"options":{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}}", "bad_json", None),
    "a wrong type, and not UTF-8 behind it": (b'{"op":5,"text":"\xff\xfe"}', "bad_request", "op"),
    "an unknown field, and not UTF-8 behind it": (b'{"x":"\xef","to":"\xef"}', "bad_request", "x"),
    "a list": (b"[]", "bad_request", None),
    "a number": (b"7", "bad_request", None),
    "null": (b"null", "bad_request", None),
    "too long": (line(text="x" * LIMIT), "too_large", None),
    "to missing": (b'{"text":"x"}', "bad_request", "to"),
    "text missing": (b'{"to":"+886912345678"}', "bad_request", "text"),
    "to of a wrong type": (line(to=886912345678), "bad_request", "to"),
    "text of a wrong type": (line(text=["x"]), "bad_request", "text"),
    "text null": (line(text=None), "bad_request", "text"),
    "unknown field": (line(reciever="x"), "bad_request", "reciever"),
    "unknown op": (line(op="sendd"), "bad_request", "op"),
    "unknown channel": (line(channel="fax"), "bad_request", "channel"),
    "no number": (line(to="hello"), "invalid_recipient", "to"),
    "too short a number": (line(to="12"), "invalid_recipient", "to"),
    "a number with NUL": (line(to="+886912345678\0"), "invalid_recipient", "to"),
    "an empty number": (line(to=""), "invalid_recipient", "to"),
    "NUL": (line(text="a\0b"), "invalid_text", "text"),
    "ESC": (line(text="a\x1bb"), "invalid_text", "text"),
    "blank": (line(text=" \n "), "invalid_text", "text"),
    "empty": (line(text=""), "invalid_text", "text"),
    "seven segments": (line(text="x" * 1000), "too_long", "text"),
    "a sender too long": (line(from_="TWELVELETTERS"), "invalid_sender", "from"),
    "a sender with NUL": (line(from_="A\0"), "invalid_sender", "from"),
    "an empty key": (line(key=""), "bad_request", "key"),
    "a key of 256 bytes": (line(key="é" * 128), "bad_request", "key"),
    "a key of a wrong type": (line(key=5), "bad_request", "key"),
    "a priority of its own": (line(priority="urgent"), "bad_request", "priority"),
    "tags as a word": (line(tags="otp"), "bad_request", "tags"),
    "an empty tag": (line(tags=[""]), "bad_request", "tags"),
    "a validity without a unit": (line(validity="5"), "bad_request", "validity"),
    "no validity at all": (line(validity="0s"), "bad_request", "validity"),
    "a price below zero": (line(max_price="-1"), "bad_request", "max_price"),
    "no price": (line(max_price="NaN"), "bad_request", "max_price"),
    "a price without end": (b'{"to":"+886912345678","text":"x","max_price":1e999999999}', "bad_request", "max_price"),
    "a price of a word": (line(max_price="cheap"), "bad_request", "max_price"),
    "a price too fine": (line(max_price="0.0000001"), "bad_request", "max_price"),
    "no such provider": (line(provider="nobody"), "bad_request", "provider"),
    "an id in a submit": (line(id="x"), "bad_request", "id"),
    "a send_at without a zone": (line(send_at="2030-01-01T00:00:00"), "bad_request", "send_at"),
    "a send_at in years": (line(send_at="2030-01-01T00:00:00Z"), "bad_request", "send_at"),
    "a send_at of a number": (line(send_at=5), "bad_request", "send_at"),
    "options of a word": (line(options="subject"), "bad_request", "options"),
    "options too large": (line(options={"subject": "x" * 5000}), "bad_request", "options"),
    "a channel of a wrong type": (line(channel=["sms"]), "bad_request", "channel"),
    "a lookup with a text": (line(channel="hlr"), "bad_request", "text"),
    "a ping with a text": (line(channel="ping", text=""), "bad_request", "text"),
    "a call without a text": (line(channel="voice", text=None), "bad_request", "text"),
    "a mail to a number": (line(channel="email"), "invalid_recipient", "to"),
    "an SMS to an address": (line(to="a@example.com"), "invalid_recipient", "to"),
    "a channel that nobody has": (line(channel="voice"), "no_route", None),
    "a status without an id": (b'{"op":"status"}', "bad_request", "id"),
    "a cancel without an id": (b'{"op":"cancel"}', "bad_request", "id"),
    "a status of nothing": (b'{"op":"status","id":"nothing"}', "not_found", "id"),
    "a cancel of nothing": (b'{"op":"cancel","id":"noth\\u0000ing"}', "not_found", "id"),
    "an explain of nobody": (b'{"op":"explain"}', "bad_request", "to"),
}


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house({"providers": {"lo": loopback()}})


async def test_a_bad_line_costs_that_line_alone(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as wire:
        for name, (bad, code, field) in BAD.items():
            await wire.send(bad, {"op": "ping"})
            answer, pong = await wire.hear(), await wire.hear()
            error = answer["error"]
            assert (name, answer["ok"], error["code"], error.get("field")) == (name, False, code, field)
            assert error["message"], name
            assert not error["message"].startswith("not in this version"), name
            assert pong == {"ok": True, "node": "t1", "version": pong["version"]}
    assert house.query.count_statuses() == {}  # nothing of it was stored


async def test_a_refusal_says_its_ref(house: House, autojump_clock: MockClock) -> None:
    answers = [(line(to="12", ref="r2"), "r2"), (line(ref="r3", text=5), "r3"), (line(ref="r4"), "r4"), (line(), None)]
    async with await house.connect() as wire:
        for sent, ref in answers:
            assert (await wire.ask(sent)).get("ref") == ref


async def test_answers_come_in_the_order_of_the_requests(house: House, autojump_clock: MockClock) -> None:
    sent = [line(ref=str(n), **({} if n % 3 else {"to": "12"})) for n in range(600)]
    async with await house.connect() as wire:
        await wire.send(*sent)
        answers = [await wire.hear() for _ in sent]
    assert [answer["ref"] for answer in answers] == [str(n) for n in range(600)]
    assert [answer["ok"] for answer in answers] == [bool(n % 3) for n in range(600)]


async def test_ten_thousand_lines_in_one_write(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as wire, trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, *[line(ref=str(n)) for n in range(10_000)])
        answers = [await wire.hear() for _ in range(10_000)]
    assert [answer["ref"] for answer in answers if answer["ok"]] == [str(n) for n in range(10_000)]
    assert house.ex.queued >= 0


async def test_a_line_may_come_in_pieces(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as wire:
        for piece in (line()[:10], line()[10:], b"\r\n\n  \n", line(ref="b") + b"\n"):
            await wire.stream.send_all(piece)
            await wait_all_tasks_blocked()
        assert (await wire.hear())["ok"]
        assert (await wire.hear())["ref"] == "b"


async def test_half_a_line_and_silence_disturb_nobody(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as silent, await house.connect() as other:
        await silent.stream.send_all(line()[:20])
        await trio.sleep(3600)
        assert (await other.ask(line()))["ok"]
        await silent.stream.send_all(line()[20:] + b"\n")
        assert (await silent.hear())["ok"]


async def test_a_half_closed_client_gets_every_answer(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as wire:
        await wire.send(*[line(ref=str(n)) for n in range(50)])
        await wire.stream.send_all(line(ref="last"))  # without a line's end, as `echo -n … | nc` sends it
        await wire.stream.send_eof()
        answers = [await wire.hear() for _ in range(51)]
        with pytest.raises(EOFError):
            await wire.hear()
    assert [answer["ref"] for answer in answers] == [*map(str, range(50)), "last"]


async def test_a_client_gone_before_its_answer_changes_nothing(house: House, autojump_clock: MockClock) -> None:
    wire = await house.connect()
    await wire.send(line(key="k"))
    await wire.stream.aclose()
    await trio.sleep(1)
    answer = await house.submit(key="k")
    assert answer["duplicate"]
    assert house.find(answer["id"]) == "unconfirmed"


async def test_a_client_that_never_reads_stops_only_itself(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as deaf, await house.connect() as other:
        written = 0
        with trio.move_on_after(1):
            while True:
                await deaf.stream.send_all(line() + b"\n")
                written += 1
        assert written < 60_000  # its answers fill the socket, then the 1,000 cells, then its own lines wait
        before = sum(house.query.count_statuses().values())
        assert (await other.ask(line()))["ok"]
        assert sum(house.query.count_statuses().values()) == before + 1


async def test_too_long_a_line_is_skipped_whole(house: House, autojump_clock: MockClock) -> None:
    async with await house.connect() as wire, trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, b"x" * 1_000_000, line(ref="after"))
        assert (await wire.hear())["error"]["code"] == "too_large"
        assert (await wire.hear())["ref"] == "after"
        fits = line(text="x", ref="f").replace(b'"ref"', b" " * (LIMIT - len(line(text="x", ref="f"))) + b'"ref"')
        nursery.start_soon(wire.send, fits, fits.replace(b'"ref"', b' "ref"'))
        assert (await wire.hear()).get("ok"), len(fits)
        assert (await wire.hear())["error"]["code"] == "too_large"
