"""The fleet: the lanes of the applied configuration, and their change at a reload.

Every ranking uses the newest book; an attempt under way ends with the account that it began with. A provider that is gone gets no new
attempts, but its polls live until its messages are final.
"""

from collections.abc import Mapping
from functools import partial

import trio

from broker.delivery.balance import run_balance
from broker.delivery.carrier import Caller, Carrier
from broker.delivery.dispatch import Dispatcher
from broker.delivery.exchange import Exchange
from broker.delivery.health import RateBucket
from broker.delivery.lane import Lane
from broker.delivery.notes import keep_state
from broker.delivery.polls import run_polls
from broker.delivery.port import LanePort
from broker.delivery.quotes import offer_quotes, run_quotes
from broker.provider.http import Account as HttpAccount
from broker.provider.registry import Plugin
from broker.routing import Book, Standing, compile_book
from broker.words.clock import DAY
from broker.words.outcome import Outcome
from broker.words.settings import ProviderSettings, Settings
from broker.words.status import SELF_RELEASING

RECALLED = 7 * DAY
"""How far back final receipts count for `best_delivery` after a restart."""


def make_book(settings: Settings, plugins: Mapping[str, Plugin]) -> Book:
    """The book of `settings`; `plugins` by provider name."""
    facts = {name: plugin.find_traits(settings.providers[name].config) for name, plugin in plugins.items()}
    buckets = {
        name: partial(plugin.buckets, settings.providers[name].config) for name, plugin in plugins.items() if plugin.buckets is not None
    }
    measures = {
        name: partial(plugin.measure, settings.providers[name].config) for name, plugin in plugins.items() if plugin.measure is not None
    }
    return compile_book(settings, facts, buckets, measures)


class Fleet:
    """Starts and changes lanes. `nursery` is where their tasks live."""

    def __init__(self, ex: Exchange, nursery: trio.Nursery) -> None:
        self.ex = ex
        self._nursery = nursery
        self._kept = ex.query.read_facts("provider")

    def make_lanes(self, plugins: Mapping[str, Plugin]) -> None:
        """A lane for each provider of the exchange's book, not yet started."""
        for name, account in self.ex.book.accounts.items():
            self._make_lane(account.settings, plugins[name])

    async def start(self) -> None:
        """Start every lane and its polls."""
        ex = self.ex
        ex.journal.on_full = self._note_room
        for name, (delivered, finals) in (await ex.query.count_receipts(ex.now() - RECALLED)).items():
            if name in ex.standings:
                ex.standings[name].delivered, ex.standings[name].finals = delivered, finals
        for lane in ex.lanes.values():
            await self._recall_spent(lane)
            await self._start_lane(lane)
        for cause in SELF_RELEASING:
            ex.release_at(cause, ex.now())  # who could take them may have changed while nobody looked

    def _note_room(self, is_full: bool) -> None:
        """The disk is full, or has room again: then every lane looks for what it left lying."""
        ex = self.ex
        if not is_full:
            for lane in ex.lanes.values():
                lane.expect(ex.now(), ex.now())
            ex.router_bell.ring_at(0)

    def _recall_reserved(self, lane: Lane) -> None:
        """An account that comes back by a reload has its doubts from before: at a start `recover` sees to that."""
        for page in self.ex.query.read_open_attempts(("in_doubt",)):
            for attempt in page:
                if attempt.provider == lane.name:
                    lane.ledger.reserve(attempt, self.ex.now())

    async def _recall_spent(self, lane: Lane) -> None:
        """What was spent before a restart, or before a cap was set, counts under the cap."""
        spend = lane.ledger.spend
        if spend is not None:
            lane.ledger.recall(await self.ex.query.sum_spent(lane.name, self.ex.now() - spend.per))

    def _make_lane(self, settings: ProviderSettings, plugin: Plugin) -> Lane:
        ex = self.ex
        standing = ex.standings.setdefault(settings.name, Standing(settings.name))
        lane = Lane(settings, self._make_carrier(settings, plugin), standing, ex.now())
        kept = self._kept.get(settings.name, {})
        lane.health.paused = kept.get("paused")
        if kept.get("suspended"):
            lane.health.suspend(kept["suspended"], ex.now())
            lane.health.probe_at = ex.now()  # time passed: ask at once
        lane.health.show(ex.now())
        offer_quotes(lane)
        ex.lanes[settings.name] = lane
        return lane

    def _make_carrier(self, settings: ProviderSettings, plugin: Plugin) -> Carrier:
        account = self.ex.book.accounts[settings.name]
        caller: Caller | None = None
        session = None if plugin.open_session is None else plugin.open_session(settings.config, settings.name)
        if session is None or plugin.balance is not None:
            caller = HttpAccount(max_connections=settings.max_in_flight + 2, timeout=settings.timeout)
        return Carrier(plugin, settings.config, account, caller, session, settings.timeout)

    async def _start_lane(self, lane: Lane) -> None:
        await self._start_session(lane, lane.carrier)
        await self._nursery.start(Dispatcher(self.ex, lane).run)
        self._nursery.start_soon(run_polls, self.ex, lane)
        self._nursery.start_soon(run_balance, self.ex, lane)
        self._nursery.start_soon(run_quotes, self.ex, lane)

    async def _start_session(self, lane: Lane, carrier: Carrier) -> None:
        if carrier.session is not None:
            port = LanePort(self.ex, lane, carrier)
            await self._nursery.start(carrier.run_session, port)
            if not port.is_heard:
                port.report(None)  # it has no link of which to speak

    async def _replace(self, lane: Lane, old: Carrier, new: Carrier) -> None:
        """End the old account after its last call, and only then start the new session: a provider may allow no bind beside it."""
        with trio.move_on_after(old.timeout / 1000):
            while old.in_use:  # noqa: ASYNC110  # a pause between looks, not a wait for an event
                await trio.sleep(0.25)
        old.scope.cancel()
        await old.ended.wait()
        if lane.carrier is new:
            await self._start_session(lane, new)
        else:
            new.ended.set()  # another reload was quicker
        while old.in_use:  # noqa: ASYNC110  # as above
            await trio.sleep(0.25)
        if old.caller is not None:
            await old.caller.aclose()

    async def apply(self, book: Book, plugins: Mapping[str, Plugin]) -> None:
        """Make `book` the newest: new lanes start, changed ones change, those gone end, and held messages are looked at again."""
        ex = self.ex
        old = ex.book
        ex.book = book
        ex.gain()
        now = ex.now()
        for name, account in book.accounts.items():
            lane = ex.lanes.get(name)
            if lane is None:
                lane = self._make_lane(account.settings, plugins[name])
                self._recall_reserved(lane)
                await self._recall_spent(lane)
                await self._start_lane(lane)
                continue
            before = old.accounts.get(name)
            if lane.is_gone or before is None or before.settings != account.settings:
                await self._change_lane(lane, account.settings, plugins[name])
            if lane.health.lift():
                keep_state(self.ex, lane, ("provider.resumed", "the configuration was reloaded", None, None))
            lane.health.show(now)
            lane.expect(now, now)
            ex.hurry(name)
        for name, lane in ex.lanes.items():
            if name not in book.accounts:
                lane.is_gone = True
                lane.health.paused = "disabled"
                lane.health.show(now)
                lane.bell.ring_at(0)
        if ex.callbacks is not None:
            ex.callbacks.apply()
        for cause in SELF_RELEASING:
            ex.release_at(cause, now)

    async def _change_lane(self, lane: Lane, settings: ProviderSettings, plugin: Plugin) -> None:
        """The lane goes on under new settings; calls under way end on the old account, which closes after them."""
        old = lane.carrier
        if lane.is_gone:
            lane.is_gone, lane.health.paused = False, None
        lane.settings = settings
        if old.session is not None and old.plugin is plugin and old.config == settings.config:
            lane.carrier.account = self.ex.book.accounts[settings.name]
        else:
            lane.carrier = self._make_carrier(settings, plugin)
            if lane.carrier.session is not None:
                LanePort(self.ex, lane, lane.carrier).report(Outcome("unreachable", None, "the session starts anew"))
            self._nursery.start_soon(self._replace, lane, old, lane.carrier)
        lane.traits = lane.carrier.traits
        offer_quotes(lane)
        had_cap = lane.ledger.spend is not None
        lane.ledger.credit, lane.ledger.spend = settings.credit, settings.spend
        lane.ledger.has_balance = lane.health.has_probe = lane.carrier.has_balance
        if not had_cap:
            await self._recall_spent(lane)
        lane.health.breaker = settings.breaker
        lane.rate = RateBucket(settings.rate, self.ex.now())
