"""Whether the demo's story ended as it should: what the broker says against the providers' own books, and the feed against the store.

Values in, claims out: nothing here asks or prints.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from broker.cli.demo_cast import EURO, FIRST, SECOND, Order, count_copies
from broker.cli.demo_feed import Chronicle
from broker.words.money import convert, read_micro, show_micro
from broker.words.status import STATUSES

if TYPE_CHECKING:
    from broker.provider.contract import Twin

Claim = tuple[bool, str]
Answers = Sequence[dict[str, Any]]


def check(
    chronicle: Chronicle,
    twins: Mapping[str, "Twin"],
    orders: Mapping[str, Order],
    found: Answers,
    repeated: Answers,
    by_hand: set[str],
) -> list[Claim]:
    """Every claim of the story with whether it holds. `found`: the broker's status of each order; `repeated`: the second submits."""
    copies = {order.key: sum(count_copies(twins, order.to).values()) for order in orders.values()}
    lost = [key for key, count in copies.items() if count == 0]
    twice = [key for key, count in copies.items() if count > 1]
    odd = [orders[answer["message"]["id"]].key for answer in found if not _is_well_ended(answer, by_hand)]
    same = [answer for answer in repeated if answer.get("duplicate") is True and answer["id"] in orders]
    total = len(FIRST) + len(SECOND)
    return [
        (len(found) == total and not odd, f"{len(found)} messages: {chronicle.count(STATUSES)}{_name(odd, 'not as it should be')}"),
        (len(copies) == total and not lost, f"nothing lost: each message is in its provider's own books{_name(lost, 'missing')}"),
        (not twice, f"nothing sent twice: no recipient is in any of those books a second time{_name(twice, 'twice')}"),
        (len(same) == total, f"the same {len(same)} once more, with the same keys: known, and not sent"),
        _check_failover(found, "mitake", "unavailable", "Mitake was out of service"),
        _check_failover(found, "isms", "no_credit", "iSMS was out of credit"),
        (bool(by_hand), f"kill -9 left {len(by_hand)} in doubt, settled by the provider's books and not sent again"),
        _check_feed(chronicle, found),
    ]


def _name(keys: Sequence[str], what: str) -> str:
    return f"; {what}: {', '.join(keys)}" if keys else ""


def _is_well_ended(answer: dict[str, Any], by_hand: set[str]) -> bool:
    """Delivered by one provider; or unconfirmed, where it gives no receipts or no reference to ask with was ever received."""
    message = answer["message"]
    providers = [attempt["provider"] for attempt in answer["attempts"] if attempt["state"] == "accepted"]
    if message["status"] == "unconfirmed":
        return providers == ["tatango"] or message["id"] in by_hand
    return bool(message["status"] == "delivered" and len(providers) == 1)


def _check_failover(found: Answers, provider: str, class_: str, what: str) -> Claim:
    refused = [answer for answer in found if (provider, class_) in {(a["provider"], a["class"]) for a in answer["attempts"]}]
    moved = [a for a in refused if any(b["state"] == "accepted" and b["provider"] != provider for b in a["attempts"])]
    return bool(refused) and len(moved) == len(refused), f"{what}: {len(moved)} of {len(refused)} refused there went elsewhere"


def _check_feed(chronicle: Chronicle, found: Answers) -> Claim:
    told = [seq for seqs in chronicle.seqs.values() for seq in seqs]
    missing = {event["seq"] for answer in found for event in answer["events"]} - set(told)
    claim = f"the feed told {len(told)} changes across the kill, each once and in order, and none is missing"
    return chronicle.is_in_order and not missing, claim if not missing else f"{claim} but {len(missing)}"


def sum_up(found: Answers) -> tuple[dict[str, tuple[str, str]], str]:
    """The accepted attempts' prices: provider -> (sum in its own currency, sum in euros); and the sum of all in euros."""
    sums: dict[str, int] = {}
    currencies: dict[str, str] = {}
    for answer in found:
        for attempt in answer["attempts"]:
            if attempt["state"] == "accepted" and attempt["price"] is not None:
                name = attempt["provider"]
                currencies[name] = attempt["currency"]
                sums[name] = sums.get(name, 0) + read_micro(attempt["price"])
    euros = {name: convert(amount, EURO[currencies[name]]) for name, amount in sums.items()}
    prices = {name: (f"{show_micro(amount)} {currencies[name]}", show_micro(euros[name])) for name, amount in sums.items()}
    return prices, show_micro(sum(euros.values()))
