"""A message: one text for one recipient, and how far its routing has come.

The immutable part is fixed at acceptance; `Progress` is the part that rounds and retries rewrite. The truth lives in the store.
"""

import msgspec

PRIORITIES: tuple[str, ...] = ("high", "normal", "low")


class Progress(msgspec.Struct, gc=False, omit_defaults=True):
    """How far the rounds of one message have come (CONTRACT §1, Rounds).

    `rule` is the rule that holds now, `passed` those that `else = "next-rule"` left behind; `visited` says for each candidate (a
    provider, or `provider:channel`) what its last visit ended with (a class): one of a passing class may be asked again in a new
    round, any other never; `later` when one that was visited and asked for time (`retry_after`) may be asked again. `provider` (such
    a candidate's name) and `retries` describe the visit under way, `trouble` is the class of its last answer; `waits` counts
    throttled and retry_later answers in it, `repeats` duplicate ones; `rounds` the rounds begun; `counted` is what `max_attempts`
    counts; `crashes` how often a crash found this message open; `faults` how often a plugin failed on it.
    """

    rule: str | None = None
    passed: tuple[str, ...] = ()
    visited: dict[str, str] = msgspec.field(default_factory=dict)
    later: dict[str, int] | None = None
    provider: str | None = None
    trouble: str | None = None
    retries: int = 0
    waits: int = 0
    repeats: int = 0
    rounds: int = 0
    counted: int = 0
    crashes: int = 0
    faults: int = 0


class Message(msgspec.Struct, gc=False):
    """One accepted message. Times are milliseconds since the epoch, UTC; `max_price` is in micro-units of [broker].currency.

    `to` is E.164; `country` is ISO 3166 alpha-2 or None; `key` is the client's idempotency key; `pin` the provider that the client
    asked for; `priority` an index into PRIORITIES. `status`, `detail`, `lane`, `next_at`, `attempts` and `progress` change.
    """

    id: str
    client: str
    to: str
    country: str | None
    text: str | None
    encoding: str
    segments: int
    accepted_at: int
    valid_until: int
    key: str | None = None
    ref: str | None = None
    network: str | None = None
    sender: str | None = None
    channel: str = "sms"
    priority: int = 1
    tags: tuple[str, ...] = ()
    send_at: int | None = None
    max_price: int | None = None
    pin: str | None = None
    options: dict[str, object] | None = None
    status: str = "queued"
    detail: str | None = None
    lane: str | None = None
    next_at: int = 0
    attempts: int = 0
    progress: Progress = msgspec.field(default_factory=Progress)

    def __repr__(self) -> str:
        return f"Message({self.id})"  # its text and number belong in no traceback
