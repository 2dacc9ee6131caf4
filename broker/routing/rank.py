"""Ranking: which of a rule's candidates may take this message now, in which order, and why the others may not.

One Route is the same value for the dispatcher, for `explain`, for the stored decision and for the tests (CONTRACT §1, Rounds;
§3, rules). Pure: standings are read, never changed.
"""

import hashlib
from collections.abc import Mapping

import msgspec

from broker.routing.account import Account
from broker.routing.book import Book, Rule
from broker.routing.entry import Entry
from broker.routing.standing import SHOWN, Standing
from broker.text import sender_form
from broker.words.channel import OPTION_OF, SMS, account_of, channel_of
from broker.words.message import Message, Progress
from broker.words.outcome import PASSING


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """Who may take the message now: `provider`, the account, by `channel` where that is not the message's own.

    `name` is what visits and weights go by (`smscru:voice`; without an override the account's). `price` and `credit` (usable) in
    micro-units, `cost` what the bucket would pay; `segments` that it takes by this channel; `quoted_at`: when the provider said
    the price, None where it is broker.toml's.
    """

    name: str
    provider: str
    channel: str | None
    segments: int
    price: int | None
    currency: str
    compared: int | None
    bucket: str | None
    cost: int
    credit: int | None
    quoted_at: int | None = None


class LeftOut(msgspec.Struct, frozen=True, gc=False):
    """Who may not, by such a name. `reason` begins with a word of CONTRACT §10; `for_now`: it may later, at `until` where known."""

    name: str
    reason: str
    for_now: bool = False
    until: int | None = None

    @property
    def provider(self) -> str:
        """The account."""
        return account_of(self.name)

    @property
    def channel(self) -> str | None:
        """The channel in place of the message's own."""
        return channel_of(self.name)

    @property
    def word(self) -> str:
        """The first word of the reason."""
        return self.reason.partition(" ")[0].rstrip(":")


class Route(msgspec.Struct, frozen=True, gc=False):
    """The answer: candidates in order, and the rule's other entries with the reason each was left out."""

    rule: str
    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def first(self) -> Candidate | None:
        """The candidate that takes the message now, None where nobody can."""
        return self.candidates[0] if self.candidates else None


def find_rule(book: Book, message: Message, now: int, progress: Progress | None = None) -> Rule | None:
    """The rule that holds: the one the message is under while it exists and was not passed, else the next that matches."""
    rule: Rule | None = None
    passed: tuple[str, ...] = ()
    start = 0
    if progress is not None:
        passed = progress.passed
        if progress.rule is not None and progress.rule not in passed:
            rule = book.by_name.get(progress.rule)
        # The next rule stands behind those passed: one before them that matches only by now (its `time`) does not take over.
        if passed:
            start = max((book.by_name[name].index + 1 for name in passed if name in book.by_name), default=0)
    if rule is None:
        for each in book.rules[start:]:
            if each.name not in passed and each.is_match(message, now):
                rule = each
                break
    if rule is not None and message.pin is not None:
        return book.pin_rule(rule, message.pin)
    return rule


def rank(rule: Rule, message: Message, standings: Mapping[str, Standing], visited: Mapping[str, str]) -> Route:
    """The Route of `message` under `rule`. `visited` says what each candidate's last visit ended with (a class)."""
    candidates: list[Candidate] = []
    left_out: list[LeftOut] = []
    cap = rule.settings.max_price
    if message.max_price is not None and (cap is None or message.max_price < cap):
        cap = message.max_price
    for entry in rule.entries:
        found = _weigh(entry, rule, message, standings.get(entry.account.name), visited, cap)
        if found.__class__ is Candidate:
            candidates.append(found)
        else:
            left_out.append(found)  # type: ignore[arg-type]  # the class test above leaves LeftOut; isinstance is slower here
    if len(candidates) > 1 and rule.order != "listed":
        _sort(candidates, rule, message, standings)
    return Route(rule.name, tuple(candidates), tuple(left_out))


def _weigh(
    entry: Entry,
    rule: Rule,
    message: Message,
    standing: Standing | None,
    visited: Mapping[str, str],
    cap: int | None,
) -> Candidate | LeftOut:
    account, instead = entry.account, None
    name, channel, encoding, segments = account.name, message.channel, message.encoding, message.segments
    if entry.channel is not None:
        unfit = entry.find_bar(message)
        if unfit is not None:
            return LeftOut(entry.name, unfit)
        if entry.channel != channel:
            name, channel = entry.name, entry.channel
            instead = channel
            encoding, segments = entry.measure(message)
    if instead is None and account.measure is not None and channel in SMS and message.text is not None:
        measured = account.measure(message.text)
        encoding, segments = measured.encoding, measured.segments
    refused = _find_bar(account, message, channel, encoding, segments)
    if refused is not None:
        return LeftOut(name, refused)
    before = visited.get(name) if visited else None
    if before is not None and before not in PASSING:
        return LeftOut(name, f"visited: {before}")
    price = account.find_price(message, channel, segments)
    quoted_at = None
    if price is None and standing is not None and standing.quotes is not None and channel in standing.quotes.channels:
        quote = standing.quotes.find(message.to, channel, encoding, segments)
        if quote is not None and quote.price is not None:
            price, quoted_at = quote.price, quote.at
        elif quote is None and cap is not None:
            return LeftOut(name, "price: the provider is being asked for it", True)
    compared = account.compare_price(price)
    if cap is not None and (compared is None or compared > cap):
        return LeftOut(name, "price unknown under a max_price" if compared is None else "price above max_price")
    if standing is None:
        return LeftOut(name, "suspended: not running", True)
    if standing.out is not None:
        reason, until = standing.out
        return LeftOut(name, SHOWN.get(reason, reason), True, until)
    if account.buckets is None:
        if before is not None:
            return LeftOut(name, f"visited: {before}", True)
        return Candidate(name, account.name, instead, segments, price, account.currency, compared, None, 0, None, quoted_at)
    cost = account.find_cost(price, segments)
    bucket, reason_, until = standing.find_credit(account, account.buckets(message, account.find_sender(message)), cost)
    if reason_ is not None:
        return LeftOut(name, _CREDIT_REASON[reason_], True, until)
    credit = None if bucket is None else standing.usable.get(bucket)
    floor = rule.settings.min_credit
    if floor is not None and credit is not None and cost and credit * segments < floor * cost:
        return LeftOut(name, "credit below the rule's min_credit", True)
    if before is not None:
        # Last: where the provider's state of now says more (it is suspended, it is dry), that tells when it may be asked again.
        return LeftOut(name, f"visited: {before}", True)
    return Candidate(name, account.name, instead, segments, price, account.currency, compared, bucket, cost, credit, quoted_at)


_CREDIT_REASON = {"dry": "dry: no credit until a better report", "credit": "credit would fall below stop"}


def _find_bar(account: Account, message: Message, channel: str, encoding: str, segments: int) -> str | None:
    """The reason, if any, for which this account can never take this message by `channel`."""
    if not account.enabled:
        return "disabled"
    if channel not in account.channels:
        return f"channel {channel} is not its"
    if account.countries and message.country not in account.countries:
        return f"channel {channel} here reaches only {', '.join(sorted(account.countries))}"
    if message.options and account.options is not None:
        for key in message.options:
            if key not in account.options and OPTION_OF.get(key, channel) == channel:
                return "channel: cannot schedule" if key == "schedule" else f"channel: does not know options.{key}"
    if channel in SMS:
        if encoding not in account.encodings:
            return f"encoding {encoding} is not its"
        if account.max_segments is not None and segments > account.max_segments:
            return f"length: takes at most {account.max_segments} segments"
    if message.sender is not None and "none" not in account.senders:
        form = sender_form(message.sender)
        if form not in account.senders:
            return f"sender: takes no {form} sender"
    return None


def _sort(candidates: list[Candidate], rule: Rule, message: Message, standings: Mapping[str, Standing]) -> None:
    if rule.order == "cheapest":
        candidates.sort(key=lambda c: (c.compared is None, c.compared or 0))
    elif rule.order == "most_credit":
        # In segments of this message, so that buckets of unlike units compare; unknown ranks last, and without a price so is money.
        candidates.sort(key=lambda c: (c.credit is None or not c.cost, -(c.credit or 0) * c.segments // (c.cost or 1)))
    elif rule.order == "best_delivery":
        candidates.sort(key=lambda c: -standings[c.provider].delivered_share)
    elif rule.order == "weighted":
        candidates.sort(key=lambda c: _draw(message.id, c.name, _find_weight(rule, c, message)))


def _find_weight(rule: Rule, candidate: Candidate, message: Message) -> int:
    """The weight of the entry that gave the candidate: it may name the channel that is the message's own."""
    weights = rule.weights
    found = weights.get(candidate.name)
    return weights.get(f"{candidate.provider}:{message.channel}", 1) if found is None else found


def _draw(message: str, provider: str, weight: int) -> int:
    """A weighted draw that depends on the message's id alone: the smallest wins, each in proportion to its weight.

    Exponential race in integers: -log2(u)/weight, with the logarithm to 16 bits by repeated squaring.
    """
    if weight <= 0:
        return 1 << 62
    digest = hashlib.blake2b(f"{message}\0{provider}".encode(), digest_size=8).digest()
    u = int.from_bytes(digest, "big") | 1
    bits = u.bit_length()
    mantissa = u << (64 - bits)
    log = (64 - bits) << 20
    fraction = 0
    for _ in range(20):
        mantissa = mantissa * mantissa >> 63
        fraction <<= 1
        if mantissa >> 64:
            mantissa >>= 1
            fraction |= 1
    return ((log + (1 << 20) - fraction) << 16) // weight
