"""SubitoSMS's side of its JSON API: takes messages, counts them in three purses, answers as the manual says.

Never does I/O or reads a clock, and shares no code with the plugin: what one writes the other must read. The
truth is the vendor's manual (see the plugin's MANUAL).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from broker.provider.contract import TwinReply, TwinRequest
from broker.text import encoding_of, sender_form, verdict
from broker.words.clock import MINUTE, SECOND

FAULTS: Final = frozenset({"html", "empty", "cut", "late"})
"""Further codes: a page instead of an answer; and, after the messages were taken, an answer with nothing in it, a
connection closed without one, one that comes ten minutes later. Three digits are an HTTP status, nothing taken."""

_ERRORS: Final = {
    1: "Syntax error",
    2: "Username is undefined",
    3: "Password is undefined",
    4: "Wrong username or password",
    5: "You do not have enough credit",
    6: "Action status requires a id to be set",
    7: "Action is not defined",
}


class _Taken(NamedTuple):
    at: int
    sender: str
    dest: str
    text: str


class Twin:
    """One account.

    `balance`: messages left, for each of Italy, ItalyLow and Foreign, or by name; a segment costs one. `answers`:
    codes for the next sends ("5", or one of FAULTS), each used once; `fault`: one code for all until None ("1" to
    "4", or an HTTP status, also for balance and status). `partial`: a batch with too little credit is taken as
    far as it reaches, and still refused. `fates`: the status that a recipient's messages end with ("16"), "1"
    otherwise, after `settle` milliseconds.
    """

    paths = ("/json.php",)

    def __init__(
        self,
        *,
        balance: int | Mapping[str, int] = 1_000,
        answers: Sequence[str] = (),
        fault: str | None = None,
        username: str = "demo",
        password: str = "demo",  # noqa: S107 - the simulated account's, known to all
        partial: bool = False,
        fates: Mapping[str, str] | None = None,
        settle: int = SECOND,
    ) -> None:
        given = balance if isinstance(balance, Mapping) else dict.fromkeys(_BUCKETS, balance)
        self.balance = {bucket: given.get(bucket, 0) for bucket in _BUCKETS}
        self.answers = list(answers)
        self.fault = fault
        self.sent: list[tuple[str, str, str]] = []
        self._account = (username, password)
        self._partial = partial
        self._fates = dict(fates or {})
        self._settle = settle
        self._groups: dict[str, list[_Taken]] = {}

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        """The answer to one request: the action is in the query, everything else in the body's JSON."""
        if self.fault is not None and (_is_status(self.fault) or self.fault in ("1", "2", "3", "4")):
            return _say(self.fault)
        try:
            content = msgspec.json.decode(request.body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return _fail(1)
        refusal = self._refuse(content)
        if refusal is not None:
            return _fail(refusal)
        data = content.get("data")
        match request.query:
            case "action=credit":
                return self._credit()
            case "action=send":
                return self._send(data, now)
            case "action=status":
                return self._status(data, now)
        return _fail(7)

    def _refuse(self, content: Any) -> int | None:
        auth = content.get("auth") if isinstance(content, dict) else None
        if isinstance(auth, list) and len(auth) == 1:  # the manual writes both forms
            (auth,) = auth
        if not isinstance(auth, dict):
            return 1
        if not auth.get("username"):
            return 2
        if not auth.get("password"):
            return 3
        return None if (auth["username"], auth["password"]) == self._account else 4

    def _credit(self) -> TwinReply:
        counters = {bucket: str(count) for bucket, count in self.balance.items()}
        return _write({"data": {**counters, "AddressBooks": "12", "Polls": "6", "Credit": None}})

    def _send(self, data: Any, now: int) -> TwinReply:
        messages = _read_messages(data, now)
        if messages is None:
            return _fail(1)
        code = self.fault or (self.answers.pop(0) if self.answers else None)
        if code is not None and code not in FAULTS:
            return _say(code)
        if code == "html":
            return TwinReply(headers=_HTML, body=_PAGE)
        answer = self._take(messages)
        body, delay = (b"" if code == "empty" else answer.body), (10 * MINUTE if code == "late" else 0)
        return TwinReply(headers=answer.headers, body=body, delay=delay, cut=0 if code == "cut" else None)

    def _take(self, messages: list[_Taken]) -> TwinReply:
        group = str(12293682 + len(self._groups))
        before = dict(self.balance)
        for n, message in enumerate(messages):
            if self._pay(message):
                continue
            if self._partial:
                self._keep(group, messages[:n])
            else:
                self.balance = before
            return _fail(5)
        self._keep(group, messages)
        return _write({"data": {"id": group}})

    def _pay(self, message: _Taken) -> bool:
        cost = verdict(message.text).segments
        for bucket in _find_buckets(message):
            if self.balance[bucket] >= cost:
                self.balance[bucket] -= cost
                return True
        return False

    def _keep(self, group: str, messages: list[_Taken]) -> None:
        self._groups[group] = messages
        self.sent += ((message.dest, message.text, group) for message in messages)

    def _status(self, data: Any, now: int) -> TwinReply:
        ids = [item.get("id") for item in data if isinstance(item, dict)] if isinstance(data, list) else []
        if not ids or not all(ids):
            return _fail(6)
        return _write([{"id": each, "messages": self._show_group(str(each), now)} for each in ids])

    def _show_group(self, group: str, now: int) -> list[dict[str, Any]]:
        return [
            {
                "sender": message.sender,
                "dest": message.dest,
                "text": message.text,
                "status": self._show_status(message, now),
                "code": int(group) + n,
            }
            for n, message in enumerate(self._groups.get(group, ()))
        ]

    def _show_status(self, message: _Taken, now: int) -> str:
        age = now - message.at
        if age < self._settle:
            return "0" if 2 * age < self._settle else "8"
        return self._fates.get(message.dest, "1")


_BUCKETS: Final = ("Italy", "ItalyLow", "Foreign")
_MOST_UNITS: Final = {"gsm7": 4 * 153, "ucs2": 4 * 67}
_JSON: Final = (("Content-Type", "application/json"),)
_HTML: Final = (("Content-Type", "text/html"),)
_PAGE: Final = b"<html><body>Servizio sospeso</body></html>"


def _read_messages(data: Any, now: int) -> list[_Taken] | None:
    if not isinstance(data, list) or not data:
        return None
    messages = [_read_message(item, now) for item in data]
    return None if None in messages else [message for message in messages if message is not None]


def _read_message(item: Any, now: int) -> _Taken | None:
    match item:
        case {"sender": str(sender), "dest": str(dest), "text": str(text)}:
            # It splits into four: what is longer is lost without a word.
            return _Taken(now, sender, dest, text[: _MOST_UNITS[encoding_of(text)]])
    return None


def _find_buckets(message: _Taken) -> tuple[str, ...]:
    if not message.dest.startswith(("+39", "3")):
        return ("Foreign",)
    return ("Italy",) if sender_form(message.sender or "0") == "alphanumeric" else ("Italy", "ItalyLow")


def _say(code: str) -> TwinReply:
    if _is_status(code):
        return TwinReply(int(code))
    return _fail(int(code) if code.removeprefix("-").isdecimal() else code)


def _is_status(code: str) -> bool:
    return len(code) == 3 and code.isdecimal()


def _fail(code: int | str) -> TwinReply:
    message = _ERRORS.get(code, "Something else") if isinstance(code, int) else "Something else"
    return _write({"error": {"message": message, "code": code}})


def _write(answer: Any) -> TwinReply:
    return TwinReply(headers=_JSON, body=msgspec.json.encode(answer))
