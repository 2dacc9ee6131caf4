"""The reference: what statuses and attempts must be, said again in as few words as possible. No clock, no store, no daemon.

Two providers, `a` and `b`, are asked in `order`; a message's tag is its rule. Times are milliseconds since the start. It knows nothing
of how the broker does it, and imports nothing of it but the ranks of receipts.
"""

from dataclasses import dataclass, field

from broker.words.status import RANK

STEP = 50
"""What each thing that happens takes, so that it is durable before it is looked at."""
DOUBT_WAIT, DOUBT_DEADLINE, RECEIPT_WAIT = 15_000, 45_000, 95_000
VALIDITIES = (65_000, 3_600_000)
"""Together with ticks of ten seconds nothing is ever due within two seconds of a look."""
TAGS = ("hold", "resend", "failover", "manual")
MOST_COPIES = {"hold": 1, "manual": 1, "resend": 2, "failover": 2}
FINALS = frozenset({"delivered", "undelivered", "expired", "canceled", "blocked"})
ENDED = FINALS | {"failed", "unknown", "unconfirmed"}


@dataclass
class Try:
    """One attempt. `closed_at`: when its answer came, or did not."""

    provider: str
    state: str = "open"
    receipt: str | None = None
    closed_at: int = 0


@dataclass
class Letter:
    """One message."""

    tag: str
    valid_until: int
    status: str = "queued"
    tries: list[Try] = field(default_factory=list)
    visited: set[str] = field(default_factory=set)
    crashes: int = 0

    @property
    def last(self) -> Try:
        """The newest attempt."""
        return self.tries[-1]

    @property
    def copies(self) -> int:
        """Attempts that may have reached the phone."""
        return sum(each.state in ("accepted", "in_doubt", "abandoned") for each in self.tries)

    def show(self) -> tuple[str, tuple[tuple[str, str, str | None], ...]]:
        """(status, each attempt's provider, state and receipt)."""
        return self.status, tuple((each.provider, each.state, each.receipt) for each in self.tries)


class Reference:
    """All messages by name, and what is due when."""

    def __init__(self) -> None:
        self.now = 0
        self.order = ["a", "b"]
        self.letters: dict[str, Letter] = {}
        self.blocked = 0

    def submit(self, name: str, tag: str, validity: int) -> None:
        """A message is taken and leaves at once."""
        self.letters[name] = Letter(tag, self.now + validity)
        self._route(self.letters[name])

    def answer(self, name: str, class_: str) -> None:
        """The provider's answer to the open attempt."""
        letter = self.letters[name]
        last = letter.last
        last.closed_at = self.now
        last.state = {"accepted": "accepted", "in_doubt": "in_doubt"}.get(class_, "refused")
        self.blocked += class_ == "blocked"
        if class_ == "accepted":
            letter.status = "sent"
        elif class_ == "in_doubt":
            letter.status = "in_doubt"
        else:
            self._refuse(letter, class_)

    def refute(self, name: str, class_: str) -> None:
        """The answer to the attempt in doubt comes late, and refuses it."""
        letter = self.letters[name]
        letter.last.state = "refused"
        if self.now < letter.valid_until:
            self._refuse(letter, class_)
        else:
            self._end(letter, "expired")

    def hear(self, name: str, class_: str) -> None:
        """A receipt of the newest attempt, which is accepted, in doubt, or given up as unknown: then it is late proof."""
        letter = self.letters[name]
        last = letter.last
        if letter.status == "in_doubt":
            letter.status = "sent"
        last.state = "accepted"
        if last.receipt is None or RANK[class_] > RANK[last.receipt]:
            last.receipt = class_
        if last.receipt in FINALS and (letter.status == "sent" or RANK[last.receipt] > RANK.get(letter.status, 9)):
            letter.status = last.receipt

    def resolve(self, name: str, *, is_taken: bool) -> None:
        """A person knows what became of the attempt in doubt."""
        letter = self.letters[name]
        letter.last.state = "accepted" if is_taken else "refused"
        if is_taken:
            letter.status = "sent"
        else:
            self._end(letter, "failed" if self.now < letter.valid_until else "expired")

    def release(self, name: str) -> None:
        """A person lets a held message go: from the start of a round."""
        self.letters[name].visited.clear()
        self._route(self.letters[name])

    def cancel(self, name: str) -> None:
        """A person cancels a held message."""
        self.letters[name].status = "canceled"

    def crash(self) -> None:
        """What was open is in doubt."""
        for letter in self.letters.values():
            if letter.status == "sending":
                letter.status, letter.last.state, letter.last.closed_at = "in_doubt", "in_doubt", self.now
                letter.crashes += 1

    def reload(self) -> None:
        """The rules name the providers the other way round."""
        self.order.reverse()

    def tick(self, span: int) -> None:
        """Time passes: whatever is due happens, in its order."""
        until = self.now + span
        while due := min(((at, name) for name in self.letters if (at := self._find_due(self.letters[name])) <= until), default=None):
            self.now = due[0]
            self._fall_due(self.letters[due[1]])
        self.now = until

    def _find_due(self, letter: Letter) -> int:
        never = 1 << 60
        if letter.status == "held":
            return letter.valid_until
        if letter.status == "sent":
            return letter.last.closed_at + RECEIPT_WAIT
        if letter.status != "in_doubt":
            return never
        copy_at = letter.last.closed_at + DOUBT_WAIT
        return copy_at if self._find_copy(letter, copy_at) else letter.last.closed_at + DOUBT_DEADLINE

    def _find_copy(self, letter: Letter, at: int) -> str | None:
        """Who would send another copy at that time."""
        if letter.copies >= MOST_COPIES[letter.tag] or at >= letter.valid_until:
            return None
        if letter.tag == "resend":
            return letter.last.provider
        return next((each for each in self.order if each not in letter.visited | {letter.last.provider}), None)

    def _fall_due(self, letter: Letter) -> None:
        if letter.status == "held":
            self._end(letter, "expired")
        elif letter.status == "sent":
            letter.status = "unconfirmed"
        elif self.now == letter.last.closed_at + DOUBT_WAIT:
            provider = self._find_copy(letter, self.now)
            assert provider is not None
            letter.last.state = "abandoned"
            if letter.tag == "failover":
                letter.visited.add(letter.last.provider)
            self._open(letter, provider)
        else:
            letter.last.state, letter.status = "abandoned", "unknown"

    def _route(self, letter: Letter) -> None:
        provider = next((each for each in self.order if each not in letter.visited), None)
        if provider is None:
            self._end(letter, "failed")
        elif self.now >= letter.valid_until:
            self._end(letter, "expired")
        else:
            self._open(letter, provider)

    def _open(self, letter: Letter, provider: str) -> None:
        letter.tries.append(Try(provider))
        letter.status = "sending"

    def _refuse(self, letter: Letter, class_: str) -> None:
        if class_ == "unsuitable":
            letter.visited.add(letter.last.provider)
        if class_ == "unsuitable" and letter.tag == "manual":
            letter.status = "held"
        elif class_ == "unsuitable":
            self._route(letter)
        else:
            self._end(letter, "failed" if class_ == "rejected" else class_)

    def _end(self, letter: Letter, status: str) -> None:
        is_doubted = any(each.state in ("in_doubt", "abandoned") for each in letter.tries)
        letter.status = "unknown" if is_doubted and status in ("failed", "expired") else status
