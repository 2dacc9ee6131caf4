"""The twin of SubitoSMS: its JSON API from the provider's side, with every answer of the manual.

A state machine over requests: never does I/O, knows no time but the `now` it is given, and sends nothing to
anybody.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from broker.provider.contract import TwinReply, TwinRequest
from broker.text import encoding_of, sender_form, verdict

__all__ = ["Twin"]

_ERRORS = {
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
    """One account at SubitoSMS.

    `balance`: messages left, for each of Italy, ItalyLow and Foreign, or by name. `answers`, `fault`: see
    broker.provider.contract.Twin; a code is one of the manual's ("5"), an HTTP status ("503"), or "empty",
    "html" (a page), "cut" (taken, the answer lost); None is normal service. `partial`: a batch with too
    little credit is taken as far as it reaches, and still refused. `fates`: recipient -> the status that it
    ends with ("16"), "1" otherwise; `settle`: milliseconds until then.
    """

    paths = ("/json.php",)

    def __init__(
        self,
        *,
        balance: int | Mapping[str, int] = 1000,
        username: str = "demo",
        password: str = "demo",  # noqa: S107  # the twin's own account, known to everybody
        answers: Iterable[str | None] = (),
        fault: str | None = None,
        partial: bool = False,
        fates: Mapping[str, str] | None = None,
        settle: int = 1000,
    ) -> None:
        given = balance if isinstance(balance, Mapping) else dict.fromkeys(_BUCKETS, balance)
        self.balance = {bucket: given.get(bucket, 0) for bucket in _BUCKETS}
        self.fault = fault
        self.sent: list[tuple[str, str, str]] = []
        self._credentials = (username, password)
        self._answers = deque(answers)
        self._partial = partial
        self._fates = dict(fates or {})
        self._settle = settle
        self._groups: dict[str, list[_Taken]] = {}

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        """The answer to one request: the action is in the query, everything else in the body's JSON."""
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
        return None if (auth["username"], auth["password"]) == self._credentials else 4

    def _credit(self) -> TwinReply:
        counters = {bucket: str(count) for bucket, count in self.balance.items()}
        return _write({"data": {**counters, "AddressBooks": "12", "Polls": "6", "Credit": None}})

    def _send(self, data: Any, now: int) -> TwinReply:
        messages = _read_messages(data, now)
        if messages is None:
            return _fail(1)
        scripted = self._answers.popleft() if self._answers else None
        code = self.fault or scripted
        if code is None:
            return self._take(messages)
        if code == "cut":
            return TwinReply(body=self._take(messages).body, cut=0)
        return _say(code)

    def _take(self, messages: list[_Taken]) -> TwinReply:
        group = str(12293682 + len(self._groups))
        before = Counter(self.balance)
        for n, message in enumerate(messages):
            if self._pay(message):
                continue
            if self._partial:
                self._keep(group, messages[:n])
            else:
                self.balance = dict(before)
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


_BUCKETS = ("Italy", "ItalyLow", "Foreign")
_MOST_UNITS = {"gsm7": 4 * 153, "ucs2": 4 * 67}
_JSON = (("content-type", "application/json"),)


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
    if code == "empty":
        return TwinReply(headers=_JSON)
    if code == "html":
        return TwinReply(headers=(("content-type", "text/html"),), body=b"<html><body>Chiuso</body></html>")
    if len(code) == 3 and code.isdigit():
        return TwinReply(int(code), _JSON, b'"no service"')
    return _fail(int(code) if code.lstrip("-").isdigit() else code)


def _fail(code: int | str) -> TwinReply:
    message = _ERRORS.get(code, "Something else") if isinstance(code, int) else "Something else"
    return _write({"error": {"message": message, "code": code}})


def _write(answer: Any) -> TwinReply:
    return TwinReply(headers=_JSON, body=msgspec.json.encode(answer))
