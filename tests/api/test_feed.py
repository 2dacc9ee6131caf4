"""The feed tells every retained event once, in order, to everybody, from wherever they ask (promise 11, CONTRACT §6)."""

import json
import random
from pathlib import Path

import pytest
import trio

from broker.api.feed_pages import PAGE, Pages, Subscription
from broker.store.contract import Entry
from broker.store.ring import Ring
from tests.api.feed_rig import (
    NUMBER,
    Rig,
    connect_slowly,
    make_unix,
    open_rig,
    read,
    read_close,
    read_seqs,
)


async def test_an_empty_feed_says_hello(tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig, rig.connect() as ws:
        assert await read(ws) == {"type": "hello", "seq": 0, "first": 1, "node": "sms1"}
        await rig.publish([rig.tell(1)])
        assert (await read(ws))["seq"] == 1


async def test_an_event_is_told_as_the_contract_writes_it(tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig, rig.connect() as ws:
        await read(ws)
        await rig.publish([rig.tell(1, tags=("otp",)), rig.teller.happen("provider.down", 0, provider="mitake")])
        with trio.fail_after(5):
            frames = [await ws.get_message(), await ws.get_message()]
        assert frames[0] == (
            '{"seq":1,"at":"2026-11-21T20:00:00.123Z","type":"message.sent","node":"sms1","id":"m1","status":"sent","ref":null,'
            f'"client":"unix:shop","to":"{NUMBER}","country":"TW","tags":["otp"],"rule":null,"provider":"mitake","attempt":1,'
            '"provider_ref":"r1","class":"accepted","code":"1","detail":null,"next_at":null,"segments":1,"price":"0.90","currency":"TWD"}'
        )
        assert json.loads(frames[1]) == {
            "seq": 2, "at": "1970-01-01T00:00:00.000Z", "type": "provider.down", "node": "sms1", "provider": "mitake",
        }  # fmt: skip


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("ring", [1, 3, 100], ids=["table", "both", "ring"])
async def test_it_goes_on_from_every_point(tmp_path: Path, ring: int, batch: bool) -> None:
    async with open_rig(tmp_path, ring=ring, before=3) as rig:
        for n in range(5):
            await rig.publish([rig.tell(n)])
        for after in range(9):
            async with rig.connect(f"from={after}" + ("&batch=1" if batch else "")) as ws:
                assert await read(ws) == {"type": "hello", "seq": 8, "first": 1, "node": "sms1"}
                wanted = list(range(after + 1, 9))
                if batch:
                    assert not wanted or [event["seq"] for event in await read(ws)] == wanted
                else:
                    assert await read_seqs(ws, len(wanted)) == wanted


async def test_without_from_only_what_is_new_comes(tmp_path: Path) -> None:
    async with open_rig(tmp_path, before=5) as rig, rig.connect() as ws:
        assert (await read(ws))["seq"] == 5
        await rig.publish([rig.tell(1)])
        assert (await read(ws))["seq"] == 6


# (from, is there a gap, the first event that comes)
GAPS = [(0, True, 4), (2, True, 4), (3, False, 4), (4, False, 5)]


@pytest.mark.parametrize(("after", "is_gap", "first"), GAPS)
@pytest.mark.parametrize("before", [6, 0], ids=["in the table", "in the ring too"])
@pytest.mark.parametrize("batch", [0, 1])
async def test_what_is_no_longer_retained_is_a_gap(tmp_path: Path, after: int, is_gap: bool, first: int, before: int, batch: int) -> None:
    async with open_rig(tmp_path, before=before) as rig:
        await rig.publish_many(6 - before)
        rig.forget(below=4)
        async with rig.connect(f"from={after}&batch={batch}") as ws:
            assert await read(ws) == {"type": "hello", "seq": 6, "first": 4, "node": "sms1"}
            if is_gap:
                gap = {"type": "gap", "first": 4}
                assert await read(ws) == ([gap] if batch else gap)
            event = await read(ws)
            assert (event[0] if batch else event)["seq"] == first


class Fixed:
    """The table, held fast."""

    def __init__(self, *seqs: int) -> None:
        self.seqs = seqs

    def read_events(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        return [(seq, b'{"type":"a.b"}') for seq in self.seqs if seq > after][:limit]

    def find_first_seq(self) -> int | None:
        return self.seqs[0] if self.seqs else None


async def test_retention_that_overtakes_a_reader_is_a_gap_too() -> None:
    table = Fixed(*range(1, 1001))
    place = Subscription(Pages(Ring(1, 1000), table), 0)
    page = await place.read()
    assert page is not None
    assert (page.gap, page.rows[0][0], page.last) == (None, 1, PAGE)
    place.pass_by(page)
    table.seqs = tuple(range(700, 1001))
    page = await place.read()
    assert page is not None
    assert (page.gap, page.rows[0][0], page.last) == (700, 700, 1000)


async def test_nobody_sees_an_event_before_its_bell_has_rung() -> None:
    """Else it would come again above its next hello, and be refused there."""
    ring = Ring(8, 5)
    pages = Pages(ring, Fixed(*range(1, 8)))
    place = Subscription(pages, 0)
    page = await place.read()
    assert page is not None
    assert (place.last, page.last) == (5, 5)
    assert [seq for seq, _ in page.rows] == [1, 2, 3, 4, 5]
    place.pass_by(page)
    assert await place.read() is None
    ring.push([Entry({}, None, b'{"type":"a.b"}', 6)])  # type: ignore[arg-type]  # only seq and body are read
    assert await place.read() is None
    pages.ring_now()
    page = await place.read()
    assert page is not None
    assert [seq for seq, _ in page.rows] == [6]


async def test_an_empty_table_behind_a_full_ring_ends_no_reader_in_a_loop() -> None:
    place = Subscription(Pages(Ring(1, 9), Fixed()), 9)
    place.cursor = 3
    page = await place.read()
    assert page is not None
    assert (page.rows, page.last, page.gap) == ([], 9, 10)


async def test_a_batch_is_all_that_waits_but_at_most_500(tmp_path: Path) -> None:
    async with open_rig(tmp_path, before=700, ring=300) as rig:
        await rig.publish_many(500)
        async with rig.connect("from=0&batch=1") as ws:
            assert (await read(ws))["seq"] == 1200
            frames = [await read(ws) for _ in range(3)]
            assert [len(frame) for frame in frames] == [500, 500, 200]
            assert [event["seq"] for frame in frames for event in frame] == list(range(1, 1201))
            await rig.publish([rig.tell(1)])
            await rig.publish([rig.tell(2), rig.tell(3)])
            assert [[event["seq"] for event in await read(ws)] for _ in range(2)] == [[1201], [1202, 1203]]
        async with rig.connect("from=1200&batch=1") as late:
            await read(late)
            assert [event["seq"] for event in await read(late)] == [1201, 1202, 1203]


# (parameters, the seqs of what comes out of MIXED)
FILTERS = [
    ("type=message.sent", [1, 3]),
    ("type=message.*", [1, 2, 3, 4]),
    ("type=message.sent&type=provider.*", [1, 3, 5]),
    ("type=inbound.*", []),
    ("provider=mitake", [1, 5]),
    ("provider=mitake&provider=smscru", [1, 2, 5]),
    ("provider=mitake&type=message.*", [1]),
    ("client=token", [3]),
    ("tag=otp", [2, 3]),
    ("tag=otp&tag=promo", [1, 2, 3]),
    ("id=m4", [4]),
    ("id=m4&id=m1&client=unix:shop", [1, 4]),
    ("tag=otp&client=token&provider=subito&id=m3&type=message.sent", [3]),
    ("tag=otp&provider=mitake", []),
    ("type=&provider=&client=&tag=&id=", [1, 2, 3, 4, 5]),
    ("client=unix%3Ashop&batch=1", [1, 2, 4]),
]


async def publish_mixed(rig: Rig) -> None:
    await rig.publish(
        [
            rig.tell(1, tags=("promo", "x")),
            rig.tell(2, "queued", provider="smscru", tags=("otp",)),
            rig.tell(3, provider="subito", tags=("a", "otp"), client="token"),
            rig.tell(4, "failed", provider=None),
            rig.teller.happen("provider.up", 0, provider="mitake"),
        ]
    )


@pytest.mark.parametrize("ring", [1, 100], ids=["table", "ring"])
async def test_filters(tmp_path: Path, ring: int) -> None:
    async with open_rig(tmp_path, ring=ring) as rig:
        await publish_mixed(rig)
        await rig.publish([rig.teller.happen("node.started", 0) for _ in range(3)])  # pushes the others out of a ring of one
        for query, wanted in FILTERS:
            async with rig.connect("from=0&" + query) as ws:
                await read(ws)
                got: list[int] = []
                with trio.move_on_after(0.05) as waiting:
                    while not wanted or len(got) < len(wanted):
                        frame = await read(ws)
                        got += [event["seq"] for event in (frame if isinstance(frame, list) else [frame])]
                assert (query, got) == (query, wanted)
                assert waiting.cancelled_caught == (not wanted)


async def test_what_a_filter_leaves_out_is_passed_by_for_good(tmp_path: Path) -> None:
    async with open_rig(tmp_path) as rig, rig.connect("type=message.failed") as ws:
        await read(ws)
        await rig.publish_many(1200)
        await rig.publish([rig.tell(1, "failed")])
        assert (await read(ws))["seq"] == 1201


async def test_fifty_subscribers_cut_at_random_miss_nothing(tmp_path: Path) -> None:
    total, rng = 300, random.Random(20261121)
    complete = 0

    async def subscribe(rig: Rig, seed: int) -> None:
        """Be cut again and again; go on from the last event seen."""
        nonlocal complete
        own = random.Random(seed)
        seen: list[int] = []
        batch = seed % 2
        while not seen or seen[-1] < total:
            patience = own.randrange(1, 150)
            async with trio.open_nursery() as nursery:
                ws, tap = await connect_slowly(nursery, rig, f"from={seen[-1] if seen else 0}&batch={batch}")
                assert (await read(ws))["type"] == "hello"
                while patience > 0 and (not seen or seen[-1] < total):
                    frame = await read(ws)
                    for event in frame if batch else [frame]:
                        seen.append(event["seq"])
                        patience -= 1
                await trio.aclose_forcefully(tap.stream)  # no closing handshake: the line is cut
                nursery.cancel_scope.cancel()
        assert seen == list(range(1, total + 1))
        complete += 1

    async with open_rig(tmp_path, ring=40, before=50) as rig:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for seed in range(50):
                    nursery.start_soon(subscribe, rig, seed)
                told = 50
                while told < total:
                    some = min(rng.randrange(1, 30), total - told)
                    await rig.publish([rig.tell(n) for n in range(some)])
                    told += some
                    await trio.lowlevel.checkpoint()
    assert complete == 50


async def test_at_the_end_everybody_gets_the_last_event_and_a_goodbye(tmp_path: Path) -> None:
    async with open_rig(tmp_path, before=3) as rig, rig.connect("from=0") as one, rig.connect("batch=1&from=3") as two:
        await read(one)
        await read(two)
        await rig.publish([*(rig.tell(n) for n in range(1100)), rig.teller.happen("node.stopping", 0)])
        rig.serving.cancel()
        assert [await read(one) for _ in range(1104)][-1]["type"] == "node.stopping"
        assert [len(await read(two)) for _ in range(3)] == [500, 500, 101]
        assert (await read_close(one))[0] == 1001
        assert (await read_close(two))[0] == 1001
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.1", rig.port)


async def test_the_last_bell_rings_before_the_goodbye(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.api.feed_pages.PACE", 1.0)
    monkeypatch.setattr("broker.api.feed_pages.LONGEST_PACE", 60.0)
    async with open_rig(tmp_path) as rig, rig.connect() as ws:
        await read(ws)
        await rig.publish([rig.tell(1)])
        assert (await read(ws))["seq"] == 1
        await rig.publish([rig.tell(2)])  # within the pause of the bell
        rig.serving.cancel()
        assert (await read(ws))["seq"] == 2
        assert (await read_close(ws))[0] == 1001


async def test_the_end_waits_for_nobody_who_does_not_answer(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with open_rig(tmp_path, settings=make_unix(tmp_path)) as rig, trio.open_nursery() as nursery:
        ws, tap = await connect_slowly(nursery, rig)
        await read(ws)
        tap.shut()
        silent = await rig.dial()  # never says what it wants
        async with silent, tap.stream:
            await rig.publish_many(3000)
            start = trio.current_time()
            rig.serving.cancel()
            assert await silent.receive_some() == b""
            await rig.served.wait()
            assert trio.current_time() - start <= 4
            nursery.cancel_scope.cancel()
