"""The submit socket: a local program's door (CONTRACT §4). Reads a line, asks delivery, answers; a bad line costs that line alone.

Who a client is comes from the kernel (SO_PEERCRED), not from what it says.
"""

import logging
import pwd
import socket
import struct
from functools import lru_cache, partial
from typing import Any

import msgspec
import trio

from broker import __version__
from broker.api.lines import Cell, Talk, find_ref, make_error, read_refusal
from broker.delivery.accept import Accepted, Intake
from broker.delivery.audit import Actor
from broker.delivery.exchange import Exchange
from broker.delivery.inquire import Inquiry
from broker.delivery.orders import Orders
from broker.delivery.submission import Refused, Submit

log = logging.getLogger("broker.api")

_decode = msgspec.json.Decoder(Submit).decode


@lru_cache(maxsize=256)
def name_user(uid: int) -> str:
    """`unix:USER` for a user id."""
    try:
        return f"unix:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"unix:{uid}"


def find_actor(stream: trio.SocketStream) -> Actor:
    """Who is at the other end of a Unix socket, as the kernel says."""
    raw = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return Actor(name_user(uid), uid, pid)


def find_client(stream: trio.SocketStream) -> str:
    """The client at the other end of a Unix socket."""
    return find_actor(stream).user


class SubmitDoor:
    """Serves connections of the submit socket."""

    def __init__(self, ex: Exchange, intake: Intake, inquiry: Inquiry, orders: Orders) -> None:
        self._ex = ex
        self._intake = intake
        self._inquiry = inquiry
        self._orders = orders

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; whatever goes wrong costs this connection alone."""
        async with stream:
            try:
                client = find_client(stream)
                await Talk(stream, lambda line, cell: self.handle(line, cell, client)).run()
            except (trio.BrokenResourceError, OSError):
                return  # the client has gone
            except Exception as error:
                log.error("connection failed door=submit error=%s", type(error).__name__)

    def handle(self, line: bytes, cell: Cell, client: str) -> None:
        """Answer one line, now or when it is durable."""
        try:
            request = _decode(line)
        except msgspec.ValidationError as error:
            message, field = read_refusal(error)
            cell.fill(make_error("bad_request", message, field, find_ref(line)))
            return
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            cell.fill(make_error("bad_json", "not one JSON object in UTF-8 on a line of its own"))
            return
        try:
            if request.op == "submit" and not request.dry_run:
                self._intake.submit(request, client, partial(_reply, cell, request.ref))
            else:
                self._do(request, client, cell)
        except Refused as refused:
            cell.fill(make_error(refused.code, refused.message, refused.field, request.ref))

    def _do(self, request: Submit, client: str, cell: Cell) -> None:
        op = request.op
        answer: dict[str, Any]
        if op == "submit" or op == "explain":
            answer = self._inquiry.explain(request, client)
            if op == "submit":
                answer["dry_run"] = True
        elif op == "ping":
            answer = {"ok": True, "node": self._ex.teller.node, "version": __version__}
        elif op == "status":
            answer = self._inquiry.status(_find_id(request), client)
        elif op == "cancel":
            self._orders.cancel_own(_find_id(request), client, cell.fill)
            return
        else:
            raise Refused("bad_request", "unknown op; there are submit, status, cancel, explain and ping", "op")
        if request.ref is not None:
            answer["ref"] = request.ref
        cell.fill(answer)


def _find_id(request: Submit) -> str:
    if request.id is None:
        raise Refused("bad_request", "`id` is missing: the id that the submit's answer gave", "id")
    return request.id


def _reply(cell: Cell, ref: str | None, answer: Accepted | Refused) -> None:
    if isinstance(answer, Refused):
        cell.fill(make_error(answer.code, answer.message, answer.field, ref))
        return
    if ref is not None:
        answer.ref = ref
    cell.fill(answer)
