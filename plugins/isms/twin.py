"""The twin of iSMS.gr: its HTTP API from the provider's side, with every answer of the manual.

A state machine over requests: never does I/O, knows no time but the `now` it is given, and sends nothing to
anybody. Lookup, contacts and the schedule's many date forms are not in it.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import parse_qsl

from broker.provider.contract import TwinReply, TwinRequest
from broker.text import SenderError, check_sender, encoding_of, verdict

__all__ = ["Twin"]


class _Taken(NamedTuple):
    at: int
    mobiles: frozenset[str]


class Twin:
    """One account at iSMS.gr.

    `balance`: credits; a segment costs one. `answers`, `fault`: see broker.provider.contract.Twin; a code is
    an error text ("Insufficient credits."), an HTTP status ("503"), or "empty", "html" (a page), "cut"
    (taken, the answer lost); None is normal service. `fates`: mobile -> the word that it ends with
    ("Failed"), Delivered otherwise; `settle`: milliseconds until then.
    """

    paths = ("/api/http/",)

    def __init__(
        self,
        *,
        balance: str | int | Decimal = 1000,
        username: str = "demo",
        password: str = "demo",  # noqa: S107  # the twin's own account, known to everybody
        answers: Iterable[str | None] = (),
        fault: str | None = None,
        fates: Mapping[str, str] | None = None,
        settle: int = 1000,
    ) -> None:
        self.balance = Decimal(balance)
        self.fault = fault
        self.sent: list[tuple[str, str, str]] = []
        self._credentials = (username, password)
        self._answers = deque(answers)
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
        if (fields.get("username"), fields.get("password")) != self._credentials:
            return _fail("Authentication error.")
        return page(fields, now)

    def _send(self, fields: dict[str, str], now: int) -> TwinReply:
        scripted = self._answers.popleft() if self._answers else None
        code = self.fault or scripted
        if code is None:
            return self._take(fields, now)
        if code == "cut":
            return TwinReply(body=self._take(fields, now).body, cut=0)
        return _say(code)

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


_TEXT = (("content-type", "text/plain; charset=utf-8"),)
_HTML = (("content-type", "text/html; charset=utf-8"),)
_PAGE = b"<!DOCTYPE html><html><body><h1>Not what you asked for</h1></body></html>"


def _say(code: str) -> TwinReply:
    if code == "empty":
        return TwinReply(headers=_TEXT)
    if code == "html":
        return TwinReply(headers=_HTML, body=_PAGE)
    if len(code) == 3 and code.isdigit():
        return TwinReply(int(code), _TEXT, b"no service\n")
    return _fail(code)


def _fail(text: str) -> TwinReply:
    return _write(f"Error: {text}")


def _write(line: str) -> TwinReply:
    return TwinReply(headers=_TEXT, body=line.encode())


def _encode_text(text: str, coding: str) -> str:
    # What a handset would show: under GSM a character outside that alphabet is lost.
    if coding == "UTF-8":
        return text
    return "".join(each if encoding_of(each) == "gsm7" else "?" for each in text)
