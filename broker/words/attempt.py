"""An attempt: one intent to hand one message to one provider account.

Its row is committed before the first byte leaves (promise 4). The truth lives in the store.
"""

from functools import lru_cache

import msgspec

from broker.words.channel import name_candidate
from broker.words.status import AttemptState


class DoubtPolicy(msgspec.Struct, frozen=True, gc=False):
    """The rule's in-doubt settings as they were when the attempt opened; a reload cannot change them. Times in milliseconds.

    `memory`: for how long the provider, as it was configured then, knows a repeat of this attempt's request, 0 not at all; None where
    that was not kept.
    """

    mode: str = "hold"
    wait: int = 60_000
    deadline: int = 900_000
    max_copies: int = 1
    memory: int | None = None


@lru_cache(maxsize=256)  # a handful of policies serve all attempts
def remember(policy: DoubtPolicy, memory: int) -> DoubtPolicy:
    """The policy of an attempt at a provider that knows a repeat of its request for `memory`."""
    return msgspec.structs.replace(policy, memory=memory)


class Piece(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What is known of one part of an attempt, in the order of its `refs`.

    `receipt`: the class of its highest-ranked receipt, `accepted` before there is one, None while nothing proves that the provider has
    the part. `cost` in micro-units of the account's currency, and `segments`: what the provider says that it charged.
    """

    receipt: str | None = None
    cost: int | None = None
    segments: int | None = None


class Attempt(msgspec.Struct, gc=False):
    """One attempt. `price` is in micro-units of `currency`, None where unknown; `credit` in micro-units of the bucket's unit.

    `token` names the call that carried it in callback URLs, with a mark of the recipient where the call carries several messages;
    empty where the provider is told no URL. `key` is what the provider's idempotency sees. `receipt` is the class of the
    highest-ranked receipt so far, over all parts; `channel` the one that it goes by in place of the message's own. `refs` are the
    provider's ids, one for each part that we split, "" for a part without one; `pieces` says what is known of each part, empty until
    there is more to say than `state` and `receipt` do. Times are milliseconds since the epoch, UTC.
    """

    message: str
    n: int
    provider: str
    token: str
    opened_at: int
    state: AttemptState = "open"
    key: str = ""
    sender: str | None = None
    closed_at: int | None = None
    class_: str | None = msgspec.field(default=None, name="class")
    code: str | None = None
    detail: str | None = None
    refs: tuple[str, ...] = ()
    parts: int = 1
    price: int | None = None
    currency: str | None = None
    bucket: str | None = None
    credit: int = 0
    receipt: str | None = None
    doubt: DoubtPolicy = DoubtPolicy()
    channel: str | None = None
    pieces: tuple[Piece, ...] = ()

    @property
    def candidate(self) -> str:
        """The name of the candidate that it is a visit of, as a round keeps it."""
        return name_candidate(self.provider, self.channel)

    @property
    def id(self) -> str:
        """The attempt's name: the message's id and its number."""
        return f"{self.message}/{self.n}"
