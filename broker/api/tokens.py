"""Tokens: what somebody at a door may do (CONTRACT §6). The same rule for the feed and for HTTP.

A token is known by its SHA-256 alone; neither the token nor its hash reaches a log, a repr or an answer. Without one, a request
from this machine may submit and read, unless the listener requires a token.
"""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec

from broker.words.settings import TokenSettings

LOCAL_SCOPES: frozenset[str] = frozenset({"submit", "read", "numbers"})
SUBPROTOCOL = "bearer."


class Access(msgspec.Struct, frozen=True):
    """What a request may do. `name` is the token's, None for a request from this machine without one."""

    name: str | None
    scopes: frozenset[str]


class BadCredential(Exception):
    """A token was given in a form that cannot be read; the text says which form is meant."""


class Credential:
    """What a request showed of itself: a token's digest, or none; and whether it came from this machine."""

    __slots__ = ("_digest", "is_local")

    def __init__(self, token: str | None, *, is_local: bool) -> None:
        self._digest = None if token is None else sha256(token.encode()).hexdigest()
        self.is_local = is_local

    @property
    def has_token(self) -> bool:
        """True where a token was shown, a good one or a bad one."""
        return self._digest is not None

    def find_access(self, tokens: Mapping[str, TokenSettings], *, require_token: bool) -> Access | None:
        """What it may do under the tokens of now, None where nothing."""
        if self._digest is None:
            return Access(None, LOCAL_SCOPES) if self.is_local and not require_token else None
        found = None
        for name, token in tokens.items():  # all of them, each in constant time: the answer's delay tells nothing
            if hmac.compare_digest(self._digest, token.sha256):
                found = Access(name, token.scopes)
        return found


def find_subprotocol(offered: Sequence[str]) -> str | None:
    """The websocket subprotocol that carries a token: accepting it is what lets a browser go on."""
    return next((name for name in offered if name.startswith(SUBPROTOCOL)), None)


def find_token(authorization: Sequence[str], subprotocols: Sequence[str] = ()) -> str | None:
    """The token of a request, from its `Authorization` headers and websocket subprotocols. Raises BadCredential."""
    tokens = {name.removeprefix(SUBPROTOCOL) for name in subprotocols if name.startswith(SUBPROTOCOL)}
    for value in authorization:
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise BadCredential("`Authorization` is read as `Bearer TOKEN` alone")
        tokens.add(token.strip())
    if len(tokens) > 1:
        raise BadCredential("two different tokens came with one request")
    return tokens.pop() if tokens else None
