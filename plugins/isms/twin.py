"""iSMS.gr's side, by HTTP and SOAP: takes messages, lookups and contacts, counts credits, answers as the vendor's page says.

Its SMPP side is an SMSC like any other: `broker.provider.smpp_twin`'s. Never does I/O or reads a clock, and shares no code with the
plugin: what one writes the other must read. The truth is the vendor's page (see the plugin's MANUAL); of a schedule it knows the one
form that the plugin writes.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from broker.provider.contract import Call, Reply, TwinReply, TwinRequest
from broker.provider.smpp_twin import SmscTwin
from broker.text import SenderError, check_sender, encoding_of, verdict
from broker.text.markup import MarkupError, escape_markup, read_markup
from broker.words.clock import MINUTE, SECOND
from broker.words.wall import read_wall

FAULTS: Final = frozenset({"html", "empty", "cut", "late"})
"""Further codes: a page instead of an answer; and, after the message was taken, an answer with nothing in it, a
connection closed without one, one that comes ten minutes later. Three digits are an HTTP status, nothing taken."""

Fields = Mapping[str, str]


class _Taken(NamedTuple):
    """A call that it took: the recipients, from when on they count, where they want to hear of it, whether it is a lookup."""

    mobiles: tuple[str, ...]
    start: int
    url: str = ""
    is_lookup: bool = False


class Twin:
    """One account.

    `balance`: credits; a segment or a lookup costs one. `answers`: codes for the next sends ("Insufficient credits.", or one
    of FAULTS), each used once; `fault`: one code for all until None ("Authentication error." or an HTTP status
    also for whatever is asked). `fates`: the word that a recipient's messages or lookups end with ("Failed"), Delivered
    otherwise, after `settle` milliseconds. `contacts` is the address book: mobile -> the fields it was saved with.
    What was sent with a `dlr-url` gives `calls`, once each; `style` is how: `words`, or `bare` with no parameter at all.
    `smpp`: how its SMSC is scripted (SmscTwin); its messages cost nothing here.
    """

    paths = ("/api/http/", "/soap")

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
        style: str = "words",
        smpp: Mapping[str, Any] | None = None,
    ) -> None:
        self.balance = Decimal(balance)
        self.answers = list(answers)
        self.fault = fault
        self.sent: list[tuple[str, str, str]] = []
        self.smsc = SmscTwin(username=username, password=password, **(smpp or {}))
        self.smsc.sent = self.sent
        self.contacts: dict[str, Fields] = {}
        self._account = (username, password)
        self._fates = {mobile.removeprefix("+"): fate for mobile, fate in (fates or {}).items()}
        self._settle = settle
        self._style = style
        self._taken: dict[str, _Taken] = {}
        self._heard: set[tuple[str, str]] = set()

    async def converse(self, stream: Any, now: Callable[[], int]) -> None:
        """One connection by SMPP."""
        await self.smsc.converse(stream, now)

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        """The answer to one request; over HTTP the parameters are those of the query."""
        if request.path == "/soap":
            return self._answer_soap(request, now)
        fields = dict(parse_qsl(request.query, keep_blank_values=True, errors="replace"))
        pages = {
            "send.php": self._send,
            "query.php": self._query,
            "credits.php": self._credits,
            "hlr.php": self._look_up,
            "hlrquery.php": self._query_lookup,
            "savecontact.php": self._save_contact,
            "deletecontact.php": self._delete_contact,
        }
        page = pages.get(request.path.removeprefix("/api/http/"))
        if page is None:
            return TwinReply(404, _HTML, _PAGE)
        if self.fault is not None and _is_status(self.fault):
            return TwinReply(int(self.fault), _TEXT)
        code = self._next(fields) if page in (self._send, self._look_up) else self._check(fields)
        return _deliver(code, page, fields, now)

    def _check(self, fields: Fields) -> str | None:
        """The refusal that every request of the account meets now, if any."""
        is_known = (fields.get("username"), fields.get("password")) == self._account
        return _REFUSED if self.fault == _REFUSED or not is_known else None

    def _next(self, fields: Fields) -> str | None:
        """The same for a send, with what the script says."""
        return self._check(fields) or self.fault or (self.answers.pop(0) if self.answers else None)

    def _send(self, fields: Fields, now: int) -> str:
        mobiles = tuple(mobile for mobile in fields.get("to", "").split(",") if mobile)
        if not mobiles:
            return "Error: No recipients."
        try:
            check_sender(fields.get("from", ""))
        except SenderError:
            return "Error: Invalid sender identity."
        start = now
        if "schedule" in fields:
            try:
                start = read_wall(fields["schedule"], ZoneInfo("Europe/Athens"), "%Y-%m-%d %H:%M:%S")
            except ValueError:
                return "Error: Invalid scheduling date."
        text = _encode_text(fields.get("message", ""), fields.get("coding", "GSM"))
        mid = self._take(mobiles, verdict(text).segments, _Taken(mobiles, max(start, now), fields.get("dlr-url", "")))
        if mid is None:
            return "Error: Insufficient credits."
        self.sent += ((mobile, text, mid) for mobile in mobiles)
        return f"ID:{mid}"

    def _take(self, mobiles: Sequence[str], cost: int, taken: _Taken) -> str | None:
        if cost * len(mobiles) > self.balance:
            return None
        self.balance -= cost * len(mobiles)
        mid = f"TWIN{len(self._taken) + 1:06X}"
        self._taken[mid] = taken
        return mid

    def _find_word(self, taken: _Taken, mobile: str, now: int) -> str:
        age = now - taken.start
        if age < self._settle:
            return "Queued" if 2 * age < self._settle else "Pending"
        return self._fates.get(mobile, "Delivered")

    def _query(self, fields: Fields, now: int) -> str:
        taken, mobile = self._find(fields, False)
        if isinstance(taken, str):
            return taken or "Error: No such message or recipient."
        return f"Status: {self._find_word(taken, mobile, now)}"

    def _find(self, fields: Fields, is_lookup: bool) -> tuple[_Taken | str, str]:
        """The call that is asked for, or why not (empty: there is none such), and the mobile."""
        mid, mobile = fields.get("mid"), fields.get("mobile")
        if not mid:
            return "Error: No message ID defined.", ""
        if not mobile:
            return "Error: No mobile defined.", ""
        taken = self._taken.get(mid)
        is_there = taken is not None and taken.is_lookup == is_lookup and mobile in taken.mobiles
        return (taken if taken is not None and is_there else ""), mobile

    def _credits(self, fields: Fields, now: int) -> str:
        return f"Credits:{self.balance}"

    def _look_up(self, fields: Fields, now: int) -> str:
        mobiles = tuple(mobile for mobile in fields.get("mobiles", "").split(",") if mobile)
        if not mobiles:
            return "Error: No recipients."
        mid = self._take(mobiles, 1, _Taken(mobiles, now, is_lookup=True))
        if mid is None:
            return "Error: Insufficient credits."
        self.sent += ((mobile, "", mid) for mobile in mobiles)
        return f"ID:{mid}"

    def _query_lookup(self, fields: Fields, now: int) -> str:
        taken, mobile = self._find(fields, True)
        if isinstance(taken, str):
            return taken or "Error: No such message ID or mobile."
        word = self._find_word(taken, mobile, now)
        return word if word in ("Queued", "Pending") else f"{word};Greece;COSMOTE;202010000000001;306970000001;0"

    def _save_contact(self, fields: Fields, now: int) -> str:
        refusal = _check_mobile(fields)
        if refusal is None:
            self.contacts[fields["mobile"]] = {key: fields.get(key, "") for key in ("surname", "name", "comments")}
        return refusal or "ΟΚ"

    def _delete_contact(self, fields: Fields, now: int) -> str:
        refusal = _check_mobile(fields)
        return refusal or ("ΟΚ" if self.contacts.pop(fields["mobile"], None) is not None else "FAILED")

    def _answer_soap(self, request: TwinRequest, now: int) -> TwinReply:
        if self.fault is not None and _is_status(self.fault):
            return TwinReply(int(self.fault), _TEXT)
        try:
            body = read_markup(request.body).find("Body")
            operation = body.children[0] if body is not None and body.children else None
        except MarkupError:
            operation = None
        if request.method != "POST" or operation is None or operation.name not in ("send", "query"):
            return _write_soap("Fault", "Procedure not present")
        fields = {part.name: part.text for part in operation.children}
        if operation.name == "query":
            return _deliver_soap(self._check(fields), self._query, {**fields, "mid": fields.get("message_id", "")}, now)
        recipients = next((part.find("recipients") for part in operation.children if part.name == "to"), None)
        fields["to"] = ",".join(item.text for item in recipients.children) if recipients is not None else ""
        return _deliver_soap(self._next(fields), self._send, fields, now)

    def calls(self, now: int) -> list[Call]:
        """What it would call the `dlr-url` of its messages with at `now`."""
        found = []
        for mid, taken in self._taken.items():
            for mobile in taken.mobiles:
                word = self._find_word(taken, mobile, now)
                if taken.url and word not in ("Queued", "Pending") and (mid, mobile) not in self._heard:
                    words = urlencode({"mid": mid, "mobile": mobile, "status": word})
                    query = "" if self._style == "bare" else f"{'&' if '?' in taken.url else '?'}{words}"
                    found.append(Call("GET", f"{taken.url}{query}"))
                    self._heard.add((mid, mobile))
        return found

    def hear(self, call: Call, reply: Reply) -> None:
        """No page says what it wants to hear: it calls once."""


_TEXT: Final = (("Content-Type", "text/plain; charset=utf-8"),)
_HTML: Final = (("Content-Type", "text/html; charset=utf-8"),)
_XML: Final = (("Content-Type", "text/xml; charset=utf-8"),)
_PAGE: Final = b"<html><body>Not Found</body></html>"
_REFUSED: Final = "Authentication error."
_SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"


def _deliver(code: str | None, page: Callable[[Fields, int], str], fields: Fields, now: int) -> TwinReply:
    """The page's answer over HTTP, or what the script makes of it."""
    if code is not None and code not in FAULTS:
        return TwinReply(int(code), _TEXT) if _is_status(code) else _write(f"Error: {code}" if code != "FAILED" else code)
    if code == "html":
        return TwinReply(headers=_HTML, body=_PAGE)
    return _spoil(code, _write(page(fields, now)))


def _deliver_soap(code: str | None, operation: Callable[[Fields, int], str], fields: Fields, now: int) -> TwinReply:
    """The same in an envelope: a value, or a fault with status 500."""
    if code is not None and code not in FAULTS:
        return TwinReply(int(code), _TEXT) if _is_status(code) else _write_soap("Fault", code)
    if code == "html":
        return TwinReply(headers=_HTML, body=_PAGE)
    line = operation(fields, now)
    value = line.removeprefix("ID:").removeprefix("Status: ")
    fault = line.removeprefix("Error: ")
    return _spoil(code, _write_soap("Fault", fault) if fault != line else _write_soap("return", value))


def _spoil(code: str | None, answer: TwinReply) -> TwinReply:
    body, delay = (b"" if code == "empty" else answer.body), (10 * MINUTE if code == "late" else 0)
    return TwinReply(answer.status, answer.headers, body, delay, 0 if code == "cut" else None)


def _write(line: str) -> TwinReply:
    return TwinReply(headers=_TEXT, body=line.encode())


def _write_soap(kind: str, text: str) -> TwinReply:
    text = escape_markup(text)
    inner = f"<ns1:answer><return>{text}</return></ns1:answer>"
    if kind == "Fault":
        inner = f"<SOAP-ENV:Fault><faultcode>SOAP-ENV:Server</faultcode><faultstring>{text}</faultstring></SOAP-ENV:Fault>"
    body = f"<SOAP-ENV:Body>{inner}</SOAP-ENV:Body>"
    envelope = f'<SOAP-ENV:Envelope xmlns:SOAP-ENV="{_SOAP}" xmlns:ns1="urn:isms">{body}</SOAP-ENV:Envelope>'
    return TwinReply(500 if kind == "Fault" else 200, _XML, f'<?xml version="1.0" encoding="UTF-8"?>\n{envelope}\n'.encode())


def _check_mobile(fields: Fields) -> str | None:
    mobile = fields.get("mobile", "")
    if not mobile:
        return "Error: Mobile number is empty."
    return None if mobile.isdecimal() and 8 <= len(mobile) <= 15 else "Error: Invalid mobile number."


def _is_status(code: str) -> bool:
    return len(code) == 3 and code.isdecimal()


def _encode_text(text: str, coding: str) -> str:
    # What a handset would show: under GSM a character outside that alphabet is lost.
    if coding == "UTF-8":
        return text
    return "".join(each if encoding_of(each) == "gsm7" else "?" for each in text)
