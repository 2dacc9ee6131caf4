"""Who acts in a simulated world: programs that submit, subscribers that come and go, a person at the controls, and bad luck.

Each draws from a stream of its own. What they are told they tell the audit.
"""

import json
from typing import TYPE_CHECKING, Any

import trio

from tests.sim.chance import stream
from tests.sim.front import ABROAD, PHONES, Front
from tests.sim.life import Local
from tests.sim.network import name_of
from tests.sim.setups import LIMITS, has_feed
from tests.sim.subscribers import Listener, Subscriber

if TYPE_CHECKING:
    from tests.sim.world import World

GONE = (OSError, EOFError, trio.BrokenResourceError, trio.ClosedResourceError)
PASSING = frozenset({"stopping", "unavailable", "outcome_unknown", "queue_full"})
ACTS = ("crash", "point", "point", "disk", "end", "reload", "flip", "credit", "full", "clock")
"""What may happen to machines and accounts; in each world some of these do."""
REFUSED = frozenset({"no_route", "suppressed"})


def start_all(world: "World", nursery: trio.Nursery) -> None:
    """Let everybody begin."""
    rng = stream(world.seed, "cast")
    for n in range(rng.randint(1, world.size.programs)):
        nursery.start_soon(Submitter(world, n).run)
    for n in range(rng.randint(0, 2)):
        nursery.start_soon((Listener if has_feed(world.family) else Subscriber)(world, n).run)
    if rng.random() < 0.7:
        nursery.start_soon(Person(world).run)
    if rng.random() < 0.4:
        nursery.start_soon(Handset(world).run)
    nursery.start_soon(Nature(world).run)


class Talk:
    """A connection to a door."""

    def __init__(self, stream: Local) -> None:
        self._stream = stream
        self._rest = b""

    async def ask(self, **line: Any) -> dict[str, Any]:
        """One line and its answer. Raises one of GONE."""
        await self._stream.send_all(json.dumps(line).encode() + b"\n")
        while b"\n" not in self._rest:
            data = bytes(await self._stream.receive_some(65536))
            if not data:
                raise EOFError
            self._rest += data
        answer, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(answer)
        return found

    async def close(self) -> None:
        """Hang up."""
        await trio.aclose_forcefully(self._stream)


async def order(world: "World", **line: Any) -> dict[str, Any]:
    """One op at the control door; {} where nobody answered."""
    talk = None
    try:
        assert world.life is not None
        talk = Talk(world.life.connect("control"))
        return await talk.ask(**line)
    except GONE:
        return {}
    finally:
        if talk is not None:
            await talk.close()


class Submitter:
    """A program that submits and, without an answer, asks again under the same key."""

    def __init__(self, world: "World", n: int) -> None:
        self.world = world
        self.name = f"p{n}"
        self.rng = stream(world.seed, self.name)
        self._lines: dict[str, dict[str, Any]] = {}

    async def run(self) -> None:
        """Submit some, at its own pace."""
        rng = self.rng
        for count in range(rng.randint(1, self.world.size.turns)):
            await trio.sleep(rng.choice((0.0, 0.02, 0.5, 3.0)))
            for _ in range(rng.choice(self.world.size.crowd)):
                await self._submit(self._make_line(count))
            if self._lines and rng.random() < 0.2:
                await self._submit(rng.choice(list(self._lines.values())))

    def _make_line(self, count: int) -> dict[str, Any]:
        rng, tag = self.rng, self.rng.choice(list(LIMITS))
        name = f"{self.name}-{count}-{len(self._lines)}"
        self.world.audit.limits[name] = LIMITS[tag]
        to = rng.choice(PHONES if rng.random() < 0.8 else ABROAD)
        text = name if rng.random() < 0.75 else f"{name} {rng.choice('aé你') * rng.choice((70, 150, 300))}"
        line: dict[str, Any] = {"to": to, "text": text, "tags": [tag], "key": name, "ref": name}
        line |= {"priority": rng.choice(("high", "normal", "low")), "validity": rng.choice(("1s", "6s", "15s", "15s"))}
        if rng.random() < 0.1:
            line["send_at"] = f"2026-11-18T11:06:4{rng.randint(0, 9)}.000Z"
        self._lines[name] = line
        return line

    async def _submit(self, line: dict[str, Any]) -> None:
        """Until there is an answer."""
        while True:
            answer = await self._try(line)
            if answer is None or (not answer["ok"] and answer["error"]["code"] in PASSING):
                await trio.sleep(self.rng.choice((0.1, 0.5)))
                continue
            self._hear(line, answer)
            return

    async def _try(self, line: dict[str, Any]) -> dict[str, Any] | None:
        talk, rng = None, self.rng
        try:
            assert self.world.life is not None
            talk = Talk(self.world.life.connect("submit"))
            with trio.move_on_after(0 if rng.random() < 0.1 else 60):  # an answer that is not waited for is a lost one
                return await talk.ask(**line)
        except GONE:
            pass
        finally:
            if talk is not None:
                await talk.close()
        return None

    def _hear(self, line: dict[str, Any], answer: dict[str, Any]) -> None:
        audit, key = self.world.audit, line["key"]
        if not answer["ok"]:
            if answer["error"]["code"] not in REFUSED:
                audit.find(f"{key} was refused: {answer['error']}")
            elif key in audit.acked:
                audit.find(f"{key} was acknowledged before, and then refused: {answer['error']}")
            return
        known = audit.acked.setdefault(key, (answer["id"], line["text"]))
        if known[0] != answer["id"]:
            audit.find(f"{key} was first {known[0]}, then {answer['id']}")


class Person:
    """Somebody at the control door, who knows what is on the phones."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.rng = stream(world.seed, "person")

    async def run(self) -> None:
        """One order after the other."""
        while True:
            await trio.sleep(self.rng.choice((0.3, 2.0, 4.0)))
            await self._act()

    async def _act(self) -> None:
        world, rng = self.world, self.rng
        ids = list(world.audit.status)
        match rng.choice(("pause", "resume", "resume", "drain", "cancel", "cancel all", "release", "retry", "resolve", "resolve")):
            case "pause" | "resume" | "drain" as op:
                await order(world, op=op, name=rng.choice(list(world.providers)))
            case "cancel" if ids:
                await order(world, op="cancel", id=rng.choice(ids))
            case "cancel all":
                await order(world, op="cancel", tag=rng.choice(list(LIMITS)))
            case "release" | "retry" as op:
                await order(world, op=op, all=True)
            case "resolve":
                await self._resolve(ids)

    async def _resolve(self, ids: list[str]) -> None:
        world = self.world
        for id_ in ids:
            if world.life is None or world.life.is_dead or world.audit.status[id_] != "in_doubt":
                continue
            live = world.life.query.find_live(id_)
            if live is None:
                continue
            attempt = live.attempts[-1]
            took = [each for _, each, name in world.ledger.taken if name == name_of(live.message.text or "")]
            if attempt.provider in took:
                await order(world, op="resolve", id=id_, outcome="accepted")
            elif not world.ledger.pending.get(attempt.provider):
                await order(world, op="resolve", id=id_, outcome="not-sent")
            return


class Handset:
    """Somebody who writes to our numbers."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.rng = stream(world.seed, "handset")

    async def run(self) -> None:
        """A few texts, some of them long."""
        world, rng = self.world, self.rng
        for n in range(rng.randint(1, 4)):
            await trio.sleep(rng.choice((0.0, 0.3, 2.0)))
            text = f"mo{n} {'y' * rng.choice((0, 0, 200))}"
            provider = world.providers[rng.choice(list(world.providers))]
            if not isinstance(provider, Front):
                provider.text_in(text)
            elif provider.name == "t" and world.life is not None and world.life.daemon.ready.is_set():
                callbacks = world.life.daemon.callbacks
                url = callbacks.list_urls().get("t") if callbacks.is_open else None
                if url is not None:
                    await provider.text_in(url, text)


class Nature:
    """What happens to machines and accounts."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.rng = stream(world.seed, "nature")
        self._acts = world.acts

    async def run(self) -> None:
        """One blow after the other, a few in all."""
        for _ in range(self.rng.randint(1, self.world.size.blows) if self._acts else 0):
            await trio.sleep(self.rng.choice((0.01, 0.2, 1.0, 4.0)))
            await self._act(self.rng.choice(self._acts))

    async def _act(self, act: str) -> None:
        world, rng = self.world, self.rng
        if act in ("point", "disk"):
            await self._light(act)
        elif act == "crash" or act == "end":
            with trio.CancelScope(shield=True):
                await (world.crash() if act == "crash" else world.restart())
        elif act == "reload":
            world.pick_config()
            await order(world, op="reload")
        elif act == "flip":
            rng.choice([*world.providers.values(), world.outside]).flip()
        elif act == "full":
            world.disk.is_full = True
            await trio.sleep(rng.choice((0.2, 2.0, 6.0)))
            world.disk.is_full = False
        elif act == "clock":
            world.drift = rng.choice((-7_200_000, -4_000, 0, 3_000, 60_000, 7_200_000))
        else:
            self._top_up()

    async def _light(self, act: str) -> None:
        """The process dies, or its disk fails, at one of the next points that it passes; sometimes again while it recovers."""
        world, rng = self.world, self.rng
        world.fuse.light(rng.randint(1, 30), "kill" if act == "point" else "error")
        with trio.move_on_after(3):
            assert world.life is not None
            await world.life.ended.wait()
            world.fuse.light(rng.randint(1, 8) if rng.random() < 0.3 else 0, "kill")
            with trio.CancelScope(shield=True):
                await world.revive()
        world.fuse.left = 0

    def _top_up(self) -> None:
        provider: Any = self.world.providers[self.rng.choice(list(self.world.providers))]
        provider.top_up(self.rng.choice((0, 1, 5, 500)))
