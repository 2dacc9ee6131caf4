"""The carrier: the one place where bytes leave for a provider, and where an exception in a plugin becomes an outcome.

Before the first byte everything is a proven refusal; after it only a parsed answer proves anything (DESIGN, In doubt).
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import msgspec
import trio

from broker.provider.answers import judge
from broker.provider.contract import Call, Outcome, Port, Reply, Send, Session, Settle, Traits, Unsuitable
from broker.routing import Account
from broker.smpp.statuses import CODES, show_status
from broker.words.message import Message

log = logging.getLogger("broker.delivery")


OURS = ("plugin", "not sent")
"""Evidence of what the provider never saw: its code is our own word."""
MOST_UNKNOWN = 100
STATUSES = frozenset(map(show_status, CODES))
"""What every session that speaks SMPP may answer, whatever its plugin's own codes are."""
FAULTS = (Exception, SystemExit)
"""What a plugin may raise without taking the broker along; some library of its own may mean to end its program."""


class Caller(Protocol):
    """What an HTTP account does: one call, answered by a reply or by the transport's verdict."""

    async def call(self, call: Call) -> Reply | Outcome:
        """Never raises but for cancellation."""

    async def aclose(self) -> None:
        """Close every connection."""


class Carrier:
    """A provider's plugin with what it needs to be used: its configuration, its HTTP account, its session, or both."""

    def __init__(self, plugin: Any, config: Any, account: Account, caller: Caller | None, session: Session | None, timeout: int) -> None:
        self.plugin = plugin
        self.config = config
        self.account = account
        self.caller = caller
        self.session = session
        self.timeout = timeout
        self.codes: dict[str, str] = account.settings.codes
        self.unknown: dict[str, int] = {}  # codes that stand in no table → how often they came
        self.in_use = 0
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        if session is None:
            self.ended.set()
        self.traits: Traits = plugin.find_traits(config)
        # True where the provider can be asked for a message's fate.
        self.can_query = plugin.query is not None if session is None else "poll" in self.traits.receipts or bool(self.traits.http)

    @property
    def has_balance(self) -> bool:
        """True where the credit of this account can be asked for: some plugins can only where a key of theirs is set."""
        return self.caller is not None and self.plugin.balance is not None and self.traits.unit is not None

    def goes_by_http(self, channel: str) -> bool:
        """True where a message of that channel has nothing to do with the session."""
        return self.session is None or channel in self.traits.http

    def find_sender(self, message: Message) -> str | None:
        """The sender id for this message at this account."""
        return self.account.find_sender(message)

    async def submit(self, sends: Sequence[Send], now: Callable[[], int], settle: Settle) -> None:
        """Hand the messages over; `settle(index, outcome)` once for each, as soon as it is known. Raises nothing but cancellation."""
        if self.session is None:
            for index, outcome in enumerate(await self._call(sends, now)):
                settle(index, outcome)
        elif not self.traits.http:
            await self._submit_session(self.session, sends, settle)
        else:
            await self._submit_both(self.session, sends, now, settle)

    async def _submit_both(self, session: Session, sends: Sequence[Send], now: Callable[[], int], settle: Settle) -> None:
        """Some by the session, and each of the others in a call of its own; none waits for another."""
        ours = [index for index, send in enumerate(sends) if not self.goes_by_http(send.via)]

        async def call(index: int) -> None:
            settle(index, (await self._call([sends[index]], now))[0])

        async with trio.open_nursery() as nursery:
            for index in set(range(len(sends))) - set(ours):
                nursery.start_soon(call, index)
            if ours:
                await self._submit_session(session, [sends[n] for n in ours], lambda n, outcome: settle(ours[n], outcome))

    async def run_session(self, port: Port, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve the session until cancelled, by `scope` where only this one shall end."""
        assert self.session is not None
        try:
            with self.scope:
                await self.session.run(port, task_status=task_status)
        finally:
            self.ended.set()

    async def _call(self, sends: Sequence[Send], now: Callable[[], int]) -> list[Outcome]:
        try:
            call = self.plugin.build(self.config, sends, now())
        except Unsuitable as refusal:
            return [Outcome("unsuitable", refusal.code, refusal.detail, evidence="not sent")] * len(sends)
        except FAULTS as error:
            return _fault(self.plugin.name, error, sends, "unsuitable")
        assert self.caller is not None
        reply = await self.caller.call(call)
        if isinstance(reply, Outcome):
            return [reply] * len(sends)
        judged = judge(reply, self.traits.statuses, now())
        if judged is not None:
            return [judged] * len(sends)
        try:
            outcomes: list[Outcome] = self.plugin.parse(self.config, reply, sends)
        except FAULTS as error:
            return _fault(self.plugin.name, error, sends, "in_doubt")
        if len(outcomes) != len(sends):
            return _fault(self.plugin.name, ValueError("not one outcome for each send"), sends, "in_doubt")
        for outcome in outcomes:
            self.note_code(outcome)
        if reply.status in (429, 503) and "retry-after" in reply.headers:
            return [self._add_wait(outcome, reply, now()) for outcome in outcomes]
        return outcomes

    def note_code(self, outcome: Outcome) -> None:
        """Count and log a code of the provider's that stands in no table, for an operator to put it into `codes`."""
        code = outcome.code
        if code is None or outcome.class_ == "accepted" or code in self.plugin.codes or code in STATUSES or not self.plugin.codes:
            return
        if code in self.codes or outcome.evidence in OURS or (code not in self.unknown and len(self.unknown) >= MOST_UNKNOWN):
            return
        count = self.unknown[code] = self.unknown.get(code, 0) + 1
        if count & (count - 1) == 0:  # 1, 2, 4, 8, …: a flood must not fill the log as well
            log.warning("a code in no table provider=%s code=%s class=%s count=%d", self.account.name, code, outcome.class_, count)

    @staticmethod
    def _add_wait(outcome: Outcome, reply: Reply, now: int) -> Outcome:
        """The plugin knows what its provider's status means; when to come again is HTTP's own word."""
        hint = judge(reply, frozenset(), now)
        if hint is None or outcome.retry_after is not None or outcome.class_ not in ("unavailable", "throttled"):
            return outcome
        return msgspec.structs.replace(outcome, retry_after=hint.retry_after)

    async def _submit_session(self, session: Session, sends: Sequence[Send], settle: Settle) -> None:
        waiting = set(range(len(sends)))

        def settle_once(index: int, outcome: Outcome) -> None:
            if index in waiting:  # a session that speaks twice of one message is not believed the second time
                waiting.remove(index)
                self.note_code(outcome)
                settle(index, outcome)

        rest = Outcome("in_doubt", None, "no answer in time", evidence="timeout")
        with trio.move_on_after(self.timeout / 1000):
            try:
                await session.submit(sends, settle_once)
                rest = Outcome("in_doubt", "plugin_error", "the plugin said nothing of it", evidence="plugin")
            except FAULTS as error:
                rest = _fault(self.plugin.name, error, sends, "in_doubt")[0]
        for index in tuple(waiting):
            settle_once(index, rest)


def _fault(name: str, error: Exception | SystemExit, sends: Sequence[Send], class_: str) -> list[Outcome]:
    # The exception's own text may hold what must not be logged: its type and line say enough.
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = trace.tb_lineno if trace is not None else 0
    log.error("plugin failed plugin=%s error=%s line=%d", name, type(error).__name__, line)
    fault = Outcome(cast(Any, class_), "plugin_error", f"the plugin failed: {type(error).__name__}", evidence="plugin")
    return [fault] * len(sends)
