"""The way back: what providers are told to call (CONTRACT §7), whose call it is, and which attempt it speaks of.

Holds every account's secret as the store keeps it. Takes nothing from the network itself: that is api.callbacks'. A secret leaves
only in a URL for the provider or for the operator; what comes in is compared by its hash, in constant time.
"""

import hmac
import os
import re
from collections.abc import Callable, Sequence
from hashlib import blake2b, sha256
from typing import Any

import msgspec

from broker.delivery.arrival import Match
from broker.delivery.exchange import Exchange
from broker.delivery.flight import Flight
from broker.delivery.inbound import take_inbound
from broker.delivery.lane import Lane
from broker.delivery.receipts import take_receipts
from broker.delivery.submission import Refused
from broker.policy import is_recipient
from broker.store.contract import Answer, Put
from broker.store.failpoints import failpoint
from broker.words.attempt import Attempt
from broker.words.clock import DAY
from broker.words.inbound import Inbound
from broker.words.receipt import Receipt
from broker.words.secret import Secret, is_path_secret

KIND = "callback"
OVERLAP = 7 * DAY
"""For so long after a change the secret before is accepted too: panels are changed by hand, and calls under way name the old one."""

LARGEST_CALL = 1000

_is_token = re.compile(r"[0-9a-f]{40}").fullmatch


_NONE = bytes(32)
"""No digest: no secret has this one, and comparing with it takes as long as with any."""


class Pass(msgspec.Struct, frozen=True, gc=False):
    """One account's secret: `secret` itself, its digest, and the digest of the one before it, accepted until `until` (ms)."""

    secret: str
    digest: bytes
    former: bytes = _NONE
    until: int = 0

    def __repr__(self) -> str:
        return "Pass(***)"


_NOBODY = Pass("", _NONE)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


class Callbacks:
    """The callback addresses of every account whose plugin reads what its provider sends.

    `count` is the listener's to set: what came in so far, for the operator. `unmatched`: receipts whose token picked no attempt.
    """

    def __init__(self, ex: Exchange) -> None:
        self.ex = ex
        self._origin = ""
        self._passes: dict[str, Pass] = {}
        self._random = b""
        self.unmatched = 0
        self.count: Callable[[], dict[str, int]] = dict

    def open(self, origin: str) -> None:
        """There is a listener, at `origin` (scheme, host and port): from now on providers are told of it."""
        self._origin = origin
        self.apply()

    @property
    def is_open(self) -> bool:
        """True where somebody listens and the configuration still has the section."""
        return self._origin != "" and self.ex.book.settings.callbacks is not None

    def apply(self) -> None:
        """Take over the accounts of the applied configuration: a secret for each, made where none is given, kept in the store."""
        if not self.is_open:
            return
        kept = self.ex.query.read_facts(KIND)
        for lane in self.ex.lanes.values():
            if lane.carrier.plugin.receipts is not None and not lane.is_gone:
                self._adopt(lane.name, lane.settings.callback_secret, kept.get(lane.name, {}))

    def _adopt(self, name: str, given: Secret | None, fact: dict[str, Any]) -> None:
        """The pass of an account, from its settings and from what the store kept of it; what differs is kept anew."""
        known = self._passes.get(name) or _read(fact)
        if given is not None and is_path_secret(given.reveal()):  # a twin's stand-in is none
            secret, is_made = given.reveal(), False
        else:
            secret, is_made = fact.get("secret") or _make_secret(), True
        digest = _digest(secret)
        if digest == known.digest:
            self._passes[name] = msgspec.structs.replace(known, secret=secret)
            return
        until = self.ex.now() + OVERLAP if known.digest != _NONE else 0
        self._keep(name, Pass(secret, digest, known.digest, until), is_made=is_made)

    def _keep(self, name: str, made: Pass, *, is_made: bool, done: Callable[[Answer, Any], None] | None = None) -> None:
        # One that stands in broker.toml is not written down a second time: its digest is enough to know it by.
        self._passes[name] = made
        fact = {
            "secret": made.secret if is_made else None,
            "digest": made.digest.hex(),
            "former": made.former.hex(),
            "until": made.until,
        }
        self.ex.journal.put(Put(facts=((KIND, name, fact),), done=done))

    def rotate(self, name: str, reply: Callable[[dict[str, Any]], None]) -> None:
        """Make a new secret for an account; the one before it is accepted for a while. Raises Refused."""
        self._check_open()
        known = self._passes.get(name)
        lane = self.ex.lanes.get(name)
        if known is None or lane is None or lane.is_gone:
            there = ", ".join(self.list_urls()) or "none"
            raise Refused("not_found", f"no provider of this name is called back; there are: {there}", "name")
        if lane.settings.callback_secret is not None and known.secret == lane.settings.callback_secret.reveal():
            where = f"[providers.{name}].callback_secret"
            raise Refused("bad_request", f"the secret stands in {where}: change it there, then `broker reload`", "name")
        secret = _make_secret()

        def done(answer: Answer, _value: object) -> None:
            if answer is Answer.DONE:
                reply(self.show())
            else:
                error = {"code": "unavailable", "message": "the store took no change; the secret stays as it was: try again"}
                self._passes[name] = known
                reply({"ok": False, "error": error})

        self._keep(name, Pass(secret, _digest(secret), known.digest, self.ex.now() + OVERLAP), is_made=True, done=done)

    def find_lane(self, name: str, secret: str) -> Lane | None:
        """The lane of the account that this secret belongs to, None for anybody else. Takes as long whoever asks."""
        held = self._passes.get(name, _NOBODY)
        digest = _digest(secret)
        is_good = hmac.compare_digest(digest, held.digest)
        is_former = hmac.compare_digest(digest, held.former) and self.ex.now() < held.until
        lane = self.ex.lanes.get(name)
        if lane is None or not (is_good or is_former) or lane.carrier.plugin.receipts is None:
            return None
        if lane.is_gone and not self.ex.query.has_open(name):
            return None  # the account is no more, and nothing of it is under way
        return lane

    def is_told(self, lane: Lane) -> bool:
        """True where the provider of `lane` is told a URL, and has something to say of its messages."""
        return lane.name in self._passes and bool(lane.traits.receipts) and self.is_open

    def name_call(self, lane: Lane, flights: Sequence[Flight]) -> None:
        """Give the attempts of one call to the provider its token, where the provider can call back: before their rows are written.

        128 random bits behind the seconds of now, which keep new tokens together in their index.
        """
        if not self.is_told(lane):
            return
        if len(self._random) < 16:
            self._random = os.urandom(4096)
        drawn, self._random = self._random[:16], self._random[16:]
        token = f"{self.ex.now() // 1000:08x}{drawn.hex()}"
        for flight in flights:
            flight.attempt.token = token if len(flights) == 1 else f"{token}.{mark_of(flight.message.to)}"

    def find_url(self, attempt: Attempt) -> str | None:
        """What the provider may call about an attempt, None where it has no token, or the way has gone since."""
        held = self._passes.get(attempt.provider)
        if held is None or not self.is_open or not attempt.token:
            return None
        return f"{self._find_base(attempt.provider, held)}/{attempt.token.partition('.')[0]}"

    def _find_base(self, name: str, held: Pass) -> str:
        settings = self.ex.book.settings.callbacks
        origin = settings.public_url if settings is not None and settings.public_url is not None else self._origin
        return f"{origin}/cb/{name}/{held.secret}"

    def list_urls(self) -> dict[str, str]:
        """The URL to enter in each provider's panel."""
        lanes = self.ex.lanes
        return {name: self._find_base(name, held) for name, held in self._passes.items() if name in lanes and not lanes[name].is_gone}

    def show(self) -> dict[str, Any]:
        """The same as an answer to the operator, with the end of each overlap that is still on and what came so far. Raises Refused."""
        self._check_open()
        now = self.ex.now()
        urls = self.list_urls()
        former = {name: self.ex.clock.show(self._passes[name].until) for name in urls if self._passes[name].until > now}
        return {"ok": True, "callbacks": urls, "former_until": former, "counts": self.count()}

    def _check_open(self) -> None:
        if self._origin == "":
            text = "there is no [callbacks] section; write one with `listen` and `public_url` in broker.toml, then restart the broker"
            raise Refused("not_found", text)
        if not self.is_open:
            raise Refused("not_found", "the section [callbacks] is no more in broker.toml; the listener goes with the next restart")

    async def take(self, lane: Lane, receipts: Sequence[Receipt], inbound: Sequence[Inbound]) -> None:
        """Make durable what a call said. A receipt with a token means the attempt that this and its recipient pick, of this account
        alone; where they pick none, the one that has its id. Raises Unstored.
        """
        if receipts:
            await take_receipts(self.ex, lane, receipts, self._find_match)
        if inbound:
            await take_inbound(self.ex, lane, inbound)
        failpoint("callback.stored")

    def _find_match(self, lane: Lane, receipt: Receipt) -> tuple[Receipt, Match | None]:
        token, heard = receipt.token, receipt.recipient
        if token is None:
            return receipt, None
        match = None
        if _is_token(token):
            match = (heard is not None and self._find_attempt(lane, token, heard)) or self._search_call(lane, token, heard)
        self.unmatched += match is None
        return msgspec.structs.replace(receipt, token=None if match is None else f"{match.message}/{match.n}"), match

    def _find_attempt(self, lane: Lane, token: str, heard: str) -> Match | None:
        fitting = [
            Match(live.message.id, n, None, live)
            for live, n in self.ex.query.find_call(token, mark_of(heard))
            if is_recipient(live.message.to, heard) and any(each.n == n and each.provider == lane.name for each in live.attempts)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _search_call(self, lane: Lane, token: str, heard: str | None) -> Match | None:
        """The recipient is not named, or is written in another way: the whole call is looked at."""
        rows = self.ex.query.read_call(token, 2 if heard is None else LARGEST_CALL)
        fitting = [row for row in rows if row[2] == lane.name and is_recipient(row[3], heard)]
        return Match(fitting[0][0], fitting[0][1]) if len(fitting) == 1 else None


def mark_of(recipient: str) -> str:
    """What tells a recipient from the others of its call: two of them with one mark would be told apart by the number itself."""
    return blake2b(recipient.encode(), digest_size=4).hexdigest()


def _make_secret() -> str:
    return os.urandom(16).hex()


def _read(fact: dict[str, Any]) -> Pass:
    digest, former = (bytes.fromhex(fact[key]) if key in fact else _NONE for key in ("digest", "former"))
    return Pass(fact.get("secret") or "", digest, former, fact.get("until") or 0)
