"""The daemon: builds everything, owns nurseries and signals (DESIGN, floor 5). Decides nothing about messages.

Order of a start: configuration, lock, store, recovery, doors, READY. Order of an end: no new submits, no new attempts, those in
flight until the drain's deadline, the journal, goodbye. What is still open stays OPEN and is in doubt at the next start.
"""

import gc
import logging
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from broker import __version__
from broker.api.callbacks import CallbackDoor
from broker.api.control import ControlDoor
from broker.api.doors import DoorError, open_unix, remove_socket
from broker.api.lines import make_error
from broker.api.submit import SubmitDoor, name_user
from broker.config import (
    ConfigError,
    PluginFacts,
    Problem,
    changes,
    check_settings,
    keep_local,
    needs_restart,
    read_settings,
    store_path,
)
from broker.delivery.accept import Intake
from broker.delivery.audit import SIGNAL, Actor, wait_ordered, write_order, write_result
from broker.delivery.callbacks import Callbacks
from broker.delivery.clock import resume
from broker.delivery.exchange import Exchange
from broker.delivery.fleet import Fleet, make_book
from broker.delivery.handover import Handover
from broker.delivery.inquire import Inquiry
from broker.delivery.lookups import find_limit
from broker.delivery.orders import Orders
from broker.delivery.polls import run_strays
from broker.delivery.recover import recover
from broker.delivery.retention import run_retention
from broker.delivery.router import run_router
from broker.delivery.schedule import read_drift, run_clock
from broker.delivery.sweep import run_sweep
from broker.delivery.watch import Watch
from broker.ops.log import set_level, start_log
from broker.ops.notify import find_watchdog, inherit_sockets, notify, notify_reloading
from broker.ops.shield import shield_memory
from broker.ops.versions import show_versions
from broker.ops.watchdog import run_watchdog
from broker.provider.registry import Plugin, load_plugin
from broker.provider.twin import TwinPlace, aim, place_twin
from broker.store.contract import StoreError
from broker.store.failpoints import TROUBLE, failpoint
from broker.store.journal import SqliteJournal, StoreBroken
from broker.store.lock import FolderLock
from broker.store.query import SqliteQuery
from broker.store.ring import Ring
from broker.store.sqlite import SQLITE, StoreFailure, Writer, explain_failure, open_connection
from broker.words.settings import ProviderSettings, Settings

log = logging.getLogger("broker.daemon")

RING = 8192
LAST_COMMITS = 5.0
SWITCH = 0.0005
COLLECT = (20_000, 50, 20)
"""When garbage is looked for: what a message makes is let go of by its references, and a look at all that live messages hold is dear."""
DESCRIPTORS = 65_536
FAREWELL = 0.05
"""Seconds at the end in which answers already given, and the last events, leave by their sockets."""

TwinScript = Mapping[str, Mapping[str, Any]]


steady_clock = partial(time.clock_gettime_ns, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Nanoseconds since the machine's start, also those in which it was suspended."""


def wall_clock() -> int:
    """Milliseconds since the epoch, UTC, as whoever sets the machine's clock has it."""
    return time.time_ns() // 1_000_000


def find_facts(name: str, plugin_path: tuple[str, ...]) -> PluginFacts:
    """A plugin as the configuration sees it."""
    plugin = load_plugin(name, plugin_path)
    return PluginFacts(plugin.config_type, plugin.traits, plugin.check, plugin.narrow, plugin.read_code)


def load_settings(config: Path, *, twins: bool) -> tuple[Settings, dict[str, Plugin]]:
    """The settings and each provider's plugin. Raises ConfigError."""
    settings = read_settings(config, plugins=find_facts, twins=twins)
    path = settings.broker.plugin_path
    return settings, {name: load_plugin(provider.plugin, path) for name, provider in settings.providers.items()}


def log_problems(problems: list[Problem]) -> None:
    """Every problem as a person reads it: file:line: key: message."""
    for problem in problems:
        print(problem, file=sys.stderr)


class Daemon:
    """One running broker. `script` scripts the twins of `run --twins` and of the demo, by provider name."""

    def __init__(self, config: Path, *, twins: bool = False, script: TwinScript | None = None) -> None:
        self.config = config
        self.twins = twins
        self.script = script or {}
        self.settings, self.plugins = load_settings(config, twins=twins)
        self.opened = self.settings  # what was opened by them at the start stays open, whatever a reload says
        self.twin_places: dict[str, TwinPlace] = {}
        self.served: dict[str, Any] = {}
        self.ready = trio.Event()
        self.feed_addresses: list[str] = []
        self.callback_addresses: list[str] = []

    async def run(self) -> int:
        """Serve until a signal or a broken store; the exit code."""
        data_dir = Path(self.settings.broker.data_dir)
        lock = FolderLock(data_dir)
        try:
            path = store_path(self.settings)
            conn = open_connection(path)
            failpoint("start.opened")
            query = SqliteQuery(path)
            code = 1
            try:
                code = await self._serve(conn, query, path)
            except* (StoreBroken, StoreFailure) as failed:
                log.critical("stopped: %s", explain_failure(_first(failed)))
            finally:
                # The last one to close moves the log into the file. A reader cannot, so a store that failed is left as it is.
                for each in (query, conn) if code == 0 else (conn, query):
                    each.close()
            return code
        finally:
            lock.close()

    async def _serve(self, conn: Any, query: SqliteQuery, path: Path) -> int:
        writer = Writer(conn)
        clock = resume(wall_clock, steady_clock, read_drift(query), query.find_newest())
        journal = SqliteJournal(writer, path, _run_in_thread(), clock.now, Ring(RING, writer.seq))
        randrange = random.Random().randrange  # noqa: S311  # jitter, no secret
        code = 0
        async with trio.open_nursery() as outer:
            await outer.start(journal.run)
            outer.start_soon(journal.watch_room)
            outer.start_soon(run_watchdog)
            async with trio.open_nursery() as nursery:
                await self._start_twins(nursery)
                settings = self._aim_at_twins(self.settings)
                ex = Exchange(make_book(settings, self.plugins), journal, query, clock, partial(randrange, 1_000_000))
                # Before the doors open: who can already submit may also be told to stop.
                with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
                    await self._start(ex, writer, nursery, outer)
                    try:
                        code = await self._wait_end(ex, nursery, signals)
                    finally:
                        for socket_path in (self.opened.submit.socket, self.opened.control.socket):
                            remove_socket(socket_path)
            with trio.move_on_after(LAST_COMMITS):  # a full disk may never take them: what is open is in doubt at the next start
                await journal.wait_committed()
                while journal.waiting:  # an answer handed over more
                    await journal.wait_committed()
            outer.cancel_scope.cancel()
        return code

    async def _start(self, ex: Exchange, writer: Writer, nursery: trio.Nursery, outer: trio.Nursery) -> None:
        self.ex = ex
        writer.adopt_strays(list(ex.book.accounts))
        fleet = Fleet(ex, nursery)
        fleet.make_lanes(self.plugins)
        self.fleet = fleet
        ex.callbacks = self.callbacks = Callbacks(ex)
        for recipient, scope, reason, _ in ex.query.read_suppressions():
            ex.suppressions.add(recipient, scope, reason)
        self.handover = Handover(ex, nursery)
        await self.handover.apply()
        ex.lookups.load(ex.query, find_limit(ex))
        found = await recover(ex)
        if found:
            log.warning("recovered attempts left open by a crash count=%d", found)
        intake = Intake(ex)
        inquiry, orders = Inquiry(ex, intake), Orders(ex, nursery)
        submit = SubmitDoor(ex, intake, inquiry, orders)
        control = ControlDoor(ex, inquiry, orders, self.reload, ex.now(), nursery, self.callbacks)
        await self._open_doors(ex, submit, control, nursery)
        failpoint("start.doors")
        await fleet.start()
        await nursery.start(run_router, ex)
        nursery.start_soon(run_sweep, ex)
        nursery.start_soon(run_clock, ex)
        nursery.start_soon(run_retention, ex)
        nursery.start_soon(run_strays, ex)
        watchdog = find_watchdog()
        if watchdog is not None:
            nursery.start_soon(Watch(ex).run, watchdog)
        write_order(ex, Actor(name_user(os.getuid()), os.getuid(), os.getpid()), "start", {"version": __version__})
        ex.say("node.started", version=__version__, hash=self.settings.hash)
        log.info("started node=%s version=%s providers=%d %s", ex.teller.node, __version__, len(ex.lanes), show_versions(sqlite=SQLITE))
        notify("READY=1")
        self.ready.set()

    async def _open_doors(self, ex: Exchange, submit: SubmitDoor, control: ControlDoor, nursery: trio.Nursery) -> None:
        settings = self.settings
        inherited = {name: trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for name, sock in inherit_sockets().items()}
        served = (
            ("submit", settings.submit.socket, settings.submit.mode, settings.submit.group, submit.serve),
            ("control", settings.control.socket, 0o600, None, control.serve),
        )
        for name, path, mode, group, serve in served:
            listener = inherited[name] if name in inherited else await open_unix(path, mode, group)
            nursery.start_soon(partial(trio.serve_listeners, serve, [listener], handler_nursery=nursery))
        if settings.feed is not None:
            from broker.api.feed import FeedDoor  # a broker without [feed] does not load the websocket library

            feed = FeedDoor(
                ring=ex.journal.ring, query=ex.query, node=ex.teller.node, settings=lambda: self.settings, now=ex.clock.wall
            )
            serve_feed: Any = feed.serve
            if "feed" in inherited:
                serve_feed = partial(feed.serve_listeners, [inherited["feed"]])
            self.feed_addresses = await nursery.start(serve_feed)
        if settings.callbacks is not None:
            door = CallbackDoor(ex, self.callbacks)
            self.callback_addresses = await nursery.start(door.serve, settings.callbacks.listen, inherited.get("callbacks"))

    async def _start_twins(self, nursery: trio.Nursery) -> None:
        if not self.twins:
            return
        for name, provider in self.settings.providers.items():
            plugin = self.plugins[name]
            if not plugin.has_twin:
                continue  # such as loopback, which is its own
            twin = make_twin(plugin, provider, self.script.get(name, {}))
            self.served[name] = twin
            self.twin_places[name] = await place_twin(nursery, twin, wall_clock)

    def _aim_at_twins(self, settings: Settings) -> Settings:
        if not self.twins:
            return settings
        providers = {
            name: msgspec.structs.replace(provider, config=aim(provider.config, self.twin_places[name]))
            for name, provider in settings.providers.items()
            if name in self.twin_places
        }
        return keep_local(msgspec.structs.replace(settings, providers=settings.providers | providers))

    async def _wait_end(self, ex: Exchange, nursery: trio.Nursery, signals: AsyncIterator[int]) -> int:
        async for number in signals:
            if number == signal.SIGHUP:
                nursery.start_soon(self._reload_by_signal)
                continue
            break
        notify("STOPPING=1")
        log.info("stopping: attempts in flight may end for %d ms", self.settings.broker.drain)
        ex.is_stopping = True
        write_order(ex, SIGNAL, "stop", {})
        ex.say("node.stopping")
        failpoint("drain.begun")
        async with trio.open_nursery() as ending:
            ending.start_soon(self._drain, ex, ending.cancel_scope)
            async for number in signals:
                if number != signal.SIGHUP:
                    log.warning("second signal: stopping now")
                    break
            ending.cancel_scope.cancel()
        failpoint("drain.over")
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await ex.journal.wait_committed()
            await trio.sleep(FAREWELL)
        nursery.cancel_scope.cancel()
        return 0

    async def _drain(self, ex: Exchange, scope: trio.CancelScope) -> None:
        with trio.move_on_after(self.settings.broker.drain / 1000):
            while any(lane.in_flight for lane in ex.lanes.values()):  # noqa: ASYNC110  # a look at many lanes, once at the end
                await trio.sleep(0.02)
        scope.cancel()

    async def _reload_by_signal(self) -> None:
        notify_reloading()
        n = await wait_ordered(self.ex, SIGNAL, "reload")
        answer: dict[str, Any] = {"ok": True}
        try:
            await self.reload()
        except ConfigError as error:
            log_problems(error.problems)
            log.error("reload refused: the old configuration goes on problems=%d", len(error.problems))
            answer = make_error("bad_config", "refused")
        if n is not None:
            write_result(self.ex, n, answer)
        notify("READY=1")

    async def reload(self, *, apply: bool = True) -> dict[str, Any]:
        """Read the file again and apply all of it, or nothing. Raises ConfigError."""
        try:
            settings, plugins = load_settings(self.config, twins=self.twins)
            if self.twins:
                new = {name for name in settings.providers if name not in self.twin_places and plugins[name].has_twin}
                if new:
                    where = f"providers.{min(new)}"
                    raise ConfigError([Problem(where, None, "a provider added under --twins needs a restart", settings.file)])
        except ConfigError as error:
            if apply:
                shown = [{"key": p.key, "line": p.line, "message": p.message} for p in error.problems]
                self.ex.say("config.refused", hash=None, problems=shown)
            raise
        changed, restart = changes(self.settings, settings), needs_restart(self.opened, settings)
        if apply:
            failpoint("reload.read")
            self.settings, self.plugins = settings, plugins
            await self.fleet.apply(make_book(self._aim_at_twins(settings), plugins), plugins)
            failpoint("reload.lanes")
            await self.handover.apply()
            failpoint("reload.applied")
            set_level(settings.broker.log)
            self.ex.say("config.applied", hash=settings.hash, changes=changed)
            log.info("configuration applied hash=%s changes=%d", settings.hash, len(changed))
        return {"changes": changed, "restart": restart, "hash": settings.hash}


def make_twin(plugin: Plugin, provider: ProviderSettings, script: Mapping[str, Any]) -> Any:
    """The account's twin, which knows the account's own credentials."""
    known = {}
    for field in msgspec.structs.fields(type(provider.config)):
        value = getattr(provider.config, field.name)
        if field.name in ("username", "password", "key"):
            known[field.name] = value.reveal() if hasattr(value, "reveal") else value
    return plugin.twin_type(**{**known, **script})


def _run_in_thread() -> Callable[[Callable[[], None]], Any]:
    limiter = trio.CapacityLimiter(1)

    async def run(work: Callable[[], None]) -> None:
        await trio.to_thread.run_sync(work, limiter=limiter)

    return run


def run_daemon(config: Path, *, twins: bool = False) -> int:
    """`broker run`: the daemon in the foreground; the exit code."""
    if TROUBLE is not None:
        print(f"broker: {TROUBLE}", file=sys.stderr)
        return 78
    os.umask(0o077)
    shield_memory()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < room:  # a shell's 1,024 are few for a feed of two thousand
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
    # A COMMIT's thread asks for the interpreter lock twice; beside a busy loop each time costs a whole switch interval (5 ms by default).
    sys.setswitchinterval(SWITCH)
    try:
        daemon = Daemon(config, twins=twins)
    except ConfigError as error:
        log_problems(error.problems)
        return 78
    start_log(daemon.settings.broker.log)
    log_problems(check_settings(daemon.settings, find_facts))
    gc.freeze()  # modules and settings stay to the end
    gc.set_threshold(*COLLECT)
    try:
        return trio.run(daemon.run)
    except* (StoreError, DoorError) as errors:
        print(f"broker: {_first(errors)}", file=sys.stderr)
    except* Exception as errors:
        # Where, and never what: an exception's own text may hold what must not be logged.
        fault = _first(errors)
        places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(traceback.extract_tb(fault.__traceback__)))
        log.critical("stopped by a fault of its own error=%s at=%s", type(fault).__name__, places)
    return 1


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
