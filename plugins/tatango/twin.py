"""Tatango's side: checks key, hash and number, and answers with a status, as the vendor's page says.

Tells of what handsets send, too. Never does I/O or reads a clock, and shares no code with the plugin: what one
writes the other must read. The truth is the vendor's page (see the plugin's MANUAL).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qsl

from broker.provider.contract import Call, TwinReply, TwinRequest
from broker.words.clock import MINUTE

TAKEN: Final = frozenset({"200", "202"})

FAULTS: Final = frozenset({"html", "empty", "cut", "late"})
"""Further codes: a page with status 200, nothing taken; and, after the message was taken, an answer with nothing in
it (as good as any other here), a connection closed without one, one that comes ten minutes later."""

_PAGE: Final = (("Content-Type", "text/html"),)


class Twin:
    """One account.

    `balance`: without effect, since the provider tells none. `answers`: statuses for the next sends, each used
    once; `fault`: one for all until None. `fates`: the status that a recipient always gets (E.164 or ten digits),
    for example 403 or 409. A 202 counts as taken, though the text only goes out if they opt in. `charset` is
    that of the text as it hashes it.
    """

    paths = ("/messages",)

    def __init__(
        self,
        *,
        balance: str | int | Decimal = 0,
        answers: Sequence[str] = (),
        fault: str | None = None,
        key: str = "demo",
        password: str = "demo",  # noqa: S107 - the simulated account's, known to all
        fates: Mapping[str, str] | None = None,
        charset: str = "utf-8",
    ) -> None:
        self.balance = balance
        self.answers = list(answers)
        self.fault = fault
        self.sent: list[tuple[str, str, str]] = []
        self._key = key
        self._password = password
        self._fates = {_localise(to): code for to, code in (fates or {}).items()}
        self._charset = charset

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        """The provider's answer to one request at `now` (milliseconds UTC)."""
        if request.path != "/messages":
            return TwinReply(404, _PAGE, b"<html><body>Not Found</body></html>")
        if request.method != "POST":
            return TwinReply(405, _PAGE, b"<html><body>Not Allowed</body></html>")
        form = _read_form(request.body.decode("ascii", "replace"))
        code = self._next()
        if code is not None and code not in FAULTS:
            return self._end(form, code)
        if code == "html":
            return TwinReply(200, _PAGE, b"<html><body>Service notice</body></html>")
        reply = self._end(form, self._find_fault(form) or "200")
        delay, cut = (10 * MINUTE if code == "late" else 0), (0 if code == "cut" else None)
        return TwinReply(reply.status, reply.headers, reply.body, delay, cut)

    def call(self, url: str, sender: str, text: str) -> Call:
        """What it calls the address of the account's panel with when a handset, `sender` as the carrier writes it, has sent `text`."""
        content = text.replace("]]>", "]]]]><![CDATA[>")
        body = f'<?xml version="1.0"?>\n<message>\n<sender>{sender}</sender>\n<content><![CDATA[{content}]]></content>\n</message>\n'
        return Call("POST", url, (("Content-Type", "text/xml"),), body.encode())

    def _next(self) -> str | None:
        if self.fault is not None:
            return self.fault
        return self.answers.pop(0) if self.answers else None

    def _find_fault(self, form: Mapping[str, str]) -> str | None:
        """The refusal that the request earns by itself, or its recipient's fate."""
        secret = f"{self._password}{form.get('message', '')}".encode(self._charset, "replace")
        digest = hashlib.md5(secret, usedforsecurity=False).hexdigest()
        if form.get("key") != self._key or form.get("hash") != digest:
            return "401"
        to = form.get("recipient", "")
        return self._fates.get(to) if re.fullmatch("[0-9]{10}", to) else "400"

    def _end(self, form: Mapping[str, str], code: str) -> TwinReply:
        if code in TAKEN:
            self.sent.append((form.get("recipient", ""), form.get("message", ""), ""))
        return TwinReply(int(code))


def _read_form(text: str) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:  # it takes what is no UTF-8 for the charset of its time
        return dict(parse_qsl(text, keep_blank_values=True, encoding="latin-1"))


def _localise(to: str) -> str:
    digits = to.removeprefix("+")
    return digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
