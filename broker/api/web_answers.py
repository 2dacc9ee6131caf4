"""What passes between the HTTP server and a door that it serves: limits, answers, and the door's side of a request.

The bytes of an answer's head are made here, once for all that are alike, and refused where they would not be HTTP.
"""

import math
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

import h11
import msgspec

from broker.api.heads import Head

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Limits(msgspec.Struct, frozen=True):
    """What one connection may take, in bytes and seconds, and how many there may be, in all and of one peer.

    `rest`: how long a kept connection may be idle; `work_wait`: how long the door may take for an answer, `answer_wait`: how long that
    may take to be read. A peer is an address, or the
    64 bits of an IPv6 network; loopback and a Unix socket are a proxy's, and count only in all.
    """

    head: int = 16 * 1024
    head_wait: float = 5.0
    body: int = 64 * 1024
    body_wait: float = 10.0
    rest: float = 75.0
    work_wait: float = math.inf
    answer_wait: float = 10.0
    most: int = 1000
    most_of_peer: int = 250


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What to answer. `is_last`: close the connection after it."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain; charset=utf-8"),)
    is_last: bool = False


Handler = Callable[[bytes], Awaitable[Answer]]


class Service(Protocol):
    """What a door makes of requests."""

    def screen(self, head: Head) -> Answer | Handler:
        """Look at a head: the answer that ends it there, or what takes the body."""

    def refuse(self, status: int) -> Answer:
        """What to answer to something that is no request, or one beyond a limit, before anybody is known."""

    def give_up(self) -> Answer:
        """What to answer where `work_wait` was not enough."""


def make_refusal(status: int, *headers: tuple[str, str]) -> Answer:
    """An answer that says no more than its status."""
    body = _PHRASES.get(status, "").encode() + b"\n"
    return Answer(status, body, (("Content-Type", "text/plain; charset=utf-8"), *headers), is_last=True)


@lru_cache(maxsize=256)
def show_head(status: int, headers: tuple[tuple[str, str], ...], length: int, is_kept: bool) -> bytes:
    """The head of an answer. Raises ValueError for one that would not be HTTP, or that says its own length."""
    if not 200 <= status <= 599 or (length and status in (204, 304)):
        raise ValueError(status)
    try:
        checked = h11.Response(status_code=status, headers=list(headers)).headers
    except h11.LocalProtocolError:
        raise ValueError(status) from None
    if any(name in (b"content-length", b"transfer-encoding", b"connection") for name, _ in checked):
        raise ValueError(status)
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [] if status == 204 else [f"Content-Length: {length}"]
    lines += [] if is_kept else ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
