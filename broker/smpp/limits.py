"""The bounds of one SMPP link, in one value. Knows nothing of what they are measured on."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one link; times in milliseconds.

    `window`: our requests without a response; `response_timeout`: how long each may be; `bind_timeout`: the same for a bind, and on the
    SMSC's side how long a peer may stay unbound; `enquire_every`: silence after which we ask, 0 never; `enquire_timeout`: how long the
    peer may then stay silent; `pdu_timeout`: how long a PDU may take to arrive; `unbind_wait`: how long our unbind waits for what is
    outstanding, and then as long again for its response; `peer_wait`: the same courtesy to a peer that unbinds; `most_unanswered`: the
    peer's requests that wait for `answer`; `most_late`: requests in doubt whose response is still waited for; `most_anomalies`: those
    of one minute; `most_unread`: octets that wait to be taken.
    """

    window: int = 10
    response_timeout: int = 60_000
    bind_timeout: int = 10_000
    enquire_every: int = 60_000
    enquire_timeout: int = 10_000
    pdu_timeout: int = 10_000
    unbind_wait: int = 5_000
    peer_wait: int = 1_000
    most_unanswered: int = 2_500
    most_late: int = 10_000
    most_anomalies: int = 100
    most_unread: int = 4 << 20


class Patience:
    """Counts what a peer does wrong, and says when it is too much: more than `most` within a minute."""

    __slots__ = ("_count", "_most", "_until")

    def __init__(self, most: int, now: int) -> None:
        self._most = most
        self._count = 0
        self._until = now + 60_000

    def spend(self, now: int) -> bool:
        """Count one; False when it was one too many."""
        if now >= self._until:
            self._count, self._until = 0, now + 60_000
        self._count += 1
        return self._count <= self._most
