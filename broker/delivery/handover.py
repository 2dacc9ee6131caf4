"""Handover: which endpoints there are under the applied configuration, and what goes into their queues.

A rule of [[inbound]] gets its messages from `inbound`; a client's webhook gets the events of its own messages here, by a cursor over the
event table that is kept with them, so that nothing is told twice into the queue and nothing is lost over a restart. A webhook that is new
starts at now. `hooks` hands over.
"""

import logging
from collections.abc import Callable

import msgspec
import trio

from broker.delivery.endpoints import Command, Endpoint, Webhook
from broker.delivery.exchange import Exchange
from broker.delivery.hooks import Stream, tell_dropped
from broker.delivery.inbound import find_stream, is_inbound, name_stream
from broker.store.contract import Answer, Hook, Put
from broker.words.clock import read_time, show_time
from broker.words.event import Happening, MessageEvent
from broker.words.inbound import Received
from broker.words.settings import ClientSettings, InboundSettings

log = logging.getLogger("broker.delivery")

PAGE = 500
MOST_WAITING = 1_000
"""Events of one client in its queue; the rest waits in the event table, where it is anyway."""
KEEP_CURSOR = 60.0
"""Seconds after which a cursor that only passed others' events is kept."""
FACT = "webhook"

Spec = ClientSettings | InboundSettings


class _Told(msgspec.Struct):
    """What has to be known of an event to tell whose it is."""

    type: str
    at: str
    client: str | None = None
    id: str | None = None

    @property
    def is_status(self) -> bool:
        """True for what a client is told of its own messages."""
        return self.id is not None and (self.type.startswith("message.") or self.type == "lookup.done")


_read_told = msgspec.json.Decoder(_Told).decode
_encode = msgspec.json.Encoder().encode


def show_received(received: Received, show: Callable[[int], str]) -> bytes:
    """An inbound message as an endpoint gets it: whole, for it is the operator's own. `show` writes when it came."""
    data = {
        "id": received.id,
        "provider": received.provider,
        "from": received.sender,
        "to": received.to,
        "text": received.text,
        "segments": received.segments,
        "country": received.country,
        "ref": received.ref,
        "sent_at": None if received.sent_at is None else show_time(received.sent_at),
    }
    return _encode({"type": "inbound.received", "timestamp": show(received.at), "data": data})


def show_event(seq: int, body: bytes) -> bytes:
    """An event as a client's endpoint gets it: all that the feed would tell of it."""
    told = _read_told(body)
    return b'{"type":%s,"timestamp":%s,"data":{"seq":%d,%s}' % (_encode(told.type), _encode(told.at), seq, body[1:])


class _Running:
    """A queue at work: what it was made of, and how to end it."""

    def __init__(self, stream: Stream, spec: Spec) -> None:
        self.stream = stream
        self.spec = spec
        self.scope = trio.CancelScope()
        self.ended = trio.Event()


class Handover:
    """The endpoints of one broker. `nursery` is where their tasks live."""

    def __init__(self, ex: Exchange, nursery: trio.Nursery) -> None:
        self.ex = ex
        self._nursery = nursery
        self._running: dict[str, _Running] = {}
        self._turn = trio.Lock()
        ex.ring_hook = self.ring

    def ring(self, name: str) -> None:
        """An inbound message was put into a queue."""
        running = self._running.get(name)
        if running is not None:
            running.stream.waiting += 1
            running.stream.ring()

    async def apply(self) -> None:
        """Serve the endpoints of the newest configuration: at the start, and at each reload."""
        async with self._turn:
            await self._apply()

    async def _apply(self) -> None:
        wanted = self._find_wanted()
        ended = [name for name in self._running if name not in wanted]
        for name in ended:
            await self._end(self._running.pop(name))
        if ended:
            await self.ex.journal.wait_committed()  # what they handed over last is out of the queue then
        counts = self.ex.query.count_hooks()
        for name, (label, spec) in wanted.items():
            running = self._running.get(name)
            if running is None:
                self._start(name, label, spec, counts.get(name, 0))
            elif running.spec != spec or running.stream.label != label:
                old, running.spec = running.stream.endpoint, spec
                running.stream.change(label, _make_endpoint(spec))
                await old.aclose()
        for name in counts:
            if name not in self._running:
                await self._rehome(name)
        self._forget_cursors()

    def _find_wanted(self) -> dict[str, tuple[str, Spec]]:
        """Queue -> (label, what it leads to). Of rules that lead to the same place the first one signs."""
        settings, wanted = self.ex.book.settings, dict[str, tuple[str, Spec]]()
        for index, rule in enumerate(settings.inbound):
            name = name_stream(rule)
            if name is not None:
                wanted.setdefault(name, (f"inbound[{index}]", rule))
        for name, client in settings.clients.items():
            if client.webhook is not None:
                wanted[f"client:{name}"] = (name, client)
        return wanted

    def _start(self, name: str, label: str, spec: Spec, waiting: int) -> None:
        read = self._read_received if isinstance(spec, InboundSettings) else self._read_event
        running = _Running(Stream(self.ex, name, label, _make_endpoint(spec), read, waiting), spec)
        self._running[name] = running
        self._nursery.start_soon(self._run, running)

    async def _run(self, running: _Running) -> None:
        try:
            with running.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(running.stream.run)
                    if isinstance(running.spec, ClientSettings):
                        nursery.start_soon(self._feed, running.stream)
        finally:
            running.ended.set()

    async def _end(self, running: _Running) -> None:
        running.scope.cancel()
        await running.ended.wait()
        await running.stream.endpoint.aclose()

    def _read_received(self, hook: Hook) -> tuple[str, bytes] | None:
        received = self.ex.query.find_received(hook.key)
        return None if received is None else (received.id, show_received(received, self.ex.clock.show))

    def _read_event(self, hook: Hook) -> tuple[str, bytes] | None:
        seq = int(hook.key)
        rows = self.ex.query.read_events(seq - 1, 1)
        if not rows or rows[0][0] != seq:
            return None
        return f"{hook.chain}-{seq}", show_event(seq, rows[0][1])

    # ---- a client's events, into its queue

    async def _feed(self, stream: Stream) -> None:
        """Put a client's events into its queue as they come, never more than MOST_WAITING."""
        client, ring = stream.label, self.ex.journal.ring
        cursor = self._recall_cursor(client)
        kept, kept_at = cursor, trio.current_time()
        while True:
            await stream.wait_room(MOST_WAITING)
            if ring.last <= cursor:
                with trio.move_on_after(KEEP_CURSOR):
                    await ring.wait_beyond(cursor)
            hooks, cursor = self._read_page(stream.name, client, cursor)
            if hooks or (cursor > kept and trio.current_time() - kept_at >= KEEP_CURSOR):
                self._queue(stream, client, hooks, cursor)
                kept, kept_at = cursor, trio.current_time()
            await trio.lowlevel.checkpoint()  # who is far behind takes a page in a turn of the loop

    def _recall_cursor(self, client: str) -> int:
        """Where the client's queue goes on: after the last event that was looked at for it."""
        fact = self.ex.query.read_facts(FACT).get(client)
        if fact is None:
            last = self.ex.journal.ring.last
            self.ex.keep(FACT, client, {"seq": last})
            return last
        cursor = int(fact["seq"])
        first = self.ex.query.find_first_seq()
        if first is not None and first > cursor + 1:
            log.warning("events of before were kept no longer, and are not told client=%s from=%d", client, first)
        return cursor

    def _read_page(self, name: str, client: str, cursor: int) -> tuple[tuple[Hook, ...], int]:
        """The client's events after `cursor`, and how far that goes. From memory where it reaches back that far."""
        entries = self.ex.journal.ring.read_after(cursor, PAGE)
        if entries is not None:
            told = [(entry.seq, _look_at(entry.event)) for entry in entries]
        else:
            told = [(seq, _read_told(body)) for seq, body in self.ex.query.read_events(cursor, PAGE)]
        hooks = tuple(
            Hook(name, str(seq), event.id or "", self.ex.clock.of_wall(read_time(event.at)))
            for seq, event in told
            if event.client == client and event.is_status
        )
        return hooks, told[-1][0] if told else cursor

    def _queue(self, stream: Stream, client: str, hooks: tuple[Hook, ...], cursor: int) -> None:
        def done(answer: Answer, _value: object) -> None:
            if answer is Answer.DONE:
                stream.ring()

        stream.waiting += len(hooks)
        self.ex.journal.put(Put(facts=((FACT, client, {"seq": cursor}),), hooks=hooks, done=done, hurry=False))

    # ---- what is left of an endpoint that is no more

    async def _rehome(self, name: str) -> None:
        """Give what waits for an endpoint that is no more to the one that the rules now name; what none takes is dropped, and told."""
        ex = self.ex
        while rows := ex.query.read_hooks(name, 0, PAGE):
            homes = {hook.n: self._find_home(hook) for hook in rows}
            moved = tuple(Hook(home, hook.key, hook.chain, hook.since) for hook in rows if (home := homes[hook.n]) is not None)
            lost = [hook for hook in rows if homes[hook.n] is None]
            put = Put(hooks=moved, unhook=tuple(homes))
            if lost:
                label = "inbound" if is_inbound(name) else name.partition(":")[2]
                log.error("given up hook=%s count=%d reason=no endpoint", label, len(lost))
                put.entries = (tell_dropped(ex, label, lost[0], len(lost), "the configuration names no endpoint for it"),)
            ex.journal.put(put)
            await ex.journal.wait_committed()
            for hook in moved:
                self.ring(hook.stream)

    def _find_home(self, hook: Hook) -> str | None:
        received = self.ex.query.find_received(hook.key) if is_inbound(hook.stream) else None
        name = None if received is None else find_stream(self.ex, received)
        return name if name in self._running else None

    def _forget_cursors(self) -> None:
        """A client without a webhook has no place in the events; if it gets one again, that starts at now."""
        for client in self.ex.query.read_facts(FACT):
            if f"client:{client}" not in self._running:
                self.ex.keep(FACT, client, None)


def _look_at(event: MessageEvent | Happening) -> _Told:
    if isinstance(event, MessageEvent):
        return _Told(event.type, event.at, event.client, event.id)
    return _Told(event.type, event.at, event.fields.get("client"), event.fields.get("id"))


def _make_endpoint(spec: Spec) -> Endpoint:
    if isinstance(spec, ClientSettings):
        assert spec.webhook is not None  # only such are wanted
        return Webhook(spec.webhook, spec.webhook_secret)
    if spec.exec is not None:
        return Command(spec.exec)
    assert spec.to is not None  # as above
    return Webhook(spec.to, spec.secret)
