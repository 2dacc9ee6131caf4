"""The port of a session plugin: what a provider's own connection says to the broker comes in here, and nowhere else.

Returns only after the commit, because the provider's acknowledgement goes out then (promise 9).
"""

from collections.abc import Sequence

from broker.delivery.exchange import Exchange
from broker.delivery.inbound import take_inbound
from broker.delivery.lane import Lane
from broker.delivery.receipts import take_receipts
from broker.provider.contract import Inbound, Outcome, Receipt


class LanePort:
    """The Port of one lane's session."""

    def __init__(self, ex: Exchange, lane: Lane) -> None:
        self.ex = ex
        self.lane = lane

    async def __call__(self, receipts: Sequence[Receipt], inbound: Sequence[Inbound] = ()) -> Sequence[str | None]:
        """Make them durable; the refs that they matched. Raises Unstored."""
        matched = await take_receipts(self.ex, self.lane, receipts)
        await take_inbound(self.ex, self.lane, inbound)
        return matched

    def now(self) -> int:
        """The exchange's clock."""
        return self.ex.now()

    def report(self, outcome: Outcome | None) -> None:
        """The session may submit, or why it may not."""
