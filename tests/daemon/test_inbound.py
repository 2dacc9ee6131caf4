"""What a handset sends us: durable before it is acknowledged, told once however often it comes, and obeyed where it is a STOP or START."""

import json
import re
import sqlite3
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.api.feed_pages import redact
from broker.delivery.inbound import keep, read_inbound, read_kept, take_inbound
from broker.provider.contract import Inbound, Unstored
from broker.store.journal import SqliteJournal
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import EPOCH, TEXT, TO, House, loopback, rule

OURS = "+886900000001"
ABOUT_INBOUND = ("inbound.received", "suppress.added")


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house({"providers": {"a": loopback(), "b": loopback(sender="ACME")}, "rules": [rule("a", "b")]})


async def come(house: House, text: str = TEXT, sender: str = TO, to: str | None = OURS, *, lane: str = "a", **more: Any) -> None:
    """One inbound message at `lane`, acknowledged."""
    await take_inbound(house.ex, house.ex.lanes[lane], [Inbound(sender, text, to, **more)])


def facts(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("seq", "id")}


async def test_who_may_not_see_it_does_not(house: House) -> None:
    await come(house, "STOP")
    await come(house, sender="+12025550100")
    shown = [redact(json.dumps(event).encode(), numbers=False, text=False).decode() for event in house.told(*ABOUT_INBOUND)]
    assert len(shown) == 4
    for text in shown:
        assert '"text"' not in text
        assert not re.search(r"[0-9]{7}", re.sub(r'"(id|at)":"[^"]*"', "", text)), text


async def test_it_is_told_and_kept(house: House) -> None:
    await come(house, ref="mo-1", at=EPOCH - 5, segments=2)
    (event,) = house.told("inbound.received")
    assert facts(event) == {
        "at": event["at"], "type": "inbound.received", "node": "t1", "provider": "a", "from": TO, "to": OURS, "text": TEXT,
        "segments": 2, "country": "TW",
    }  # fmt: skip
    kept = house.query.find_received(event["id"])
    assert kept is not None
    assert (kept.provider, kept.sender, kept.to, kept.text, kept.ref) == ("a", TO, OURS, TEXT, "mo-1")
    assert (kept.sent_at, kept.segments, kept.country) == (EPOCH - 5, 2, "TW")
    assert TEXT not in repr(kept)


# (first, second, seconds between them, told twice)
REPETITIONS: list[tuple[dict[str, Any], dict[str, Any], float, bool]] = [
    ({"ref": "r"}, {"ref": "r"}, 600.0, False),
    ({"ref": "r"}, {"ref": "s"}, 0.0, True),
    ({"ref": "r"}, {"ref": "r", "lane": "b"}, 0.0, True),
    ({"ref": "r"}, {"ref": "r", "text": "another text"}, 0.0, True),  # an id that a provider gave twice loses no message
    ({"ref": "r"}, {}, 0.0, True),
    ({}, {}, 0.0, False),
    ({}, {}, 59.9, False),
    ({}, {}, 61.0, True),
    ({}, {"text": TEXT + "."}, 0.0, True),
    ({}, {"to": None}, 0.0, True),
    ({}, {"sender": "+886912345679"}, 0.0, True),
    ({}, {"sender": "+886 912 345 678"}, 0.0, False),
]


@pytest.mark.parametrize(("first", "second", "pause", "is_twice"), REPETITIONS)
async def test_repetition(
    house: House, autojump_clock: MockClock, first: dict[str, Any], second: dict[str, Any], pause: float, is_twice: bool
) -> None:
    await come(house, **first)
    await trio.sleep(pause)
    await come(house, **second)
    assert len(house.told("inbound.received")) == 1 + is_twice


async def test_a_repetition_of_a_repetition(house: House, autojump_clock: MockClock) -> None:
    """Who repeats until it hears us is the same each time: a minute without it has to pass before another one is new."""
    for _ in range(4):
        await come(house)
        await trio.sleep(40)
    assert len(house.told("inbound.received")) == 1
    await trio.sleep(21)
    await come(house)
    assert len(house.told("inbound.received")) == 2


async def test_a_repetition_of_what_was_acknowledged_late(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = house.journal.put

    async def put_late(operation: Any) -> None:
        await trio.sleep(50)  # a disk that hangs
        put(operation)

    monkeypatch.setattr(house.journal, "put", lambda operation: nursery.start_soon(put_late, operation))
    await come(house)
    monkeypatch.undo()
    await trio.sleep(20)  # 70 s after it came first
    await come(house)
    assert len(house.told("inbound.received")) == 1


async def test_the_same_twice_in_one_commit(house: House) -> None:
    one = Inbound(TO, TEXT, OURS)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(take_inbound, house.ex, house.ex.lanes["a"], [one, one])
    assert len(house.told("inbound.received")) == 1


async def test_it_is_known_again_after_a_restart(house: House, nursery: trio.Nursery) -> None:
    await come(house)
    await come(house, ref="r")
    await house.stop()
    await house.start(nursery)
    await come(house)
    await come(house, ref="r")
    assert len(house.told("inbound.received")) == 2


@pytest.mark.parametrize(
    ("given", "number", "country"),
    [
        ("+886912345678", "+886912345678", "TW"),
        ("+1 (202) 555-0100", "+12025550100", "US"),
        ("0912345678", "0912345678", None),
        ("12345", "12345", None),
        ("Bank\0\ud800", "Bank\ufffd\ufffd", None),
        ("", "", None),
        ("+" * 5000, "+" * 5000, None),
    ],
)
def test_numbers(given: str, number: str, country: str | None) -> None:
    read = read_inbound("a", Inbound(given, "x", given), EPOCH)
    assert (read.sender, read.to, read.country) == (number, number, country)


async def test_what_no_store_could_hold(house: House) -> None:
    """Whatever a stranger writes is taken: refused, the provider would send it for ever."""
    await come(house, "a\0b \ud83d\ude00 \ud800", "+\0", "\udfff", ref="\0\ud800", at=1 << 80, segments=-(1 << 90))
    (event,) = house.told("inbound.received")
    assert (event["text"], event["segments"]) == ("a\ufffdb \U0001f600 \ufffd", 1)
    kept = house.query.find_received(event["id"])
    assert kept is not None
    assert kept.sent_at is None


async def test_nothing_is_acknowledged_on_a_full_disk(house: House) -> None:
    house.journal.is_full = True
    with pytest.raises(Unstored):
        await come(house)
    house.journal.is_full = False
    await come(house)
    assert len(house.told("inbound.received")) == 1


async def test_it_returns_only_after_the_commit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    put = SqliteJournal.put

    def look(self: SqliteJournal, operation: Any) -> None:
        put(self, operation)
        conn = sqlite3.connect(house.folder / "data" / "broker.db")
        seen.append(conn.execute("SELECT count(*) FROM inbound").fetchone()[0])
        conn.close()

    monkeypatch.setattr(SqliteJournal, "put", look)
    await come(house)
    assert seen == [0]
    assert len(house.told("inbound.received")) == 1


# ---- what a session keeps of a message that is not whole yet

PART = {"at": EPOCH, "octets": "00"}


async def test_what_is_kept_outlives_us_and_goes_with_its_message(house: House, nursery: trio.Nursery) -> None:
    lane = house.ex.lanes["a"]
    await keep(house.ex, lane, (("x/1", PART), ("x/2", PART), ("y/1", PART)))
    await keep(house.ex, lane, (("x/2", None),))
    await house.stop()
    await house.start(nursery)
    lane = house.ex.lanes["a"]
    assert read_kept(house.ex, lane) == {"x/1": PART, "y/1": PART}
    assert read_kept(house.ex, house.ex.lanes["b"]) == {}
    await come(house, changes=(("x/1", None), ("x", {"at": EPOCH, "digests": []})))
    assert read_kept(house.ex, lane).keys() == {"x", "y/1"}


@pytest.mark.parametrize("text", [TEXT, "STOP"])
async def test_what_is_kept_goes_also_with_a_message_that_came_before(house: House, text: str) -> None:
    lane = house.ex.lanes["a"]
    await come(house, text)
    await keep(house.ex, lane, (("x/1", PART),))
    await come(house, text, changes=(("x/1", None),))
    assert len(house.told("inbound.received")) == 1
    assert read_kept(house.ex, lane) == {}


async def test_nothing_is_kept_on_a_full_disk(house: House) -> None:
    lane = house.ex.lanes["a"]
    await keep(house.ex, lane, (("x/1", PART),))
    house.journal.is_full = True
    with pytest.raises(Unstored):
        await keep(house.ex, lane, (("x/2", PART),))
    with pytest.raises(Unstored):
        await come(house, changes=(("x/1", None),))
    house.journal.is_full = False
    assert read_kept(house.ex, lane) == {"x/1": PART}


async def test_what_is_kept_goes_when_its_time_is_over(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"store": {"keep_text": "5m"}, "providers": {"a": loopback()}})
    lane = house.ex.lanes["a"]
    await keep(house.ex, lane, (("x/1", PART), ("y/1", PART | {"at": EPOCH + 400_000})))
    await trio.sleep(420)
    assert read_kept(house.ex, lane).keys() == {"y/1"}


# ---- STOP and START


@pytest.mark.parametrize("text", ["STOP", "stop", " Stop! ", "«stop».", "ＳＴＯＰ", "Stop \U0001f6d1\n"])
async def test_stop(house: House, text: str) -> None:
    await come(house, text)
    assert (await house.submit())["error"]["code"] == "suppressed"
    assert (await house.submit(from_=OURS))["error"]["code"] == "suppressed"
    assert (await house.submit(from_=OURS[1:]))["error"]["code"] == "suppressed"
    assert (await house.submit(from_="OTHER"))["ok"]
    told = house.told("suppress.added")
    assert [(event["to"], event["scope"], event["from"], event["reason"]) for event in told] == [
        (TO, "sender", OURS, "STOP"),
        (TO, "sender", None, "STOP"),
    ]
    await come(house, "start")
    assert (await house.submit())["ok"]
    assert len(house.told("suppress.removed")) == 2
    assert house.query.read_suppressions() == []


@pytest.mark.parametrize("text", ["please stop", "stop it", "unstop", "sto p", "", "stop " * 500])
async def test_no_stop(house: House, text: str) -> None:
    await come(house, text)
    assert (await house.submit())["ok"]


async def test_a_stop_to_nobody_in_particular_bars_all(house: House) -> None:
    await come(house, "STOP", to=None)
    assert (await house.submit(from_="OTHER"))["error"]["code"] == "suppressed"
    assert [event["scope"] for event in house.told("suppress.added")] == ["all"]


async def test_the_accounts_own_sender_is_barred(house: House) -> None:
    await come(house, "STOP", lane="b")
    assert (await house.submit(from_="ACME"))["error"]["code"] == "suppressed"
    assert (await house.submit(provider="b"))["error"]["code"] == "suppressed"
    assert (await house.submit(provider="a"))["ok"]


async def test_what_a_person_barred_no_handset_frees(house: House) -> None:
    await come(house, "STOP", to=None)
    assert (await house.order("suppress", action="add", number=TO))["ok"]
    await come(house, "START", to=None)
    assert (await house.submit())["error"]["code"] == "suppressed"
    (row,) = (await house.order("suppress", action="list"))["suppress"]
    assert (row["scope"], row["reason"]) == ("all", "by a person")
    assert (await house.order("suppress", action="remove", number=TO))["ok"]
    assert (await house.submit())["ok"]


async def test_a_stop_outlasts_a_providers_reason(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    """Five `blocked` in a row are the account's own trouble and set free whom they barred; not who has said STOP meanwhile."""
    house = await make_house({"suppress": {"scope": "all"}, "providers": {"a": loopback("blocked")}})
    for number in range(4):
        await house.until(await house.take(f"+88692200011{number}"), "blocked")
    await come(house, "STOP", "+886922000110")
    await house.take("+886922000119")
    await trio.sleep(1)
    rows = (await house.order("suppress", action="list"))["suppress"]
    assert [(row["recipient"], row["reason"]) for row in rows] == [("+886922000110", "STOP")]
    assert list(house.ex.suppressions.scopes) == ["+886922000110"]


async def test_the_last_word_holds(house: House, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Without ids a second STOP looks like the first again; it must not be the START that holds."""
    for text in ("STOP", "START", "STOP"):
        await come(house, text)
        await trio.sleep(1)
    assert (await house.submit())["error"]["code"] == "suppressed"
    await house.stop()
    await house.start(nursery)
    assert (await house.submit())["error"]["code"] == "suppressed"
    assert [event["type"] for event in house.told("suppress.added", "suppress.removed")] == [
        *["suppress.added"] * 2, *["suppress.removed"] * 2, *["suppress.added"] * 2,
    ]  # fmt: skip


async def test_a_stop_that_is_repeated_by_its_id_does_nothing(house: House) -> None:
    for ref, text in (("1", "STOP"), ("2", "START"), ("1", "STOP")):
        await come(house, text, ref=ref)
    assert (await house.submit())["ok"]


async def test_the_text_goes_when_its_time_is_over(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"store": {"keep_text": "5m"}, "providers": {"a": loopback()}})
    await come(house)
    (event,) = house.told("inbound.received")
    await trio.sleep(300)
    await come(house, ref="now")
    await trio.sleep(120)
    old, new = house.told("inbound.received")
    assert "text" not in old
    assert (old["id"], old["from"], new["text"]) == (event["id"], TO, TEXT)
    conn = sqlite3.connect(house.folder / "data" / "broker.db")
    assert json.dumps(conn.execute("SELECT text FROM inbound ORDER BY id").fetchall()) == json.dumps([[None], [TEXT]])
    conn.close()


# ---- what was taken before the STOP


async def test_what_waits_for_a_stopped_number_ends_blocked(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house(
        {"providers": {"a": loopback(delay=2_000, max_in_flight=1), "b": loopback(sender="ACME")}, "rules": [rule("a")]}
    )
    other = "+886922000111"
    ids = [await house.take(text=f"{TEXT} {n}") for n in range(3)]
    free = await house.take(other)
    await trio.sleep(0.5)
    assert house.find(ids[0]) == "sending"
    await come(house, "STOP")
    replies = [await house.until(id_, "blocked", "unconfirmed", within=10) for id_ in [*ids, free]]
    assert [reply["message"]["status"] for reply in replies] == ["unconfirmed", "blocked", "blocked", "unconfirmed"]
    assert replies[1]["message"]["detail"] == "on the suppression list: STOP"
    assert replies[1]["attempts"] == []
    assert house.ex.queued == 0


async def test_a_sender_that_was_not_stopped_goes_on(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback(delay=2_000, max_in_flight=1)}})
    ids = [await house.take(text=f"{TEXT} {n}", from_=sender) for n, sender in enumerate(("ACME", "OTHER", OURS))]
    await come(house, "STOP")
    ends = [(await house.until(id_, "blocked", "unconfirmed", within=10))["message"]["status"] for id_ in ids]
    assert ends == ["unconfirmed", "unconfirmed", "blocked"]


async def test_what_was_held_ends_blocked_when_it_is_let_go(house: House, autojump_clock: MockClock) -> None:
    for name in ("a", "b"):
        assert (await house.order("pause", name=name))["ok"]
    id_ = await house.take()
    await house.until(id_, "held")
    await come(house, "STOP", to=None)
    for name in ("a", "b"):
        assert (await house.order("resume", name=name))["ok"]
    await house.until(id_, "blocked", within=5)


async def test_a_copy_that_may_be_out_is_not_called_blocked(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback("in_doubt")}})
    id_ = await house.take()
    await house.until(id_, "in_doubt")
    await come(house, "STOP", to=None)
    assert (await house.order("resolve", id=id_, outcome="not-sent"))["ok"]
    reply = await house.until(id_, "blocked", "unknown", within=30)
    assert reply["message"]["status"] == "blocked"  # a person says that it was not sent: nothing is in doubt any more
    assert len(reply["attempts"]) == 1
