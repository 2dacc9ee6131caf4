"""Erasing: all that is kept of a recipient, because somebody has the right to be forgotten.

What it leaves is the suppression entry, without which the recipient would be written to again; `broker suppress remove` takes that.
"""

from typing import Any

from broker.delivery.exchange import Exchange
from broker.delivery.submission import Refused
from broker.store.retention import PAGE, erase_messages, erase_traces, find_recipients
from broker.words.status import LIVE


async def erase(ex: Exchange, number: str) -> dict[str, Any]:
    """Forget every message to `number` (E.164) and from it, overwritten in the file. Raises Refused while one is on its way."""
    found = await ex.query.scan(lambda conn: find_recipients(conn, number))
    live = sum(status in LIVE for _, status in found)
    if live:
        text = f"{live} messages to this number are still on their way: cancel them, or wait for their end"
        raise Refused("not_erasable", text, "number")
    # First, so that the last event, which gives the next one its number, is none of those that go.
    ex.say("recipient.erased", messages=len(found))
    await ex.journal.wait_committed()
    ids = [id_ for id_, _ in found]
    for at in range(0, len(ids), PAGE):
        page = ids[at : at + PAGE]
        await ex.journal.forget(lambda conn, page=page: erase_messages(conn, page))  # type: ignore[misc]  # the page of this round
    inbound = 0

    def drop(conn: Any) -> bool:
        nonlocal inbound
        inbound = erase_traces(conn, number)
        return False

    await ex.journal.forget(drop)
    ex.lookups.erase(number)
    await ex.journal.empty_log()
    return {"messages": len(ids), "inbound": inbound}
