"""iSMS.gr's side of its HTTP API: takes messages, counts credits, answers as the vendor's page says.

Never does I/O or reads a clock, and shares no code with the plugin: what one writes the other must read. The
truth is the vendor's page (see the plugin's MANUAL). Number lookup, contacts and the schedule are not in it.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from broker.provider.contract import TwinReply, TwinRequest
from broker.text import SenderError, check_sender, encoding_of, verdict
from broker.words.clock import MINUTE, SECOND

FAULTS: Final = frozenset({"html", "empty", "cut", "late"})
"""Further codes: a page instead of an answer; and, after the message was taken, an answer with nothing in it, a
connection closed without one, one that comes ten minutes later. Three digits are an HTTP status, nothing taken."""


class _Taken(NamedTuple):
    at: int
    mobiles: frozenset[str]


class Twin:
    """One account.

    `balance`: credits; a segment costs one. `answers`: codes for the next sends ("Insufficient credits.", or one
    of FAULTS), each used once; `fault`: one code for all until None ("Authentication error." or an HTTP status
    also for balance and status). `fates`: the word that a recipient's messages end with ("Failed"), Delivered
    otherwise, after `settle` milliseconds.
    """

    paths = ("/api/http/",)

    def __init__(
        self,
        *,
        balance: str | int | Decimal = 1_000,
        answers: Sequence[str] = (),
        fault: str | None = None,
        username: str = "demo",
        password: str = "demo",  # noqa: S107 - the simulated account's, known to all
        fates: Mapping[str, str] | None = None,
        settle: int = SECOND,
    ) -> None:
        self.balance = Decimal(balance)
        self.answers = list(answers)
        self.fault = fault
        self.sent: list[tuple[str, str, str]] = []
        self._account = (username, password)
        self._fates = {mobile.removeprefix("+"): fate for mobile, fate in (fates or {}).items()}
        self._settle = settle
        self._taken: dict[str, _Taken] = {}

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        """The answer to one request; the parameters are those of the query."""
        fields = dict(parse_qsl(request.query, keep_blank_values=True, errors="replace"))
        pages = {"send.php": self._send, "query.php": self._query, "credits.php": self._credits}
        page = pages.get(request.path.removeprefix("/api/http/"))
        if page is None:
            return TwinReply(404, _HTML, _PAGE)
        if self.fault is not None and (_is_status(self.fault) or self.fault == _REFUSED):
            return _say(self.fault)
        if (fields.get("username"), fields.get("password")) != self._account:
            return _fail(_REFUSED)
        return page(fields, now)

    def _send(self, fields: dict[str, str], now: int) -> TwinReply:
        code = self.fault or (self.answers.pop(0) if self.answers else None)
        if code is not None and code not in FAULTS:
            return _say(code)
        if code == "html":
            return TwinReply(headers=_HTML, body=_PAGE)
        answer = self._take(fields, now)
        body, delay = (b"" if code == "empty" else answer.body), (10 * MINUTE if code == "late" else 0)
        return TwinReply(headers=answer.headers, body=body, delay=delay, cut=0 if code == "cut" else None)

    def _take(self, fields: dict[str, str], now: int) -> TwinReply:
        mobiles = [mobile for mobile in fields.get("to", "").split(",") if mobile]
        if not mobiles:
            return _fail("No recipients.")
        try:
            check_sender(fields.get("from", ""))
        except SenderError:
            return _fail("Invalid sender identity.")
        if "schedule" in fields:
            return _fail("Invalid scheduling date.")
        text = _encode_text(fields.get("message", ""), fields.get("coding", "GSM"))
        cost = verdict(text).segments * len(mobiles)
        if cost > self.balance:
            return _fail("Insufficient credits.")
        self.balance -= cost
        mid = f"TWIN{len(self._taken) + 1:06X}"
        self._taken[mid] = _Taken(now, frozenset(mobiles))
        self.sent += ((mobile, text, mid) for mobile in mobiles)
        return _write(f"ID:{mid}")

    def _query(self, fields: dict[str, str], now: int) -> TwinReply:
        mid, mobile = fields.get("mid"), fields.get("mobile")
        if not mid:
            return _fail("No message ID defined.")
        if not mobile:
            return _fail("No mobile defined.")
        taken = self._taken.get(mid)
        if taken is None or mobile not in taken.mobiles:
            return _fail("No such message or recipient.")
        age = now - taken.at
        if age < self._settle:
            return _write("Status: Queued" if 2 * age < self._settle else "Status: Pending")
        return _write(f"Status: {self._fates.get(mobile, 'Delivered')}")

    def _credits(self, fields: dict[str, str], now: int) -> TwinReply:
        return _write(f"Credits:{self.balance}")


_TEXT: Final = (("Content-Type", "text/plain; charset=utf-8"),)
_HTML: Final = (("Content-Type", "text/html; charset=utf-8"),)
_PAGE: Final = b"<html><body>Not Found</body></html>"
_REFUSED: Final = "Authentication error."


def _say(code: str) -> TwinReply:
    return TwinReply(int(code), _TEXT) if _is_status(code) else _fail(code)


def _is_status(code: str) -> bool:
    return len(code) == 3 and code.isdecimal()


def _fail(text: str) -> TwinReply:
    return _write(f"Error: {text}")


def _write(line: str) -> TwinReply:
    return TwinReply(headers=_TEXT, body=line.encode())


def _encode_text(text: str, coding: str) -> str:
    # What a handset would show: under GSM a character outside that alphabet is lost.
    if coding == "UTF-8":
        return text
    return "".join(each if encoding_of(each) == "gsm7" else "?" for each in text)
