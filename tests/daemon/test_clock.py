"""Somebody sets the machine's clock: waits go on as they were, dates go by the new time (reliability.md, F17)."""

import pytest
import trio
from trio.testing import MockClock

from broker.delivery.clock import Clock, date, resume
from broker.words.clock import show_time
from broker.words.message import Message
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import EPOCH, TEXT, TO, House, Toml, loopback, mitake, path_of, rule

HOUR = 3_600_000
STEPS = [pytest.param(2 * HOUR, id="2h on"), pytest.param(-2 * HOUR, id="2h back"), pytest.param(24 * HOUR, id="a day on"),
         pytest.param(-24 * HOUR, id="a day back")]  # fmt: skip
set_by = pytest.mark.parametrize("step", STEPS)


def on_wall(house: House, seconds: float) -> str:
    """The date in so many seconds."""
    return show_time(house.wall() + round(seconds * 1000))


async def set_clock(house: House, step: int) -> None:
    house.ahead += step
    await trio.sleep(2)  # it is looked at each second


async def wait_long(house: House, id_: str) -> int:
    """Wait until the message waits for longer than 4 s: until when, by the broker's own time."""
    with trio.fail_after(300):
        while True:
            message = house.query.find_message(id_)
            assert message is not None
            assert message.status in ("queued", "sending")
            if message.status == "queued" and message.next_at - house.now() > 4_000:
                return message.next_at
            await trio.sleep(0.5)


async def wait_attempt(house: House, id_: str, n: int) -> None:
    """Wait for the message's `n`th attempt."""
    with trio.fail_after(300):
        while len(house.query.find_attempts(id_)) < n:
            await house.journal.ring.wait_beyond(house.journal.ring.last)


def make_flaky(times: int) -> Toml:
    return loopback(*["unavailable"] * times, "accepted", breaker={"failures": 100})


@set_by
async def test_a_retry_comes_when_it_was_to_come(step: int, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": make_flaky(6)}, "rules": [rule("a", validity="30m")]})
    id_ = await house.take()
    at = await wait_long(house, id_)
    before = len(house.query.find_attempts(id_))
    await set_clock(house, step)
    await wait_attempt(house, id_, before + 1)
    assert at <= house.now() <= at + 1_000
    await house.until(id_, "unconfirmed", within=900)


@set_by
async def test_a_doubt_ends_when_it_was_to_end(step: int, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    rules = [rule("a", "b", in_doubt="failover", doubt_wait="2m", max_copies=2)]
    house = await make_house({"providers": {"a": loopback("in_doubt"), "b": loopback()}, "rules": rules})
    id_ = await house.take()
    await house.until(id_, "in_doubt", within=1)
    await trio.sleep(60)
    await set_clock(house, step)
    await trio.sleep(50)
    assert house.find(id_) == "in_doubt"
    await house.until(id_, "unconfirmed", within=15)


@set_by
async def test_a_breaker_lets_try_again_when_it_was_to(step: int, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    a = loopback("unavailable", "unavailable", "accepted", breaker={"failures": 2, "open": "30s"})
    house = await make_house({"providers": {"a": a}, "rules": [rule("a", validity="30m")]})
    id_ = await house.take()
    with trio.fail_after(10):
        while not house.told("provider.down"):
            await house.journal.ring.wait_beyond(house.journal.ring.last)
    begun = house.now()
    await set_clock(house, step)
    await wait_attempt(house, id_, 3)
    assert 25_000 <= house.now() - begun <= 35_000
    await house.until(id_, "unconfirmed", within=1)


@set_by
async def test_a_message_leaves_at_its_date(step: int, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a", validity="30m")]})
    date = on_wall(house, step / 1000 + 600)
    answer = await house.submit(send_at=date)
    assert answer["ok"]
    if step < 0:
        assert answer["status"] == "queued"  # by this clock the time has passed
        return
    await set_clock(house, step)
    await trio.sleep(590)
    message = (await house.ask("status", id=answer["id"]))["message"]
    assert (message["status"], message["send_at"], message["next_at"]) == ("scheduled", date, date)
    reply = await house.until(answer["id"], "unconfirmed", within=12)
    assert date <= reply["attempts"][0]["opened_at"] < on_wall(house, 2)
    assert [event["at"] >= date for event in reply["events"]] == [False, True, True, True, True]


async def test_a_message_does_not_leave_before_its_date(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a", validity="30m")]})
    id_ = await house.take(send_at=on_wall(house, 300))
    await set_clock(house, -HOUR)
    await trio.sleep(HOUR / 1000 + 290)
    assert house.find(id_) == "scheduled"  # its validity began with its date, and went with it
    await house.until(id_, "unconfirmed", within=12)


async def test_one_that_is_due_just_when_the_clock_is_set_waits_again(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a", validity="30m")]})
    id_ = await house.take(send_at=on_wall(house, 100))
    await trio.sleep(99)
    house.ahead -= 600_000
    house.ex.clock.look()  # and before any page of the scheduled ones was moved it is due
    await trio.sleep(5)
    assert (house.find(id_), path_of(await house.ask("status", id=id_))) == ("scheduled", [("scheduled", None, None)])
    await trio.sleep(590)
    assert house.find(id_) == "scheduled"
    await house.until(id_, "unconfirmed", within=10)


@pytest.mark.parametrize(("step", "leaves"), [(HOUR // 3, "11:30"), (-HOUR // 20, "11:30"), (-HOUR // 3, "10:46")])
async def test_a_window_opens_by_the_new_time(step: int, leaves: str, make_house: MakeHouse, autojump_clock: MockClock) -> None:
    # EPOCH is 2026-11-18T11:06:40Z: 19:06:40 in Taipei
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a", window="19:30-19:00 local", validity="2h")]})
    id_ = await house.take()
    assert house.find(id_) == "scheduled"
    await set_clock(house, step)
    reply = await house.until(id_, "unconfirmed", within=60 * 60)
    assert reply["attempts"][0]["opened_at"][:16] == f"2026-11-18T{leaves}"  # at 18:46 it is still open


async def test_what_is_told_bears_the_date(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"providers": {"a": mitake("a")}, "rules": [rule("a", validity="30m")]}, {})
    await set_clock(house, -2 * HOUR)
    before = on_wall(house, 0)
    answer = await house.submit()
    reply = await house.until(answer["id"], "sent", within=2)
    after, end = on_wall(house, 0), on_wall(house, 1800)
    assert all(before <= event["at"] <= after for event in reply["events"])
    assert before <= reply["message"]["accepted_at"] <= reply["attempts"][0]["opened_at"] <= after
    assert reply["message"]["valid_until"] <= end


async def test_it_is_kept_over_a_restart(make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = await make_house({"providers": {"a": make_flaky(6)}, "rules": [rule("a", validity="30m")]})
    waiting = await house.take()
    at = await wait_long(house, waiting)
    before = len(house.query.find_attempts(waiting))
    await set_clock(house, 2 * HOUR)
    scheduled = await house.take(send_at=on_wall(house, 300))
    await house.stop()
    await house.start(nursery)
    assert house.ex.clock.drift == 2 * HOUR
    await wait_attempt(house, waiting, before + 1)
    assert at <= house.now() <= at + 1_000
    assert house.find(scheduled) == "scheduled"
    await wait_attempt(house, scheduled, 1)
    reply = await house.ask("status", id=scheduled)
    assert reply["message"]["send_at"] <= reply["attempts"][0]["opened_at"] <= on_wall(house, 0)


async def test_dates_that_were_on_the_move_at_the_end_are_moved_after_it(
    make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await make_house({"providers": {"a": loopback()}, "rules": [rule("a", validity="30m")]})
    id_ = await house.take(send_at=on_wall(house, HOUR / 1000 + 100))
    with monkeypatch.context() as patch:
        patch.setattr(house.query, "read_scheduled", lambda *_: [])  # the end comes before the first page
        house.ahead += HOUR
        await trio.sleep(2)
        house.ex.keep("clock", "behind", {})
        await house.stop()
    await house.start(nursery)
    await house.until(id_, "unconfirmed", within=102)


def test_time_goes_on_over_a_restart() -> None:
    tick = [5_000_000_000]
    clock = resume(lambda: EPOCH, lambda: tick[0], 0, EPOCH - 60_000)
    assert (clock.now(), clock.look()) == (EPOCH, 0)
    tick[0] += 250_000_000
    assert clock.now() == EPOCH + 250


def test_a_clock_that_was_set_back_while_nothing_ran_takes_no_time_back() -> None:
    clock = resume(lambda: EPOCH - 2 * HOUR, lambda: 7_000_000, 0, EPOCH)
    assert clock.now() == EPOCH
    assert (clock.look(), clock.wall()) == (-2 * HOUR, EPOCH - 2 * HOUR)


def test_what_was_set_before_a_restart_is_known_after_it() -> None:
    clock = resume(lambda: EPOCH + HOUR, lambda: 7_000_000, 2 * HOUR, EPOCH - HOUR - 10)
    assert (clock.now(), clock.look(), clock.wall()) == (EPOCH - HOUR, 0, EPOCH + HOUR)
    assert clock.show(clock.now()) == show_time(EPOCH + HOUR)


def test_a_provider_is_told_dates() -> None:
    message = Message("m1", "unix:a", TO, "TW", TEXT, "gsm7", 1, EPOCH, EPOCH + HOUR)
    clock = Clock(lambda: EPOCH, lambda: EPOCH, 0)
    assert date(message, clock) is message
    clock.drift = -HOUR
    dated = date(message, clock)
    assert (dated.accepted_at, dated.valid_until, dated.id) == (EPOCH - HOUR, EPOCH, "m1")


def test_less_than_a_second_is_no_step() -> None:
    at = [EPOCH]
    clock = Clock(lambda: EPOCH, lambda: at[0])
    for ahead, step in ((999, 0), (-999, 0), (1_000, 1_000), (1_500, 0), (2_000, 1_000), (0, -2_000)):
        at[0] = EPOCH + ahead
        assert clock.look() == step
