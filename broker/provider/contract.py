"""What a plugin is: the values that pass between the broker and a provider's plugin, and the traits that a plugin declares.

A plugin of an HTTP provider is a module of data and pure functions, in the fixed order of DESIGN.md, "A plugin":

    TITLE, MANUAL            one line for `broker plugins`; the manual's address and date
    Config                   msgspec.Struct, every key documented, secrets typed Secret
    TRAITS                   a Traits value
    CODES                    provider's code -> outcome class; QUERY_CODES the same for receipts
    build(config, sends, now) -> Call
    parse(config, reply, sends) -> list[Outcome]                    one each, in order
    query(config, asks, now) -> Call;  parse_query(config, reply, asks) -> list[Receipt]     one each, in order
    balance(config, now) -> Call;      parse_balance(config, reply) -> list[Balance] | Outcome
    buckets(config, message, sender) -> tuple[str, ...]             the credit buckets that may pay, in order
    price(config, sends, now) -> Call; parse_price(config, reply, sends) -> (micro-units, segments) | Outcome    what one would cost now
    cancel(config, asks, now) -> Call; parse_cancel(config, reply, asks) -> list[Receipt]    `canceled`, or what the message is instead
    contact(config, change, now) -> Call; parse_contact(config, reply) -> Outcome            the provider's address book
    measure(config, text) -> Verdict                                what the text becomes here (encoding, units, segments), where
                                                                    the plugin splits it itself; without it, the plain count
    shape(config, send) -> Hashable | None    only sends of one shape share a request; None: it needs one of its own
    receipts(config, request, now) -> Parsed                        what a provider sent to our callback address
    read_code(text) -> str                    a key of an account's `codes` as an Outcome's code writes it; ValueError where it is none

An HLR request is a message of channel `hlr`: `build` asks, and the receipt that `parse_query`, `receipts` or a session gives carries
a Lookup.

Everything but `build` and `parse` only where the provider has it. `twin.py` beside it is the provider's side: `Twin`, below.
A plugin does no I/O, reads no clock, and raises nothing for a reply: nonsense is class `in_doubt`. `build` raises Unsuitable for a
message that this provider cannot take, which has to be alone in its request (`shape`). A session plugin gives
`open_session(config, name) -> Session | None` instead of build and parse, or beside them: None where this account's messages go by
HTTP. A session may have an HTTP side for the balance. Transport failures never reach a plugin.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from broker.text import encoding_of
from broker.words.inbound import Changes, Inbound
from broker.words.message import Message
from broker.words.outcome import Balance, Outcome
from broker.words.receipt import Lookup, Receipt
from broker.words.secret import Secret

__all__ = [
    "Ask",
    "Balance",
    "Call",
    "CallbackAnswer",
    "CallbackRequest",
    "Changes",
    "ContactChange",
    "Inbound",
    "Lookup",
    "Outcome",
    "Parsed",
    "Port",
    "Receipt",
    "Reply",
    "Secret",
    "Send",
    "Session",
    "StreamTwin",
    "Traits",
    "Twin",
    "TwinReply",
    "TwinRequest",
    "Unstored",
    "Unsuitable",
]


class Send(msgspec.Struct, frozen=True, gc=False):
    """One message to hand over: `attempt` is the attempt's id, `n` its number in the message, `sender` the sender id to use here.

    `key` is the idempotency key: it stays the same only for attempts that may repeat each other; `callback_url` is None unless
    receipts can be pushed. `channel` and `body` are set where the rule sends the message by another channel, or with another text,
    than its own: plugins read `via` and `text`.
    """

    message: Message
    attempt: str
    n: int
    sender: str | None
    key: str
    callback_url: str | None = None
    channel: str | None = None
    body: str | None = None

    @property
    def via(self) -> str:
        """The channel to send by."""
        return self.channel or self.message.channel

    @property
    def text(self) -> str:
        """The text to send; empty for the channels that have none."""
        return self.body if self.body is not None else self.message.text or ""

    @property
    def encoding(self) -> str:
        """The cheapest encoding of `text`: `gsm7` or `ucs2`."""
        return self.message.encoding if self.body is None else encoding_of(self.body)

    def __repr__(self) -> str:
        return f"Send({self.attempt})"  # its text and number belong in no traceback


class Unsuitable(Exception):
    """Raised by `build`: this provider cannot take the message, another may. `code` names the cause, as in `options.schedule`.

    The text is for a person and says what to do; it holds no text, number or secret.
    """

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code


class ContactChange(msgspec.Struct, frozen=True):
    """A change of the provider's address book: `action` is `add` or `delete`, `mobile` E.164."""

    action: str
    mobile: str
    name: str = ""
    surname: str = ""
    comments: str = ""

    def __repr__(self) -> str:
        return f"ContactChange({self.action})"


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One accepted attempt whose fate is asked for: the provider's ids, the recipient (E.164), our key, when it was accepted.

    `sender` is the sender id that it was sent with; `channel` is the one that it went by: a provider may answer for an `hlr` request
    elsewhere than for an SMS.
    """

    attempt: str
    refs: tuple[str, ...]
    recipient: str
    key: str
    sent_at: int
    channel: str = "sms"
    sender: str | None = None

    def __repr__(self) -> str:
        return f"Ask({self.attempt})"  # the recipient belongs in no traceback


class Call(msgspec.Struct, frozen=True):
    """One HTTP request. `url` is whole, query included; `body` is already encoded; `secrets` are the values that nothing may print."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Call({self.method} …)"


class Reply(msgspec.Struct, frozen=True):
    """A whole HTTP answer: header names in lower case, the body as it came."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"

    @property
    def is_html(self) -> bool:
        """True where a page answers, not the provider's API: by how the body begins, or its type says so and it begins with a tag.

        The type alone proves nothing: a PHP script says text/html of whatever it prints.
        """
        head = self.body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<title", b"<!--")):
            return True
        return head.startswith(b"<") and "html" in self.headers.get("content-type", "").lower()


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider can do, as facts for routing, lanes and receipts.

    `channels`; `encodings` it takes (`gsm7`, `ucs2`); `splits`: who splits long text (`provider` | `broker`); `max_segments` it
    takes; `senders`: sender forms it takes (`alphanumeric` `numeric` `shortcode` `none`: it has its own and ignores ours);
    `batch`: messages one request may carry; `receipts`: how a final status comes (`callback`, `poll`; empty: never);
    `by_ref`: receipts come that name only the provider's id, which is then kept to find the attempt by; `ask_batch`: attempts one
    query may carry; `idempotency`: milliseconds for which a repeated key sends nothing, 0 none;
    `duplicate_window`: milliseconds in which an identical request is refused; `unit`: what credit is counted in (`points`,
    `sms`, a currency's code, or None where there is no credit); `money`: that unit is money, a segment costs its price;
    `statuses`: HTTP statuses whose meaning the plugin's parse decides (any other, and any HTML page, is the transport table's);
    `countries`: the only ones it serves, empty for any; `doubt`: ways to resolve an attempt in doubt (`token` `key` `query`
    `duplicate`); `schedule`: it keeps a message until the time in `options.schedule`; `cancel`: and gives it up before then;
    `quotes`: channels for which `price` says what a message costs, in `unit`;
    `http`: channels of an account with a session that go by HTTP all the same, by `build` and `query` (then `ask_batch` is 1);
    `options`: the other keys of a message's `options` that it knows, None for any: a message with a key that it does not know never
    goes there.
    """

    channels: frozenset[str] = frozenset({"sms"})
    encodings: frozenset[str] = frozenset({"gsm7", "ucs2"})
    splits: str = "provider"
    max_segments: int | None = None
    senders: frozenset[str] = frozenset({"alphanumeric", "numeric", "shortcode"})
    batch: int = 1
    receipts: tuple[str, ...] = ()
    by_ref: bool = False
    ask_batch: int = 1
    idempotency: int = 0
    duplicate_window: int = 0
    unit: str | None = None
    money: bool = False
    statuses: frozenset[int] = frozenset({200, 201, 202})
    countries: frozenset[str] = frozenset()
    doubt: frozenset[str] = frozenset()
    schedule: bool = False
    cancel: bool = False
    http: frozenset[str] = frozenset()
    quotes: frozenset[str] = frozenset()
    options: frozenset[str] | None = frozenset()

    @property
    def memory(self) -> int:
        """Milliseconds for which the provider knows a repeat of a request, by its key or its bytes, where that is proof of the first."""
        by_key = self.idempotency if "key" in self.doubt else 0
        return max(by_key, self.duplicate_window if "duplicate" in self.doubt else 0)


class CallbackRequest(msgspec.Struct, frozen=True):
    """What a provider sent to our callback address, its secret already checked: `query` is raw, header names in lower case.

    `token` is the last part of the path, None where there was none: `receipts` gives it back in each Receipt that it makes for it.
    """

    method: str
    query: str
    headers: dict[str, str]
    body: bytes
    token: str | None = None

    def __repr__(self) -> str:
        return f"CallbackRequest({self.method})"


class CallbackAnswer(msgspec.Struct, frozen=True):
    """What the provider wants to hear, sent only after whatever it told us is durable."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain; charset=utf-8"),)
    body: bytes = b""


class Parsed(msgspec.Struct, frozen=True):
    """What a callback said. `answer` also where nothing could be read of it: then a provider repeats, or not, as it likes."""

    receipts: tuple[Receipt, ...] = ()
    inbound: tuple[Inbound, ...] = ()
    answer: CallbackAnswer = CallbackAnswer()


class Unstored(Exception):
    """Receipts or inbound messages cannot be made durable now: do not acknowledge them; the provider sends them again."""


class Port(Protocol):
    """What a session has of the broker."""

    async def __call__(self, receipts: Sequence[Receipt], inbound: Sequence[Inbound] = ()) -> Sequence[str | None]:
        """Make them durable; return after the commit: for each receipt the ref, as it was stored, that it matched, None for none.

        A receipt that matches nothing yet waits, durable too. Proof of an attempt in doubt that comes late is a receipt `progress` with
        the attempt as its `token` and the provider's id as its `ref`, which the attempt then has. Raises Unstored: say none of these
        to the provider, it sends them again.
        """

    async def refute(self, attempt: str, outcome: Outcome) -> None:
        """The provider's answer to an attempt in doubt came late, and refuses it whole; or, `outcome` being in doubt, some of its parts
        while others are taken (`evidence` "partial"). Return after the commit. Raises Unstored.
        """

    async def keep(self, changes: Changes) -> None:
        """Make durable what is no message yet, such as a part of a long one; return after the commit. Raises Unstored."""

    def read_kept(self) -> dict[str, dict[str, Any]]:
        """All that is kept of this account, by name: across restarts, until a change or the end of [store].keep removes it."""

    def now(self) -> int:
        """The broker's own time, for waits: milliseconds that only ever go on."""

    def wall(self) -> int:
        """The date, in milliseconds UTC, as a Send's message has it: whoever sets the machine's clock sets this."""

    def report(self, outcome: Outcome | None) -> None:
        """The session may submit (None), or why it may not: `unreachable`, `misconfigured` (a refused bind), `throttled`."""


Settle = Callable[[int, Outcome], None]


class Session(Protocol):
    """A provider that keeps its own connection."""

    async def run(self, sink: Port, *, task_status: Any) -> None:
        """Serve until cancelled; `task_status.started()` at once, before it is connected: `sink.report` says when it is."""

    async def submit(self, sends: Sequence[Send], settle: Settle) -> None:
        """Hand the messages over. `settle(index, outcome)` for each as soon as it is known; return when each was settled.

        One call's messages do not wait for each other: the slot of each is free when its own outcome is durable.
        """

    async def query(self, asks: Sequence[Ask]) -> list[Receipt]:
        """Ask for the fate of attempts: one receipt each, in order. Only where the traits' `receipts` name `poll`."""


class TwinRequest(msgspec.Struct, frozen=True):
    """What reached a twin: `query` is the raw query string, header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class TwinReply(msgspec.Struct, frozen=True):
    """What a twin answers. `cut`: close the connection after so many bytes of the body (0: before the status line)."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: int = 0
    cut: int | None = None


class StreamTwin(Protocol):
    """The provider's side of a session: it speaks on a stream of bytes, and may keep time. Scripted and asked as Twin is."""

    sent: list[tuple[str, str, str]]

    async def converse(self, stream: Any, now: Callable[[], int]) -> None:
        """Serve one connection (a trio stream) until it ends; `now` is the clock, milliseconds UTC."""


class Twin(Protocol):
    """The provider's side, as a state machine over requests: no I/O, no clock of its own.

    `Twin(**script)` is made with keyword arguments that script it: always `balance` (credit to begin with, provider's unit),
    `answers` (a list of codes to give to the next sends, in order, then normal service) and `fault` (a code given to every send
    until it is set to None). `paths` tells the server which path prefixes are its own. `sent` lists what it took, in order:
    (recipient as it came, text, reference it gave), for a handset ledger.

    A provider that calls back has two more: `calls(now) -> list[Call]`, what it would call now, and `hear(call, reply)`, what it was
    answered.
    """

    sent: list[tuple[str, str, str]]

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        """The provider's answer to one request at `now` (milliseconds UTC)."""
