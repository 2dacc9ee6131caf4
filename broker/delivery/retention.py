"""Retention: has the store forget, now and then, what is past its time (CONTRACT §3: keep_text, keep, [feed].keep)."""

from typing import Any

import trio

from broker.delivery.exchange import Exchange
from broker.delivery.inbox import KEPT
from broker.delivery.lookups import find_limit
from broker.store.inbound import drop_inbound, drop_inbound_texts
from broker.store.lookups import drop_found
from broker.store.retention import PAGE, drop_events, drop_kept, drop_messages, drop_strays, drop_texts
from broker.words.identity import first_id

EVERY = 60.0
BETWEEN = 0.05
EMPTY_EVERY = 3600.0
"""How long what was forgotten may stand in the write-ahead log, where a quiet broker writes over nothing."""


async def run_retention(ex: Exchange) -> None:
    """Forget in small pages until cancelled; a page at a time, so that nothing waits behind it."""
    is_left, emptied_at = False, trio.current_time()
    while True:
        begun = trio.current_time()
        is_left |= await forget(ex)
        if is_left and begun >= emptied_at + EMPTY_EVERY:
            await ex.journal.empty_log()
            is_left, emptied_at = False, begun
        # The walk over all messages gets a fiftieth of the time, however many there are.
        await trio.sleep(max(EVERY, 50 * (trio.current_time() - begun)))


async def forget(ex: Exchange) -> bool:
    """Forget everything that is past its time now; True where there was something."""
    settings = ex.book.settings
    now = ex.now()
    keep = settings.store.keep
    feed_keep = settings.feed.keep if settings.feed is not None else keep
    cursor, is_any = "", False
    ex.inbox.forget(now - KEPT)
    limit = find_limit(ex)
    ex.lookups.forget(limit)

    def drop_page(conn: Any) -> bool:
        nonlocal cursor, is_any
        before = now - settings.store.keep_text
        gone_texts, cursor = drop_texts(conn, before, cursor, first_id(before))
        gone = drop_messages(conn, now - keep, first_id(now - keep))
        gone_events = drop_events(conn, now - feed_keep)
        gone_inbound = max(drop_inbound_texts(conn, before), drop_inbound(conn, first_id(now - keep)))
        drop_kept(conn, before)
        gone_strays = drop_strays(conn, now - KEPT)
        gone_found = drop_found(conn, limit)
        most = max(gone, gone_events, gone_inbound, gone_strays, gone_found)
        is_any = is_any or gone_texts > 0 or most > 0
        return bool(cursor) or most >= PAGE

    while await ex.journal.forget(drop_page):  # noqa: ASYNC110  # a pause between looks, not a wait for an event
        await trio.sleep(BETWEEN)
    return is_any
