"""The port of a session plugin: what a provider's own connection says to the broker comes in here, and nowhere else.

Returns only after the commit, because the provider's acknowledgement goes out then (promise 9).
"""

import logging
from collections.abc import Sequence
from typing import Any

from broker.delivery.carrier import Carrier
from broker.delivery.doubt import refute
from broker.delivery.exchange import Exchange
from broker.delivery.inbound import keep, read_kept, take_inbound
from broker.delivery.lane import Lane
from broker.delivery.receipts import take_receipts
from broker.provider.contract import Changes, Inbound, Outcome, Receipt
from broker.store.failpoints import failpoint

log = logging.getLogger("broker.delivery")


class LanePort:
    """The Port of one lane's session, which is `carrier`'s. `is_heard`: it has said whether it may submit."""

    def __init__(self, ex: Exchange, lane: Lane, carrier: Carrier) -> None:
        self.ex = ex
        self.lane = lane
        self.carrier = carrier
        self.is_heard = False

    async def __call__(self, receipts: Sequence[Receipt], inbound: Sequence[Inbound] = ()) -> Sequence[str | None]:
        """Make them durable; the refs that they matched. Raises Unstored."""
        matched = await take_receipts(self.ex, self.lane, receipts)
        await take_inbound(self.ex, self.lane, inbound)
        failpoint("deliver.stored")
        return matched

    async def refute(self, attempt: str, outcome: Outcome) -> None:
        """An attempt in doubt is refused after all. Raises Unstored."""
        await refute(self.ex, self.lane, attempt, outcome)

    async def keep(self, changes: Changes) -> None:
        """Make durable what is no message yet. Raises Unstored."""
        await keep(self.ex, self.lane, changes)
        failpoint("deliver.kept")

    def read_kept(self) -> dict[str, dict[str, Any]]:
        """All that is kept of this account."""
        return read_kept(self.ex, self.lane)

    def now(self) -> int:
        """The exchange's clock."""
        return self.ex.now()

    def wall(self) -> int:
        """The date."""
        return self.ex.clock.wall()

    def report(self, outcome: Outcome | None) -> None:
        """The session may submit, or why it may not: then its messages go elsewhere, as under an open breaker, until it may.

        Nothing probes it: the session connects again by itself. One that a reload has replaced is not heard.
        """
        self.is_heard = True
        if self.lane.carrier is not self.carrier:
            return
        if outcome is None:
            self._come_up()
        else:
            self._go_down(outcome)

    def _come_up(self) -> None:
        ex, lane, now = self.ex, self.lane, self.ex.now()
        if not lane.health.bind():
            return
        lane.health.show(now)
        ex.say("provider.up", provider=lane.name, reason="bound", code=None, until=None)
        ex.gain()
        ex.hurry(lane.name)
        ex.release_at("misconfigured", now)
        lane.expect(now, now)

    def _go_down(self, outcome: Outcome) -> None:
        ex, lane = self.ex, self.lane
        why = outcome.detail or outcome.code or outcome.class_
        is_refused = outcome.class_ == "misconfigured"
        if not lane.health.unbind(f"suspended: {why}" if is_refused else "breaker: not bound"):
            return
        if is_refused:
            log.error("bind refused provider=%s code=%s", lane.name, outcome.code)
        lane.health.show(ex.now())
        ex.epoch += 1
        ex.say("provider.suspended" if is_refused else "provider.down", provider=lane.name, reason=why, code=outcome.code, until=None)
        lane.bell.ring_at(0)
