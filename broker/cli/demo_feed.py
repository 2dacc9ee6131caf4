"""What the demo learns from the feed: every event once, in order, and from it where each message and each provider stands.

Believes nothing but the feed; whether the feed was right, the end of the demo checks against the store and the providers' books.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import trio
from trio_websocket import ConnectionClosed, HandshakeError, wrap_client_stream

from broker.words.status import FINAL

MOST_BYTES = 1024 * 1024


class Account:
    """One provider as the feed tells of it. `state` is a word for the board, empty while all is well."""

    def __init__(self) -> None:
        self.state = ""
        self.refused: Counter[str] = Counter()
        self.accepted = 0
        self.ends: Counter[str] = Counter()
        self.credit: dict[str, str] = {}


class Chronicle:
    """Everything that the feed has told. `tell` is called with each event; `last` is the seq of the newest."""

    def __init__(self, providers: list[str], tell: Callable[[dict[str, Any]], None]) -> None:
        self.last = 0
        self.seqs: dict[str, list[int]] = {}
        self.statuses: dict[str, str] = {}
        self.accounts = {name: Account() for name in providers}
        self.is_in_order = True
        self._tell = tell
        self._lot = trio.lowlevel.ParkingLot()

    def note(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        self.is_in_order &= event["seq"] > self.last
        self.last = event["seq"]
        room, _, word = event["type"].partition(".")
        if room == "message":
            self.seqs.setdefault(event["id"], []).append(event["seq"])
            self._note_message(event)
        elif event["type"] == "node.started":
            for account in self.accounts.values():
                account.state = "" if account.state == "down" else account.state  # a breaker starts closed
        elif room in ("provider", "credit") and event.get("provider") in self.accounts:
            self._note_account(self.accounts[event["provider"]], f"{room}.{word}", event)
        self._tell(event)
        self._lot.unpark_all()

    def _note_message(self, event: dict[str, Any]) -> None:
        self.statuses[event["id"]] = event["status"]
        account = self.accounts.get(event["provider"] or "")
        if account is None:
            return
        if event["type"] == "message.sent":
            account.accepted += 1
        elif event["status"] in FINAL:
            account.ends[event["status"]] += 1
        elif event["status"] != "in_doubt" and event["class"] and event["class"] != "accepted":
            account.refused[event["class"]] += 1

    def _note_account(self, account: Account, what: str, event: dict[str, Any]) -> None:
        if what == "credit.updated":
            account.credit[event["bucket"]] = event["usable"]
        elif what == "credit.dry":
            account.state = "dry"
        elif what in ("provider.down", "provider.suspended"):
            account.state = what.partition(".")[2]
        elif what == "provider.up":
            account.state = ""

    def count(self, statuses: Iterable[str]) -> str:
        """`5 queued, 1 sending` of these statuses, as far as there are messages in them."""
        counts = Counter(self.statuses.values())
        return ", ".join(f"{counts[status]} {status}" for status in statuses if counts[status])

    @property
    def open_ids(self) -> list[str]:
        """The messages that have not ended yet."""
        return [id_ for id_, status in self.statuses.items() if status not in FINAL]

    async def wait(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Wait until `is_so()`, looked at after every event; False where that takes longer."""
        with trio.move_on_after(seconds):
            while not is_so():
                await self._lot.park()
        return is_so()

    async def follow(self, path: str, *, task_status: trio.TaskStatus[None]) -> None:
        """Read the feed at the Unix socket `path`, from the event after the last one, until it ends. OSError where nobody answers."""
        async with trio.open_nursery() as nursery:
            stream = await trio.open_unix_socket(path)
            try:
                frames = await wrap_client_stream(nursery, stream, "localhost", f"/v1/events?from={self.last}", max_message_size=MOST_BYTES)
                task_status.started()
                while True:
                    event = json.loads(await frames.get_message())
                    if event["type"] != "hello":
                        self.note(event)
            except (ConnectionClosed, HandshakeError, trio.BrokenResourceError):
                nursery.cancel_scope.cancel()  # the daemon has ended, as it does here
            finally:
                await trio.aclose_forcefully(stream)
