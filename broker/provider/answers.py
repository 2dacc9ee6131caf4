"""What an HTTP exchange proves, where the provider's own table does not say: statuses, pages, failures of the transport.

Pure: no I/O, no clock (`now` is an argument). It never reads a provider's code and never says what to do; classes are
those of providers/PROVIDERS.md, "Transport and generic HTTP". Whatever stands in no table here is `in_doubt`.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from broker.provider.contract import Reply
from broker.words.clock import MINUTE, SECOND
from broker.words.outcome import Outcome, OutcomeClass

__all__ = ["BEFORE", "STATUSES", "judge", "judge_fault"]

MOST_WAIT = 15 * MINUTE
"""No provider may ask for more than this (CONTRACT §10, Retry backoff)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _name_statuses() -> dict[int, OutcomeClass]:
    rows: dict[OutcomeClass, tuple[int, ...]] = {
        "misconfigured": (
            *range(100, 200),  # a final 1xx: an upgrade that nobody asked for
            *(301, 302, 307, 308),  # never followed
            *(401, 403, 404, 405, 406, 407, 410, 415, 426, 451, 501, 505, 511),
        ),
        "unsuitable": (400, 413, 414, 422, 431),
        "no_credit": (402,),
        "throttled": (429,),
        "unavailable": (503,),  # fronts that answer 503 have not forwarded the request
    }
    return {status: class_ for class_, statuses in rows.items() for status in statuses}


STATUSES = _name_statuses()
"""Status → class; a status that is not here (2xx, 303, 408, 409, 425, most of 5xx) proves nothing: `in_doubt`."""

BEFORE: dict[str, tuple[OutcomeClass, str]] = {
    "url": ("misconfigured", "the request's address is malformed; correct `url`"),
    "request": ("misconfigured", "the request is not valid HTTP; correct `url` or the plugin"),
    "certificate": ("misconfigured", "the provider's TLS certificate was not accepted"),
    "dns": ("unreachable", "the provider's host name did not resolve"),
    "refused": ("unreachable", "the connection was refused"),
    "connect": ("unreachable", "no connection could be made"),
    "pool": ("unreachable", "no connection of the account became free in time"),
    "tls": ("unreachable", "the TLS handshake failed"),
}
"""Evidence of a failure before a byte was offered → class and what a person reads: it is proven that nothing was sent."""

_AFTER: dict[str, str] = {
    "timeout": "no whole answer in time",
    "reset": "the connection was reset before a whole answer",
    "cut": "the answer was cut off",
    "protocol": "the answer is not valid HTTP",
    "encoding": "the answer came compressed, which was not asked for",
    "too large": "the answer is too large",
    "write": "the connection broke while the request was being written",
}


def judge(reply: Reply, statuses: frozenset[int], now: int) -> Outcome | None:
    """What a whole answer comes to; None where the plugin's parse decides: its status is in `statuses` and it is no HTML page.

    `now` is in milliseconds UTC, for a Retry-After that is a date. The outcome's code is the status as text.
    """
    status = reply.status
    if reply.is_html:
        if 200 <= status < 300:
            return Outcome("in_doubt", str(status), "a web page came instead of an answer", evidence="html")
        if 400 <= status < 500 and status not in (402, 408, 429):
            # A proxy or firewall in front of the provider refused: never a verdict on recipient or text.
            return Outcome("misconfigured", str(status), f"a web page refused us, HTTP {status}", evidence="html")
    elif status in statuses:
        return None
    wait = _read_wait(reply.headers.get("retry-after"), now) if status in (429, 503) else None
    return Outcome(STATUSES.get(status, "in_doubt"), str(status), f"the provider answered HTTP {status}", retry_after=wait)


def judge_fault(evidence: str, is_offered: bool) -> Outcome:
    """What a failure of the transport comes to. Once a byte was offered nothing is proven, whatever failed."""
    if is_offered:
        detail = _AFTER.get(evidence, "the exchange failed after the request had begun")
        return Outcome("in_doubt", detail=detail, evidence=evidence)
    class_, detail = BEFORE.get(evidence, ("unreachable", "the exchange failed before anything was sent"))
    return Outcome(class_, detail=detail, evidence=evidence)


def _read_wait(value: str | None, now: int) -> int | None:
    """Milliseconds that a Retry-After header asks for, 0 to MOST_WAIT; None where there is none or it cannot be read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(int(text) * SECOND, MOST_WAIT) if len(text) < 10 else MOST_WAIT
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # a zone of -0000 reads as naive; HTTP knows only GMT
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - _EPOCH) // timedelta(milliseconds=1) - now, 0), MOST_WAIT)
