"""Retention: asks the store, now and then, to forget what is past its time (CONTRACT §3: keep_text, keep, [feed].keep)."""

import trio

from broker.delivery.exchange import Exchange
from broker.words.identity import first_id

EVERY = 60.0


async def run_retention(ex: Exchange) -> None:
    """Forget in small pages until cancelled; a page at a time, so that nothing waits behind it."""
    while True:
        await trio.sleep(EVERY)
        while await _forget_page(ex):
            await trio.sleep(0.05)


async def _forget_page(ex: Exchange) -> bool:
    settings = ex.book.settings
    now = ex.now()
    store = settings.store
    feed_keep = settings.feed.keep if settings.feed is not None else store.keep
    return await ex.journal.forget(
        texts=now - store.keep_text, messages=now - store.keep, oldest=first_id(now - store.keep), events=now - feed_keep
    )
