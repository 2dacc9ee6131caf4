"""The control socket: the operator's door (CONTRACT §5), open to the broker's own user alone (0600). Same framing as submit.

Each op is one small function here; what it does is delivery's. What changes something is written into the audit before it is done.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import trio

from broker import __version__
from broker.api.lines import Cell, Talk, find_ref, make_error, read_refusal
from broker.api.lookup import look_up
from broker.api.ordered import describe, is_order
from broker.api.overview import list_held, list_in_doubt, list_queue, show_balances, show_lane
from broker.api.submit import find_actor
from broker.config import ConfigError
from broker.delivery.audit import Actor, write_order, write_result
from broker.delivery.balance import ask_balance
from broker.delivery.callbacks import Callbacks
from broker.delivery.erasing import erase
from broker.delivery.exchange import Exchange
from broker.delivery.inquire import Inquiry
from broker.delivery.orders import Orders, Selection
from broker.delivery.submission import NOT_YET, Refused
from broker.ops.log import LEVELS, set_level
from broker.provider.contract import ContactChange
from broker.store.journal import StoreBroken
from broker.text import AddressError, NumberError, read_address, read_number

log = logging.getLogger("broker.api")

LATER = frozenset({"replay"})

LONGEST_NAME = 200

Reload = Callable[..., Awaitable[dict[str, Any]]]
Reply = Callable[[dict[str, Any]], None]


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """One line of the control socket (CONTRACT §10, control requests)."""

    op: str
    id: str | None = None
    name: str | None = None
    refresh: bool = False
    provider: str | None = None
    tag: str | None = None
    cause: str | None = None
    all: bool = False
    outcome: str | None = None
    action: str | None = None
    number: str | None = None
    ref: str | None = None
    hlr: str | None = None
    mobile: str | None = None
    surname: str | None = None
    comments: str | None = None
    rules: str | None = None
    since: str | None = None
    level: str | None = None


_decode = msgspec.json.Decoder(Order).decode


class ControlDoor:
    """Serves connections of the control socket. What was ordered is seen through in `nursery`, whoever goes away meanwhile."""

    def __init__(
        self,
        ex: Exchange,
        inquiry: Inquiry,
        orders: Orders,
        reload: Reload,
        started_at: int,
        nursery: trio.Nursery,
        callbacks: Callbacks,
    ) -> None:
        self._ex = ex
        self._inquiry = inquiry
        self._orders = orders
        self._reload = reload
        self._started_at = started_at
        self._nursery = nursery
        self._callbacks = callbacks

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; whatever goes wrong costs this connection alone."""
        async with stream:
            try:
                actor = find_actor(stream)
                await Talk(stream, lambda line, cell: self._handle(line, cell, actor)).run()
            except (trio.BrokenResourceError, OSError):
                pass  # the operator has gone
            except Exception as error:
                log.error("connection failed door=control error=%s", type(error).__name__)

    def _handle(self, line: bytes, cell: Cell, actor: Actor) -> None:
        try:
            order = _decode(line)
        except msgspec.ValidationError as error:
            message, field = read_refusal(error)
            cell.fill(make_error("bad_request", message, field, find_ref(line)))
            return
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            cell.fill(make_error("bad_json", "not one JSON object in UTF-8 on a line of its own"))
            return

        def reply(answer: dict[str, Any]) -> None:
            if order.ref is not None:
                answer = {**answer, "ref": order.ref}
            cell.fill(answer)

        if is_order(order.op, order.action, order.hlr):
            self._write_down(order, actor, reply)
        else:
            self._carry_out(order, actor, reply)

    def _write_down(self, order: Order, actor: Actor, reply: Reply) -> None:
        """Carry an order out once it stands in the audit; answer once its result does."""
        ex = self._ex

        def begin(n: int | None) -> None:
            if n is None:
                reply(make_error("unavailable", "the order could not be written down, so nothing was done; try again"))
            else:
                self._carry_out(order, actor, lambda answer: write_result(ex, n, answer, lambda: reply(answer)))

        numbers = [self._try_number(number) for number in (order.number, order.mobile)]
        write_order(ex, actor, order.op, describe(order, ex.lanes, numbers), begin)

    def _carry_out(self, order: Order, actor: Actor, reply: Reply) -> None:
        """Do it, or have it done; a fault of ours costs this request alone."""
        try:
            if order.op in ("reload", "check"):
                self._nursery.start_soon(self._see_through, self._apply, order, reply)
            elif order.op == "erase":
                self._nursery.start_soon(self._see_through, self._erase, order, reply)
            elif order.op == "stats":
                self._nursery.start_soon(self._see_through, self._show_stats, order, reply)
            elif order.op == "balance" and order.refresh:
                self._nursery.start_soon(self._see_through, self._refresh, order, reply)
            elif order.op == "lookup":
                look_up(self._inquiry.intake, order.number, order.hlr, actor.user, reply)
            else:
                self._do(order, reply)
        except Exception as error:
            reply(_show_fault(order, error))

    async def _see_through(self, work: Callable[[Order, Reply], Awaitable[None]], order: Order, reply: Reply) -> None:
        try:
            await work(order, reply)
        except StoreBroken:
            raise  # the disk's fault, and the whole daemon's
        except Exception as error:
            reply(_show_fault(order, error))

    def _do(self, order: Order, reply: Reply) -> None:
        ex, op = self._ex, order.op
        if op == "providers":
            reply({"ok": True, "providers": [show_lane(ex, lane) for lane in ex.lanes.values()]})
        elif op == "balance":
            reply({"ok": True, "balance": show_balances(ex, self._chosen(order.name))})
        elif op == "queue":
            reply(list_queue(ex))
        elif op == "held":
            reply(list_held(ex, order.cause))
        elif op == "in_doubt":
            reply(list_in_doubt(ex))
        elif op == "status":
            reply(self._inquiry.status(_read_id(order), None))
        elif op in ("cancel", "release", "retry"):
            selection = Selection(order.id, order.provider, order.tag, order.cause, order.all)
            {"cancel": self._orders.cancel, "release": self._orders.release, "retry": self._orders.retry}[op](selection, reply)
        elif op == "log_level":
            reply(_set_level(order.level))
        elif op == "resolve":
            self._orders.resolve(_read_id(order), order.outcome or "", reply)
        elif op in ("pause", "drain"):
            reply(self._orders.pause(order.name, "paused" if op == "pause" else "draining"))
        elif op == "resume":
            reply(self._orders.resume(order.name))
        elif op == "suppress":
            self._orders.suppress(order.action or "list", self._read_number(order.number), reply)
        elif op == "callbacks":
            self._show_callbacks(order, reply)
        elif op == "contacts":
            self._orders.change_contact(self._read_contact(order), order.provider, reply)
        elif op == "ping":
            reply({"ok": True, "node": ex.teller.node, "version": __version__})
        elif op in LATER:
            raise Refused("bad_request", f"{NOT_YET}{op}", "op")
        else:
            raise Refused("bad_request", "unknown op; `broker --help` lists the verbs", "op")

    def _show_callbacks(self, order: Order, reply: Reply) -> None:
        callbacks = self._callbacks
        if order.action not in (None, "list", "rotate"):
            raise Refused("bad_request", "`action` is list or rotate", "action")
        if order.action == "rotate":
            callbacks.rotate(order.name or "", reply)
        else:
            reply(callbacks.show())

    def _chosen(self, name: str | None) -> list[str]:
        return list(self._ex.lanes) if name is None else [self._orders.find_lane(name).name]

    def _read_number(self, number: str | None, field: str = "number") -> str | None:
        if number is None:
            return None
        try:
            if "@" in number and field == "number":
                return read_address(number)  # the recipient of a message of channel email
            return read_number(number, self._ex.book.settings.broker.default_country).e164
        except (NumberError, AddressError) as error:
            raise Refused("invalid_recipient", str(error), field) from None

    def _try_number(self, number: str | None) -> str | None:
        try:
            return self._read_number(number)
        except Refused:
            return None

    def _read_contact(self, order: Order) -> ContactChange:
        if order.action not in ("add", "delete"):
            raise Refused("bad_request", "`action` is add or delete", "action")
        mobile = self._read_number(order.mobile, "mobile")
        if mobile is None:
            raise Refused("bad_request", "`mobile` is missing: the contact's number, for example +306912345678", "mobile")
        for field in ("name", "surname", "comments"):
            value = getattr(order, field) or ""
            if len(value) > LONGEST_NAME or not value.isprintable():
                raise Refused("bad_request", f"`{field}` is at most {LONGEST_NAME} characters on one line", field)
        return ContactChange(order.action, mobile, order.name or "", order.surname or "", order.comments or "")

    async def _show_stats(self, _order: Order, reply: Reply) -> None:
        ex = self._ex
        statuses = await ex.query.survey_statuses()
        reply(
            {
                "ok": True,
                "statuses": statuses,
                "queued": ex.queued,
                "node": ex.teller.node,
                "version": __version__,
                "uptime_ms": ex.now() - self._started_at,
                "commits": ex.journal.commits,
                "seq": ex.journal.ring.last,
                "callbacks": self._callbacks.count(),
            }
        )

    async def _apply(self, order: Order, reply: Reply) -> None:
        try:
            done = await self._reload(apply=order.op == "reload")
        except ConfigError as error:
            problems = [{"key": p.key, "line": p.line, "message": p.message} for p in error.problems]
            message = "the configuration was refused; the old one goes on"
            file = next((p.file for p in error.problems if p.file), None)
            reply({"ok": False, "error": {"code": "bad_config", "message": message, "file": file, "problems": problems}})
            return
        reply({"ok": True, **done})

    async def _erase(self, order: Order, reply: Reply) -> None:
        number = self._read_number(order.number)
        if number is None:
            raise Refused("bad_request", "`number` is missing", "number")
        reply({"ok": True, **await erase(self._ex, number)})

    async def _refresh(self, order: Order, reply: Reply) -> None:
        names = self._chosen(order.name)
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(ask_balance, self._ex, self._ex.lanes[name])
        reply({"ok": True, "balance": show_balances(self._ex, names)})


def _read_id(order: Order) -> str:
    if order.id is None:
        raise Refused("bad_request", "`id` is missing: the id that the submit's answer gave", "id")
    return order.id


def _show_fault(order: Order, error: Exception) -> dict[str, Any]:
    if isinstance(error, Refused):
        return make_error(error.code, error.message, error.field)
    log.error("request failed door=control op=%s error=%s", order.op, type(error).__name__)
    return make_error("unavailable", "a fault of the broker itself; its log says which")


def _set_level(level: str | None) -> dict[str, Any]:
    if level not in LEVELS:
        raise Refused("bad_request", f"`level` is one of {', '.join(LEVELS)}", "level")
    set_level(level)
    return {"ok": True, "level": level}
