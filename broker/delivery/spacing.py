"""The duplicate window of one account: identical requests of different messages leave so far apart that the provider takes both.

Some providers refuse a request that is like one of the last minute. A message like another one waits in its lane until that minute is
over; a proven refusal starts none (CONTRACT §10). Never drops one. Knows nothing of before a restart: then the provider's word counts.
"""

from collections import OrderedDict

from broker.words.clock import SECOND

MARGIN = 2 * SECOND
"""The provider's clock begins when it reads the request, ours when we write it."""
MOST = 100_000


class Spacing:
    """One account's latest requests: a digest of each → (the message, when it left), in the order of leaving; and the other way round."""

    __slots__ = ("_latest", "_of")

    def __init__(self) -> None:
        self._latest: OrderedDict[bytes, tuple[str, int]] = OrderedDict()  # its oldest is found at once, as a dict's is not
        self._of: dict[str, bytes] = {}

    def find_wait(self, mark: bytes, id_: str, window: int, now: int) -> int | None:
        """Until when the message of `mark` has to wait for another one's sake; None: it leaves now."""
        other, at = self._latest.get(mark, (id_, 0))
        if other != id_ and now < at + window + MARGIN:
            return at + window + MARGIN
        self._note(mark, id_, now)
        self._prune(now - window - MARGIN)
        return None

    def settle(self, id_: str, is_refused: bool, now: int) -> None:
        """What a request came to: refused, it starts no window; else the window begins now at the latest."""
        mark = self._of.get(id_)
        if mark is None:
            return
        if is_refused:
            del self._latest[mark], self._of[id_]
        else:
            self._note(mark, id_, now)

    def _note(self, mark: bytes, id_: str, now: int) -> None:
        before = self._latest.pop(mark, None)
        if before is not None:
            self._of.pop(before[0], None)
        self._latest[mark], self._of[id_] = (id_, now), mark

    def _prune(self, before: int) -> None:
        while self._latest:
            mark, (id_, at) = next(iter(self._latest.items()))
            if at >= before and len(self._latest) <= MOST:
                return
            del self._latest[mark]
            self._of.pop(id_, None)
