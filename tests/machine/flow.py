"""Providers that flap, run out of credit under load, or die with a long queue behind them (reliability F13 to F15), on virtual time.

The broker is the daemon's own composition, the providers are the plugins' twins; how long anything takes is counted in the broker's time,
so that no other work of the machine is judged with it. The clients, and what is right of a store and its handsets, are the crash test's.
"""

import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import trio

from broker.provider.contract import TwinReply, TwinRequest
from broker.words.clock import SECOND, read_time
from broker.words.status import LIVE
from plugins.subito.twin import Twin as SubitoTwin
from plugins.tatango.twin import Twin as TatangoTwin
from tests.crash.verdict import Tally, judge
from tests.daemon.house import SECRET, House, InMemory, Toml, rule, subito, tatango
from tests.machine.trial import Size, require

ANSWER = 0.1
"""Seconds that a healthy provider takes."""
PHASE = 5.0
"""Seconds for which a flapping one is there, and for which it is not."""
OPEN = 10_000
"""Milliseconds of the breaker's first rest, as configured by default."""
RATIO = 1.2
WINDOW = 16
"""Messages in flight with an account."""
DRY_AGAIN = 30.0
"""Seconds after which an account without credit is asked for its balance again."""


class Gateway:
    """A twin behind a wire: `seconds` until an answer, `spoils` the share that is refused before it. `taken` and `asked`: when messages
    were taken, and balances asked for, in milliseconds. `is_down`: whoever is still connected is cut off, without an answer."""

    def __init__(self, twin: Any, rng: random.Random, is_down: Callable[[], bool]) -> None:
        self.twin = twin
        self._is_down = is_down
        self.seconds = ANSWER
        self.spoils = 0.0
        self.taken: list[int] = []
        self.asked: list[int] = []
        self._rng = rng

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        """What the twin says, unless the gateway refuses before it."""
        delay = round(self.seconds * SECOND)
        if self._is_down():
            return TwinReply(cut=0)
        if request.query == "action=credit":
            self.asked.append(now)
        elif self._rng.random() < self.spoils:
            return TwinReply(503, delay=delay)
        before = len(self.twin.sent)
        reply: TwinReply = self.twin.answer(request, now)
        self.taken += [now] * (len(self.twin.sent) - before)
        return msgspec.structs.replace(reply, delay=delay)


class Flow:
    """A broker with clients. `acked` is key -> (id, text)."""

    def __init__(self, folder: Path, seed: int, settings: Toml, twins: Mapping[str, Any]) -> None:
        self.house = House(folder, settings)
        rng = random.Random(seed)
        self.gateways = {name: Gateway(twin, rng, partial(self._is_down, name)) for name, twin in twins.items()}
        self.house.twins.update(self.gateways)
        self.acked: dict[str, tuple[str, str]] = {}

    def _is_down(self, name: str) -> bool:
        return name in self.house.down

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """While entered, the broker runs."""
        async with trio.open_nursery() as nursery:
            with InMemory(self.house):
                await self.house.start(nursery)
                await trio.sleep(1)
                yield
                await self.house.stop()
            nursery.cancel_scope.cancel()

    async def pour(self, count: int, rate: float, name: str, **more: Any) -> None:
        """Submit `count` messages, `rate` a second, with keys that begin with `name`."""
        burst = round(min(max(rate / 10, 1), 100))
        async with await self.house.connect() as wire:
            for begun in range(0, count, burst):
                keys = {f"{name}{n}": f"+1202555{n % 10_000:04d}" for n in range(begun, min(begun + burst, count))}
                await wire.send(*({"to": to, "text": f"text {key}", "key": key, **more} for key, to in keys.items()))
                for key in keys:
                    answer = await wire.hear()
                    assert answer["ok"], answer
                    self.acked[key] = (answer["id"], f"text {key}")
                await trio.sleep(len(keys) / rate)

    async def wait_ended(self, tally: Tally, seconds: float) -> None:
        """Return when every message has its end, or after `seconds`, which is too late."""
        with trio.move_on_after(seconds):
            while self.house.query.count_statuses().keys() & LIVE:  # noqa: ASYNC110  # a look now and then, over hours
                await trio.sleep(1)
            return
        tally.find("stuck", f"not all has ended after {seconds:.0f} s: {self.house.query.count_statuses()}")

    def judge(self, tally: Tally) -> None:
        """Count in what the store and the handsets say of all that was taken. The broker has ended."""
        ledger = [(name, text) for name, each in self.gateways.items() for _, text, _ in each.twin.sent]
        tally.add(judge(self.house.folder / "data" / "broker.db", self.acked, ledger))
        tally.trials += 1


def read_latencies(flow: Flow, provider: str) -> list[int]:
    """Milliseconds from acceptance to the answer of every message that `provider` took, the shortest first."""
    sql = "SELECT closed_at - accepted_at FROM attempt JOIN message ON message.id = message WHERE state = 'accepted' AND provider = ?"
    return sorted(row[0] for row in flow.house.query._conn.execute(sql, (provider,)))


# ---- F13


async def _flap(flow: Flow) -> None:
    while True:
        await trio.sleep(PHASE)
        flow.house.down ^= {"bad"}


async def _err(flow: Flow) -> None:
    flow.gateways["bad"].spoils = 0.3


async def _slow(flow: Flow) -> None:
    flow.gateways["bad"].seconds = 10 * ANSWER


TROUBLES: dict[str, Callable[[Flow], Awaitable[None]] | None] = {"none": None, "flaps": _flap, "errs": _err, "is slow": _slow}


async def flap(folder: Path, seed: int, size: Size) -> Tally:
    """One provider flaps, errs, or is slow: its breaker switches no more than once in its period, and another's messages are as quick."""
    total, usual = Tally(), 0
    for trouble, harm in TROUBLES.items():
        place = folder / trouble.replace(" ", "-")
        place.mkdir()
        tally = Tally()
        flow = Flow(place, seed, _two_rules(), _make_tatangos("bad", "spare", "well"))
        usual = await _try_trouble(flow, trouble, harm, usual, size, tally)
        total.add(tally)
        shutil.rmtree(place)
    return total


def _two_rules() -> Toml:
    return {
        "broker": {"default_country": "US"},
        "providers": {name: tatango(name) for name in ("bad", "spare", "well")},
        "rules": [rule("bad", "spare", name="shaky", match={"tag": "shaky"}, doubt_deadline="20s"), rule("well", name="rest")],
    }


def _make_tatangos(*names: str) -> dict[str, TatangoTwin]:
    return {name: TatangoTwin(password=SECRET) for name in names}


async def _try_trouble(
    flow: Flow, trouble: str, harm: Callable[[Flow], Awaitable[None]] | None, usual: int, size: Size, tally: Tally
) -> int:
    """One trouble; the healthy provider's p99 in milliseconds. `usual`: without any, 0 where that is what is measured."""
    count = round(size.seconds * size.count)
    async with flow.run():
        async with trio.open_nursery() as nursery:
            if harm is not None:
                nursery.start_soon(harm, flow)
            async with trio.open_nursery() as clients:
                clients.start_soon(partial(flow.pour, count, size.count, "shaky", tags=["shaky"]))
                clients.start_soon(flow.pour, count, size.count, "well")
            flow.house.down.clear()
            nursery.cancel_scope.cancel()
        await flow.wait_ended(tally, 120)
        latencies = read_latencies(flow, "well")
        downs = [read_time(event["at"]) for event in flow.house.told("provider.down") if event["provider"] == "bad"]
    flow.judge(tally)
    p99 = latencies[len(latencies) * 99 // 100]
    require(tally, not usual or p99 <= RATIO * usual, f"where one {trouble}, another's p99 is {p99} ms and not {usual}")
    require(tally, trouble != "flaps" or bool(downs), f"where one {trouble}, its breaker never opened")
    near = [later - at for at, later in pairwise(downs) if later - at < OPEN]
    require(tally, not near, f"where one {trouble}, its breaker opened again after {near} ms")
    return p99


# ---- F14


async def run_dry(folder: Path, seed: int, size: Size) -> Tally:
    """Credit ends under load: no more refusals than are in flight, one question, nothing lost, and the costly one within its cap."""
    total = Tally()
    for is_stale in (False, True):
        place = folder / ("stale" if is_stale else "true")
        place.mkdir()
        tally = Tally()
        await _try_dry(place, seed, size, tally, is_stale=is_stale)
        total.add(tally)
        shutil.rmtree(place)
    return total


class Forgetful(SubitoTwin):
    """Says of its balance what it was at first, whatever was spent since."""

    def _credit(self) -> TwinReply:
        now, self.balance = self.balance, self._first
        try:
            return super()._credit()
        finally:
            self.balance = now

    def __init__(self, balance: int) -> None:
        super().__init__(balance=balance, password=SECRET)
        self._first = dict(self.balance)


def _cap(count: int, per: str) -> Toml:
    """So many messages at 0.05 each."""
    return {"max": f"{count * 5 / 100:.2f}", "per": per}


async def _try_dry(folder: Path, seed: int, size: Size, tally: Tally, *, is_stale: bool) -> None:
    credit = size.count
    cap = credit // 4
    settings: Toml = {
        "broker": {"default_country": "US"},
        "providers": {
            "cheap": subito("cheap", max_in_flight=WINDOW, credit={"every": "10m"}, prices={"*": "0.01"}),
            "dear": tatango("dear", prices={"*": "0.05"}, spend=_cap(cap, "1h")),
        },
        "rules": [rule("cheap", "dear", validity="5m")],
    }
    # In truth there is less than was said at first: somebody else spends from it too.
    cheap = Forgetful(credit) if is_stale else SubitoTwin(balance=credit, password=SECRET)
    flow = Flow(folder, seed, settings, {"cheap": cheap, "dear": TatangoTwin(password=SECRET)})
    async with flow.run():
        cheap.balance = dict.fromkeys(cheap.balance, credit - credit // 5)
        begun = flow.house.now()
        await flow.pour(2 * credit, 500, "k")
        await flow.wait_ended(tally, 600)
        seconds = (flow.house.now() - begun) / SECOND
        attempts = list(flow.house.query._conn.execute("SELECT provider, class, closed_at FROM attempt ORDER BY closed_at"))
        spent = sum(1 for provider, class_, _ in attempts if provider == "dear" and class_ == "accepted")
    flow.judge(tally)
    refused = [at for provider, class_, at in attempts if (provider, class_) == ("cheap", "no_credit")]
    questions = flow.gateways["cheap"].asked
    at_once = sum(refused[0] <= at < refused[0] + SECOND for at in questions) if refused else 0
    looks = 1 + (1 + seconds / DRY_AGAIN if is_stale else 0)  # one that says what is not so is believed once for each time it is asked
    require(tally, bool(refused), "the credit never ended")
    require(tally, len(refused) <= WINDOW * looks, f"{len(refused)} messages were refused for want of credit in {seconds:.0f} s")
    require(tally, at_once <= 1, f"the balance was asked for {at_once} times within a second of the first of {len(refused)} refusals")
    require(tally, len(cheap.sent) == credit - credit // 5, f"{len(cheap.sent)} messages went by credit for {credit - credit // 5}")
    require(tally, spent <= cap, f"{spent} messages went by the costly account, whose cap is {cap}")


# ---- F15


async def die(folder: Path, seed: int, size: Size) -> Tally:
    """The cheap provider dies with a long queue: the costly one takes its rate and its cap, and what is left waits for the first."""
    tally = Tally()
    rate, cap = 50, size.count // 10
    settings: Toml = {
        "broker": {"default_country": "US"},
        "providers": {
            "cheap": tatango("cheap", rate="200/s", max_in_flight=64, prices={"*": "0.01"}),
            "dear": tatango("dear", rate=f"{rate}/s", max_in_flight=64, prices={"*": "0.05"}, spend=_cap(cap, "6h")),
        },
        "rules": [rule("cheap", "dear", doubt_deadline="20s")],
    }
    flow = Flow(folder, seed, settings, _make_tatangos("cheap", "dear"))
    cheap, dear = flow.gateways["cheap"], flow.gateways["dear"]
    async with flow.run():
        await flow.pour(size.count, 1_000_000, "k")
        flow.house.down.add("cheap")
        gone = flow.house.now()
        await trio.sleep(size.seconds)
        flow.house.down.clear()
        back = flow.house.now()
        await flow.wait_ended(tally, 3_600 + size.count / 100)
        resumed = min((at for at in cheap.taken if at >= back), default=None)
    flow.judge(tally)
    busiest = max((sum(at <= other < at + SECOND for other in dear.taken[n : n + 4 * rate]) for n, at in enumerate(dear.taken)), default=0)
    require(tally, len(dear.taken) > 0, "nothing went by the costly account")
    require(tally, busiest <= 2 * rate, f"{busiest} messages went by the costly account in a second, whose rate is {rate}")
    require(tally, len(dear.taken) <= cap, f"{len(dear.taken)} messages went by the costly account, whose cap is {cap}")
    require(tally, not [at for at in cheap.taken if gone + SECOND <= at < back], "a provider that is gone took messages")
    require(tally, resumed is not None and resumed - back <= 15 * 60 * SECOND, "nothing went by the cheap account after it was back")
    everywhere = len(cheap.taken) + len(dear.taken) + tally.unknown
    require(tally, everywhere == size.count, f"{everywhere} of {size.count} were taken, or may have been")
    return tally
