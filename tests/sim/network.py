"""The other side of every provider: what really reaches a phone, and everything that may go wrong on the way there and back.

A Line is a provider with a session of its own (`tests.sim.line`); an HTTP provider is a Front (`tests.sim.front`), an SMSC stands in
`tests.sim.smsc`. All belong to the world and not to the daemon: a crash of the daemon changes nothing here. A message is in the ledger
when, and only when, it is on a phone.
"""

import random
from collections.abc import Callable, Container

import trio

from broker.provider.contract import Inbound, Outcome, Port, Receipt, Send, Unstored
from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass

REFUSALS: tuple[OutcomeClass, ...] = (
    "unavailable", "unavailable", "throttled", "no_credit", "misconfigured", "unsuitable", "rejected", "retry_later", "unreachable",
    "blocked", "expired", "duplicate",
)  # fmt: skip
ENDS: tuple[ReceiptClass, ...] = ("delivered",) * 6 + ("undelivered", "expired", "canceled", "blocked")
SAID: tuple[ReceiptClass, ...] = (*ENDS, "progress", "unrecognised")
SENDER = "+886912345678"
"""Whose inbound messages are."""

_lines: dict[str, "Line"] = {}


def name_of(text: str) -> str:
    """The name of a message: its text's first word. What follows only makes it long."""
    return text.partition(" ")[0]


def find_line(name: str) -> "Line":
    """The line of that name in the world that runs."""
    return _lines[name]


def forget_lines() -> None:
    """A new world begins."""
    _lines.clear()


class Ledger:
    """What is on the phones: (when, provider, message's name) in order.

    `on_offer` and `on_take` look at each; `pending`: requests at work there.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.taken: list[tuple[int, str, str]] = []
        self.pending: dict[str, int] = {}
        self.on_offer: Callable[[str, str, int], None] = lambda _provider, _text, _at: None
        self.on_take: Callable[[str, str], None] = lambda _provider, _text: None

    def take(self, provider: str, name: str) -> None:
        """The message is on its phone."""
        self.taken.append((self.now(), provider, name))
        self.on_take(provider, name)

    def begin(self, provider: str) -> None:
        """A request is at work there."""
        self.pending[provider] = self.pending.get(provider, 0) + 1

    def end(self, provider: str) -> None:
        """It has come to what it comes to."""
        self.pending[provider] -= 1

    def count(self, name: str) -> int:
        """The copies of a message."""
        return sum(each == name for _, _, each in self.taken)


class Luck:
    """How often what goes wrong; `calm` ends that."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.is_calm = False
        self.share = rng.choice((0.0, 0.1, 0.3, 0.6))

    def draw(self, *fates: str) -> str | None:
        """One of `fates`, None where all goes well."""
        if self.is_calm or self.rng.random() >= self.share:
            return None
        return self.rng.choice(fates)

    def pause(self, *seconds: float) -> float:
        """How long something takes."""
        return 0.01 if self.is_calm else self.rng.choice(seconds)


class Line:
    """A provider with a session. `credit`: messages that it still takes, None for any number."""

    def __init__(self, name: str, ledger: Ledger, rng: random.Random, nursery: trio.Nursery) -> None:
        self.name = name
        self.luck = Luck(rng)
        self.credit: int | None = rng.choice((None, None, 3, 20))
        self.is_down = False
        self.told: list[Receipt] = []
        self._whose: dict[str, str] = {}
        self._tokens: list[str] = []
        self._ledger = ledger
        self._nursery = nursery
        self._keys: dict[str, tuple[int, str]] = {}
        self._count = 0
        self._outbox: list[tuple[float, int, Receipt | Inbound]] = []
        self.heard: list[str] = []
        self._bell = trio.lowlevel.ParkingLot()
        self._lot = trio.lowlevel.ParkingLot()
        _lines[name] = self

    def flip(self) -> None:
        """Up or down."""
        self.is_down = not self.is_down and not self.luck.is_calm
        self._lot.unpark_all()

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.luck.is_calm = True
        self.credit = None

    def top_up(self, amount: int) -> None:
        """The account has so much credit now."""
        self.credit = amount

    # The submit side

    async def take(self, send: Send, memory: int) -> Outcome:
        """What the daemon hears of one message; what happens to it happens here, whether the daemon waits or not."""
        if self.is_down:
            return Outcome("unreachable", None, "no link")
        self._ledger.on_offer(self.name, name_of(send.text), self._ledger.now())
        heard: list[Outcome] = []
        told = trio.Event()

        def tell(outcome: Outcome) -> None:
            heard.append(outcome)
            told.set()

        self._ledger.begin(self.name)
        self._nursery.start_soon(self._work, send, memory, tell)
        await told.wait()
        if heard[0].code == "crash":
            raise ValueError("a fault of the plugin's")
        return heard[0]

    async def _work(self, send: Send, memory: int, tell: Callable[[Outcome], None]) -> None:
        luck = self.luck
        fate = luck.draw("refuse", "refuse", "refuse", "swallow", "drop", "cut", "cut after", "crash", "lie", "late", "late refusal")
        await trio.sleep(luck.pause(0.0, 0.01, 0.3, 1.5))
        outcome: Outcome | None = None
        if fate == "refuse" and memory and send.key in self._keys:
            outcome = Outcome("unavailable", "no", "not now")  # what it took it does not refuse for what it says
        elif fate == "refuse":
            outcome = Outcome(luck.rng.choice(REFUSALS), "no", "as the dice say")
        elif fate in ("cut", "crash", "drop", "lie", "late refusal"):
            self._count += fate == "lie"
            ref = f"{self.name}{self._count}"
            outcome = {
                "cut": Outcome("in_doubt", None, "cut", evidence="cut"),
                "crash": Outcome("in_doubt", "crash"),
                "lie": Outcome("accepted", "ok", None, (ref,)),
            }.get(fate)
        else:
            if fate == "late":
                await trio.sleep(luck.rng.choice((2.0, 4.0, 9.0)))
            outcome = self._really_take(send, memory)
            if fate in ("swallow", "cut after"):
                outcome = None if fate == "swallow" else Outcome("in_doubt", None, "cut", evidence="cut")
        self._ledger.end(self.name)
        if outcome is not None:
            tell(outcome)
        if fate == "late refusal":
            await trio.sleep(luck.rng.choice((4.0, 5.2, 7.0)))
            if send.key in self._keys:
                return  # a repeat of it was taken meanwhile
            self._push(0.0, Receipt("query_error", token=send.attempt, code="refute"))

    def _really_take(self, send: Send, memory: int) -> Outcome:
        now = self._ledger.now()
        at, ref = self._keys.get(send.key, (0, ""))
        if memory and ref and now - at < memory:
            return Outcome("accepted", "again", None, (ref,))
        if self.credit is not None:
            if self.credit <= 0:
                return Outcome("no_credit", "dry", "no credit")
            self.credit -= 1
        self._count += 1
        ref = f"{self.name}{self._count}"
        self._keys[send.key] = now, ref
        self._whose[ref] = self._whose[send.attempt] = name_of(send.text)
        self._tokens.append(send.attempt)
        self._ledger.take(self.name, name_of(send.text))
        self._plan_receipts(send, ref)
        return Outcome("accepted", "ok", None, (ref,))

    # Receipts

    def _plan_receipts(self, send: Send, ref: str) -> None:
        rng, luck = self.luck.rng, self.luck
        if luck.draw("none", "some"):
            if rng.random() < 0.4:
                return
            for _ in range(rng.randint(1, 4)):
                by_token = rng.random() < 0.3
                class_ = rng.choice(SAID)
                given = Receipt(class_, f"{self.name}9999" if rng.random() < 0.1 else ref, send.attempt if by_token else None)
                self._push(rng.choice((0.0, 0.0, 0.05, 1.0, 6.0)), given)
                if rng.random() < 0.2:  # forged: of another account's attempt, which it must not touch
                    self._push(0.0, Receipt("delivered", "f0", self._find_foreign()))
                if rng.random() < 0.3:
                    self._push(rng.choice((0.0, 2.0)), given)
            return
        self._push(luck.pause(0.02, 0.5, 3.0), Receipt(rng.choice(ENDS), ref))

    def _push(self, after: float, receipt: Receipt | Inbound) -> None:
        self._count += 1
        self._outbox.append((trio.current_time() + after, self._count, receipt))
        self._bell.unpark_all()

    def text_in(self, text: str) -> None:
        """Deliver an inbound message, sometimes twice."""
        given = Inbound(SENDER, text, "55501", f"mo{len(text)}-{text[:12]}")
        for _ in range(1 + (self.luck.draw("again") is not None)):
            self._push(self.luck.pause(0.0, 0.3), given)

    def list_told(self, known: Container[str]) -> dict[str, list[str]]:
        """What was acknowledged of each message that it really took, but for what says nothing, or nothing of an id in `known`."""
        found: dict[str, list[str]] = {}
        for receipt in self.told:
            text = self._whose.get(receipt.token or receipt.ref or "")
            is_known = receipt.token is not None or receipt.ref in known
            if text is not None and is_known and receipt.class_ not in ("unrecognised", "query_error"):
                found.setdefault(text, []).append(receipt.class_)
        return found

    def _find_foreign(self) -> str | None:
        """An attempt of another account's."""
        others = [token for line in _lines.values() if line is not self for token in line._tokens]
        return self.luck.rng.choice(others) if others else None

    async def serve(self, sink: Port, mute: bool) -> None:
        """The daemon's session: it says whether there is a link, and takes receipts. What it does not acknowledge comes again."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show_link, sink)
            while True:
                if not self._outbox or mute or self.is_down:
                    await self._wait_for_news()
                    continue
                due = min(self._outbox, key=lambda each: each[:2])
                wait = due[0] - trio.current_time()
                if wait > 0:
                    with trio.move_on_after(wait):
                        await self._bell.park()
                    continue
                await self._tell(sink, due)

    async def _wait_for_news(self) -> None:
        with trio.move_on_after(1.0 if self.is_down else 3600):
            await self._bell.park()

    async def _tell(self, sink: Port, due: tuple[float, int, Receipt | Inbound]) -> None:
        receipt = due[2]
        try:
            if isinstance(receipt, Inbound):
                await sink((), [receipt])
            elif receipt.code == "refute":
                assert receipt.token is not None
                await sink.refute(receipt.token, Outcome("rejected", "late", "a late answer"))
            else:
                await sink([receipt])
        except Unstored:
            await trio.sleep(0.5)
            return
        if isinstance(receipt, Inbound):
            self.heard.append(receipt.text)
        else:
            self.told.append(receipt)
        self._outbox.remove(due)

    async def _show_link(self, sink: Port) -> None:
        while True:
            sink.report(Outcome("unreachable", None, "the link is down") if self.is_down else None)
            await self._lot.park()
