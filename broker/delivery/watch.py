"""The watch: signs of life for systemd, given only while the dispatcher and the writer really make progress."""

import trio

from broker.delivery.exchange import Exchange
from broker.ops.notify import notify

STALL = 10.0


class Watch:
    """`check` is true while no operation waits longer than STALL seconds for its commit, and no lane or router for its turn."""

    def __init__(self, ex: Exchange) -> None:
        self._ex = ex
        self._commits = 0
        self._since = trio.current_time()

    def check(self) -> bool:
        """True while the writer and the dispatchers keep up."""
        journal = self._ex.journal
        now = trio.current_time()
        if not journal.waiting or journal.commits != self._commits or journal.is_full:
            self._commits, self._since = journal.commits, now
        bells = [self._ex.router_bell, *(lane.bell for lane in self._ex.lanes.values())]
        if any(bell.is_overdue(self._ex.now(), STALL) for bell in bells):
            return False
        return now - self._since < STALL

    async def run(self, every: float) -> None:
        """Tell systemd every `every` seconds; a plugin that never yields stops this too, and systemd ends the process."""
        while True:
            await trio.sleep(every)
            if self.check():
                notify("WATCHDOG=1")
