"""What an operator sees of lanes, credit, queue and held messages, as plain values. Reads, never changes."""

from typing import Any

from broker.delivery.exchange import Exchange
from broker.delivery.lane import Lane
from broker.text import mask
from broker.words.clock import HOUR, show_span
from broker.words.message import PRIORITIES
from broker.words.money import show_count
from broker.words.status import COPIES

LIST_LIMIT = 1000


def show_lane(ex: Exchange, lane: Lane) -> dict[str, Any]:
    """One provider's state (`broker providers`)."""
    lane.health.show(ex.now())
    out, health, settings = lane.standing.out, lane.health, lane.settings
    share = lane.delivered_share
    waiting = ex.query.count_lane(lane.name)
    return {
        "name": lane.name,
        "plugin": settings.plugin,
        "state": "disabled" if not settings.enabled or lane.is_gone else health.state,
        "reason": None if out is None else out[0],
        "until": None if out is None or out[1] is None else ex.clock.show(out[1]),
        "rate": None if settings.rate is None else f"{settings.rate.amount}/{show_span(settings.rate.per).lstrip('1')}",
        "in_flight": lane.in_flight,
        "max_in_flight": settings.max_in_flight,
        "waiting": waiting,
        "breaker": {"open_until": None if health.open_until is None else ex.clock.show(health.open_until)},
        "credit": show_balances(ex, [lane.name]),
        "accepted": lane.accepted,
        "refused": lane.refused,
        "delivered_share": None if share is None else f"{share:.3f}",
        "channels": sorted(lane.traits.channels),
        "unknown_codes": lane.carrier.unknown,
        "rejected_rows": lane.rejected_row.rows,
    }


def show_balances(ex: Exchange, names: list[str]) -> list[dict[str, Any]]:
    """Credit buckets of the providers named, with the burn rate since the last reports (`broker balance`)."""
    rows = []
    for name in names:
        lane = ex.lanes[name]
        ledger, credit = lane.ledger, lane.ledger.credit
        for bucket in ledger.buckets.values():
            usable = bucket.usable
            burn = ledger.find_burn(bucket.name, ex.now())
            dry_at = None
            if burn and usable is not None:
                dry_at = ex.clock.show(ex.now() + max(usable - credit.stop, 0) * HOUR // burn)
            rows.append(
                {
                    "provider": name,
                    "bucket": bucket.name,
                    "unit": bucket.unit or lane.traits.unit,
                    "reported": None if bucket.reported is None else show_count(bucket.reported),
                    "usable": None if usable is None else show_count(usable),
                    "reserved": show_count(bucket.reserved),
                    "reported_at": ex.clock.show(bucket.reported_at) if bucket.reported_at else None,
                    "dry": bucket.name in lane.standing.dry,
                    "low": None if credit.low is None else show_count(credit.low),
                    "stop": show_count(credit.stop),
                    "burn_per_hour": None if burn is None else show_count(burn),
                    "runs_dry_at": dry_at,
                }
            )
    return rows


def list_queue(ex: Exchange) -> dict[str, Any]:
    """What waits, by lane and priority (`broker queue`)."""
    rows = [
        {
            "lane": lane,
            "priority": PRIORITIES[priority],
            "count": count,
            "oldest": ex.clock.show(oldest),
            "next_at": ex.clock.show(oldest),
        }
        for lane, priority, count, oldest in ex.query.count_due()
    ]
    next_at = ex.query.find_next_waiting("scheduled")
    scheduled = {"count": ex.query.count_scheduled(), "next_at": None if next_at is None else ex.clock.show(next_at)}
    return {"ok": True, "queue": rows, "total": sum(row["count"] for row in rows), "scheduled": scheduled}


def list_in_doubt(ex: Exchange) -> dict[str, Any]:
    """Messages in doubt: what is known, what is done about it and until when (`broker in-doubt`); at most LIST_LIMIT of them."""
    rows = []
    for message in ex.query.read_waiting("in_doubt", 1 << 62, LIST_LIMIT)[:LIST_LIMIT]:
        attempts = ex.query.find_attempts(message.id)
        attempt = next((each for each in reversed(attempts) if each.state == "in_doubt"), None)
        if attempt is None:
            continue
        since = attempt.closed_at or attempt.opened_at
        rows.append(
            {
                "id": message.id,
                "provider": attempt.provider,
                "attempt": attempt.n,
                "to": mask(message.to),
                "client": message.client,
                "since": ex.clock.show(since),
                "detail": attempt.detail,
                "code": attempt.code,
                "policy": attempt.doubt.mode,
                "copies": sum(each.state in COPIES for each in attempts),
                "next_at": ex.clock.show(message.next_at),
                "unknown_at": ex.clock.show(since + attempt.doubt.deadline),
            }
        )
    return {"ok": True, "in_doubt": rows, "total": len(rows)}


def list_held(ex: Exchange, cause: str | None) -> dict[str, Any]:
    """Held messages and what each waits for (`broker held`); at most LIST_LIMIT of them."""
    rows = ex.query.read_held(cause, None, LIST_LIMIT)
    held = [
        {
            "id": message.id,
            "cause": message.detail,
            "to": mask(message.to),
            "client": message.client,
            "accepted_at": ex.clock.show(message.accepted_at),
            "valid_until": ex.clock.show(message.valid_until),
            "tags": list(message.tags),
        }
        for message in rows
    ]
    return {"ok": True, "held": held, "total": ex.query.count_held(cause)}
