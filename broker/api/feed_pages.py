"""The feed's events as pages: read after a cursor, shown once for all who see the same, and shared by them (DESIGN, Feed).

The truth is the event table; the ring is its newest part in memory. One cursor (`seq`) reads both, so there is no hand-over. Knows
no socket: a websocket takes a page's frames, another door its texts.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import msgspec
import trio

from broker.api.feed_filter import Facts, Filter, read_facts
from broker.store.contract import Entry
from broker.text import mask

PAGE = 500
KEPT_ROWS = 8 * PAGE
KEPT_PAGES = 64
KEPT_FORMS = 16 * PAGE
PACE = 0.0004  # seconds between two bells for each subscriber: several times what a page for one costs
SHORTEST_PACE, LONGEST_PACE = 0.002, 0.25

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

Row = tuple[int, bytes]


class Events(Protocol):
    """The part of the store's query side that the feed reads."""

    def read_events(self, after: int, limit: int) -> list[Row]:
        """(seq, body) of events after `after`, in order."""

    def find_first_seq(self) -> int | None:
        """The oldest retained event's seq, None when there is none."""


class Recent(Protocol):
    """The newest events in memory, and the bell: `broker.store.ring.Ring`."""

    @property
    def last(self) -> int:
        """The last committed event's seq."""

    def read_after(self, cursor: int, limit: int) -> Sequence[Entry] | None:
        """Up to `limit` entries after `cursor`; None when it does not reach back that far."""

    async def wait_beyond(self, cursor: int) -> None:
        """Return when an event after `cursor` is committed."""


class View(NamedTuple):
    """What one subscriber sees of an event, and in what form; those with equal views share the bytes."""

    filter: Filter | None
    numbers: bool
    text: bool
    batch: bool = False


class Frames(NamedTuple):
    """Whole websocket frames in one piece. `ends` are their ends, rising; the last one is the length of `data`."""

    data: bytes
    ends: Sequence[int]


def make_frame(text: bytes) -> bytes:
    """One unmasked text frame (RFC 6455 §5.2): the same bytes for every subscriber, and so made once."""
    size = len(text)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + text
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


def make_frames(texts: Sequence[bytes], *, batch: bool) -> Frames:
    """`texts` as one frame each, or with `batch` as one frame with an array of them."""
    if batch and texts:
        frame = make_frame(b"[" + b",".join(texts) + b"]")
        return Frames(frame, (len(frame),))
    frames = [make_frame(text) for text in texts]
    return Frames(b"".join(frames), tuple(accumulate(map(len, frames))))


def show_event(seq: int, body: bytes) -> bytes:
    """An event as a subscriber gets it: the stored body with its `seq` before everything else."""
    return b'{"seq":%d,' % seq + body[1:]


def show_gap(first: int) -> bytes:
    """What a subscriber is told when events it has not had are no longer retained."""
    return b'{"type":"gap","first":%d}' % first


def redact(body: bytes, *, numbers: bool, text: bool) -> bytes:
    """The body as its reader may see it: without `numbers`, `to` and `from` are masked; without `text`, it is left out."""
    fields = _read_fields(body)
    if not text:
        fields.pop("text", None)
    if not numbers:
        for name in ("to", "from"):
            if name in fields:
                value: Any = _decode(fields[name])
                fields[name] = msgspec.Raw(_encode(None if value is None else mask(str(value))))
    return _encode(fields)


class Page:
    """Events in order. `last` is the cursor after it; `gap`, where there is one, the oldest event that is still retained."""

    def __init__(self, rows: list[Row], last: int, upto: int, forms: "Forms", gap: int | None = None) -> None:
        self.rows = rows
        self.last = last
        self.upto = upto  # how far the feed had come: a page that is not full is good only until there is more
        self.gap = gap
        self._forms = forms
        self._facts: list[Facts] | None = None
        self._frames: dict[View, Frames] = {}

    @property
    def is_full(self) -> bool:
        """True where more may follow at once."""
        return len(self.rows) >= PAGE

    def list_texts(self, view: View) -> list[bytes]:
        """The events that `view` takes, each as the JSON that its reader may see."""
        show = self._forms.pick(view.numbers, view.text)
        if view.filter is None:
            return [show(seq, body) for seq, body in self.rows]
        if self._facts is None:
            self._facts = [read_facts(body) for _, body in self.rows]
        takes = view.filter.takes
        return [show(row[0], row[1]) for row, facts in zip(self.rows, self._facts, strict=True) if takes(facts)]

    def make_frames(self, view: View) -> Frames:
        """The same as websocket frames, made once for all who share the page and the view."""
        frames = self._frames.get(view)
        if frames is None:
            frames = self._frames[view] = make_frames(self.list_texts(view), batch=view.batch)
        return frames


class Forms:
    """How events are shown under each pair of scopes. A lesser form is read and written anew, so the newest ones are kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, bool, bool], bytes] = {}

    def pick(self, numbers: bool, text: bool) -> Callable[[int, bytes], bytes]:
        """The function (seq, body) → JSON for these scopes."""
        if numbers and text:
            return show_event

        def show(seq: int, body: bytes) -> bytes:
            if (text or b'"text":' not in body) and (numbers or (b'"to":' not in body and b'"from":' not in body)):
                return show_event(seq, body)
            key = (seq, numbers, text)
            shown = self._kept.get(key)
            if shown is None:
                if len(self._kept) >= KEPT_FORMS:
                    self._kept.clear()
                shown = self._kept[key] = show_event(seq, redact(body, numbers=numbers, text=text))
            return shown

        return show


class Pages:
    """Pages from the ring for those who keep up, from the table for those behind; the newest are kept for the next reader."""

    def __init__(self, ring: Recent, events: Events) -> None:
        self.ring = ring
        self.rung = ring.last
        self._events = events
        self._forms = Forms()
        self._kept: dict[int, Page] = {}
        self._rows = 0
        self._turn = trio.Lock()
        self._lot = trio.lowlevel.ParkingLot()

    async def run_bell(self, subscribers: Callable[[], int]) -> None:
        """Tell everybody at the same time that there is more, and the more of them, the more seldom: until cancelled.

        All then read the same pages, and a hundred readers of single events cannot take the loop from the rest of the broker. The
        first event after a silence is told at once.
        """
        while True:
            await self.ring.wait_beyond(self.rung)
            self.ring_now()
            pause = min(subscribers() * PACE, LONGEST_PACE)
            if pause >= SHORTEST_PACE:
                await trio.sleep(pause)

    def ring_now(self) -> None:
        """Let everybody read all that is committed."""
        self.rung = self.ring.last
        self._lot.unpark_all()

    async def wait_beyond(self, cursor: int) -> None:
        """Return when an event after `cursor` may be read."""
        while self.rung <= cursor:
            await self._lot.park()

    def find_first(self) -> int:
        """The oldest retained event's seq; the next one's when there is none."""
        first = self._events.find_first_seq()
        return self.ring.last + 1 if first is None else min(first, self.ring.last + 1)

    async def read_after(self, cursor: int) -> Page | None:
        """Up to PAGE events after `cursor`; None when there is none yet."""
        last = self.rung
        if cursor >= last:
            return None
        page = self._find(cursor)
        if page is not None:
            return page
        entries = self.ring.read_after(cursor, PAGE)
        if entries is not None:
            rows = [(entry.seq, entry.body) for entry in entries if entry.seq <= last]
            return self._keep(cursor, Page(rows, rows[-1][0], last, self._forms)) if rows else None
        async with self._turn:  # one page of the table in a turn of the loop, however many are behind
            page = self._find(cursor) or self._read_table(cursor)
            await trio.lowlevel.checkpoint()
            return page

    def _find(self, cursor: int) -> Page | None:
        page = self._kept.get(cursor)
        return page if page is not None and (page.is_full or page.upto == self.rung) else None

    def _read_table(self, cursor: int) -> Page:
        last = self.rung
        rows = self._events.read_events(cursor, PAGE)
        if rows and rows[-1][0] > last:
            # Committed, but its bell has not rung yet: nobody may see an event above the hello of the next to come.
            rows = rows[: bisect_left(rows, (last + 1, b""))]
        first = rows[0][0] if rows else last + 1
        gap = first if first > cursor + 1 and self.find_first() >= first else None
        return self._keep(cursor, Page(rows, rows[-1][0] if rows else last, last, self._forms, gap))

    def _keep(self, cursor: int, page: Page) -> Page:
        old = self._kept.pop(cursor, None)
        if old is not None:
            self._rows -= len(old.rows)
        self._kept[cursor] = page
        self._rows += len(page.rows)
        while self._rows > KEPT_ROWS or len(self._kept) > KEPT_PAGES:
            self._rows -= len(self._kept.pop(next(iter(self._kept))).rows)
        return page


class Subscription:
    """One reader's place in the feed: `cursor` is the last event that it has had, or passed over."""

    def __init__(self, pages: Pages, after: int | None) -> None:
        self._pages = pages
        self.last = pages.ring.last
        self.first = pages.find_first()
        self.gap: int | None = None
        self.cursor = self.last if after is None else after
        if self.cursor + 1 < self.first:
            self.gap, self.cursor = self.first, self.first - 1

    @property
    def is_ahead(self) -> bool:
        """True where it was asked to begin after an event that is not there yet."""
        return self.cursor > self.last

    @property
    def has_all(self) -> bool:
        """True where everything that may be read has been had."""
        return self.cursor >= self._pages.rung

    async def read(self) -> Page | None:
        """The next page, None when there is nothing to read yet. The cursor stays until `pass_by`."""
        return await self._pages.read_after(self.cursor)

    def pass_by(self, page: Page) -> None:
        """Go on after `page`: it has been taken."""
        self.cursor = page.last

    async def wait(self) -> None:
        """Return when there is more to read."""
        await self._pages.wait_beyond(self.cursor)
