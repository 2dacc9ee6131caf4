"""Whatever happens, everything ends (promise 2): random providers, rules, orders, reloads and restarts by seed, then calm, then a verdict.

`pytest tests/daemon/test_liveness.py --seeds 500` tries more of them; a failing seed is in the test's name.
"""

import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.words.outcome import CLASSES
from tests.crash.verdict import judge
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import TEXT, House, Toml, loopback, rule, subito

NAMES = ("a", "b", "c")
ACTIONS = (
    "submit",
    "submit",
    "submit",
    "sleep",
    "sleep",
    "sleep",
    "pause",
    "resume",
    "drain",
    "cancel",
    "release",
    "resolve",
    "reload",
    "restart",
    "credit",
)
SPANS = (0.001, 0.02, 1.0, 7.0, 60.0, 400.0)
CODES = ("5", "cut", "html", "empty", "late", "503", "429", "12")
ON = ("next", "fail", "hold", "retry", {"retry": 2, "then": "hold"}, {"retry": 1, "then": "fail"})


def draw_settings(rng: random.Random) -> Toml:
    """Any configuration: some providers may be missing, any class may be answered."""
    providers: Toml = {}
    for name in NAMES:
        more: Toml = {
            "max_in_flight": rng.choice([1, 3, 16]),
            "delay": rng.choice([0, 0, 30, 2_000]),
            "breaker": {"failures": rng.randint(1, 5), "window": "30s", "open": rng.choice(["1s", "20s"])},
        }
        if rng.random() < 0.3:
            more["rate"] = rng.choice(["5/s", "100/m"])
        if rng.random() < 0.3:
            more |= {"prices": {"*": "0.10"}, "spend": {"max": "1", "per": "10m"}}
        providers[name] = loopback(*rng.choices([*CLASSES, "accepted", "accepted"], k=rng.randint(1, 5)), **more)
    providers["south"] = subito(
        "south", batch=rng.choice([1, 5]), query=["10s", "60s"], receipt_wait="5m", credit={"every": "2m", "stop": rng.choice([0, 3])}
    )
    rules = []
    for n in range(rng.randint(1, 3)):
        use = rng.sample([*NAMES, "south"], rng.randint(1, 4))
        more = {"name": f"r{n}", "order": rng.choice(["listed", "cheapest", "most_credit", "weighted"])}
        if n < 2 and rng.random() < 0.7:
            more["match"] = {"tag": f"t{n}"}
        if rng.random() < 0.3:
            more["max_attempts"] = rng.randint(1, 6)
        more["on"] = {
            class_: rng.choice(ON) for class_ in rng.sample(["unavailable", "throttled", "rejected", "no_credit", "misconfigured"], 2)
        }
        more["else"] = rng.choice(["fail", "hold", "next-rule"])
        more["doubt_deadline"] = rng.choice(["10s", "5m"])
        rules.append(rule(*use, **more))
    return {"providers": providers, "rules": rules}


class Storm:
    """One seed's story."""

    def __init__(self, house: House, rng: random.Random, nursery: trio.Nursery) -> None:
        self.house = house
        self.rng = rng
        self.nursery = nursery
        self.acked: dict[str, tuple[str, str]] = {}

    async def act(self) -> None:
        """One thing that may happen."""
        house, rng = self.house, self.rng
        ids = [id_ for id_, _ in self.acked.values()]
        match rng.choice(ACTIONS):
            case "submit":
                await self.submit(rng.randint(1, 30))
            case "sleep":
                await trio.sleep(rng.choice(SPANS))
            case "pause" | "resume" | "drain" as op:
                await house.order(op, name=rng.choice([*NAMES, "south"]))
            case "cancel" if ids:
                await house.ask("cancel", id=rng.choice(ids))
            case "release":
                await house.order("release", all=True)
            case "resolve":
                for id_, text in self.acked.values():
                    if house.find(id_) == "in_doubt":
                        is_taken = text in [sent[1] for sent in house.twins["south"].sent]
                        await house.order("resolve", id=id_, outcome="accepted" if is_taken else "not-sent")
                        break
            case "reload":
                house.write(draw_settings(rng))
                await house.order("reload")
            case "restart":
                await house.stop()
                await house.start(self.nursery)
            case "credit":
                twin = house.twins["south"]
                twin.balance["Foreign"] = rng.choice([0, 5, 500])
                twin.answers += rng.choices(CODES, k=rng.randint(0, 3))

    async def submit(self, count: int) -> None:
        """Some messages, all different."""
        rng = self.rng
        async with await self.house.connect() as wire:
            for _ in range(count):
                key = f"k{len(self.acked)}"
                text = f"{TEXT} {key}"
                line: dict[str, Any] = {"to": f"+8869{rng.randint(0, 40):08d}", "text": text, "key": key, "tags": [f"t{rng.randint(0, 3)}"]}
                line |= {"priority": rng.choice(["high", "normal", "low"]), "validity": rng.choice(["5s", "10m", "24h"])}
                answer = await wire.ask(line)
                if answer["ok"]:
                    self.acked[key] = (answer["id"], text)
                else:
                    assert answer["error"]["code"] in ("no_route", "suppressed"), answer

    async def calm(self) -> None:
        """Every provider is well, and nothing is forbidden any more."""
        house = self.house
        house.twins["south"].answers.clear()
        house.twins["south"].balance["Foreign"] = 10_000
        everybody = {name: loopback() for name in NAMES} | {"south": subito("south", query=["10s", "60s"], receipt_wait="5m")}
        house.write({"providers": everybody, "rules": [rule(*everybody)]})
        assert (await house.order("reload"))["ok"]
        for name in everybody:
            assert (await house.order("resume", name=name))["ok"]
        await trio.sleep(1)
        await house.order("release", all=True)
        await trio.sleep(25 * 60)


async def test_everything_ends(seed: int, make_house: MakeHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    rng = random.Random(seed)
    house = await make_house(draw_settings(rng), {"south": {"settle": rng.choice([0, 30_000])}})
    house.draw = rng.randrange(1_000_000)
    storm = Storm(house, rng, nursery)
    for _ in range(60):
        await storm.act()
    await storm.calm()
    copies = [("south", sent[1]) for sent in house.twins["south"].sent]
    rows = house.query._conn.execute("SELECT provider, text FROM attempt JOIN message ON id = message WHERE state = 'accepted'")
    told = [(provider, text) for provider, text in rows if provider != "south"]
    tally = judge(house.folder / "data" / "broker.db", storm.acked, copies + told)
    assert tally.findings == []
    assert len(storm.acked) == tally.msgs
    assert house.ex.queued == 0
    for lane in house.ex.lanes.values():
        assert (lane.name, lane.in_flight) == (lane.name, 0)
        assert lane.health.state in ("up", "probing")  # the next message is the probe, where none came since
        assert {bucket.reserved for bucket in lane.ledger.buckets.values()} <= {0}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--seeds")))
