"""The settings: broker.toml as frozen values, defaults filled in, durations in milliseconds, money in micro-units.

Read and checked by `broker.config`; nothing here reads a file. Names and defaults are CONTRACT §3's.
"""

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from broker.words.clock import DAY, HOUR, MINUTE, SECOND
from broker.words.secret import Secret


class Duration(int):
    """Milliseconds, written in TOML as "250ms" "5s" "10m" "24h" "7d"."""


class Rate(msgspec.Struct, frozen=True):
    """`amount` segments (or messages) per `per` milliseconds, written "50/s", "300/m"."""

    amount: int
    per: int

    @property
    def per_second(self) -> Decimal:
        """The rate per second."""
        return Decimal(self.amount * 1000) / self.per


Url = Annotated[str, "url"]
"""An address that requests go to: http:// or https://, a host, and no name or password in it."""


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[broker]"""

    name: str = ""
    data_dir: str = ""
    default_country: str | None = None
    currency: str = "EUR"
    plugin_path: tuple[str, ...] = ()
    drain: int = 20 * SECOND
    log: str = "info"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[store]"""

    url: str = "sqlite:broker.db"
    keep_text: int = 7 * DAY
    keep: int = 90 * DAY


class SubmitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[submit]; `socket` is absolute once read, `mode` an octal number."""

    socket: str = "submit.sock"
    mode: int = 0o660
    group: str | None = None
    max_segments: int = 6
    max_queued: int = 1_000_000


class ControlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[control]; `socket` is absolute once read."""

    socket: str = "control.sock"


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[feed]; present only where its section is."""

    listen: str
    keep: int = 7 * DAY
    require_token: bool = False


class CallbackSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[callbacks]; present only where its section is. `public_url`: what providers are told, without a slash at its end; None: the
    listener's own address.
    """

    listen: str
    public_url: str | None = None


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[tokens.NAME]; `sha256` in lower-case hex."""

    sha256: str
    scopes: frozenset[str] = frozenset()


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[clients."…"]: what one client may do, None is without limit; and where its statuses are told."""

    senders: tuple[str, ...] | None = None
    countries: frozenset[str] | None = None
    rate: Rate | None = None
    pin_provider: bool = False
    webhook: str | None = None
    webhook_secret: Secret | None = None
    webhook_cleartext: bool = False

    def __repr__(self) -> str:
        return f"ClientSettings(webhook={self.webhook is not None})"  # an address may have a key in it


class SuppressSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[suppress]: `stop` and `start` are whole inbound texts, in any case and punctuation."""

    scope: str = "sender"
    stop: tuple[str, ...] = ("STOP",)
    start: tuple[str, ...] = ("START",)


class InboundMatch(msgspec.Struct, frozen=True, kw_only=True):
    """`match` of [[inbound]]: every key given must hold, a list is any-of; None is not asked. `keyword` is a text's first word."""

    to: tuple[str, ...] | None = None
    from_: tuple[str, ...] | None = msgspec.field(name="from", default=None)
    keyword: tuple[str, ...] | None = None
    provider: tuple[str, ...] | None = None


class InboundSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One of [[inbound]]: whom inbound messages are handed to, an address (`to`) or a command (`exec`)."""

    match: InboundMatch = InboundMatch()
    to: str | None = None
    exec: tuple[str, ...] | None = None
    secret: Secret | None = None
    cleartext: bool = False

    def __repr__(self) -> str:
        return "InboundSettings(…)"  # an address or an argument may have a key in it


class GuardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[guard]: rates of messages, per prefix of `prefix` digits and per client, past which they are held; None is without limit."""

    per_prefix: Rate | None = None
    per_client: Rate | None = None
    prefix: int = 6


class CreditSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`credit` of a provider; amounts in micro-units. `per_segment` None: 1 for counts and points, the price for money."""

    every: int = 5 * MINUTE
    low: int | None = None
    stop: int = 0
    per_segment: int | None = None


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`breaker` of a provider: `failures` within `window` open it for `open`, doubled at each re-opening up to `max_open`."""

    failures: int = 5
    window: int = 30 * SECOND
    open: int = 10 * SECOND
    max_open: int = 15 * MINUTE


class SpendSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`spend` of a provider: at most `max` micro-units of the account's currency in the last `per` milliseconds."""

    max: int
    per: int


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[providers.NAME]: one account. `config` is the plugin's own Config; `prices` micro-units of `currency` per segment."""

    name: str
    plugin: str
    config: Any = None
    enabled: bool = True
    sender: str | None = None
    senders: dict[str, str] = {}
    rate: Rate | None = None
    max_in_flight: int = 16
    batch: int = 1
    timeout: int = 30 * SECOND
    receipt_wait: int = 72 * HOUR
    query: tuple[int, ...] = (MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR)
    currency: str = "EUR"
    prices: dict[str, int] = {}
    channel_prices: dict[str, int] = {}
    credit: CreditSettings = CreditSettings()
    breaker: BreakerSettings = BreakerSettings()
    spend: SpendSettings | None = None
    codes: dict[str, str] = {}
    callback_secret: Secret | None = None

    def __repr__(self) -> str:
        return f"ProviderSettings({self.name}, plugin={self.plugin})"  # any key of an account may have been given as a secret

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name)]


class Action(msgspec.Struct, frozen=True):
    """What `on` says for a class: `retry` more attempts inside the visit, then `then` (`next` | `fail` | `hold`)."""

    retry: int = 0
    then: str = "next"


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """`match` of a rule: every key given must hold, a list is any-of; None is not asked. Groups are already resolved."""

    country: frozenset[str] | None = None
    prefix: tuple[str, ...] | None = None
    network: tuple[str, ...] | None = None
    type: frozenset[str] | None = None
    sender: frozenset[str] | None = None
    client: frozenset[str] | None = None
    tag: frozenset[str] | None = None
    channel: frozenset[str] | None = None
    encoding: frozenset[str] | None = None
    segments: tuple[str, ...] | None = None
    text: tuple[str, ...] | None = None
    time: tuple[str, ...] | None = None


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """[[rules]]; `max_price` in micro-units of [broker].currency; `min_credit` in segments; `window` as written.

    `use` and the keys of `weights` as written: accounts, or `ACCOUNT:CHANNEL`; `texts` are templates by channel.
    """

    name: str
    use: tuple[str, ...]
    texts: dict[str, str] = {}
    match: Match = Match()
    order: str = "listed"
    weights: dict[str, int] = {}
    max_price: int | None = None
    min_credit: int | None = None
    validity: int = 24 * HOUR
    window: str | None = None
    receipt_within: int | None = None
    max_attempts: int | None = None
    in_doubt: str = "hold"
    doubt_wait: int = 60 * SECOND
    doubt_deadline: int = 15 * MINUTE
    max_copies: int = 2
    transliterate: bool = False
    on: dict[str, Action] = {}
    else_: str = msgspec.field(name="else", default="fail")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of broker.toml, checked. `file` is where it came from, `hash` names its content (first 12 hex of SHA-256).

    `secret_keys`: dotted keys of the values given as { env }, { file } or { credential }, which are secret whatever they are.
    """

    file: str = ""
    hash: str = ""
    secret_keys: frozenset[str] = frozenset()
    broker: BrokerSettings = BrokerSettings()
    store: StoreSettings = StoreSettings()
    submit: SubmitSettings = SubmitSettings()
    control: ControlSettings = ControlSettings()
    feed: FeedSettings | None = None
    callbacks: CallbackSettings | None = None
    tokens: dict[str, TokenSettings] = {}
    clients: dict[str, ClientSettings] = {}
    suppress: SuppressSettings = SuppressSettings()
    currencies: dict[str, Decimal] = {}
    groups: dict[str, tuple[str, ...]] = {}
    providers: dict[str, ProviderSettings] = {}
    rules: tuple[RuleSettings, ...] = ()
    inbound: tuple[InboundSettings, ...] = ()
    guard: GuardSettings | None = None

    def __repr__(self) -> str:
        return f"Settings({self.file}, {self.hash})"  # see ProviderSettings: what is secret is known only by `secret_keys`

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("file", self.file)]
