"""Mitake's side of both APIs: takes messages, counts points, answers as the vendor's manual says.

Never does I/O or reads a clock, and shares no code with the plugin: what one writes the other must read. The
truth is the vendor's manual (see the plugin's MANUAL); where it is silent about a malformed request, the answer
is a refusal, so that a wrong request shows.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from broker.provider.contract import Call, Reply, TwinReply, TwinRequest
from broker.text import verdict
from broker.words.clock import HOUR, MINUTE, SECOND

TAKEN: Final = frozenset("01234")
ACCOUNT: Final = frozenset("cdefhklmnpr")
"""Codes that refuse a whole request of any kind; `a` and `b` refuse sends alone, all others one message."""

FAULTS: Final = frozenset({"html", "empty", "cut", "late"})
"""Further codes: a page instead of an answer; and, after the messages were taken, an answer with nothing in it,
a connection closed without one, one that comes ten minutes later. Three digits are an HTTP status, nothing taken."""


class _Row(NamedTuple):
    """One message of a request; `label` heads its section of the answer."""

    label: str
    fields: Mapping[str, str]
    key: str = ""

    @property
    def to(self) -> str:
        """The recipient as it came."""
        return self.fields.get("dstaddr", "")

    @property
    def text(self) -> str:
        """The text to be sent."""
        return self.fields.get("smbody", "")


class _Taken(NamedTuple):
    """A message that it has: `start` and `until` are dlvtime and vldtime, `fate` what it comes to; times in milliseconds UTC."""

    at: int
    code: str
    fields: Mapping[str, str]
    ref: str
    start: int
    until: int | None
    fate: str


class Twin:
    """Both APIs of one account.

    `balance`: points; a message costs one for each segment. `answers`: codes for the next sends, each used once;
    `fault`: one code for all until None (one of ACCOUNT, or an HTTP status, also for balance and status). `questions`:
    codes that refuse the next questions, each used once. `fates`:
    what becomes of a recipient's messages (E.164 or 09…; a statuscode, or REJECTD or UNKNOWN) after `settle`
    milliseconds at the carrier. What was sent with `response` gives `calls`, each again until `hear` has its answer.
    """

    paths = ("/SmSendGet.asp", "/SmSendPost.asp", "/SmQueryGet.asp", "/SpLmGet", "/api/mtk/")

    def __init__(
        self,
        *,
        balance: str | int | Decimal = 1_000,
        answers: Sequence[str] = (),
        fault: str | None = None,
        questions: Sequence[str] = (),
        username: str = "demo",
        password: str = "demo",  # noqa: S107 - the simulated account's, known to all
        fates: Mapping[str, str] | None = None,
        settle: int = SECOND,
    ) -> None:
        self.balance = int(balance)
        self.answers = list(answers)
        self.fault = fault
        self.questions = list(questions)
        self.sent: list[tuple[str, str, str]] = []
        self._account = (username, password)
        self._fates = {_localise(to): code for to, code in (fates or {}).items()}
        self._settle = settle
        self._taken: dict[str, _Taken] = {}
        self._keys: dict[str, tuple[int, list[str]]] = {}
        self._canceled: dict[str, int] = {}
        self._heard: set[str] = set()
        self._serves = {
            "/SmSendGet.asp": ("GET", self._send_short),
            "/SpLmGet": ("GET", self._send_long),
            "/SmSendPost.asp": ("POST", self._send_blocks),
            "/SmQueryGet.asp": ("GET", self._query),
            "/api/mtk/SmSend": ("POST", self._send_form),
            "/api/mtk/SmBulkSend": ("POST", self._send_bulk),
            "/api/mtk/SmQuery": ("POST", self._query),
            "/api/mtk/SmCancel": ("POST", self._cancel),
        }

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        """The provider's answer to one request at `now` (milliseconds UTC)."""
        method, serve = self._serves.get(request.path, ("", self._query))
        if not method:
            return TwinReply(404, (("Content-Type", "text/html"),), b"<html><body>Not Found</body></html>")
        if request.method != method:
            return TwinReply(405, (("Content-Type", "text/html"),), b"<html><body>Not Allowed</body></html>")
        return serve(request, now)

    def _send_short(self, request: TwinRequest, now: int) -> TwinReply:
        return self._send_get(request, now, most=70)

    def _send_long(self, request: TwinRequest, now: int) -> TwinReply:
        return self._send_get(request, now, most=None)

    def _send_get(self, request: TwinRequest, now: int, most: int | None) -> TwinReply:
        form = _read_form(request.query.encode(), _charset(request.query, "encoding"))
        return self._send(form, [_Row("1", form)], now, most, is_long=most is None)

    def _send_blocks(self, request: TwinRequest, now: int) -> TwinReply:
        account = _read_form(request.query.encode(), "utf-8")
        body = request.body.decode(_charset(request.query, "encoding"), "replace")
        blocks: list[dict[str, str]] = []
        for line in re.split("\r\n|\n", body):
            key, has_value, value = line.partition("=")
            if re.fullmatch(r"\[[0-9]+\]", line):
                blocks.append({})
            elif has_value and blocks:
                blocks[-1][key] = value
        return self._send(account, [_Row(str(n), block) for n, block in enumerate(blocks, 1)], now, most=70)

    def _send_form(self, request: TwinRequest, now: int) -> TwinReply:
        form = _read_form(request.body, _charset(request.query, "CharsetURL"))
        key = form.get("clientid", "")
        return self._send(form, [_Row(key or "1", _read_line_ends(form), key)], now)

    def _send_bulk(self, request: TwinRequest, now: int) -> TwinReply:
        account = _read_form(request.query.encode(), "utf-8")
        body = request.body.decode(_charset(request.query, "Encoding_PostIn"), "replace")
        rows = []
        for line in filter(None, re.split("\r\n|\n", body)):
            row = dict(zip(_COLUMNS, [*line.split("$$"), *[""] * 6], strict=False))
            rows.append(_Row(row["ClientID"], _read_line_ends(row), row["ClientID"]))
        return self._refuse("x") if len(rows) > 500 else self._send(account, rows, now)

    def _send(
        self, account: Mapping[str, str], rows: list[_Row], now: int, most: int | None = None, is_long: bool = False
    ) -> TwinReply:
        whole = self._next_whole()
        if whole is not None and whole.isdigit():
            return TwinReply(int(whole))
        if whole == "html":
            return TwinReply(200, (("Content-Type", "text/html"),), b"<html><body>Service notice</body></html>")
        refused = self._check(account) or (whole if whole not in FAULTS else None)
        if refused is not None:
            return self._refuse(refused)
        lines = []
        for row in rows:
            lines += [f"[{row.label}]", *self._take(row, now, most, is_long)]
        body = "".join(f"{line}\r\n" for line in [*lines, f"AccountPoint={self.balance}"])
        if whole == "empty":
            return _reply("")
        return _reply(body, delay=10 * MINUTE if whole == "late" else 0, cut=0 if whole == "cut" else None)

    def _next_whole(self) -> str | None:
        """The scripted code for this request, if it is one that speaks of the whole."""
        code = self.fault if self.fault is not None else next(iter(self.answers), None)
        if code is None or not (code in ACCOUNT | FAULTS | {"a", "b"} or _is_status(code)):
            return None
        if self.fault is None:
            self.answers.pop(0)
        return code

    def _next_own(self) -> str | None:
        """The scripted code for one message."""
        if self.fault is not None:
            return None if self.fault in FAULTS else self.fault
        return self.answers.pop(0) if self.answers else None

    def _check(self, account: Mapping[str, str]) -> str | None:
        if not account.get("username"):
            return "c"
        if not account.get("password"):
            return "d"
        return None if (account["username"], account["password"]) == self._account else "e"

    def _check_question(self, account: Mapping[str, str]) -> str | None:
        refused = self._check(account) or (self.fault if self.fault in ACCOUNT else None)
        return refused or (self.questions.pop(0) if self.questions else None)

    def _take(self, row: _Row, now: int, most: int | None, is_long: bool) -> list[str]:
        """The lines of one section. A key of the last 12 hours gives the first answer again and takes nothing."""
        first_at, first = self._keys.get(row.key, (0, []))
        if row.key and first and now - first_at < 12 * HOUR:
            return [*first, "Duplicate=Y"]
        cost = verdict(row.text).segments
        code = self._next_own() or _find_fault(row, most) or "1"
        if code in TAKEN and cost > self.balance:
            code = "s"
        if code not in TAKEN:
            return [f"statuscode={code}"] if code.isdigit() else [f"statuscode={code}", f"Error={_error(code)}"]
        self.balance -= cost
        ref = self._make_ref(row, is_long)
        self.sent.append((row.to, row.text, ref))
        start, until = _read_time(row.fields.get("dlvtime", "")), _read_time(row.fields.get("vldtime", ""))
        fate = self._fates.get(_localise(row.to), "4")
        self._taken[ref.lstrip("#")] = _Taken(now, code, row.fields, ref, max(now, start or now), until, fate)
        lines = [f"msgid={ref}", f"statuscode={code}"]
        if row.key:
            self._keys[row.key] = (now, lines)
        return lines

    def _make_ref(self, row: _Row, is_long: bool) -> str:
        n = len(self.sent)
        if row.key:
            return f"#{13 + n:09d}"
        return f"#{0x021BCAE83 + n:09X}" if is_long else f"{939137671 + n:010d}"

    def _refuse(self, code: str) -> TwinReply:
        return _reply(f"[0]\r\nstatuscode={code}\r\nError={_error(code)}\r\n")

    def _query(self, request: TwinRequest, now: int) -> TwinReply:
        form = _read_form(request.query.encode() + b"&" + request.body, "utf-8")
        if self.fault is not None and _is_status(self.fault):
            return TwinReply(int(self.fault))
        refused = self._check_question(form)
        if refused is not None:
            return _reply(f"statuscode={refused}\r\nError={_error(refused)}\r\n")
        if "msgid" not in form:
            return _reply(f"AccountPoint={self.balance}\r\n")
        refs = form["msgid"].split(",")
        if len(refs) > 100:
            return _reply("w")
        # in an order of its own: the manual promises none
        found = [taken for ref in reversed(refs) if (taken := self._taken.get(ref.lstrip("#"))) is not None]
        rows = [(taken.ref, *self._find_state(taken, now)) for taken in found]
        return _reply("".join(f"{ref}\t{_CODES.get(code, code)}\t{_write_time(at)}\r\n" for ref, code, at in rows))

    def _find_state(self, taken: _Taken, now: int) -> tuple[str, int]:
        """What a message is at `now`, and since when."""
        canceled_at = self._canceled.get(taken.ref)
        settled_at = taken.start + self._settle
        if canceled_at is not None:
            return "9", canceled_at
        if now < taken.start:
            return "0", taken.at
        if taken.until is not None and taken.until <= min(now, settled_at):
            return "8", taken.until
        return (taken.fate, settled_at) if now >= settled_at and taken.code != "4" else (taken.code, taken.start)

    def _cancel(self, request: TwinRequest, now: int) -> TwinReply:
        form = _read_form(request.body, "utf-8")
        if self.fault is not None and _is_status(self.fault):
            return TwinReply(int(self.fault))
        refused = self._check_question(form)
        if refused is not None:
            return _reply(f"statuscode={refused}\r\nError={_error(refused)}\r\n")
        lines = []
        for ref in form.get("msgid", "").split(","):
            taken = self._taken.get(ref.lstrip("#"))
            if taken is not None and self._find_state(taken, now)[0] == "0" and now < taken.start:
                self._canceled[taken.ref] = now
            code = "?" if taken is None else self._find_state(taken, now)[0]
            lines.append(f"{ref}={_CODES.get(code, code)}\r\n")
        return _reply("".join(lines))

    def calls(self, now: int, *, everything: bool = False) -> list[Call]:
        """What it would call `response` with at `now`: the fates that have not been answered for; `everything`: and what is none."""
        found = []
        for taken in self._taken.values():
            code, at = self._find_state(taken, now)
            url = taken.fields.get("response")
            if not url or (code in "0123" and not everything) or taken.ref in self._heard:
                continue
            words = {
                "msgid": taken.ref,
                "dstaddr": _localise(taken.fields["dstaddr"]),
                "dlvtime": _write_time(taken.start),
                "donetime": _write_time(at),
                "statusstr": _WORDS.get(code, code),
                "statuscode": "0" if code == "4" else "",  # there it says success, and of a failure nothing
                "StatusFlag": code if code.isdigit() else "",
            }
            found.append(Call("GET", f"{url}{'&' if '?' in url else '?'}{urlencode(words)}"))
        return found

    def hear(self, call: Call, reply: Reply) -> None:
        """The answer to one of `calls`: only these words end them."""
        ref = _read_form(call.url.partition("?")[2].encode(), "utf-8")["msgid"]
        if reply.status == 200 and reply.body == f"magicid=sms_gateway_rpack\nmsgid={ref}\n".encode():
            self._heard.add(ref)


_COLUMNS: Final = ("ClientID", "dstaddr", "dlvtime", "vldtime", "destname", "response", "smbody")
_WORDS: Final = {
    **dict.fromkeys("0123", "ACCEPTD"),
    **{"4": "DELIVRD", "5": "SYNTAXE", "6": "UNDELIV", "7": "UNDELIV", "8": "EXPIRED", "9": "DELETED"},
}
_CODES: Final = {"REJECTD": "7", "UNKNOWN": "*"}
"""How a query tells of the two fates that only a callback has a word for."""


def _write_time(at: int) -> str:
    local = datetime(1970, 1, 1, 8) + timedelta(milliseconds=at)  # the epoch on Taipei's clocks
    return f"{local:%Y%m%d%H%M%S}"


def _read_time(text: str) -> int | None:
    try:
        return (datetime.strptime(text, "%Y%m%d%H%M%S") - datetime(1970, 1, 1, 8)) // timedelta(milliseconds=1)
    except ValueError:
        return None


def _read_form(encoded: bytes, charset: str) -> dict[str, str]:
    text = encoded.decode("ascii", "replace")
    return dict(parse_qsl(text, keep_blank_values=True, encoding=charset, errors="replace"))


def _charset(query: str, key: str) -> str:
    """Big5 unless the request says otherwise."""
    named = _read_form(query.encode(), "utf-8").get(key, "")
    return "utf-8" if named.upper() in ("UTF8", "UTF-8") else "big5"


def _read_line_ends(fields: Mapping[str, str]) -> Mapping[str, str]:
    return {**fields, "smbody": fields.get("smbody", "").replace("\x06", "\n")}


def _localise(to: str) -> str:
    """The number as Mitake keeps it: without `+`, `.`, `-` and blanks, Taiwan's without the country code."""
    digits = re.sub(r"[+.\- ]", "", to)
    return re.sub("^8860?9", "09", digits)


def _find_fault(row: _Row, most: int | None) -> str | None:
    if not row.text.strip():
        return "u"
    if not re.fullmatch("[0-9]{8,15}", _localise(row.to)):
        return "v"
    return "5" if most is not None and len(row.text.encode("utf-16-be")) > 2 * most else None


def _is_status(code: str) -> bool:
    return len(code) == 3 and code.isdigit()


def _error(code: str) -> str:
    return "帳號、密碼錯誤" if code == "e" else f"錯誤 {code}"


def _reply(text: str, delay: int = 0, cut: int | None = None) -> TwinReply:
    # a code that a script made up may not fit into Big5
    return TwinReply(200, (("Content-Type", "text/plain"),), text.encode("big5", "replace"), delay, cut)
